"""Why the bottleneck holds the training up.

Each rule asks for what proves it. A CPU time that was not read is bounded by what the whole process
tree used, threads left out that surely did other work; where even that is not known,
`known_cpu_ratio` is None.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set

from pipeprof.analysis.findings.helper_finding import Helpers
from pipeprof.analysis.findings.machine_findings import CpuFinding
from pipeprof.analysis.findings.service_findings import WorkersAtWork
from pipeprof.analysis.findings.verdict_kinds import Cause
from pipeprof.analysis.measures.cores import cores_allowed, used_ratio, worth_of_cores
from pipeprof.analysis.measures.costs import StageCost
from pipeprof.analysis.measures.helpers import waits_for_helpers
from pipeprof.analysis.measures.placement import WORKERS_KEY
from pipeprof.recording.lane import Lane, Role
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.stage import StageKind

# Under this share of its time on the CPU, a stage that runs alone rather waits for something else.
BLOCKING_BELOW = 0.5

# From this share of its time in the queue for a CPU on, a stage lacks CPUs, whoever has them.
CROWDED_FROM = 0.25

# Python threads of one process that hold the GIL for most of the time take turns at it. Where nobody
# looked at that, those that together use about one core do; clearly more than one core shows that they
# release it, and clearly less that others compute for them.
GIL_FROM, GIL_TO = 0.7, 1.3

# Workers that are busy for less of their time than this pause between batches.
_PAUSING_BELOW = 0.75

# Head-of-line waiting from this share of all waiting on is what the training waits for.
_HELD_UP_FROM = 0.5

# So much of a core unused is room for another worker, for a good part of the time.
_FREE_CORE_FROM = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseContext:
    """What a cause depends on besides the stage itself.

    Attributes:
        costs: all stages of the loop.
        lanes: those of the profile.
        cpu: the processors.
        head_of_line_ratio: as `pipeprof.analysis.findings.findings.InputFinding` has it.
        workers: those of a tf.data service, where they were traced, or None.
        helpers: processes of the user's own that work beside the training, or None without any.
        apart_from_functions: cores' worth of CPU of threads that ran no function given to tf.data.
    """

    costs: tuple[StageCost, ...]
    lanes: tuple[Lane, ...]
    cpu: CpuFinding
    head_of_line_ratio: float | None = None
    helpers: Helpers | None = None
    workers: WorkersAtWork | None = None
    apart_from_functions: float = 0.0

    @property
    def room(self) -> float:
        """Cores' worth of CPU time that the run may use."""
        return cores_allowed(self.cpu)

    @property
    def worth(self) -> float:
        """Cores' worth of work that these can do: a second thread on a core adds little."""
        return worth_of_cores(self.cpu)


def find_cause(cost: StageCost, context: CauseContext) -> Cause:
    """Why this stage, which is a bottleneck, is one."""
    if cost.stage.kind is StageKind.EPOCH_START:
        return Cause.EPOCH_START
    if cost.stage.kind is StageKind.TRANSPORT:
        return Cause.TRANSPORT
    if cost.stage.kind is StageKind.TF_DATA_REMOTE:
        return Cause.BLOCKING if context.workers is None else Cause.TRANSPORT
    if cost.stage.kind is StageKind.TF_DATA_WORKER and context.workers is not None:
        return _cause_in_workers(cost, context.workers, context.cpu)
    if _is_held_up_by_order(cost, context):
        return Cause.HEAD_OF_LINE
    ratio = known_cpu_ratio(cost, context)
    if ratio is not None and not _works_on_cpu(cost, ratio, context):
        return Cause.HELPERS if _waits_for_helpers(cost, context) else Cause.BLOCKING
    crowded = context.cpu.saturated or cost.queued_ratio >= CROWDED_FROM
    if crowded and not _waits_rather_for_gil(cost, context):
        return Cause.CPU_SATURATED
    return _why_it_computes(cost, ratio, context)


def _cause_in_workers(cost: StageCost, workers: WorkersAtWork, cpu: CpuFinding) -> Cause:
    """Why a stage in the workers of a tf.data service is slow."""
    crowded = workers.beside_training and bool(cpu.saturated)
    blocking_below = BLOCKING_BELOW * (0.5 if crowded else 1.0)
    if workers.cpu_ratio is not None and workers.cpu_ratio < blocking_below:
        return Cause.BLOCKING
    if crowded:
        return Cause.CPU_SATURATED
    if workers.use_all_cores:
        return Cause.TOO_FEW_WORKERS
    return Cause.SERIAL if cost.place.parallelism <= (cost.stage.workers or 1) else Cause.CPU


