"""A whole recording."""

from collections.abc import Mapping
from dataclasses import field, replace

import numpy as np

from pipeprof.recording.account import HostFunction, HostSample
from pipeprof.recording.batch_signature import Signature
from pipeprof.recording.ceiling import Ceiling
from pipeprof.recording.data_workers import DataWorker
from pipeprof.recording.devices import Device, TraceWindow
from pipeprof.recording.invariants import find_contradictions
from pipeprof.recording.lane import Cpu, Lane
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import Loop
from pipeprof.recording.run_info import Overhead, RunInfo
from pipeprof.recording.series import Gauge, IntArray
from pipeprof.recording.source_code import StackSamples
from pipeprof.recording.span import Spans
from pipeprof.recording.stage import Stage
from pipeprof.recording.tuning_outcome import TuningOutcome

# Columns of `Profile.iterator_ends`: when the end of an iterator of tf.data began and was over, and the
# index of the lane whose thread it held up.
ITERATOR_END_COLUMNS = ("start_ns", "end_ns", "lane")


def no_iterator_ends() -> IntArray:
    """`Profile.iterator_ends` without rows."""
    return np.empty((0, len(ITERATOR_END_COLUMNS)), np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A whole recording.

    Attributes:
        run: what ran.
        loops: in the order in which they began.
        stages: all stages of all inputs.
        lanes: all threads, worker processes and devices.
        spans: single intervals from some parts of the run.
        cpu: the processors.
        deliveries: the shapes in which batches were delivered, where a probe saw them.
        gauges: levels over time, by name (``AUTOTUNE CPU budget``).
        overhead: what the recording cost.
        stacks: sampled stacks of all threads; empty where none were sampled.
        devices: the devices that the training may have used, where pipeprof looked for them.
        trace_windows: steps that TensorFlow's profiler traced, where that was asked for.
        data_workers: workers of a tf.data service that the training takes batches from, where it uses one.
        host_samples: code in which the training thread was sampled outside of all loops.
        host_functions: functions of the host that the training thread called; spans refer to them.
        iterator_ends: rows of `ITERATOR_END_COLUMNS`, of the first and the last in the order of time.
        ceiling: what its steps take with input for free, where that was measured.
        tuning: what changes of its input gave, where `pipeprof tune` tried some.
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
    data_workers: tuple[DataWorker, ...] = ()
    host_samples: tuple[HostSample, ...] = ()
    host_functions: tuple[HostFunction, ...] = ()
    ceiling: Ceiling | None = None
    iterator_ends: IntArray = field(default_factory=no_iterator_ends)
    tuning: TuningOutcome | None = None

    @property
    def main_loop(self) -> Loop | None:
        """The longest training loop, else the longest loop, else None."""
        return max(
            self.loops,
            key=lambda loop: (loop.kind.trains, loop.end_ns - loop.start_ns),
            default=None,
        )

    def with_warning(self, sentence: str) -> "Profile":
        """A copy of this recording with one more warning."""
        return replace(self, run=replace(self.run, warnings=(*self.run.warnings, sentence)))

    def check(self) -> tuple[str, ...]:
        """All that is wrong in this profile, one sentence each; empty where nothing is."""
        return find_contradictions(self)
