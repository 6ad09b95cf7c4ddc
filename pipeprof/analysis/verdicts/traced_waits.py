"""Whether the profiler's windows confirm the waits that were measured otherwise."""

import numpy as np

from pipeprof.analysis.findings.caveat_kinds import ContradictingWaits
from pipeprof.analysis.verdicts.verdict import Measurements
from pipeprof.recording.devices import TraceWindow
from pipeprof.recording.loop import UNKNOWN_NS, Loop, WaitSource
from pipeprof.recording.series import IntArray

# So far both may be apart: of the longer, and in any case.
_SLACK_RATIO = 0.10
_SLACK_NS = 1_000_000

_NO_PAIRS: IntArray = np.empty((0, 2), np.int64)


def contradicting_waits(measured: Measurements) -> ContradictingWaits | None:
    """The traced waits of a loop and the measured ones, where they are too far apart."""
    loop = measured.loop
    if loop.waits_by is WaitSource.TRACE:
        return None
    windows = [
        each for each in measured.profile.trace_windows if measured.profile.loops[each.loop] is loop
    ]
    pairs = np.concatenate([_NO_PAIRS, *(_pairs(each, loop) for each in windows)])
    if not len(pairs):
        return None
    measured_ns, traced_ns = pairs.mean(axis=0).tolist()
    slack_ns = max(_SLACK_NS, _SLACK_RATIO * max(measured_ns, traced_ns))
    if abs(measured_ns - traced_ns) <= slack_ns:
        return None
    return ContradictingWaits(
        steps=len(pairs),
        measured_ms=measured_ns / 1e6,
        traced_ms=traced_ns / 1e6,
        way_unmeasured=loop.waits_by is WaitSource.GENERATOR and traced_ns > measured_ns,
    )


def _pairs(window: TraceWindow, loop: Loop) -> IntArray:
    """The measured and the traced wait of the steps in a window."""
    steps = loop.steps
    if not len(steps):
        return _NO_PAIRS
    at = np.minimum(np.searchsorted(steps.ordinal, window.ordinal), len(steps) - 1)
    measured = steps.wait_ns[at]
    known = (steps.ordinal[at] == window.ordinal) & (measured != UNKNOWN_NS)
    return np.column_stack([measured[known], window.wait_ns[known]])
