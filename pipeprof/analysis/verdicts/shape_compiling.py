"""Steps in which the model was compiled anew: those that are known, and those that are probable."""

from collections import Counter

import numpy as np

from pipeprof.analysis.findings.caveat_kinds import CompiledByShape
from pipeprof.analysis.findings.wall_evidence_kinds import Retracings
from pipeprof.analysis.verdicts.verdict import Measurements
from pipeprof.recording.account import COMPILATION_COLUMNS
from pipeprof.recording.loop import Loop, LoopKind
from pipeprof.recording.series import FloatArray

# Compiling anew is worth a remark from this part of a loop's wall time on.
_RETRACED_FROM = 0.01

# Between the steps that compute and those in which something is compiled there is a gap of this factor:
# longer batches alone make the times of steps spread, and leave no gap.
_GAP = 3

# So many of the steps, the shortest, are taken to compute and do nothing else.
_COMPUTES = 0.25

# Such steps take this many times as long as the others on average.
_FAR_LONGER = 10

# Fewer are no pattern.
_FEWEST = 3

# What shapes cost is worth a change of them from this part of the time on.
_NOTABLE_FROM = 0.05


def compiled_again(measured: Measurements) -> Retracings | None:
    """What was traced or compiled again, and why; the first tracing belongs to every training."""
    loop = measured.loop
    column = {name: number for number, name in enumerate(COMPILATION_COLUMNS)}
    rows = loop.account.compilations
    shapes_changed = rows[:, column["reason"]] >= 0
    # In a later epoch a `fit` has a function that was never traced where its model was compiled again.
    later = rows[:, column["epoch"]] > 0
    rows = rows[shapes_changed | (later & (loop.kind is LoopKind.FIT))]
    if not len(rows):
        return None
    lasted_ns = rows[:, column["end_ns"]] - rows[:, column["start_ns"]]
    # Fewer other steps than these do not show what is usual: one of them may have compiled unseen.
    known = loop.step_times.count > len(rows)
    usual_ns = (loop.step_times.quantile_ns(0.5) or 0) if known else 0
    more_ns = int((lasted_ns - rows[:, column["callback_ns"]] - usual_ns).clip(0).sum())
    if more_ns < _RETRACED_FROM * measured.account.wall_ns:
        return None
    reasons = loop.account.reasons
    changes = Counter(
        reasons[number] if number >= 0 else None for number in rows[:, column["reason"]].tolist()
    )
    [(most_often, _)] = changes.most_common(1)
    return Retracings(count=len(rows), ms=more_ns / 1e6, change=most_often, others=len(changes) - 1)


def compiled_by_shape(measured: Measurements) -> CompiledByShape | None:
    """The steps in which XLA probably compiled for a new shape, or None where there is no sign of that.

    Their batches were not seen. The signs are that shapes are open, that some steps computed far longer
    than all others, and that these became rarer: once all shapes have come, none is new.
    """
    loop = measured.loop
    if not loop.compiled_by_shape or not loop.compute_times.count:
        return None
    lengths, counts = loop.compute_times.occurred()
    first_slow = _above_gap(lengths, loop.compute_times.quantile_ns(_COMPUTES) or 0.0)
    if first_slow is None:
        return None
    total = lengths * counts
    slow, others = int(counts[first_slow:].sum()), int(counts[:first_slow].sum())
    slow_ns, others_ns = float(total[first_slow:].sum()), float(total[:first_slow].sum())
    factor = (slow_ns / slow) / (others_ns / others)
    if slow < _FEWEST or factor < _FAR_LONGER or not _become_rarer(loop, lengths[first_slow]):
        return None
    if slow_ns < _NOTABLE_FROM * measured.account.training_ns:
        return None
    return CompiledByShape(steps=slow, ms=slow_ns / 1e6, factor=factor)


def shapes_cost_much(measured: Measurements) -> bool:
    """Whether other shapes of batches would save a notable part of the training's time."""
    again = compiled_again(measured)
    by_shapes_ms = again.ms if again is not None and again.change is not None else 0.0
    if by_shapes_ms * 1e6 > _NOTABLE_FROM * measured.account.wall_ns:
        return True
    return compiled_by_shape(measured) is not None


def _above_gap(lengths: FloatArray, usual_ns: float) -> int | None:
    """Index of the first of some lengths, in order, above their widest gap beyond a usual length."""
    factors = lengths[1:] / lengths[:-1] * (lengths[:-1] >= usual_ns)
    if not len(factors) or factors.max() < _GAP:
        return None
    return int(factors.argmax()) + 1


def _become_rarer(loop: Loop, least_ns: float) -> bool:
    """Whether steps that compute for so long came mostly in the first half of the loop."""
    steps = loop.steps
    known = steps.measured & ~np.isin(steps.ordinal, loop.account.compiled_steps)
    computed_ns = steps.end_ns - steps.start_ns - steps.wait_ns
    # The middle of a bin may lie above what is in it.
    slow = computed_ns[known] >= 0.98 * least_ns
    half = len(slow) // 2
    return 2 * int(slow[half:].sum()) <= int(slow[:half].sum())
