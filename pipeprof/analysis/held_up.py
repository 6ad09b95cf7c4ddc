"""How far the input's own work holds up the training's computing: by the GIL, and on the same cores.

Only clocks that run on are used, so nothing here depends on when somebody looked. What the training's
thread is not waiting for a batch, it is on a CPU, ready without one, or asleep. Asleep it waits for its
own operations, which then run or stand ready in other threads, or for the GIL.
"""

from pipeprof.analysis.counted_time import CountedTime, without_pauses
from pipeprof.analysis.device_use import device_findings, has_accelerator
from pipeprof.analysis.lane_use import sampled_ns
from pipeprof.analysis.machine_findings import HeldUp
from pipeprof.analysis.verdict import Measurements
from pipeprof.recording.lane import Lane, LaneKind, Role
from pipeprof.recording.level_names import MILLION, Level
from pipeprof.recording.stage import StageKind


class _Threads:
    """CPU time of the lanes over the wall time of the steps: cores' worth of each."""

    def __init__(
        self, measured: Measurements, counted_time: CountedTime, covered_ns: float
    ) -> None:
        self._measured = measured
        self._time = counted_time
        self._covered_ns = covered_ns
        loop = measured.loop
        lanes = measured.profile.lanes
        self._training = lanes[loop.lane] if loop.lane is not None else None
        python = {
            number
            for cost in measured.costs
            if cost.stage.kind.python
            for number in cost.stage.lanes
        }
        others = [(n, lane) for n, lane in enumerate(lanes) if lane is not self._training]
        pid = self._training.pid if self._training is not None else None
        here = [(n, lane) for n, lane in others if lane.pid == pid and _may_compute(lane)]
        self._python = [lane for n, lane in here if n in python or _is_python(lane)]
        self._native = [lane for n, lane in here if n not in python and _is_native(lane)]
        self._of_tf_data = [
            lane for n, lane in here if n not in python and lane.name.startswith("tf_data")
        ]
        self._processes = [
            lane for _, lane in others if lane.pid != pid and lane.kind is not LaneKind.DEVICE
        ]

    def training(self) -> tuple[float, float] | None:
        """What the thread that trains was on a CPU and ready without one; None if not read."""
        if self._training is None or self._training.cpu is None:
            return None
        return self._sums([self._training])

    def python(self) -> tuple[float, float]:
        """What the other Python threads of that process were on a CPU and ready without one."""
        return self._sums(self._python)

    def native(self) -> tuple[float, float]:
        """What TensorFlow's threads were so, those of the training and of tf.data."""
        return self._sums(self._native)

    def input_cpu(self, native_queued: float) -> float:
        """Cores' worth of CPU of all the input's work, outside of the thread that trains."""
        counted = sum(
            cost.at_work * (1.0 - native_queued)
            for cost in self._measured.costs
            if cost.stage.kind is StageKind.TF_DATA and cost.cpu_ratio is None
        )
        tf_data = max(counted, self._sums(self._of_tf_data)[0])
        return self.python()[0] + self._sums(self._processes)[0] + tf_data

    def tf_data_at_work(self) -> float:
        """Threads that were busy for tf.data on average among those that compute for TensorFlow."""
        at_work = sum(
            cost.at_work
            for cost in self._measured.costs
            if cost.stage.kind is StageKind.TF_DATA and cost.cpu_ratio is None
        )
        return max(at_work - sum(self._sums(self._of_tf_data)), 0.0)

    def _sums(self, lanes: list[Lane]) -> tuple[float, float]:
        on_cpu = queued = 0.0
        for lane in lanes:
            if lane.cpu is not None:
                its = self._time.sums(lane.cpu) / self._covered_ns
                on_cpu += float(its[0])
                queued += float(its[1])
        return on_cpu, queued


def find_held_up(measured: Measurements) -> HeldUp:
    """The parts of the counted steps in which the input's work held up the training's computing."""
    nothing = HeldUp(gil_ratio=None, cpu_queue_ratio=None)
    wait_ratio = measured.times.wait_ratio
    counted_time = without_pauses(measured.counted_time, measured.loop)
    covered_ns = sampled_ns(measured.profile.cpu, counted_time)
    if wait_ratio is None or covered_ns <= 0:
        return nothing
    threads = _Threads(measured, counted_time, covered_ns)
    training = threads.training()
    if training is None:
        return nothing
    on_cpu, queued = training
    asleep = max(1.0 - wait_ratio - on_cpu - queued, 0.0)
    native_cpu, native_queued = threads.native()
    native_ready = max(native_cpu + native_queued - threads.tf_data_at_work(), 0.0)
    gil = _gil(measured, counted_time, asleep - native_ready, sum(threads.python()))
    in_queue = native_queued / (native_cpu + native_queued) if native_cpu + native_queued else 0.0
    operations = min(max(asleep - (gil or 0.0), 0.0), native_ready)
    stood = min(queued, 1.0 - wait_ratio) + operations * in_queue
    input_cpu = threads.input_cpu(in_queue)
    own_cpu = on_cpu + native_ready * (1.0 - in_queue)
    others = _foreign(measured) + max(own_cpu - 1.0, 0.0)
    share = input_cpu / (input_cpu + others) if input_cpu else 0.0
    return HeldUp(gil_ratio=gil, cpu_queue_ratio=min(stood * share, input_cpu))


def _gil(
    measured: Measurements, counted_time: CountedTime, asleep: float, python: float
) -> float | None:
    """The part of the steps in which the training's thread waited for the GIL; a lower bound.

    It is no more than what that thread slept without operations of its own under way, than input threads
    were at work in Python, or than whoever asked for the GIL had to wait.

    Args:
        measured: the loop.
        counted_time: its steps.
        asleep: what the thread slept while no thread computed for it.
        python: threads of Python's beside it that computed or were ready to, on average.
    """
    contention = counted_time.level(measured.profile.gauges.get(Level.GIL_CONTENTION.value))
    if contention is None:
        return None
    if has_accelerator(measured.profile, counted_time):
        busiest = device_findings(measured.profile, counted_time)[0].busy_ratio
        if busiest is None:
            return None
        asleep -= busiest
    return max(min(asleep, python, contention / MILLION), 0.0)


def _foreign(measured: Measurements) -> float:
    """Cores' worth of CPU that other programs used."""
    cpu = measured.cpu
    if cpu.machine_ratio is None or cpu.process_ratio is None:
        return 0.0
    room = min(cpu.cores, cpu.limit) if cpu.limit is not None else cpu.cores
    return max(cpu.machine_ratio * cpu.cores - cpu.process_ratio * room, 0.0)


def _may_compute(lane: Lane) -> bool:
    return lane.kind in (LaneKind.THREAD, LaneKind.NATIVE, LaneKind.FURTHER)


def _is_native(lane: Lane) -> bool:
    return lane.kind is LaneKind.NATIVE or lane.role is Role.TRAINING


def _is_python(lane: Lane) -> bool:
    if lane.kind is not LaneKind.THREAD or lane.name.startswith(("tf_", "pipeprof-")):
        return False
    return lane.role in (Role.INPUT, Role.WORKER, Role.OTHER)
