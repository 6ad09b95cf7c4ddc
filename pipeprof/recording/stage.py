"""A stage of an input pipeline and its work."""

from collections.abc import Mapping
from dataclasses import field
from enum import Enum

import numpy as np

from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.series import Binned, Gauge, IntArray
from pipeprof.recording.source_code import Location


class StageKind(Enum):
    """Kind of a stage, which decides how its work can run beside other work."""

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
    """What the training takes from another process, whose own stages may not be known."""
    TF_DATA_WORKER = "tf.data (worker)"
    """A stage that runs in the workers of a tf.data service."""

    @property
    def python(self) -> bool:
        """Whether its work is Python code, which holds the GIL unless it blocks."""
        return self not in (
            StageKind.TRANSPORT,
            StageKind.EPOCH_START,
            StageKind.TF_DATA,
            StageKind.TF_DATA_REMOTE,
            StageKind.TF_DATA_WORKER,
        )


class StageOwner(Enum):
    """Who added a stage to the pipeline: the user, Keras, or tf.data's optimiser."""

    USER = "user"
    KERAS = "Keras"
    TF_DATA = "tf.data"


class OperatorFamily(Enum):
    """What an operator of tf.data does, independent of the kernel that runs for it."""

    BATCH = "batch"
    CACHE = "cache"
    FILTER = "filter"
    FLAT_MAP = "flat map"
    GENERATOR = "generator"
    INTERLEAVE = "interleave"
    MAP = "map"
    MAP_AND_BATCH = "map and batch"
    PREFETCH = "prefetch"
    READ = "read"
    SHUFFLE = "shuffle"
    SKIP = "skip"
    WINDOW = "window"
    OTHER = "other"

    @property
    def maps(self) -> bool:
        """Whether it calls a function for every element."""
        return self in (
            OperatorFamily.MAP,
            OperatorFamily.FLAT_MAP,
            OperatorFamily.MAP_AND_BATCH,
        )

    @property
    def regroups(self) -> bool:
        """Whether it may give more or fewer elements than it takes."""
        return self in (
            OperatorFamily.BATCH,
            OperatorFamily.FILTER,
            OperatorFamily.FLAT_MAP,
            OperatorFamily.MAP_AND_BATCH,
            OperatorFamily.WINDOW,
        )


class FunctionTrait(Enum):
    """What a function given to tf.data does that decides what may be changed around it."""

    RANDOM = "random"
    """It draws random numbers: its result for an element changes from epoch to epoch."""
    PARSES_ONE_RECORD = "parses one record"
    """It parses one serialised example, and nothing in it is bound to one element."""
    CHEAPER_IN_BATCHES = "cheaper in batches"
    """It works on text or looks up in tables, and nothing in it is bound to one element."""


# Columns of `Stage.starts`: when its iterator was made and when the row was read; the calls and the work
# until then, and how many elements it held. Of rows with equal begins the last one counts.
START_COLUMNS = ("start_ns", "end_ns", "calls", "work_ns", "held")


def no_starts() -> IntArray:
    """`Stage.starts` without rows."""
    return np.empty((0, len(START_COLUMNS)), np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageDescription:
    """What a stage is: known from the start, or at the latest when its framework has been read.

    Attributes:
        name: the user's name for it, else the name of its function, else that of the running node.
        kind: kind of the stage.
        function: qualified name of the user's function, or None without one.
        location: line of that function; for a stage without one, ``made_at``.
        made_at: the user's line that put it into the pipeline of a framework, where that is known.
        made_by: name of the library's function that this line called and that made the stage
            (``image_dataset_from_directory``); None where the line made it directly.
        parent: the stage that asks this one for data, or None: its index in `Profile.stages`, or while
            it is recorded its number.
        owner: who added it to the pipeline.
        family: what its operator of tf.data does; None for a stage that tf.data does not run.
        parallel: whether the kernel that tf.data runs for it has threads of its own.
        remark: what a reader should know about it, or None.
        written: how it was written in a tf.data pipeline (``map → batch``), or None.
        runs_as: the operator that tf.data runs for it (``MapAndBatch``), or None.
        fused: whether tf.data runs several written transformations as that one operator.
        traits: of its function, where tf.data runs it.
        takes: how many elements it takes for each one that it gives, where that number is fixed.
        most_parallelism: the upper limit of its parallelism, where the framework reports it.
        autotuned: whether the framework chooses its parallelism; None where nobody can choose it.
        buffer_autotuned: whether the framework chooses its buffer's size; None where nobody can.
        workers: processes or threads that it may run in at once, where the user chose that number; of a
            stage in the workers of a tf.data service their number.
    """

    name: str
    kind: StageKind
    function: str | None = None
    location: Location | None = None
    made_at: Location | None = None
    made_by: str | None = None
    parent: int | None = None
    owner: StageOwner = StageOwner.USER
    family: OperatorFamily | None = None
    parallel: bool = False
    remark: str | None = None
    written: str | None = None
    runs_as: str | None = None
    fused: bool = False
    traits: tuple[FunctionTrait, ...] = ()
    takes: float | None = None
    most_parallelism: int | None = None
    autotuned: bool | None = None
    buffer_autotuned: bool | None = None
    workers: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage(StageDescription):
    """One stage of an input pipeline and its work.

    Attributes:
        work: over time, the channels of `STAGE_CHANNELS`.
        lanes: nanoseconds of own work, by index in `Profile.lanes`.
        lane_calls: calls, by index in `Profile.lanes`.
        parallelism: over time, how many calls may run at once, where the framework reports it.
        buffer: over time, how many elements lay ready behind it.
        buffer_size: over time, how many elements may lie ready.
        starts: its work for the first batches of passes over the data: rows of `START_COLUMNS`, for the
            first passes and the last.
    """

    work: Binned
    lanes: Mapping[int, int] = field(default_factory=dict)
    lane_calls: Mapping[int, int] = field(default_factory=dict)
    parallelism: Gauge | None = None
    buffer: Gauge | None = None
    buffer_size: Gauge | None = None
    starts: IntArray = field(default_factory=no_starts)

    @property
    def running(self) -> str:
        """Name of the operator or function that runs, whatever the user calls the stage."""
        return self.runs_as or self.name


# Columns of `Stage.work`. `work_ns` is own work: time in stages that were called from within is left out.
# `estimated_ns` is the part of it that was estimated and not measured.
# CPU time is read in some calls only; `cpu_ns` and `timed_ns` are their CPU time and own work, each
# multiplied by the number of calls that the reading stands for: what is known of the stage is their ratio.
STAGE_CHANNELS = (
    "calls",
    "work_ns",
    "cpu_ns",
    "timed_ns",
    "bytes",
    "bytes_taken",
    "estimated_ns",
)
