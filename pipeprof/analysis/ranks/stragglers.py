"""Which rank's input makes the others wait, and why it takes longer there.

Where steps end together, the rank with the longest wait is the last to reach the all-reduce. The others
wait for it inside that, which looks like computing on them: what they wait is the difference of the waits.
"""

from collections.abc import Sequence
from statistics import median, median_low

import numpy as np

from pipeprof.analysis.findings.rank_findings import Straggler, StragglerCause
from pipeprof.analysis.findings.rank_summary import Processors, RankSummary, StageBrief
from pipeprof.analysis.findings.verdict_kinds import Cause
from pipeprof.analysis.ranks.step_alignment import AlignedBlocks, AlignedSteps
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.series import BoolArray, FloatArray

# A rank is late if it waits this part of a step longer than the usual rank, and at least half as much
# longer as the latest one.
LATE_FROM = 0.05
_HALF = 0.5

# An input that works this part of a wait explains it.
_EXPLAINS = 0.7

# Two ranks differ in a quantity if it is this many times as much on one.
_DIFFERS_FROM = 1.25
_MOST_OF = 0.5
# Load of others, and stops by a container's limit, from which on they explain slow work.
_LOAD_FROM = 0.2
_STOPPED_FROM = 0.1
# Work that uses this much of a core gets slower where there are fewer cores.
_COMPUTES_FROM = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitsOfRanks:
    """What the ranks' steps wait on average, where all of them end together.

    Attributes:
        step_ms: what a step takes.
        wait_ms: mean wait of each rank; NaN where it is not known.
        in_turn_ms: what a step waits beyond the worst rank's mean, as another rank is last each time.
        last_ratio: the part of the steps in which each rank waited longest; NaN where it is not known.
    """

    step_ms: float
    wait_ms: FloatArray
    in_turn_ms: float
    last_ratio: FloatArray

    @property
    def critical_ms(self) -> float:
        """What a step waits for whichever rank is last in it."""
        known = self.wait_ms[np.isfinite(self.wait_ms)]
        return float(known.max()) + self.in_turn_ms if len(known) else float("nan")

    @property
    def held_ms(self) -> FloatArray:
        """What each rank waits inside its steps for slower ones."""
        held: FloatArray = np.maximum(self.critical_ms - self.wait_ms, 0.0)
        return held


def waits_of_ranks(steps: AlignedSteps, blocks: AlignedBlocks, warmup: int) -> WaitsOfRanks:
    """The waits of all ranks, the warm-up left out where there is more."""
    behind = (blocks.first_step >= warmup) & (blocks.weight > 0)
    if not behind.any():
        behind = blocks.weight > 0
    last_ms = _longest(steps.wait_ns)
    in_turn_ns = 0.0
    if len(steps) and np.isfinite(steps.wait_ns).any():
        in_turn_ns = _beyond_mean(steps.wait_ns)
    return WaitsOfRanks(
        step_ms=_median(_means(blocks.step_ms, blocks.weight, behind)),
        wait_ms=_means(blocks.wait_ms, blocks.weight, behind),
        in_turn_ms=in_turn_ns / 1e6,
        last_ratio=last_ms,
    )


def _median(values: FloatArray) -> float:
    """The median of the known values; NaN without any."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _means(values: FloatArray, weight: FloatArray, chosen: BoolArray) -> FloatArray:
    """The weighted mean of each rank over the chosen blocks that it has."""
    known = np.isfinite(values) & chosen
    weights = np.where(known, weight, 0.0)
    total = weights.sum(axis=1)
    summed = (np.where(known, values, 0.0) * weights).sum(axis=1)
    means: FloatArray = np.divide(summed, total, out=np.full(len(values), np.nan), where=total > 0)
    return means


def _beyond_mean(waits: FloatArray) -> float:
    """The mean of each step's longest wait, beyond the longest mean wait of a rank."""
    steps = np.isfinite(waits).sum(axis=0) > 1
    if not steps.any():
        return 0.0
    of_steps = waits[:, steps]
    ranks = np.isfinite(of_steps).mean(axis=1) > _MOST_OF
    if not ranks.any():
        return 0.0
    used = of_steps[ranks]
    longest = np.nanmax(np.where(np.isfinite(used), used, -np.inf), axis=0)
    return max(float(longest.mean()) - float(np.nanmax(np.nanmean(used, axis=1))), 0.0)


