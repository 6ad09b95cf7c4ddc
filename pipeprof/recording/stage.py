"""A stage of an input pipeline and the work it did."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from pipeprof.recording.series import Binned, Gauge, IntArray
from pipeprof.recording.source_code import Location


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


class StageOwner(Enum):
    """Whose a stage is."""

    USER = "user"
    KERAS = "Keras"
    TF_DATA = "tf.data"


class OperatorFamily(Enum):
    """What an operator of tf.data does, whichever of its kernels runs."""

    BATCH = "batch"
    CACHE = "cache"
    FLAT_MAP = "flat map"
    GENERATOR = "generator"
    INTERLEAVE = "interleave"
    MAP = "map"
    MAP_AND_BATCH = "map and batch"
    PREFETCH = "prefetch"
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
        """Whether it makes elements of others, more or fewer than it takes."""
        return self in (
            OperatorFamily.BATCH,
            OperatorFamily.FLAT_MAP,
            OperatorFamily.MAP_AND_BATCH,
            OperatorFamily.WINDOW,
        )


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
        location: where that function stands; of what no function of the user's does, as `made_at`.
        made_at: the user's line that put it into the pipeline of a framework, where that is known.
        made_by: name of the function of a library that this line called and that made the stage
            (``image_dataset_from_directory``); None where the line made it itself.
        parent: index in `Profile.stages` of the stage that asks this one for data, or None.
        owner: whose it is.
        family: what its operator of tf.data does; None for what tf.data does not run.
        parallel: whether the kernel that tf.data runs for it has threads of its own.
        remark: what a reader should know of it, or None.
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
    made_at: Location | None = None
    made_by: str | None = None
    parent: int | None = None
    owner: StageOwner = StageOwner.USER
    family: OperatorFamily | None = None
    parallel: bool = False
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
# `estimated_ns` is the part of the work that was not counted but estimated.
# CPU time is read for a part of the calls only; `timed_ns` is the wall time of just those calls.
STAGE_CHANNELS = (
    "calls",
    "work_ns",
    "cpu_ns",
    "timed_ns",
    "bytes",
    "bytes_taken",
    "estimated_ns",
)
