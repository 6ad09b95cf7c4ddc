"""What the analysis finds in a run: one frozen value that every surface renders.

Its shape is that of the JSON report, but with names for units: times are float milliseconds
(``_ms``), ratios 0 to 1. A value that was not measured is None, never 0.
"""

from collections.abc import Mapping
from enum import Enum

from pipeprof.analysis.findings.account_findings import Account, EpochAccount, HostPlace
from pipeprof.analysis.findings.advice_kinds import Advice
from pipeprof.analysis.findings.delivery_findings import ConsumedFinding, EvaluationPair
from pipeprof.analysis.findings.evidence_kinds import Evidence
from pipeprof.analysis.findings.helper_finding import Helpers
from pipeprof.analysis.findings.input_findings import AutotuneFinding, InputFinding
from pipeprof.analysis.findings.machine_findings import (
    CpuFinding,
    DeviceFinding,
    HeldUp,
    LaneFinding,
    OverheadFinding,
    ResourceFinding,
)
from pipeprof.analysis.findings.rank_findings import RunOfRanks
from pipeprof.analysis.findings.service_findings import DataWorkerFinding
from pipeprof.analysis.findings.spread import Spread
from pipeprof.analysis.findings.verdict_kinds import Bound, Cause
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import Loop, LoopKind, WaitSource
from pipeprof.recording.profile import Profile
from pipeprof.recording.source_code import Location
from pipeprof.recording.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Where a value lies as far as it is known."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HotLine:
    """A line that a stage's time goes to.

    Attributes:
        location: where it stands.
        function: the function that it belongs to.
        text: what is written there, or empty where that could not be read.
        share: of the stage's own time, work and waiting alike.
        samples: how often it was sampled.
    """

    location: Location
    function: str
    text: str
    share: float
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFinding:
    """What a stage costs a loop.

    Attributes:
        stage: the stage itself.
        index: its place in `Profile.stages`.
        cost_ms: own work per training step.
        calls: how often it was called in the counted time; of a tf.data stage, its function.
        elements: elements it gave in the counted time.
        elements_taken: elements it took from other stages in that time, or None where that is not known.
        size_bytes: bytes it gave in the counted time, or None.
        taken_bytes: bytes it took from other stages in that time, or None.
        parallelism: how many of its calls ran at once, or could.
        most_parallelism: the most the framework may use, or None.
        autotuned: whether the framework chooses; None where there is nothing to choose.
        buffer_size: elements that may lie ready, or None.
        buffer_mean: elements that lay ready on average, or None.
        cpu_ratio: own CPU time over own wall time, or None.
        lanes: names of the lanes it ran on, most work first.
        capacity_per_s: steps a second that it could feed alone, or None where it costs nothing.
        hot_lines: where its time goes, dearest first; empty where nobody looked.
        estimated_ratio: the part of its cost that was not counted but estimated.
        copies: how many copies of it worked in branches of the pipeline; the costs are of all of them.
        native_cores: cores' worth of CPU that threads without stages (TensorFlow's, those of BLAS) used for
            each of its calls under way, or None where that is not known.
    """

    stage: Stage
    index: int
    cost_ms: float
    calls: int
    elements: int
    size_bytes: int | None
    taken_bytes: int | None
    parallelism: float | None
    most_parallelism: int | None
    autotuned: bool | None
    buffer_size: int | None
    buffer_mean: float | None
    cpu_ratio: float | None
    lanes: tuple[str, ...]
    capacity_per_s: float | None
    hot_lines: tuple[HotLine, ...] = ()
    estimated_ratio: float = 0.0
    elements_taken: int | None = None
    copies: int = 1
    native_cores: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bottleneck:
    """The stage with the least capacity on the way to the training.

    Attributes:
        stage: its name.
        kind: its kind, as in the report.
        location: its line, or None.
        cost_ms: its own work per step; None where only samples show that it works.
        share: its own work over all input work, or None.
        index: its place in `Profile.stages`; None where it is none of the stages.
    """

    stage: str
    kind: str
    location: Location | None
    cost_ms: float | None
    share: float | None
    index: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WallShares:
    """What a loop's time went to beside computing; without validation, start-up and compiling.

    Attributes:
        wait_ratio: waiting for data, that at the starts of epochs included; None when nothing measured it.
        wait_interval: where that ratio would lie in another run of the same training, or None.
        host_ratio: callbacks, what happens between epochs, and the loop's own code.
        host_interval: where `host_ratio` would lie in another run of the same training.
    """

    wait_ratio: float | None
    wait_interval: Interval | None
    host_ratio: float
    host_interval: Interval


