"""Times the user's function in an ``ImageDataGenerator`` of Keras 2 or 3.

``flow`` and similar methods return a sequence of Keras's own; the user's part is one function that it calls
for every image. No framework is imported.
"""

from collections.abc import Callable
from typing import Any

from pipeprof.capture.probes.loaders.timed_calls import Destination, is_users, time_attribute
from pipeprof.capture.probes.probe_context import ProbeContext

_ATTRIBUTE = "preprocessing_function"


def observe_preprocessing(sequence: Any, context: ProbeContext) -> Callable[[], None]:
    """Times the ``preprocessing_function`` behind a sequence, if there is one.

    Returns:
        A function that ends the timing.
    """
    generator = getattr(sequence, "image_data_generator", None)
    function = getattr(generator, _ATTRIBUTE, None)
    if not callable(function) or not is_users(function):
        return lambda: None
    name = str(getattr(function, "__name__", type(function).__name__))
    return time_attribute(
        generator, _ATTRIBUTE, name, Destination(context.recorder.folder_for_workers(), None)
    )