def _longest(waits: FloatArray) -> FloatArray:
    """The part of the steps in which each rank waited longest."""
    known = np.isfinite(waits)
    steps = known.sum(axis=0) > 1
    if not steps.any():
        return np.full(len(waits), np.nan)
    last = np.argmax(np.where(known, waits, -1.0)[:, steps], axis=0)
    return np.bincount(last, minlength=len(waits)) / len(last)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lateness:
    """Which ranks are late, of ranks whose steps end together.

    Attributes:
        waits: what each rank waits for its own input.
        late: the rows of the ranks that make the others wait, worst first.
        waits_shared: whether all of them wait for each other's inputs as they ask for a batch.
    """

    waits: WaitsOfRanks
    late: tuple[int, ...]
    waits_shared: bool


def find_lateness(waits: WaitsOfRanks, summaries: Sequence[RankSummary]) -> Lateness:
    """Which ranks make the others wait.

    They have the longest waits. But `tf.distribute` may ask all ranks at once whether there is another
    batch: then all wait about equally long, and a rank waits no longer for its own input than that works.
    """
    own = _own_waits(waits, summaries)
    late = _late_rows(own) if own is not None else ()
    if own is not None and late:
        rest = [row for row in range(len(summaries)) if row not in late]
        for_others_ms = float(np.nanmedian(waits.wait_ms[rest] - own.wait_ms[rest]))
        if for_others_ms >= LATE_FROM * waits.step_ms:
            return Lateness(waits=own, late=late, waits_shared=True)
    return Lateness(waits=waits, late=_late_rows(waits), waits_shared=False)


def _own_waits(waits: WaitsOfRanks, summaries: Sequence[RankSummary]) -> WaitsOfRanks | None:
    """Waits that are no longer than what the rank's own input works.

    None where no rank's input works as long as its rank waits: then some of the work was not seen.
    """
    works_ms = np.array([_work_ms(each) for each in summaries])
    known = np.isfinite(works_ms) & np.isfinite(waits.wait_ms)
    if known.sum() < 2 or not (works_ms[known] >= _EXPLAINS * waits.wait_ms[known]).any():
        return None
    return WaitsOfRanks(
        step_ms=waits.step_ms,
        wait_ms=np.where(known, np.minimum(waits.wait_ms, works_ms), waits.wait_ms),
        in_turn_ms=0.0,
        last_ratio=np.full(len(works_ms), np.nan),
    )


def _work_ms(summary: RankSummary) -> float:
    """What its input works for a step, one stage after another; NaN where no stage was seen."""
    if not summary.stages:
        return float("nan")
    return sum(each.cost_ms / max(each.parallelism or 1.0, 1.0) for each in summary.stages)


def _late_rows(waits: WaitsOfRanks) -> tuple[int, ...]:
    """The rows of the ranks whose waits make the others wait, worst first; never most of the ranks."""
    known = np.flatnonzero(np.isfinite(waits.wait_ms))
    if len(known) < 2 or not waits.step_ms > 0:
        return ()
    of_known = waits.wait_ms[known]
    usual = median_low(of_known.tolist())
    beyond = of_known - usual
    least = max(LATE_FROM * waits.step_ms, _HALF * float(beyond.max()))
    late = known[beyond >= least]
    return tuple(sorted(late.tolist(), key=lambda row: -float(waits.wait_ms[row])))


def describe_straggler(
    number: int,
    own: RankSummary,
    others: Sequence[RankSummary],
    *,
    wait_ms: float,
    usual_wait_ms: float,
    last_ratio: float,
) -> Straggler:
    """What is different on a rank whose input is late.

    Args:
        number: its rank.
        own: its summary.
        others: the summaries of the ranks that are not late.
        wait_ms: mean wait of its steps.
        usual_wait_ms: mean wait of the others' steps.
        last_ratio: the part of the steps in which it was last.
    """
    stage = own.bottleneck or next(iter(own.stages), None)
    usual = _usual_stage(stage, others) if stage is not None else None
    return Straggler(
        rank=number,
        wait_ms=wait_ms,
        usual_wait_ms=usual_wait_ms,
        stage=stage,
        usual_stage=usual,
        cause=_cause(own, others, stage, usual),
        usual_processors=median([each.processors.usable for each in others] or [0.0]),
        last_ratio=last_ratio,
    )