class LimitSource(Enum):
    """How it is known what a training would take with input for free."""

    MEASURED = "measured"
    ESTIMATED = "estimated"
    UPPER_BOUND = "upper_bound"
    """Steps may return before a device has done their work: the gain is at most what it seems to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdealStep:
    """A step with input for free.

    Attributes:
        ms: how long it takes.
        interval: where that lies.
        known: how it is known.
    """

    ms: float
    interval: Interval
    known: LimitSource


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopOnFreeInput:
    """What a whole loop would take if batches cost nothing.

    Attributes:
        wall_s: its wall time, validation and callbacks included, in seconds.
        wall_interval: where that lies.
        speedup: today's wall time over that one.
        speedup_interval: where that lies.
        known: how this is known.
    """

    wall_s: float
    wall_interval: Interval
    speedup: float
    speedup_interval: Interval
    known: LimitSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Whether a loop waits for its data, which stage makes it wait, and why.

    Attributes:
        bound: what its speed hangs on.
        confidence: 0 to 1.
        wait_ratio: waiting over step time, or None when nothing measured the wait.
        whole_wait_ratio: waiting over step time with the first step of each epoch, which decides where
            epochs' beginnings wait longer than all that is inside the epochs.
        wall: waiting, and the host's part, over the loop's wall time; None without steps.
        step_ms: durations of the steps, or None without counted steps.
        whole_step_ms: the mean of them and of the first steps of epochs, or None.
        wait_ms: their waits, or None.
        mean_wait_ms: their mean wait, also where samples alone show it, or None.
        callback_ms: what callbacks took of them, or None.
        compute_ms: the rest of them, or None.
        samples_per_s: samples a second over the loop's wall time, or None.
        bottleneck: the stage that holds it up, or None.
        cause: why.
        host: what the host's time went to, dearest first.
        ideal_step_ms: step time with input for free, or None.
        ideal_step_interval: where that lies, in milliseconds, or None.
        held_up: the part of the steps in which the input's own work held up their computing.
        helpers: the processes that the bottleneck waits for, where they are the cause; else None.
        free_input: what the whole loop would take with input for free, or None.
        evidence: what speaks for all this or weakens it.
        measured_by: what measured the waits, or None.
        counted_steps: steps that count: after the warm-up, each epoch's first left out.
        advice: what to do, best first.
    """

    bound: Bound
    confidence: float
    wait_ratio: float | None
    whole_wait_ratio: float | None
    wall: WallShares | None
    step_ms: Spread | None
    whole_step_ms: float | None
    wait_ms: Spread | None
    callback_ms: Spread | None
    compute_ms: Spread | None
    samples_per_s: float | None
    bottleneck: Bottleneck | None
    cause: Cause
    held_up: HeldUp
    host: tuple[HostPlace, ...]
    ideal_step_ms: float | None
    free_input: LoopOnFreeInput | None
    evidence: tuple[Evidence, ...]
    measured_by: WaitSource | None
    counted_steps: int
    advice: tuple[Advice, ...]
    ideal_step_interval: Interval | None = None
    mean_wait_ms: float | None = None
    helpers: Helpers | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopFinding:
    """One loop with what was found of it.

    Attributes:
        loop: the recorded one.
        index: its place in `Profile.loops`.
        account: where its time went.
        epochs: the accounts of its epochs, of the first ones and the last.
        diagnosis: its verdict.
        input: how its input ran.
    """

    loop: Loop
    index: int
    account: Account
    epochs: tuple[EpochAccount, ...]
    diagnosis: Diagnosis
    input: InputFinding


class Grouping(Enum):
    """Why loops are shown together."""

    ALONE = "alone"
    """One loop by itself."""
    MODELS = "models"
    """One line trains several models (cross-validation): a row a model."""
    FOLDED = "folded"
    """Loops that cost little; their number and their cost together are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopGroup:
    """Loops that are shown together.

    Attributes:
        grouping: why.
        kind: what they are.
        location: the line that they have in common, or None.
        loops: the loops, dearest first.
        passes: calls of all of them together.
        wall_s: their time together, in seconds.
    """

    grouping: Grouping
    kind: LoopKind
    location: Location | None
    loops: tuple[LoopFinding, ...]
    passes: int
    wall_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFinding:
    """What was delivered to the main loop; None where no probe saw it.

    ``consumed`` is the content that its model consumed.
    """

    batches: int
    samples: int | None
    batch_sizes: Mapping[int, int] | None
    dtypes: tuple[str, ...] | None
    shapes: tuple[tuple[int, ...], ...] | None
    bytes_per_step: float | None
    consumed: ConsumedFinding | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that was found in a run.

    ``main`` is the loop the verdict is about, or None without any; ``autotune`` is about its input,
    and None where tf.data's AUTOTUNE had no part in it; ``devices`` are there from the busiest on.
    ``data_workers`` are those of a tf.data service.
    ``evaluations`` compare its validation with evaluations by themselves.
    ``host_lines`` are those that the dearest function of the host goes to, where stacks were sampled.
    ``account`` is that of the whole run; ``groups`` have all loops, those that cost most first.
    ``ranks`` is about all processes of a run of several; the rest is about the one that they name.
    """

    profile: Profile
    account: Account
    loops: tuple[LoopFinding, ...]
    groups: tuple[LoopGroup, ...]
    main: LoopFinding | None
    stages: tuple[StageFinding, ...]
    lanes: tuple[LaneFinding, ...]
    cpu: CpuFinding
    resources: ResourceFinding
    delivery: DeliveryFinding | None
    overhead: OverheadFinding
    autotune: AutotuneFinding | None = None
    devices: tuple[DeviceFinding, ...] = ()
    evaluations: tuple[EvaluationPair, ...] = ()
    ranks: RunOfRanks | None = None
    data_workers: tuple[DataWorkerFinding, ...] = ()
    host_lines: tuple[HotLine, ...] = ()
