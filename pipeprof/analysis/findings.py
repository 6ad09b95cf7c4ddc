"""What the analysis says of a run: one frozen value that every surface renders.

Its shape is that of the JSON report, but with names for units: times are float milliseconds
(``_ms``), ratios 0 to 1. A value that was not measured is None, never 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from pipeprof.recording.lane import Role
from pipeprof.recording.loop import Loop, WaitSource
from pipeprof.recording.profile import Profile
from pipeprof.recording.source_code import Location
from pipeprof.recording.stage import Stage


class Bound(Enum):
    """What a loop's speed hangs on."""

    INPUT = "input"
    COMPUTE = "compute"
    BALANCED = "balanced"
    UNKNOWN = "unknown"


class Cause(Enum):
    """Why the bottleneck stage holds the training up."""

    BLOCKING = "blocking"
    CPU = "cpu"
    GIL = "gil"
    TOO_FEW_WORKERS = "too_few_workers"
    HEAD_OF_LINE = "head_of_line"
    SERIAL = "serial"
    TRANSPORT = "transport"
    CPU_SATURATED = "cpu_saturated"
    EPOCH_START = "epoch_start"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A quantity over all counted steps, in milliseconds."""

    median: float
    mean: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HotLine:
    """A line that a stage's time goes to.

    Attributes:
        location: where it stands.
        function: the function that it belongs to.
        text: what is written there, or empty where that could not be read.
        share: of the stage's own time, work and waiting alike.
        samples: how often it was met.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Bottleneck:
    """The stage with the least capacity on the way to the training.

    Attributes:
        stage: its name.
        kind: its kind, as in the report.
        location: its line, or None.
        cost_ms: its own work per step.
        share: its own work over all input work.
        index: its place in `Profile.stages`.
    """

    stage: str
    kind: str
    location: Location | None
    cost_ms: float
    share: float
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What applying an advice really gave."""

    step_ms: float
    speedup: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Something to do about it.

    Attributes:
        action: what kind of step it is, one word for programs (``prefetch``).
        summary: the same in a sentence.
        how: code to write, or None.
        predicted_step_ms: estimated step time after it, or None where that cannot be estimated.
        predicted_speedup: today's step time over that one, or None.
        verified: what it gave when it was tried, or None.
    """

    action: str
    summary: str
    how: str | None
    predicted_step_ms: float | None
    predicted_speedup: float | None
    verified: Verified | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Whether a loop waits for its data, which stage makes it wait, and why.

    Attributes:
        bound: what its speed hangs on.
        confidence: 0 to 1.
        wait_ratio: waiting over step time, or None when nothing measured the wait.
        whole_wait_ratio: the same with the first step of each epoch, which decides where epochs'
            beginnings wait longer than all that is inside the epochs.
        step_ms: durations of the steps, or None without counted steps.
        whole_step_ms: the mean of them and of the first steps of epochs, or None.
        wait_ms: their waits, or None.
        compute_ms: the rest of them, or None.
        samples_per_s: samples a second over counted steps, or None.
        bottleneck: the stage that holds it up, or None.
        cause: why.
        ideal_step_ms: step time with input for free, or None.
        speedup_limit: step time over the ideal one, or None; where epochs' beginnings are the cause,
            that of all steps.
        evidence: what speaks for all this, one sentence each.
        measured_by: what measured the waits, or None.
        counted_steps: steps that count: after the warm-up, each epoch's first left out.
        advice: what to do, best first.
    """

    bound: Bound
    confidence: float
    wait_ratio: float | None
    whole_wait_ratio: float | None
    step_ms: Spread | None
    whole_step_ms: float | None
    wait_ms: Spread | None
    compute_ms: Spread | None
    samples_per_s: float | None
    bottleneck: Bottleneck | None
    cause: Cause
    ideal_step_ms: float | None
    speedup_limit: float | None
    evidence: tuple[str, ...]
    measured_by: WaitSource | None
    counted_steps: int
    advice: tuple[Advice, ...]


class TunedKind(Enum):
    """What AUTOTUNE may choose of a stage."""

    PARALLELISM = "parallelism"
    BUFFER = "buffer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What AUTOTUNE chose for a stage while a loop ran.

    Attributes:
        stage: the stage.
        kind: what it chose.
        value: at the end, or None where it was not read.
        least: the least it was, or None.
        most: the most it was, or None.
        limit: the most it may be, or None without a limit.
        settled_after_steps: within how many steps of an epoch it came to the value that it kept, 0 for
            from the start on; None where it went on changing or that is not known.
        series: steps taken and the value from there on, wherever it changed.
    """

    stage: Stage
    kind: TunedKind
    value: int | None
    least: int | None
    most: int | None
    limit: int | None
    settled_after_steps: int | None
    series: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AutotuneFinding:
    """What tf.data's AUTOTUNE did for the main loop.

    Attributes:
        enabled: whether it is on.
        cpu_budget: calls that it lets run at once, or None.
        ram_budget_bytes: bytes that it may fill with buffers, or None.
        most_buffered_bytes: the most that lay in all buffers, or None.
        tuned: what it chose, stage by stage.
        epochs: passes of the loop, for each of which it may have begun anew.
        warnings: settings that stand in the way, one sentence with figures each.
    """

    enabled: bool
    cpu_budget: int | None
    ram_budget_bytes: int | None
    most_buffered_bytes: int | None
    tuned: tuple[Tuned, ...]
    epochs: int
    warnings: tuple[str, ...]