def _why_it_computes(cost: StageCost, ratio: float | None, context: CauseContext) -> Cause:
    """What keeps a stage that computes, with cores free, from computing more at once."""
    if _takes_turns_at_gil(cost, ratio, context):
        return Cause.GIL
    if cost.is_native:
        return Cause.CPU
    if cost.place.key == WORKERS_KEY and _has_free_core(cost, context):
        return Cause.TOO_FEW_WORKERS
    if cost.place.parallelism <= 1 and _could_be_parallel(cost, ratio) and context.worth >= 2:
        return Cause.SERIAL
    return Cause.CPU


def _waits_for_helpers(cost: StageCost, context: CauseContext) -> bool:
    return context.helpers is not None and waits_for_helpers(cost, context.lanes)


def _is_held_up_by_order(cost: StageCost, context: CauseContext) -> bool:
    """Whether its workers pause, because what they made has to wait for a batch before it."""
    if cost.place.key != WORKERS_KEY or context.head_of_line_ratio is None:
        return False
    pauses = cost.at_work < _PAUSING_BELOW * cost.place.parallelism
    return pauses and context.head_of_line_ratio >= _HELD_UP_FROM


def _has_free_core(cost: StageCost, context: CauseContext) -> bool:
    """Whether one more worker would have a core to itself."""
    if cost.place.parallelism >= context.worth or context.cpu.process_ratio is None:
        return cost.place.parallelism < context.worth
    return _leaves_a_core(context)


def known_cpu_ratio(cost: StageCost, context: CauseContext) -> float | None:
    """Own CPU time over own wall time; an upper bound where that alone shows that it blocks."""
    if cost.computing_ratio is not None:
        return cost.computing_ratio
    if cost.cpu_at_least is not None and cost.cpu_at_least >= BLOCKING_BELOW:
        return cost.cpu_at_least
    if cost.cpu_at_most is not None and cost.cpu_at_most < _on_cpu_from(cost, context):
        return cost.cpu_at_most
    if context.cpu.process_ratio is None or cost.at_work <= 0:
        return None
    used = context.cpu.process_ratio * context.room
    if cost.stage.kind in (StageKind.TF_DATA, StageKind.TF_DATA_PYTHON) and cost.stage.function:
        used = max(used - context.apart_from_functions, 0.0)
    at_most = used / cost.at_work
    return at_most if at_most < _on_cpu_from(cost, context) else None


def _works_on_cpu(cost: StageCost, ratio: float, context: CauseContext) -> bool:
    if ratio + cost.queued_ratio >= BLOCKING_BELOW:
        return True
    if len(_crowd(cost, context.lanes)) > 1:
        held = gil_held(cost, context)
        if (gil_load(cost, context) if held is None else held) >= GIL_FROM:
            return True
    return ratio >= _on_cpu_from(cost, context)


def _on_cpu_from(cost: StageCost, context: CauseContext) -> float:
    """The share of its time on the CPU from which a stage counts as CPU work.

    More calls at once than cores cannot all be on a CPU, and on a saturated machine all others
    stand in the queue for one as well. Python calls whose threads were not seen may stand in the
    queue for the GIL: together they are on about one CPU.
    """
    crowding = min(1.0, context.room / cost.place.parallelism)
    from_ = BLOCKING_BELOW * crowding * (0.5 if context.cpu.saturated else 1.0)
    if cost.stage.kind.python and cost.place.parallelism > 1 and not cost.stage.lanes:
        from_ = min(from_, GIL_FROM / max(cost.at_work, 1.0))
    return from_ * (1.0 - _used_by_others(context.cpu)) if cost.cpu_ratio is None else from_


def _used_by_others(cpu: CpuFinding) -> float:
    """The part of the machine that other programs used: the training may have queued for it."""
    if cpu.machine_ratio is None or cpu.process_ratio is None or cpu.saturated:
        return 0.0
    own = cpu.process_ratio * cores_allowed(cpu) / max(cpu.cores, 1)
    return min(max(cpu.machine_ratio - own, 0.0), 1.0)


