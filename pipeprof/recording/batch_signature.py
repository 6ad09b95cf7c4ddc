"""The shapes in which batches were delivered."""

from pipeprof.recording.light_dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One shape in which batches were delivered.

    Attributes:
        dtypes: data type of each array of the batch, flattened.
        shapes: shape of each array of the batch, flattened.
        batches: how many batches had this shape.
        samples: samples in each batch, or None where the batch has no such axis.
        size_bytes: bytes of each batch.
        validation: whether the batches went to an evaluation and not to training, as far as was seen.
    """

    dtypes: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    batches: int
    samples: int | None
    size_bytes: int
    validation: bool = False
