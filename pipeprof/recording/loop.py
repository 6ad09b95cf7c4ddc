"""A loop that took batches: its steps, its waits, and what fed it."""

from dataclasses import field
from enum import Enum

import numpy as np

from pipeprof.recording.account import LoopAccount
from pipeprof.recording.delivered_content import Delivery, TrainedModel
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.series import Binned, BoolArray, Gauge, Histogram, IntArray
from pipeprof.recording.source_code import Location

UNKNOWN_NS = -1

# Ordinal and epoch of the step before a loop's first one, which does not exist.
BEFORE_FIRST_STEP = (-1, -1)


class LoopKind(Enum):
    """What kind of loop took the batches."""

    FIT = "fit"
    EVALUATE = "evaluate"
    PREDICT = "predict"
    TRAIN_ON_BATCH = "train_on_batch"
    CUSTOM = "custom"

    @property
    def trains(self) -> bool:
        """Whether it trains a model; only such a loop decides the verdict of a run."""
        return self not in (LoopKind.EVALUATE, LoopKind.PREDICT)

    @property
    def hand_written(self) -> bool:
        """Whether the user wrote the loop, and no framework."""
        return self in (LoopKind.TRAIN_ON_BATCH, LoopKind.CUSTOM)


class InputKind(Enum):
    """What kind of object fed a loop."""

    GENERATOR = "generator"
    SEQUENCE = "sequence"
    TF_DATA = "tf.data"
    ARRAYS = "arrays"
    ITERATOR = "iterator"
    LOADER = "loader"


class InputLibrary(Enum):
    """Inputs whose class is a library's, which are given workers or passes in ways of their own."""

    KERAS_ITERATOR = "Keras iterator"
    """A sequence that Keras's ``ImageDataGenerator`` made."""
    TORCH_LOADER = "torch.DataLoader"
    GRAIN_LOADER = "grain.DataLoader"
    GRAIN_MAP_DATASET = "grain.MapDataset"
    GRAIN_ITER_DATASET = "grain.IterDataset"