class StartCause(Enum):
    """Why the first batch of an epoch was waited for."""

    FILL = "fill"
    """A stage takes in many elements before it gives one (a shuffle)."""
    SKIP = "skip"
    CACHE_WRITE = "cache_write"
    """The same, through a cache that later epochs only read."""
    OPENING = "opening"
    """A source, or what opens sources (an interleave of files), takes long to begin."""
    FIRST_CALLS = "first_calls"
    WORKERS = "workers"
    """Keras ends its workers with each epoch and starts others for the next."""
    TRAINING = "training_start"
    """The very first step: tracing and compiling cannot be told from waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochStart:
    """The wait for the first batch of an epoch.

    Attributes:
        epoch: number of the epoch in its loop, from 0.
        wait_ms: what its first step waited.
        usual_ms: median wait of the epoch's other steps, or None.
        cause: why, or None where that is not known or there is nothing to explain.
        stage: the stage that it is about, or None.
        elements: elements taken in before the first was given, or None.
        work_ms: the work that this took, or None.
    """

    epoch: int
    wait_ms: float
    usual_ms: float | None
    cause: StartCause | None
    stage: Stage | None
    elements: int | None
    work_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFinding:
    """How the input of a loop ran.

    Attributes:
        kind: what fed the loop, as in the report, or None.
        on_main_thread: whether its work ran on the thread that trains, or None.
        overlap_ratio: the part of the input work that ran while the loop was computing, or None.
        overlap_estimated: whether that ratio is an estimate and not read from intervals.
        workers: worker threads or processes asked for, or None.
        multiprocessing: whether they are processes, or None.
        threads: names of the lanes that did input work, most first.
        queue_size: batches that may lie ready, or None.
        queue_mean: batches that lay ready on average, or None.
        queue_empty_ratio: how often none was ready when the loop asked, or None.
        head_of_line_ratio: the part of its waiting in which a later batch lay ready, but not the next
            in order, or None where that is not known.
        epoch_start_ms: median of what each epoch's first step waited, or None.
        epoch_starts: those waits with their causes, of the first epochs and the last.
    """

    kind: str | None
    on_main_thread: bool | None
    overlap_ratio: float | None
    overlap_estimated: bool
    workers: int | None
    multiprocessing: bool | None
    threads: tuple[str, ...]
    queue_size: int | None
    queue_mean: float | None
    queue_empty_ratio: float | None
    head_of_line_ratio: float | None
    epoch_start_ms: float | None
    epoch_starts: tuple[EpochStart, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopFinding:
    """One loop with all that is said of it; ``loop`` is the recorded one."""

    loop: Loop
    diagnosis: Diagnosis
    input: InputFinding


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneFinding:
    """How busy a lane was while the main loop ran; ratios are None where they were not measured.

    Attributes:
        name: a person's name for it.
        role: what it is there for.
        pid: its process.
        tid: its thread, or None.
        busy_ratio: the part of its life in which it worked in stages.
        cpu_ratio: the part of its life that it spent on a CPU.
        gil_ratio: the part of its life in which it held the GIL.
        stages: names of those that worked on it, dearest first.
        batches: how many batches it made over the whole run, or None where it is no worker.
    """

    name: str
    role: Role
    pid: int
    tid: int | None
    busy_ratio: float | None
    cpu_ratio: float | None
    gil_ratio: float | None
    stages: tuple[str, ...]
    batches: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuFinding:
    """The processors while the main loop ran.

    Attributes:
        cores: processors the run might use.
        limit: cores' worth of CPU time that the container allows, or None.
        process_ratio: CPU used by the process tree over what it may use, or None.
        saturated: whether no core was left, or None where that is not known.
        machine_ratio: CPU in use by whomever over the processors that the run might use, or None.
        throttled_ratio: the part of its scheduling periods in which the container's limit stopped the
            run, or None.
        voluntary_switches_per_s: how often a second threads began to wait for something, or None.
        forced_switches_per_s: how often a second threads had to give their CPU to others, or None.
    """

    cores: int
    limit: float | None
    process_ratio: float | None
    saturated: bool | None
    machine_ratio: float | None = None
    throttled_ratio: float | None = None
    voluntary_switches_per_s: float | None = None
    forced_switches_per_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceFinding:
    """Memory, disk and network of the whole training while the main loop ran; None: not measured.

    Attributes:
        memory_bytes: resident in all its processes, on average.
        most_memory_bytes: the same, at most.
        disk_read_bytes_per_s: fetched from storage.
        disk_written_bytes_per_s: sent to storage.
        received_bytes_per_s: received over the network, by all that share it with the training.
        sent_bytes_per_s: sent over it.
    """

    memory_bytes: float | None
    most_memory_bytes: int | None
    disk_read_bytes_per_s: float | None
    disk_written_bytes_per_s: float | None
    received_bytes_per_s: float | None
    sent_bytes_per_s: float | None


class DeviceSource(Enum):
    """What told how busy a device was."""

    TRACE = "trace"
    NVML = "nvml"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFinding:
    """A device (a GPU, a TPU) and how busy the training kept it; None: not measured.

    Attributes:
        kind: ``gpu``, ``tpu``, …
        name: a person's name for it, with its number.
        model: what it is.
        source: what told how busy it was.
        traced_steps: steps that were traced.
        step_ms: how long it worked or copied in each of them, on average.
        compute_ms: how long it worked.
        copy_in_ms: how long data was copied to it.
        busy_ratio: the part of the steps in which it worked or copied; of the loop's whole time where
            only its driver told.
        idle_waiting_ratio: the part of the steps in which it did neither while the training waited
            for its input.
        own_busy_ratio: the part of the loop's time in which the training itself kept it busy, as its
            driver says.
        memory_bytes: in use on average, by whomever.
        memory_room_bytes: what it has.
        own_memory_bytes: in use by the training.
        power_w: what it drew, on average.
        clock_mhz: how fast its processors ran, on average.
    """

    kind: str
    name: str
    model: str | None
    source: DeviceSource
    traced_steps: int = 0
    step_ms: float | None = None
    compute_ms: float | None = None
    copy_in_ms: float | None = None
    busy_ratio: float | None = None
    idle_waiting_ratio: float | None = None
    own_busy_ratio: float | None = None
    memory_bytes: float | None = None
    memory_room_bytes: float | None = None
    own_memory_bytes: float | None = None
    power_w: float | None = None
    clock_mhz: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFinding:
    """What was delivered to the main loop; None where no probe saw it."""

    batches: int
    samples: int | None
    batch_sizes: Mapping[int, int] | None
    dtypes: tuple[str, ...] | None
    shapes: tuple[tuple[int, ...], ...] | None
    bytes_per_step: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OverheadFinding:
    """What the looking cost; ``ratio`` is its share of the run's time on the training's machine."""

    probe_ns: float | None
    events: int
    events_dropped: int
    ratio: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that is said of a run.

    ``main`` is the loop the verdict is about, or None without any; ``autotune`` is about its input,
    and None where tf.data's AUTOTUNE had no part in it; ``devices`` are there from the busiest on.
    """

    profile: Profile
    loops: tuple[LoopFinding, ...]
    main: LoopFinding | None
    stages: tuple[StageFinding, ...]
    lanes: tuple[LaneFinding, ...]
    cpu: CpuFinding
    resources: ResourceFinding
    delivery: DeliveryFinding | None
    overhead: OverheadFinding
    autotune: AutotuneFinding | None = None
    devices: tuple[DeviceFinding, ...] = ()
