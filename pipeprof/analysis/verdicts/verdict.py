"""All that is known of one loop before words are found for it."""

from pipeprof.analysis.findings.account_findings import Account
from pipeprof.analysis.findings.feeder_finding import Feeder
from pipeprof.analysis.findings.findings import IdealStep
from pipeprof.analysis.findings.helper_finding import Helpers
from pipeprof.analysis.findings.input_findings import InputFinding
from pipeprof.analysis.findings.machine_findings import CpuFinding, HeldUp
from pipeprof.analysis.findings.verdict_kinds import Bound, Cause
from pipeprof.analysis.measures.cores import used_ratio
from pipeprof.analysis.measures.costs import StageCost
from pipeprof.analysis.measures.counted_time import CountedTime, without_pauses
from pipeprof.analysis.measures.epoch_starts import NO_FRAMEWORK_STARTS, FrameworkStarts
from pipeprof.analysis.measures.helpers import find_helpers
from pipeprof.analysis.measures.lane_use import cpu_apart_from_functions, sampled_ns
from pipeprof.analysis.measures.service_work import find_data_workers, workers_at_work
from pipeprof.analysis.measures.step_statistics import LoopTimes
from pipeprof.analysis.verdicts.bounds import COMPUTE_BELOW, INPUT_FROM
from pipeprof.analysis.verdicts.causes import GIL_FROM, GIL_TO, CauseContext, load_beside_training
from pipeprof.analysis.verdicts.wall_shares import WallResamples
from pipeprof.recording.account import Part
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import Loop
from pipeprof.recording.profile import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """A loop with what was measured of it.

    Attributes:
        profile: the recording.
        loop: the loop.
        account: where its time went.
        counted_time: its counted time.
        times: of its steps.
        costs: the stages that worked for it, dearest first.
        cpu: the processors in that time.
        fed: how its input ran.
        starts: what of the waits at its epochs' starts is the framework's own work.
    """

    profile: Profile
    loop: Loop
    account: Account
    counted_time: CountedTime
    times: LoopTimes
    costs: tuple[StageCost, ...]
    cpu: CpuFinding
    fed: InputFinding
    starts: FrameworkStarts = NO_FRAMEWORK_STARTS

    @property
    def context(self) -> CauseContext:
        """The stages among lanes and processors."""
        return CauseContext(
            costs=self.costs,
            lanes=self.profile.lanes,
            cpu=self.cpu,
            helpers=self._helpers(),
            workers=workers_at_work(find_data_workers(self.profile)),
            head_of_line_ratio=self.fed.head_of_line_ratio,
            apart_from_functions=cpu_apart_from_functions(
                self.profile, self.loop, self.counted_time
            ),
        )

    def _helpers(self) -> Helpers | None:
        steps = without_pauses(self.counted_time, self.loop)
        return find_helpers(self.profile, steps, sampled_ns(self.profile.cpu, steps))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What follows from that.

    Attributes:
        measured: what was measured.
        bound: what the loop's speed hangs on.
        walls: the shares of the wall time, drawn again; None without any time.
        worst: the bottleneck, or None.
        feeder: where the user's own threads were at work instead, if no stage is the bottleneck.
        cause: why the input is slow.
        step_ms: mean step time, epoch starts included where they are the cause; None without steps.
        ideal: a step with input for free, or None.
        held_up: the part of the steps in which the input's own work held up their computing.
        held_by: what held it up where that decides the verdict: the GIL, the CPUs, or nothing.
    """

    measured: Measurements
    bound: Bound
    walls: WallResamples | None
    worst: StageCost | None
    feeder: Feeder | None
    cause: Cause
    step_ms: float | None
    ideal: IdealStep | None
    held_up: HeldUp
    held_by: Cause

    @property
    def ideal_ms(self) -> float | None:
        """Step time with input for free, or None."""
        return self.ideal.ms if self.ideal is not None else None

    @property
    def waits_for_input(self) -> bool:
        """Whether the wait is worth a cause; behind a host that holds the loop up, only a long one is."""
        least = INPUT_FROM if self.bound is Bound.HOST else COMPUTE_BELOW
        return self.held_by is not Cause.NONE or self.wall_wait >= least

    @property
    def wall_wait(self) -> float:
        """Waiting over the loop's wall time; 0 where nothing measured it."""
        return (self.walls.wait or 0.0) if self.walls else 0.0

    @property
    def wall_host(self) -> float:
        """The host's work over the loop's wall time."""
        return self.walls.host if self.walls else 0.0

    @property
    def host_leads(self) -> bool:
        """Whether the host is what the loop stands still for, before its input."""
        if self.bound is not Bound.BALANCED or self.walls is None:
            return self.bound is Bound.HOST
        return (
            self.walls.host - self.walls.framework - self.walls.unnamed >= COMPUTE_BELOW
            and self.wall_host > self.wall_wait
        )

    @property
    def host_cause(self) -> Cause:
        """What most of the host's time goes to."""
        account = self.measured.account
        own_ns = account.ns(Part.BETWEEN_EPOCHS, Part.OWN_CODE)
        return Cause.CALLBACK if account.ns(Part.CALLBACKS) >= own_ns else Cause.OWN_CODE

    @property
    def beside(self) -> float:
        """Cores' worth of CPU that the input's Python code used beside the thread that trains."""
        return load_beside_training(self.measured.context, self.measured.loop.lane)

    @property
    def crowds_gil(self) -> bool:
        """Whether a training that waits little for data is held up by the GIL, or may well be."""
        if self.held_up.gil_ratio is not None:
            return self.held_by is Cause.GIL
        return self.bound is Bound.COMPUTE and GIL_FROM <= self.beside <= GIL_TO

    @property
    def input_ms(self) -> float:
        """All input work of a step, however much of it ran at once."""
        return sum(cost.cost_ms for cost in self.measured.costs)

    def share_of_input(self, cost: StageCost) -> float:
        """The part of all input work that one stage's own work is."""
        return min(cost.cost_ms / self.input_ms, 1.0) if self.input_ms else 0.0

    @property
    def cpu_ms(self) -> float:
        """CPU work of a step, input and training together, over the processors.

        Where the process tree's CPU time was not read, only the input's is known; of a stage whose
        own was not read either, all its work is taken to be CPU work.
        """
        ratio = self.measured.cpu.process_ratio
        if ratio is not None:
            lasted_ms = self.measured.times.step_ms_with_epoch_starts
            used = used_ratio(ratio, self.measured.cpu)
            return used * lasted_ms if lasted_ms is not None else 0.0
        work_ms = sum(cost.cpu_ms() for cost in self.measured.costs)
        return work_ms / self.measured.context.worth