def _usual_stage(stage: StageBrief, others: Sequence[RankSummary]) -> StageBrief | None:
    """The medians of the same stage on other ranks."""
    alike = [
        found
        for other in others
        for found in other.stages
        if (found.name, found.location) == (stage.name, stage.location)
    ]
    if not alike:
        return None
    cpu = [found.cpu_ratio for found in alike if found.cpu_ratio is not None]
    parallel = [found.parallelism for found in alike if found.parallelism is not None]
    return StageBrief(
        name=stage.name,
        kind=stage.kind,
        location=stage.location,
        cost_ms=median(found.cost_ms for found in alike),
        elements=median(found.elements for found in alike),
        cpu_ratio=median(cpu) if cpu else None,
        parallelism=median(parallel) if parallel else None,
    )


def _cause(
    own: RankSummary,
    others: Sequence[RankSummary],
    stage: StageBrief | None,
    usual: StageBrief | None,
) -> StragglerCause:
    if stage is None or usual is None or not others:
        return StragglerCause.UNKNOWN
    data = max(_ratio(stage.elements, usual.elements), _samples_ratio(own, others))
    dearer = _ratio(stage.cost_ms, usual.cost_ms)
    if data >= _DIFFERS_FROM and data * data >= dearer:  # explains more than what is left
        return StragglerCause.MORE_DATA
    machine = _machine_cause(own.processors, [each.processors for each in others])
    if dearer < _DIFFERS_FROM:
        fewer = _ratio(usual.parallelism or 0.0, stage.parallelism or 0.0) >= _DIFFERS_FROM
        if machine is not StragglerCause.UNKNOWN:
            return machine
        return StragglerCause.FEWER_WORKERS if fewer else StragglerCause.UNKNOWN
    if stage.cpu_ratio is None or usual.cpu_ratio is None:
        waits = own.cause is Cause.BLOCKING and machine is StragglerCause.UNKNOWN
        return StragglerCause.SLOW_STORAGE if waits else machine
    more_ms = stage.cost_ms - usual.cost_ms
    more_cpu_ms = stage.cost_ms * stage.cpu_ratio - usual.cost_ms * usual.cpu_ratio
    computes = usual.cpu_ratio >= _COMPUTES_FROM
    if more_cpu_ms >= _MOST_OF * more_ms:
        crowded = machine is StragglerCause.OTHER_LOAD
        return machine if crowded else StragglerCause.MORE_CPU_WORK
    if computes and machine is not StragglerCause.UNKNOWN:
        return machine
    return StragglerCause.SLOW_STORAGE


def _ratio(value: float, usual: float) -> float:
    return value / usual if usual > 0 else 1.0


def _samples_ratio(own: RankSummary, others: Sequence[RankSummary]) -> float:
    usual = [each.samples / each.steps for each in others if each.samples and each.steps]
    if not usual or not own.samples or not own.steps:
        return 1.0
    return _ratio(own.samples / own.steps, median(usual))


def _machine_cause(own: Processors, others: Sequence[Processors]) -> StragglerCause:
    """What of its machine may slow a rank's computing; unknown where its machine is like the others."""
    usual_cores = median(each.usable for each in others)
    if _ratio(usual_cores, own.usable) >= _DIFFERS_FROM:
        return StragglerCause.FEWER_CORES
    load = _load(own) - median(map(_load, others))
    stopped = (own.throttled_ratio or 0.0) - median(each.throttled_ratio or 0.0 for each in others)
    if load >= _LOAD_FROM or stopped >= _STOPPED_FROM:
        return StragglerCause.OTHER_LOAD
    return StragglerCause.UNKNOWN


def _load(processors: Processors) -> float:
    """What other programs use of the processors, 0 to 1."""
    if processors.machine_ratio is None or processors.process_ratio is None:
        return 0.0
    own = processors.process_ratio * processors.usable / max(processors.cores, 1)
    return max(processors.machine_ratio - own, 0.0)
