"""The sums of single stages, lanes, gauges, shapes of batches and stacks.

A checkpoint stores them without change: a field that is added here is stored as well.
"""

from dataclasses import field

import numpy as np

from pipeprof.capture.collector.growing_series import GaugeBins
from pipeprof.capture.recorder.facts import (
    GaugeFacts,
    SignatureFacts,
    StackFacts,
    StageFacts,
)
from pipeprof.recording.lane import LaneKind, Role
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.series import IntArray
from pipeprof.recording.stage import no_starts

# Passes over the data whose beginnings are kept of each stage.
FIRST_STARTS = 32
LAST_STARTS = 224


@dataclass
class StageSums:
    """Collects one stage, without its work over time, which is a row of `RunSums.stage_work`.

    Attributes:
        facts: facts about the stage.
        parent: index of the stage that asks it for data.
        lanes: nanoseconds of own work, by index of the lane.
        lane_calls: calls, by index of the lane.
        starts: its work for the first batches of passes over the data (`START_COLUMNS`).
    """

    facts: StageFacts
    parent: int | None = None
    lanes: dict[int, int] = field(default_factory=dict)
    lane_calls: dict[int, int] = field(default_factory=dict)
    starts: IntArray = field(default_factory=no_starts)

    def add_starts(self, rows: IntArray) -> None:
        """Adds its work for the first batches of further passes, as rows of `START_COLUMNS`."""
        self.starts = np.concatenate([self.starts, rows])
        if len(self.starts) > FIRST_STARTS + LAST_STARTS:
            ends = (self.starts[:FIRST_STARTS], self.starts[-LAST_STARTS:])
            self.starts = np.concatenate(ends)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneIdentity:
    """Identifies a lane; an attribute that does not matter for its kind is None.

    Attributes:
        kind: kind of the lane.
        name: its name in the name log.
        role: its role in the name log.
        pid: process of a thread.
        ring: number of a thread's ring, if it has one.
        slot: number of a worker process among those that run at once.
    """

    kind: LaneKind
    name: str | None = None
    role: Role | None = None
    pid: int | None = None
    ring: int | None = None
    slot: int | None = None


@dataclass
class LaneSums:
    """Collects one lane, without its times, which are rows of `RunSums.lane_busy` and `lane_cpu`.

    Attributes:
        identity: identifies it.
        name: name to show to a reader.
        role: what it does in the training.
        named: whether the name is its own.
        pid: its process; for worker processes, the latest one.
        tid: the system's number of its thread.
        gil_held: samples in which it held the GIL.
        gil_samples: all samples of the GIL.
        stage_samples: samples in which it was in a stage.
        helper_waits: samples among these in which it waited for another process or for a pool.
        first_ns: when it was first seen, or 0.
        last_ns: when it was last seen, or 0.
    """

    identity: LaneIdentity
    name: str
    role: Role
    pid: int
    tid: int | None = None
    named: bool = True
    gil_held: int = 0
    gil_samples: int = 0
    stage_samples: int = 0
    helper_waits: int = 0
    first_ns: int = 0
    last_ns: int = 0

    def add_seen(self, first_ns: int, last_ns: int) -> None:
        """Extends the time in which the lane was seen."""
        self.first_ns = min(self.first_ns or first_ns, first_ns)
        self.last_ns = max(self.last_ns, last_ns)


@dataclass
class GaugeSums:
    """Collects one level; its facts refer to a stage or loop by the index in the registry."""

    facts: GaugeFacts
    bins: GaugeBins


@dataclass
class SignatureSums:
    """Counts batches of one shape."""

    facts: SignatureFacts
    batches: int = 0


@dataclass
class StackSums:
    """Counts the samples in which a stack was seen."""

    facts: StackFacts
    samples: int = 0
