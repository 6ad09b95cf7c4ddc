"""How a training runs right now: what changed between two looks at a recording that goes on."""

from collections import Counter
from collections.abc import Mapping

from pipeprof.analysis.measures.step_statistics import MS
from pipeprof.recording.lane import LANE_CPU_CHANNELS, Role
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import LOOP_CHANNELS, Loop
from pipeprof.recording.profile import Profile

_CPU = LANE_CPU_CHANNELS.index("cpu_ns")


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What a recording had counted at some time.

    Attributes:
        at_ns: when.
        loop: place in `Profile.loops` of the loop that took the latest step, or None before any.
        counted: the channels of `LOOP_CHANNELS` of that loop, summed.
        cpu_ns: CPU time by the role of threads and worker processes.
    """

    at_ns: int
    loop: int | None
    counted: tuple[int, ...]
    cpu_ns: Mapping[Role, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """What happened between two looks; None where it was not measured.

    Attributes:
        step_ms: mean duration of a step.
        wait_ms: mean wait of a step.
        compute_ms: mean rest of a step.
        cores: CPUs in use by the role of threads and worker processes.
    """

    step_ms: float | None
    wait_ms: float | None
    compute_ms: float | None
    cores: Mapping[Role, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveState:
    """How one of several ranks runs right now, for the one of them that shows all.

    Attributes:
        rank: its number.
        host: its machine.
        terminal: name of the terminal that it writes to, or empty.
        at_unix_ns: when, in nanoseconds since 1970 by its machine's clock.
        steps: steps of the running loop so far.
        step_ms: mean duration of the latest steps, or None.
        wait_ms: mean wait of the latest steps, or None.
    """

    rank: int
    host: str
    terminal: str
    at_unix_ns: int
    steps: int
    step_ms: float | None
    wait_ms: float | None


def live_state(
    profile: Profile, recent: Recent, terminal: str, at_unix_ns: int
) -> LiveState | None:
    """The state of a rank; None of a process that trains alone."""
    run = profile.run
    if run.rank is None:
        return None
    latest = max(profile.loops, key=lambda loop: loop.end_ns, default=None)
    return LiveState(
        rank=run.rank.number,
        host=run.hosts[0] if run.hosts else "",
        terminal=terminal,
        at_unix_ns=at_unix_ns,
        steps=latest.step_count if latest is not None else 0,
        step_ms=recent.step_ms,
        wait_ms=recent.wait_ms,
    )


def count_totals(profile: Profile) -> Totals:
    """What a recording has counted by now."""
    number = max(
        (n for n, loop in enumerate(profile.loops) if loop.step_count),
        key=lambda n: profile.loops[n].end_ns,
        default=None,
    )
    spent: Counter[Role] = Counter()
    for lane in profile.lanes:
        if lane.cpu is not None:
            spent[lane.role] += int(lane.cpu.total()[_CPU])
    return Totals(
        at_ns=profile.run.end_ns,
        loop=number,
        counted=() if number is None else _counted(profile.loops[number]),
        cpu_ns=spent,
    )


def describe_recent(before: Totals, now: Totals) -> Recent:
    """What happened between two looks at the same recording."""
    same = now.loop == before.loop and len(before.counted) == len(now.counted)
    start = before.counted if same else (0,) * len(now.counted)
    changes = [late - early for early, late in zip(start, now.counted, strict=True)]
    since = dict(zip(LOOP_CHANNELS, changes, strict=False))
    length_ns = max(now.at_ns - before.at_ns, 1)
    return Recent(
        step_ms=_mean_ms(since, "step_ns", "steps"),
        wait_ms=_mean_ms(since, "wait_ns", "measured"),
        compute_ms=_mean_ms(
            {**since, "compute_ns": since.get("measured_ns", 0) - since.get("wait_ns", 0)},
            "compute_ns",
            "measured",
        ),
        cores={
            role: max(spent - before.cpu_ns.get(role, 0), 0) / length_ns
            for role, spent in now.cpu_ns.items()
        },
    )


def _counted(loop: Loop) -> tuple[int, ...]:
    return tuple(int(total) for total in loop.over_time.total())


def _mean_ms(since: Mapping[str, int], total: str, count: str) -> float | None:
    return since[total] / since[count] / MS if since.get(count, 0) > 0 else None