class WaitSource(Enum):
    """How the wait of each step was measured."""

    GAP_TIMES = "gap_times"
    ITERATOR = "iterator"
    GENERATOR = "generator"
    TRACE = "trace"
    SAMPLES = "samples"
    """Of the training's thread: no clock shows the wait of each step. Never recorded, but found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Steps kept one by one: all of a short loop, the first and the last of a long one.

    All arrays have one entry a step, in the order of time.

    Attributes:
        ordinal: number of the step in its loop, from 0.
        epoch: number of its epoch in this loop, from 0.
        start_ns: when the step began.
        end_ns: when the step ended and the next could begin.
        wait_ns: how long the loop was blocked for a batch in the step, or `UNKNOWN_NS`.
        batches: how many batches the step took (``steps_per_execution``).
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
        """Which steps have a known wait."""
        known: BoolArray = self.wait_ns != UNKNOWN_NS
        return known

    def first_of_epoch(self, before: tuple[int, int] = BEFORE_FIRST_STEP) -> BoolArray:
        """Which steps are the first of their epoch.

        The steps in the middle of a long loop are not kept. The first step behind that hole may be in
        another epoch than the kept step before it, but it is not the first of its epoch.

        Args:
            before: ordinal and epoch of the step before the first of these steps.
        """
        ordinal, epoch = before
        follows = np.diff(self.ordinal, prepend=ordinal) == 1
        first: BoolArray = follows & (np.diff(self.epoch, prepend=epoch) != 0)
        return first

    def counted(self, warmup_steps: int, before: tuple[int, int] = BEFORE_FIRST_STEP) -> BoolArray:
        """Which steps count for the step statistics: those after the warm-up that begin no epoch.

        Args:
            warmup_steps: how many steps of the loop count as warm-up.
            before: as in `first_of_epoch`.
        """
        counted: BoolArray = (self.ordinal >= warmup_steps) & ~self.first_of_epoch(before)
        return counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What fed a loop.

    Attributes:
        kind: kind of the object, or None when pipeprof did not see it.
        name: class or function name of the user's object.
        workers: worker threads or processes that the user asked for, or None where there is no such
            choice.
        multiprocessing: whether the workers are processes, or None without workers.
        queue_size: how many batches may lie ready, or None without a queue.
        queue: over time, how many batches lay ready when the loop asked for one.
        autotune: False where AUTOTUNE is switched off for a tf.data pipeline, which then measures nothing.
        start_method: how worker processes are started (``fork``), where there are any.
        library: which library's class it is, or None for a class of the user's.
        head_of_line: over time, nanoseconds of each wait in which a later batch lay ready but the next
            in order did not; None where batches cannot overtake each other.
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
    library: InputLibrary | None = None


# Columns of `Loop.over_time`: the steps that ended in the bin and their duration; the steps among them
# with a known wait, the duration of these and their wait; time in callbacks.
LOOP_CHANNELS = ("steps", "step_ns", "measured", "measured_ns", "wait_ns", "callback_ns")

# Columns of `Loop.input_over_time`: time of input work during steps with a known wait, and the part of
# this time in which the loop was waiting.
INPUT_CHANNELS = ("work_ns", "in_wait_ns")

# Columns of `Loop.moments_over_time`: time of the moments that lie in waits, and what CPU time all threads
# of the process used in them; both also of the moments that lie in the rest of the steps.
MOMENT_CHANNELS = ("wait_ns", "wait_cpu_ns", "compute_ns", "compute_cpu_ns")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """One loop that took batches: a ``fit``, an ``evaluate``, a hand-written ``for``.

    Attributes:
        kind: kind of the loop.
        parent: index in `Profile.loops` of the loop that it ran inside (validation in ``fit``), or None.
        input: what fed it.
        epochs: how many passes over the data it began.
        step_count: steps over the whole loop.
        batch_count: batches over the whole loop.
        sample_count: samples over the whole loop, or None where they could not be counted.
        start_ns: begin of its first step.
        end_ns: end of its last step.
        steady_ns: end of the warm-up, or None when the loop ended before that.
        warmup_steps: how many steps count as warm-up.
        steps: the steps kept one by one, warm-up included.
        step_times: durations of all counted steps: after the warm-up and not the first of an epoch.
        wait_times: waits of the counted steps with a known wait.
        callback_times: time in callbacks of all counted steps.
        compute_times: duration less wait and callbacks of the counted steps with a known wait.
        epoch_start_times: wait of the first step of each epoch, or its duration where the wait is unknown.
        over_time: the channels of `LOOP_CHANNELS`.
        waits_by: how the waits were measured, or None when they were not.
        lane: index in `Profile.lanes` of the thread that the loop ran on.
        input_over_time: the channels of `INPUT_CHANNELS`.
        moments_over_time: the channels of `MOMENT_CHANNELS`, or None where no moments were read.
        model: number of the model, equal in all loops of one model; None where it is not known.
        location: the user's line that called it, or that of the ``for``; None where it is not known.
        account: its time beyond the single steps.
        delivery: what its model consumed, or None where that was not recorded.
        trained_model: its model, or None where it is not known.
        compiled_by_shape: whether XLA compiles its step anew for each new shape of a batch, and shapes are
            not fixed beside the number of samples.
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
    callback_times: Histogram
    compute_times: Histogram
    epoch_start_times: Histogram
    over_time: Binned
    waits_by: WaitSource | None
    lane: int | None
    input_over_time: Binned
    moments_over_time: Binned | None = None
    model: int | None = None
    location: Location | None = None
    account: LoopAccount = field(default_factory=LoopAccount)
    delivery: Delivery | None = None
    trained_model: TrainedModel | None = None
    compiled_by_shape: bool = False

    @property
    def predicts_single_batches(self) -> bool:
        """Whether each of its passes is a call of ``predict`` for a single batch, and so no loop."""
        return self.kind is LoopKind.PREDICT and self.batch_count <= self.account.pass_count

    @property
    def counted(self) -> BoolArray:
        """Which of the kept steps count for the step statistics, by `Steps.counted`."""
        return self.steps.counted(self.warmup_steps)
