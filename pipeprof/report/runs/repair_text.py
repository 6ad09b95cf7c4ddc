"""What became of each profile that was to be repaired, in words."""

from pathlib import Path

from pipeprof.report.numbers import count
from pipeprof.report.plain_text import clean
from pipeprof.xspace.step_repair import Repaired, RepairOutcome


def describe_repair(repaired: Repaired, logdir: Path) -> str:
    """What became of a profile, in one sentence."""
    name = _shown(repaired.run, logdir)
    copy = _shown(repaired.copy, logdir) if repaired.copy is not None else ""
    match repaired.outcome:
        case RepairOutcome.REPAIRED:
            steps = count(repaired.steps, "step")
            return f"{name}: {steps} marked in a copy, {copy}; the original is unchanged."
        case RepairOutcome.REPAIRED_BEFORE:
            return f"{name}: repaired before, see {copy}."
        case RepairOutcome.GOOD:
            return f"{name}: has its step markers, nothing to repair."
        case RepairOutcome.WITHOUT_STEPS:
            return (
                f"{name}: no event marks where a step begins, so no step can be marked; "
                "profile with keras.callbacks.TensorBoard(LOGDIR, profile_batch=(10, 20))."
            )
        case RepairOutcome.DAMAGED:
            return f"{name}: cannot be read ({repaired.problem}); it is left as it is."


def _shown(folder: Path, logdir: Path) -> str:
    """A profile's folder as TensorBoard names its run: ``plugins/profile`` left out."""
    train = folder.parents[2]
    inside = train.relative_to(logdir) if train.is_relative_to(logdir) else Path()
    return clean(str(inside / folder.name))
