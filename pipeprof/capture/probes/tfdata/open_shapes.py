"""Which elements of tf.data may differ in their shapes."""

from typing import Any

import tensorflow as tf


def has_open_shapes(element_spec: Any) -> bool:
    """Whether batches may have other shapes than the first one, whatever their number of samples.

    Args:
        element_spec: that of the iterator which delivers them.
    """
    shapes = [part.shape for part in tf.nest.flatten(element_spec, expand_composites=True)]
    return any(shape.rank is None or None in shape.as_list()[1:] for shape in shapes)
