"""What speaks for a verdict on a training that was observed from outside, in sentences."""

from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.analysis.verdicts.attached_evidence import (
    AttachedEvidence,
    BatchAwaited,
    CompiledFit,
    GettingBatches,
    InOwnCode,
    InTrainingSteps,
    MakerAtWork,
    MakersBlocked,
    MakersQueued,
    NoCoreFree,
    NoTraining,
)
from pipeprof.report.numbers import percent, wait_percent

_PACES = {
    Bound.INPUT: ", without a pause: no batch was ready",
    Bound.COMPUTE: " and waited the rest of it: batches were ready",
    Bound.BALANCED: ": it keeps up, but only just",
    Bound.HOST: "",
    Bound.UNKNOWN: "",
}


def attached_sentence(found: AttachedEvidence) -> str:  # noqa: C901 - one case a kind
    """A piece of evidence in one sentence or two."""
    match found:
        case BatchAwaited():
            return f"The training waited for a batch {wait_percent(found.ratio)} of the time."
        case MakerAtWork():
            busy = percent(min(found.busy_ratio, 1.0))
            pace = _PACES[found.bound]
            return f"The Python code that makes the batches worked {busy} of the time{pace}."
        case CompiledFit():
            return (
                "Keras waits and computes in one compiled function, and no Python code makes the "
                "batches: from outside, waiting and computing look the same."
            )
        case NoTraining():
            return "No thread was seen training: it may be starting, or at its end."
        case InTrainingSteps():
            part = percent(found.ratio)
            return f"The thread that trains spent {part} of the time in training steps."
        case InOwnCode():
            return (
                f"The thread that trains spent {percent(found.ratio)} of the time in the script's own "
                "code, outside any training step. If that code makes the batches, training waits for "
                "it."
            )
        case GettingBatches():
            part = wait_percent(found.ratio)
            return f"The thread that trains spent {part} of the time getting batches."
        case MakersQueued():
            return (
                f"The threads that make the batches were ready to run {percent(found.ratio)} of the "
                "time, but no CPU was free."
            )
        case MakersBlocked():
            return (
                f"The threads that make the batches were on the CPU {percent(found.cpu_ratio)} of the "
                "time: they mostly wait (files, network, sleep or the GIL)."
            )
        case NoCoreFree():
            return "No core was free: more workers do not help."
