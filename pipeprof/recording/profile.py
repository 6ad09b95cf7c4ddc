"""A finished recording: what a run did, as one frozen value that everything after capture reads.

`Profile` is made by the collector at the end of a run, or read from a run folder; from then on it
never changes. It holds measurements only: verdicts, ratios and words are `pipeprof.analysis`'s.
Times are integer nanoseconds on the clock of the recording (`pipeprof.clock`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePath

import numpy as np

from pipeprof.clock import WallAnchor
from pipeprof.recording.devices import Device, TraceWindow
from pipeprof.recording.series import Binned, BoolArray, Gauge, Histogram, IntArray

UNKNOWN_NS = -1

# Name of the thread that reads the records, and of its lane.
COLLECTOR_THREAD = "pipeprof-collector"


class LoopKind(Enum):
    """What kind of loop took the batches."""

    FIT = "fit"
    EVALUATE = "evaluate"
    PREDICT = "predict"
    TRAIN_ON_BATCH = "train_on_batch"
    CUSTOM = "custom"

    @property
    def trains(self) -> bool:
        """Whether the verdict of a run may be this loop's."""
        return self not in (LoopKind.EVALUATE, LoopKind.PREDICT)


class InputKind(Enum):
    """What kind of object fed a loop."""

    GENERATOR = "generator"
    SEQUENCE = "sequence"
    TF_DATA = "tf.data"
    ARRAYS = "arrays"
    ITERATOR = "iterator"
    LOADER = "loader"


class StageKind(Enum):
    """What a stage is, which decides how its work may run beside other work."""

    FUNCTION = "function"
    GENERATOR = "generator"
    BLOCK = "block"
    ITERABLE = "iterable"
    SEQUENCE = "sequence"
    TRANSPORT = "transport"
    EPOCH_START = "epoch start"
    TF_DATA = "tf.data"
    TF_DATA_PYTHON = "tf.data (Python)"
    TF_DATA_REMOTE = "tf.data (remote)"

    @property
    def python(self) -> bool:
        """Whether its work is Python code, which holds the GIL unless it blocks."""
        return self not in (
            StageKind.TRANSPORT,
            StageKind.EPOCH_START,
            StageKind.TF_DATA,
            StageKind.TF_DATA_REMOTE,
        )


class Role(Enum):
    """What a thread or process is there for."""

    MAIN = "main"
    TRAINING = "training"
    INPUT = "input"
    WORKER = "worker"
    OTHER = "other"
    DEVICE = "device"


class WaitSource(Enum):
    """What told how long each step waited."""

    GAP_TIMES = "gap_times"
    ITERATOR = "iterator"
    GENERATOR = "generator"
    TRACE = "trace"


@dataclass(frozen=True, slots=True)
class Location:
    """A line of the user's code: ``file`` relative to where the run was started, if below it."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def short(self) -> str:
        """``train.py:41``: the file's name without its folders."""
        return f"{PurePath(self.file).name}:{self.line}"


# Columns of `Stage.starts`: when its iterator was made, when it was read, what it had done by then, and
# how many elements it held. The last row with the same begin counts.
START_COLUMNS = ("start_ns", "end_ns", "calls", "work_ns", "held")


