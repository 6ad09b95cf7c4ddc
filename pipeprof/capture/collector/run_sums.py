"""The sums of a run; a checkpoint stores them without change."""

from dataclasses import field

import numpy as np

from pipeprof.capture.collector.growing_series import BinnedSums
from pipeprof.capture.collector.registry import Registry
from pipeprof.capture.collector.sample_rows import SAMPLE_COLUMNS, no_samples
from pipeprof.capture.collector.span_keeping import SpanKeeper
from pipeprof.recording.intervals import no_intervals
from pipeprof.recording.lane import LANE_CPU_CHANNELS
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.profile import no_iterator_ends
from pipeprof.recording.series import IntArray
from pipeprof.recording.stage import STAGE_CHANNELS

# Ends of iterators that are kept.
FIRST_ENDS = 64
LAST_ENDS = 448


@dataclass(kw_only=True)
class RunSums:
    """What the records of a run add up to.

    Attributes:
        start_ns: begin of the recording; nothing is recorded before it.
        event_count: how many records were added.
        registry: the subjects of the records.
        stage_work: the channels of `STAGE_CHANNELS`, a row a stage.
        lane_busy: time in stages, a row a lane.
        lane_cpu: the channels of `LANE_CPU_CHANNELS`, a row a lane.
        cpu_used: CPU time of the whole process tree.
        cpu_sampled: wall time that the readings of ``cpu_used`` cover.
        spans: single intervals, some of them left out.
        held_spans: intervals of input work beside steps that are not settled yet.
        held_moments: moments (begin, end, CPU time) beside steps that are not settled yet.
        iterator_ends: when iterators were destroyed, and by which lane: rows of `ITERATOR_END_COLUMNS`.
        host_samples: samples of the training thread outside of all loops: rows of `SAMPLE_COLUMNS`.
        loose_samples: such samples since the latest training pass; their part is known when the next
            one begins.
        recent_samples: the latest of these samples, each row with its time first: a pass may have begun
            before it is known.
    """

    start_ns: int
    event_count: int
    registry: Registry
    stage_work: BinnedSums
    lane_busy: BinnedSums
    lane_cpu: BinnedSums
    cpu_used: BinnedSums
    cpu_sampled: BinnedSums
    spans: SpanKeeper
    held_spans: IntArray
    iterator_ends: IntArray = field(default_factory=no_iterator_ends)
    held_moments: IntArray = field(default_factory=lambda: np.empty((0, 3), np.int64))
    host_samples: IntArray = field(default_factory=no_samples)
    loose_samples: IntArray = field(default_factory=no_samples)
    recent_samples: IntArray = field(
        default_factory=lambda: np.empty((0, 1 + len(SAMPLE_COLUMNS)), np.int64)
    )

    def __post_init__(self) -> None:
        stages, lanes = len(self.registry.stages), len(self.registry.lanes)
        expected = {
            "stage_work": (stages, len(STAGE_CHANNELS)),
            "lane_busy": (lanes, 1),
            "lane_cpu": (lanes, len(LANE_CPU_CHANNELS)),
            "cpu_used": (1, 1),
            "cpu_sampled": (1, 1),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} of shape {getattr(self, name).shape}")
        columns_of = {
            "held_spans": 2,
            "held_moments": 3,
            "iterator_ends": 3,
            "host_samples": len(SAMPLE_COLUMNS),
            "loose_samples": len(SAMPLE_COLUMNS),
            "recent_samples": 1 + len(SAMPLE_COLUMNS),
        }
        for name, columns in columns_of.items():
            if np.shape(getattr(self, name))[1:] != (columns,):
                raise ValueError(f"{name} of shape {np.shape(getattr(self, name))}")

    @classmethod
    def begin(cls, *, start_ns: int, warmup: int) -> "RunSums":
        """The sums before any record.

        Args:
            start_ns: begin of the recording.
            warmup: steps of each loop that count as warm-up.
        """
        return cls(
            start_ns=start_ns,
            event_count=0,
            registry=Registry(start_ns=start_ns, warmup=warmup),
            stage_work=BinnedSums(len(STAGE_CHANNELS), start_ns, rows=0),
            lane_busy=BinnedSums(1, start_ns, rows=0),
            lane_cpu=BinnedSums(len(LANE_CPU_CHANNELS), start_ns, rows=0),
            cpu_used=BinnedSums(1, start_ns),
            cpu_sampled=BinnedSums(1, start_ns),
            spans=SpanKeeper(),
            held_spans=no_intervals(),
        )

    def add_iterator_ends(self, rows: IntArray) -> None:
        """Adds ends of iterators; of very many, those in the middle are left out."""
        self.iterator_ends = np.concatenate([self.iterator_ends, rows])
        if len(self.iterator_ends) > FIRST_ENDS + LAST_ENDS:
            ends = (self.iterator_ends[:FIRST_ENDS], self.iterator_ends[-LAST_ENDS:])
            self.iterator_ends = np.concatenate(ends)

    def make_room(self) -> None:
        """Adds rows for new stages and lanes of the registry."""
        self.stage_work.grow(len(self.registry.stages))
        self.lane_busy.grow(len(self.registry.lanes))
        self.lane_cpu.grow(len(self.registry.lanes))
