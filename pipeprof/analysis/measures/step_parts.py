"""The parts of a loop's steps: waiting, computing, compiling, callbacks and the loop's own code."""

from collections import defaultdict
from collections.abc import Mapping

from pipeprof.recording.account import (
    COMPILATION_COLUMNS,
    HostState,
    Part,
)
from pipeprof.recording.loop import Loop, WaitSource

_COMPILATION = {name: index for index, name in enumerate(COMPILATION_COLUMNS)}


def parts_in_steps(
    loop: Loop, totals: Mapping[str, int], epoch: int | None = None
) -> defaultdict[Part, int]:
    """What the steps went to. A trace is of some steps: the others wait as these do."""
    parts: defaultdict[Part, int] = defaultdict(int)
    compiling = _compiling(loop, totals, epoch)
    plain_ns = totals["step_ns"] - totals["callback_ns"] - totals["compile_step_ns"]
    parts[Part.CALLBACKS] = totals["callback_ns"]
    parts[Part.EPOCH_START] = totals["epoch_start_ns"] + compiling[Part.EPOCH_START]
    parts[Part.WAIT] = totals["wait_ns"] - totals["epoch_start_ns"] + compiling[Part.WAIT]
    parts[Part.COMPILE] = compiling[Part.COMPILE]
    if loop.waits_by is WaitSource.TRACE and totals["measured_ns"]:
        unmeasured_ns = plain_ns + totals["callback_ns"] - totals["measured_ns"]
        inside_ns = totals["wait_ns"] - totals["epoch_start_ns"]
        more_ns = unmeasured_ns * inside_ns // totals["measured_ns"]
        parts[Part.WAIT] += min(more_ns, max(plain_ns - totals["wait_ns"], 0))
    rest_ns = max(
        plain_ns - totals["epoch_start_ns"] - (parts[Part.WAIT] - compiling[Part.WAIT]), 0
    )
    if loop.kind.hand_written:
        _add_hand_written(parts, loop, rest_ns, totals["model_ns"])
    else:
        parts[Part.COMPUTE] = rest_ns
    parts[Part.COMPUTE] += compiling[Part.COMPUTE]
    return parts


def _add_hand_written(
    parts: defaultdict[Part, int], loop: Loop, rest_ns: int, model_ns: int
) -> None:
    """What a hand-written loop did besides waiting at its iterator.

    Calls that train are the model's. The rest is what the samples show: waiting, which functions that
    make the next batch count as, or the loop's own code, which other calls of a framework (``predict``)
    belong to, unless no call that trains was seen; these calls then train. Without samples the rest is own
    code beside calls that train, and computing where none was seen.
    """
    model_ns = min(model_ns, rest_ns)
    rest_ns -= model_ns
    parts[Part.COMPUTE] += model_ns
    by_state: dict[HostState, int] = defaultdict(int)
    for sample in loop.account.samples:
        others = sample.state in (HostState.FEEDING, HostState.BESIDE)
        if sample.part is Part.OWN_CODE and not others:
            by_state[sample.state] += sample.samples
    sampled = sum(by_state.values())
    if not sampled:
        parts[Part.OWN_CODE if model_ns else Part.COMPUTE] += rest_ns
        return
    waits = rest_ns * (by_state[HostState.WAITING] + by_state[HostState.MAKING]) // sampled
    framework = 0 if model_ns else rest_ns * by_state[HostState.FRAMEWORK] // sampled
    parts[Part.WAIT] += waits
    parts[Part.COMPUTE] += framework
    parts[Part.OWN_CODE] += rest_ns - waits - framework


def _compiling(loop: Loop, totals: Mapping[str, int], epoch: int | None) -> dict[Part, int]:
    """What the steps in which something was compiled were made of, their callbacks left out.

    Compiling is what such a step took beyond its wait and the time that the loop's steps usually
    compute. Where gaps measure the waits, such a step's "wait" also has the tracing and what TensorFlow
    does before it fetches; what of it was the input's is bounded by when the first batch lay ready.
    """
    found = {Part.EPOCH_START: 0, Part.WAIT: 0, Part.COMPUTE: 0, Part.COMPILE: 0}
    rows = loop.account.compilations
    if epoch is not None:
        rows = rows[rows[:, _COMPILATION["epoch"]] == epoch]
    usual_ns = _usual_compute_ns(loop, totals)
    for row in rows.tolist():
        step = dict(zip(COMPILATION_COLUMNS, row, strict=True))
        lasted_ns = step["end_ns"] - step["start_ns"] - step["callback_ns"]
        wait_ns = min(_input_wait_ns(loop, step), lasted_ns)
        compute_ns = min(
            max(usual_ns, step["model_ns"] if not usual_ns else 0), lasted_ns - wait_ns
        )
        starts = step["first_of_epoch"] and step["wait_ns"] >= 0
        found[Part.EPOCH_START if starts else Part.WAIT] += wait_ns
        found[Part.COMPUTE] += compute_ns
        found[Part.COMPILE] += lasted_ns - wait_ns - compute_ns
    known_ns, whole_ns = sum(found.values()), totals["compile_step_ns"]
    if known_ns and known_ns != whole_ns:  # only the first rows and the last are kept
        found = {part: ns * whole_ns // known_ns for part, ns in found.items()}
        found[Part.COMPILE] += whole_ns - sum(found.values())
    elif not known_ns:
        found[Part.COMPILE] = whole_ns
    return found


def _usual_compute_ns(loop: Loop, totals: Mapping[str, int]) -> int:
    """How long a step of a loop usually computes, 0 where that is not known."""
    plain_steps = totals["steps"] - loop.account.compile_steps
    if totals["model_ns"] and plain_steps > 0:
        return totals["model_ns"] // plain_steps
    return int(loop.compute_times.quantile_ns(0.5) or 0)


def _input_wait_ns(loop: Loop, step: Mapping[str, int]) -> int:
    """How long a step in which something was compiled was blocked for its batch."""
    if step["wait_ns"] < 0:  # a trace is of later steps: this one waited as they do
        traced = loop.waits_by is WaitSource.TRACE
        return int(loop.wait_times.quantile_ns(0.5) or 0) if traced else 0
    if loop.waits_by not in (WaitSource.GAP_TIMES, WaitSource.TRACE):
        return step["wait_ns"]
    if 0 < step["traced_ns"] <= step["start_ns"]:  # nothing was traced before it was blocked
        return step["wait_ns"]
    fetched_ns = step["start_ns"] + step["wait_ns"]
    asked_ns = max(step["traced_ns"], step["start_ns"])
    starts = loop.epoch_start_times
    usual_ns = int(starts.quantile_ns(0.5) or 0) if starts.count > 1 else None
    if step["ready_ns"]:
        ready_ns = min(step["ready_ns"], fetched_ns)
        # Where the end of tracing is not known, the batch may have been asked for long after the begin.
        if not step["traced_ns"] and step["first_of_epoch"] and usual_ns is not None:
            return max(min(usual_ns, ready_ns - asked_ns), 0)
        return max(ready_ns - asked_ns, 0)
    if not step["first_of_epoch"]:
        return 0
    return max(min(usual_ns or 0, fetched_ns - asked_ns), 0)