def no_starts() -> IntArray:
    """Starts of a stage of which none were seen."""
    return np.empty((0, len(START_COLUMNS)), np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of an input pipeline and the work it did.

    Attributes:
        name: as the user named it, or its function's name, or the running node's name.
        kind: what it is.
        function: qualified name of the user's function, where there is one.
        location: where that function stands.
        parent: index in `Profile.stages` of the stage that asks this one for data, or None.
        remark: what a reader should know of it (``added by Keras``), or None.
        written: what of a tf.data pipeline it was written as (``map → batch``), or None.
        runs_as: what tf.data runs for it (``MapAndBatch``), or None.
        takes: elements that it takes for one that it gives, where that is always the same.
        work: over time, the channels of `STAGE_CHANNELS`.
        lanes: own work in nanoseconds by index in `Profile.lanes`.
        lane_calls: calls by the same index.
        parallelism: how many calls may run at once, over time, where the framework tells.
        most_parallelism: the most that it may be, where the framework tells.
        autotuned: whether the framework chooses it; None where there is nothing to choose.
        buffer: how many elements lay ready behind it, over time.
        buffer_size: how many may, over time.
        buffer_autotuned: whether the framework chooses that; None where there is nothing to choose.
        workers: processes or threads that it may run in at once, where the user chose that number.
        starts: what it did for the first batches of a pass over the data: rows of `START_COLUMNS` of
            the first passes and the last.
    """

    name: str
    kind: StageKind
    function: str | None = None
    location: Location | None = None
    parent: int | None = None
    remark: str | None = None
    written: str | None = None
    runs_as: str | None = None
    takes: float | None = None
    work: Binned
    lanes: Mapping[int, int] = field(default_factory=dict)
    lane_calls: Mapping[int, int] = field(default_factory=dict)
    parallelism: Gauge | None = None
    most_parallelism: int | None = None
    autotuned: bool | None = None
    buffer: Gauge | None = None
    buffer_size: Gauge | None = None
    buffer_autotuned: bool | None = None
    workers: int | None = None
    starts: IntArray = field(default_factory=no_starts)

    @property
    def running(self) -> str:
        """Name of what runs, whatever the user calls it."""
        return self.runs_as or self.name


# Columns of `Stage.work`. Work is own work: the time in stages called from within is left out.
# CPU time is read for a part of the calls only; `timed_ns` is the wall time of just those calls.
STAGE_CHANNELS = ("calls", "work_ns", "cpu_ns", "timed_ns", "bytes", "bytes_taken")


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Steps kept one by one: all of a short loop, the first and the last of a long one.

    All arrays have one entry a step, in the order of time.

    Attributes:
        ordinal: number of the step in its loop, from 0.
        epoch: number of its epoch in this loop, from 0.
        start_ns: when the loop turned to it.
        end_ns: when it turned to the next.
        wait_ns: how long the loop was blocked for a batch in it, or `UNKNOWN_NS`.
        batches: how many batches it took (``steps_per_execution``).
    """

    ordinal: IntArray
    epoch: IntArray
    start_ns: IntArray
    end_ns: IntArray
    wait_ns: IntArray
    batches: IntArray

    def __len__(self) -> int:
        return len(self.ordinal)

    @property
    def measured(self) -> BoolArray:
        """Which of them have a known wait."""
        known: BoolArray = self.wait_ns != UNKNOWN_NS
        return known


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What fed a loop.

    Attributes:
        kind: what kind of object it was, or None when nothing of it was seen.
        name: class or function name of the user's object.
        workers: worker threads or processes asked for, or None where there is no such choice.
        multiprocessing: whether they are processes, or None.
        queue_size: how many batches may lie ready, or None.
        queue: how many lay ready when the loop asked, over time.
        autotune: False where AUTOTUNE is switched off for a tf.data pipeline, so that it tells nothing.
        start_method: how worker processes are started (``fork``), where there are any.
        head_of_line: nanoseconds of each wait in which a later batch lay ready, but not the next in
            order, over time; None where nothing of that kind can happen.
    """

    kind: InputKind | None = None
    name: str | None = None
    workers: int | None = None
    multiprocessing: bool | None = None
    queue_size: int | None = None
    queue: Gauge | None = None
    autotune: bool | None = None
    head_of_line: Gauge | None = None
    start_method: str | None = None


# Columns of `Loop.over_time`: steps that ended in the bin, their duration, those with a known wait,
# the duration of just those, and their wait.
LOOP_CHANNELS = ("steps", "step_ns", "measured", "measured_ns", "wait_ns")


# Columns of `Loop.input_over_time`: work of input stages, as intervals, while the loop took steps of
# known wait, and the part of it that ran while the loop was waiting.
INPUT_CHANNELS = ("work_ns", "in_wait_ns")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """One loop that took batches: a ``fit``, an ``evaluate``, a hand-written ``for``.

    Attributes:
        kind: what loop it was.
        parent: index in `Profile.loops` of the loop it ran inside (validation in ``fit``), or None.
        input: what fed it.
        epochs: how many passes it began.
        step_count: steps over the whole loop.
        batch_count: batches over the whole loop.
        sample_count: samples over the whole loop, or None where they could not be counted.
        start_ns: begin of its first step.
        end_ns: end of its last step.
        steady_ns: end of the warm-up, or None when the loop never came past it.
        warmup_steps: how many steps count as warm-up.
        steps: the steps kept one by one, warm-up included.
        step_times: durations of all steps after the warm-up but for each epoch's first.
        wait_times: waits of those of them that have a known wait.
        compute_times: duration less wait of just those.
        epoch_start_times: what the first step of each epoch waited or, where unknown, took.
        over_time: the channels of `LOOP_CHANNELS`.
        waits_by: what measured the waits, or None when nothing did.
        lane: index in `Profile.lanes` of the thread it ran on.
        input_over_time: the channels of `INPUT_CHANNELS`.
    """

    kind: LoopKind
    parent: int | None = None
    input: Input
    epochs: int
    step_count: int
    batch_count: int
    sample_count: int | None
    start_ns: int
    end_ns: int
    steady_ns: int | None
    warmup_steps: int
    steps: Steps
    step_times: Histogram
    wait_times: Histogram
    compute_times: Histogram
    epoch_start_times: Histogram
    over_time: Binned
    waits_by: WaitSource | None
    lane: int | None
    input_over_time: Binned


# Columns of `Lane.cpu`: time on a CPU, and time ready to run while others had them all.
LANE_CPU_CHANNELS = ("cpu_ns", "queued_ns")


@dataclass(frozen=True, slots=True, kw_only=True)
class GilSamples:
    """In how many of some moments the interpreter's lock was held."""

    held: int
    moments: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A thread, a worker process or a device.

    Attributes:
        name: a person's name for it.
        role: what it is there for.
        pid: its process.
        tid: its thread, or None for a whole process or a device.
        busy: over time, nanoseconds spent in stages.
        cpu: over time, the channels of `LANE_CPU_CHANNELS`, or None where that was not read.
        first_ns: when it was first seen.
        last_ns: when it was last seen.
        gil: how often it held the GIL, or None where nobody looked.
    """

    name: str
    role: Role
    pid: int
    tid: int | None
    busy: Binned
    cpu: Binned | None
    first_ns: int
    last_ns: int
    gil: GilSamples | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeLine:
    """A line of source code at which a call was.

    Attributes:
        function: name of its function; with its class, from Python 3.11 on.
        location: where it stands.
        text: what is written there, or empty where the source could not be read.
        blocks: the lines at which the ``with`` statements around it begin, innermost first.
    """

    function: str
    location: Location
    text: str
    blocks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSamples:
    """A stack, and in how many samples it was met.

    Attributes:
        lines: its calls as far as they are the user's code, innermost first.
        samples: how often it was met, in whichever thread or process.
        in_function: whether tf.data called it, as a ``numpy_function`` or ``py_function``.
    """

    lines: tuple[CodeLine, ...]
    samples: int
    in_function: bool = False


class SpanKind(Enum):
    """What an interval on a lane was."""

    WORK = "work"
    WAIT = "wait"
    STEP = "step"
    BATCH = "batch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """Single intervals from some windows of the run: its beginning, its end, and some in between.

    All arrays have one entry an interval, in the order of their ends. That of a batch begins where the
    work that made it does, on whichever lane, and ends in the step that took it.

    Attributes:
        kind: index into ``tuple(SpanKind)``.
        subject: index in `Profile.stages` (work, wait; -1 where no stage is known) or in
            `Profile.loops` (step, batch).
        lane: index in `Profile.lanes`.
        start_ns: begin.
        end_ns: end.
        inner_ns: time inside it that belongs to stages called from within.
    """

    kind: IntArray
    subject: IntArray
    lane: IntArray
    start_ns: IntArray
    end_ns: IntArray
    inner_ns: IntArray

    def __len__(self) -> int:
        return len(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """The processors and how much of them the run used.

    Attributes:
        cores: processors that the run might use (its affinity).
        limit: cores' worth of CPU time that the container allows, or None without a limit.
        used: over time, nanoseconds of CPU used by the whole process tree, or None.
        sampled: over time, nanoseconds of wall time that those readings cover, or None.
    """

    cores: int
    limit: float | None
    used: Binned | None
    sampled: Binned | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One shape in which batches were delivered.

    Attributes:
        dtypes: data type of each array of the batch, flattened.
        shapes: shape of each array of the batch, flattened.
        batches: how many batches had this shape.
        samples: samples in each of them, or None where there is no such axis.
        size_bytes: bytes of each of them.
        validation: whether they went to an evaluation and not to training, as far as that was seen.
    """

    dtypes: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    batches: int
    samples: int | None
    size_bytes: int
    validation: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What ran, where and with what.

    Attributes:
        name: name of the run, that of its folder.
        hosts: machines that took part.
        anchor: ties the clock of the recording to the calendar.
        start_ns: when recording began.
        end_ns: when it ended.
        versions: package name to version.
        backend: Keras's backend, or None when Keras was not used.
        argv: the command line of the training.
        exit_code: what the training's process returned, or None where that is not known.
        error: the exception that ended the training, in one line, or None.
        warnings: what a reader must know before trusting the rest, one sentence each.
        complete: False when the recording was cut off and recovered.
    """

    name: str
    hosts: tuple[str, ...]
    anchor: WallAnchor
    start_ns: int
    end_ns: int
    versions: Mapping[str, str]
    backend: str | None
    argv: tuple[str, ...]
    exit_code: int | None
    error: str | None
    warnings: tuple[str, ...]
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Overhead:
    """What the looking cost.

    Attributes:
        probe_ns: nanoseconds one recorded event takes, measured at the start of this very run, or
            None where it was not.
        events: events recorded.
        dropped: events that were overwritten before they could be read.
        collector_ns: CPU time of the thread that reads them.
    """

    probe_ns: float | None
    events: int
    dropped: int
    collector_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A whole recording.

    Attributes:
        run: what ran.
        loops: in the order in which they began.
        stages: all stages of all inputs.
        lanes: all threads, worker processes and devices.
        spans: single intervals from some windows.
        cpu: the processors.
        deliveries: the shapes in which batches came, where a probe saw them.
        gauges: other levels over time, by name (``AUTOTUNE CPU budget``).
        overhead: what the looking cost.
        stacks: what threads were doing in some windows of the run; empty where nobody looked.
        devices: those that the training may have used, as far as anybody looked.
        trace_windows: what TensorFlow's profiler traced, where that was asked for.
    """

    run: RunInfo
    loops: tuple[Loop, ...]
    stages: tuple[Stage, ...]
    lanes: tuple[Lane, ...]
    spans: Spans
    cpu: Cpu
    deliveries: tuple[Signature, ...]
    gauges: Mapping[str, Gauge]
    overhead: Overhead
    stacks: tuple[StackSamples, ...] = ()
    devices: tuple[Device, ...] = ()
    trace_windows: tuple[TraceWindow, ...] = ()

    @property
    def main_loop(self) -> Loop | None:
        """The longest training loop, else the longest loop, else None."""
        return max(
            self.loops,
            key=lambda loop: (loop.kind.trains, loop.end_ns - loop.start_ns),
            default=None,
        )

    def check(self) -> tuple[str, ...]:
        """What is inconsistent in this profile, one sentence each; empty when all is well."""
        from pipeprof.recording.invariants import (
            find_contradictions,  # which knows what this module defines
        )

        return find_contradictions(self)