def _takes_turns_at_gil(cost: StageCost, ratio: float | None, context: CauseContext) -> bool:
    if not cost.stage.kind.python or cost.place.parallelism <= 1:
        return False
    if not cost.stage.lanes:
        return ratio is None
    if len(_crowd(cost, context.lanes)) <= 1:
        return False
    held = gil_held(cost, context)
    if held is not None:
        return held >= GIL_FROM
    return ratio is None or GIL_FROM <= gil_load(cost, context) <= GIL_TO


def _waits_rather_for_gil(cost: StageCost, context: CauseContext) -> bool:
    """Whether threads that lack CPUs lose more time to the GIL, while other programs have these CPUs."""
    if cost.cpu_ratio is None or not _takes_turns_at_gil(cost, cost.cpu_ratio, context):
        return False
    asleep = 1.0 - cost.cpu_ratio - cost.queued_ratio
    return asleep > cost.queued_ratio and _leaves_a_core(context)


def _leaves_a_core(context: CauseContext) -> bool:
    """Whether the training's own processes use a core less than there are, for a good part of the time."""
    if context.cpu.process_ratio is None:
        return False
    used = used_ratio(context.cpu.process_ratio, context.cpu)
    return context.worth * (1.0 - used) >= _FREE_CORE_FROM


def _could_be_parallel(cost: StageCost, ratio: float | None) -> bool:
    """Whether more calls at once are possible: of unmeasured tf.data only where AUTOTUNE does not choose.

    An autotuned stage that may use more threads and keeps to one does so by AUTOTUNE's own choice.
    """
    if ratio is not None or cost.stage.most_parallelism is None:
        return True
    return cost.stage.most_parallelism > 1 or not cost.stage.autotuned


def _crowd(cost: StageCost, lanes: Sequence[Lane]) -> tuple[int, ...]:
    """The lanes that it runs on in the process where most of them are."""
    if cost.place.parallelism <= 1:
        return ()
    by_process: dict[int, list[int]] = defaultdict(list)
    for number in cost.stage.lanes:
        if lanes[number].role in (Role.INPUT, Role.WORKER) and lanes[number].tid is not None:
            by_process[lanes[number].pid].append(number)
    crowds = sorted(by_process.values(), key=lambda crowd: (-len(crowd), crowd))
    return tuple(crowds[0]) if crowds else ()


def gil_held(cost: StageCost, context: CauseContext) -> float | None:
    """The part of the time in which one of its threads held the GIL, or None where nobody looked."""
    found = [
        gil
        for number in _crowd(cost, context.lanes)
        if (gil := context.lanes[number].gil) is not None
    ]
    count = sum(gil.samples for gil in found)
    if not count:
        return None
    # Threads of a pool that is made anew were sampled at different times.
    each = sum(gil.held for gil in found) / count
    return min(each * cost.place.parallelism, 1.0)


def gil_load(cost: StageCost, context: CauseContext) -> float:
    """Cores' worth of CPU that Python stages used in the process where this one runs."""
    crowd = _crowd(cost, context.lanes)
    if not crowd:
        return 0.0
    pid = context.lanes[crowd[0]].pid
    return sum(
        other.at_work * (other.cpu_ratio or 0.0) * _share_in(other.stage.lanes, pid, context.lanes)
        for other in context.costs
        if other.stage.kind.python
    )


def load_beside_training(context: CauseContext, training: int | None) -> float:
    """Cores' worth of CPU of Python stages in other threads of the process that trains.

    Args:
        context: the stages and the lanes.
        training: index of the lane that trains, or None where that is not known.
    """
    if training is None:
        return 0.0
    lanes = context.lanes
    beside = {n for n, lane in enumerate(lanes) if lane.pid == lanes[training].pid} - {training}
    return sum(
        cost.at_work * (cost.cpu_ratio or 0.0) * _share_on(cost.stage.lanes, beside)
        for cost in context.costs
        if cost.stage.kind.python
    )


def _share_on(work: Mapping[int, int], chosen: Set[int]) -> float:
    total = sum(work.values())
    return sum(work_ns for n, work_ns in work.items() if n in chosen) / total if total > 0 else 0.0


def _share_in(work: Mapping[int, int], pid: int, lanes: Sequence[Lane]) -> float:
    return _share_on(work, {number for number in work if lanes[number].pid == pid})
