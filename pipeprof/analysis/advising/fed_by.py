"""What feeds a loop, as far as the code of an advice depends on it."""

from math import prod

from pipeprof.analysis.findings.input_remedies import FedBy, SmallerBatches
from pipeprof.analysis.measures.delivery import describe_delivery
from pipeprof.analysis.verdicts.verdict import Verdict

# Types that a model reads as the type beside them anyway.
_READ_AS = {"float64": "float32", "int64": "int32"}
# Arrays of pictures have this many axes, the last of which holds the colours.
_PICTURE_AXES = 4
_COLOURS = (1, 3, 4)


def describe_feed(verdict: Verdict) -> FedBy:
    """The kind and the name of what feeds a loop, and what kind of loop that is."""
    loop = verdict.measured.loop
    return FedBy(
        kind=loop.input.kind,
        name=loop.input.name,
        library=loop.input.library,
        keras_2=trains_with_keras_2(verdict),
        hand_written=loop.kind.hand_written,
    )


def trains_with_keras_2(verdict: Verdict) -> bool:
    """Whether Keras 2 trains: TensorFlow loads Keras 3 by itself, but nobody loads Keras 2 for nothing."""
    return "tf_keras" in verdict.measured.profile.run.versions


def smaller_batches(verdict: Verdict) -> SmallerBatches:
    """In which smaller type the largest array of the batches could be sent."""
    measured = verdict.measured
    delivered = describe_delivery(measured.loop, measured.profile.deliveries)
    arrays = list(zip(delivered.dtypes or (), delivered.shapes or (), strict=True))
    if not arrays:
        return SmallerBatches()
    dtype, shape = max(arrays, key=lambda array: prod(array[1]))
    if dtype in _READ_AS:
        return SmallerBatches(dtype=_READ_AS[dtype], exact=True)
    if dtype != "float32":
        return SmallerBatches()
    pictures = len(shape) == _PICTURE_AXES and shape[-1] in _COLOURS
    return SmallerBatches(dtype="uint8" if pictures else "float16", pictures=pictures)
