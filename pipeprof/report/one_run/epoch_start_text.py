"""How epochs begin, and why their first batches are waited for, in words."""

from collections.abc import Sequence
from statistics import median_low

from pipeprof.analysis.findings.input_findings import EpochStart, StartCause
from pipeprof.analysis.measures.epoch_starts import later_starts, usual_start
from pipeprof.report.names.stage_labels import label_of
from pipeprof.report.numbers import count, duration

# One epoch that begins with so much more waiting than usual is named.
_ODD_FROM_MS, _ODD_TIMES = 100.0, 4.0


def describe_starts(starts: Sequence[EpochStart]) -> str | None:
    """``each epoch begins with 1.2 s of waiting: …``: how epochs begin, and why; None without any."""
    if not starts:
        return None
    later = later_starts(starts)
    median_ms = median_low(start.wait_ms for start in later)
    which = "each epoch" if len(starts) > 1 else "the epoch"
    usual = usual_start(starts)
    cause = f": {start_cause(usual)}" if usual else ""
    pieces = [f"{which} begins with {duration(median_ms)} of waiting{cause}"]
    odd = _odd(starts)
    if odd is not None:
        pieces.append(f"epoch {odd.epoch + 1} with {duration(odd.wait_ms)}")
    first = starts[0]
    if _writes_cache(starts):
        pieces.append(f"the first with {duration(first.wait_ms)}: {start_cause(first)}")
    return "; ".join(pieces)


def differ(starts: Sequence[EpochStart]) -> bool:
    """Whether one epoch begins in another way than the others do."""
    return _writes_cache(starts) or _odd(starts) is not None


def are_short(starts: Sequence[EpochStart], step_ms: float) -> bool:
    """Whether epochs begin with less waiting than a step takes, and nothing is known to cause it."""
    median_ms = median_low(start.wait_ms for start in later_starts(starts))
    return median_ms < step_ms and usual_start(starts) is None


def _odd(starts: Sequence[EpochStart]) -> EpochStart | None:
    later = later_starts(starts)
    median_ms = median_low(start.wait_ms for start in later)
    longest = max(later, key=lambda start: start.wait_ms)
    return longest if longest.wait_ms >= max(_ODD_FROM_MS, _ODD_TIMES * median_ms) else None


def _writes_cache(starts: Sequence[EpochStart]) -> bool:
    return starts[0].cause is StartCause.CACHE_WRITE and len(starts) > 1


def start_cause(start: EpochStart) -> str:  # noqa: C901 - one case a cause
    """Why an epoch began with a wait: ``shuffle (train.py:5) fills with 1,000 elements``."""
    name = label_of(start.stage) if start.stage is not None else "the input"
    elements = count(start.elements or 0, "element")
    match start.cause:
        case StartCause.FILL:
            return f"{name} fills with {elements}"
        case StartCause.SKIP:
            return f"{name} skips {elements}"
        case StartCause.CACHE_WRITE:
            return f"{name} is written, {elements} before the first batch"
        case StartCause.OPENING:
            return f"{name} takes {duration(start.work_ms or 0.0)} to open its input"
        case StartCause.FIRST_CALLS:
            return f"the first calls of {name} take {duration(start.work_ms or 0.0)}"
        case StartCause.WORKERS:
            return "its workers start again"
        case StartCause.ITERATOR_END:
            return f"the iterator of the epoch before takes {duration(start.ended_ms)} to end"
        case StartCause.TRAINING:
            return "the training itself starts up"
        case StartCause.FRAMEWORK:
            return "TensorFlow itself starts the epoch"
        case None:
            return "the cause was not seen"
