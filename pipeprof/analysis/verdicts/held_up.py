"""How far the input's own work holds up the training's computing: by the GIL, and on the same cores.

Only clocks that always run are used, so the result does not depend on when they were read. A training
thread that does not wait for a batch is on a CPU, ready without one, or asleep. Asleep, it waits for its
own operations, which run or are ready in other threads, or for the GIL.
"""

from dataclasses import replace

from pipeprof.analysis.findings.machine_findings import HeldUp
from pipeprof.analysis.measures.costs import StageCost
from pipeprof.analysis.measures.counted_time import CountedTime, without_pauses
from pipeprof.analysis.measures.device_use import device_findings, has_accelerator
from pipeprof.analysis.measures.lane_use import sampled_ns
from pipeprof.analysis.verdicts.verdict import Measurements
from pipeprof.analysis.verdicts.wall_shares import STEP_PARTS
from pipeprof.recording.account import Part
from pipeprof.recording.lane import Lane, LaneKind, Role
from pipeprof.recording.level_names import MILLION, Level
from pipeprof.recording.stage import OperatorFamily, StageKind


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
        self._of_tf_data = [lane for n, lane in here if n not in python and _is_of_tf_data(lane)]
        self._own_pool = [lane for lane in self._of_tf_data if lane.kind is LaneKind.TF_DATA_POOL]
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

    def python_in_native(self) -> float:
        """Threads of TensorFlow's that computed in Python for tf.data, on average.

        Their CPU time is not read, except in a pool of tf.data's own. What computes in Python keeps the GIL
        from whoever asks for it; what waits in Python does not.
        """
        contention = _contention(self._measured, self._time)
        computed = min(self._at_work(StageKind.TF_DATA_PYTHON), contention or 0.0)
        return min(computed, sum(self._sums(self._own_pool))) if self._own_pool else computed

    def native(self) -> tuple[float, float]:
        """What TensorFlow's threads were so, those of the training and of tf.data."""
        return self._sums(self._native)

    def input_cpu(self, kept_ratio: float) -> float:
        """Cores' worth of CPU of all the input's work, outside of the thread that trains.

        Args:
            kept_ratio: the part of its time that a thread has a CPU which waits for nothing else.
        """
        counted = min(self._counted_at_work() * kept_ratio, self.native()[0])
        tf_data = max(counted, self._sums(self._of_tf_data)[0])
        return self.python()[0] + self._sums(self._processes)[0] + tf_data

    def tf_data_at_work(self) -> float:
        """Threads that were busy for tf.data on average among those that compute for TensorFlow."""
        return max(self._counted_at_work() - sum(self._sums(self._of_tf_data)), 0.0)

    def _counted_at_work(self) -> float:
        """Threads busy for tf.data on average, as it counts: none where its functions have own threads.

        What is known to wait is none of it. Files are read in the threads that tf.data has for itself.
        """
        if self._own_pool:
            return 0.0
        reading = self._at_work(StageKind.TF_DATA, reads=True)
        of_functions = self._at_work(StageKind.TF_DATA, reads=False)
        in_own_threads = min(reading, sum(self._sums(self._of_tf_data)))
        return of_functions + in_own_threads + self.python_in_native()

    def _at_work(self, kind: StageKind, *, reads: bool | None = None) -> float:
        """Work of stages whose CPU time was not read, in threads that may have computed it on average.

        Args:
            kind: of the stages.
            reads: whether the stages read files; None for both.
        """
        return sum(
            cost.at_work * _most_on_cpu(cost)
            for cost in self._measured.costs
            if cost.stage.kind is kind
            and cost.cpu_ratio is None
            and reads in (None, cost.stage.family is OperatorFamily.READ)
        )

    def _sums(self, lanes: list[Lane]) -> tuple[float, float]:
        on_cpu = queued = 0.0
        for lane in lanes:
            if lane.cpu is not None:
                its = self._time.sums(lane.cpu) / self._covered_ns
                on_cpu += float(its[0])
                queued += float(its[1])
        return on_cpu, queued


def find_held_up(measured: Measurements) -> HeldUp:
    """The parts of the counted steps in which the input's work held up the training's computing.

    On the same cores: threads that are ready share the cores, so without the input's work the others'
    time shrinks by its part of the cores; and by no more than what they stood in the queue.
    """
    wait_ratio = measured.times.wait_ratio
    if wait_ratio is None:
        return HeldUp(gil_ratio=None, cpu_queue_ratio=None)
    counted_time = without_pauses(measured.counted_time, measured.loop)
    covered_ns = sampled_ns(measured.profile.cpu, counted_time)
    threads = _Threads(measured, counted_time, max(covered_ns, 1.0))
    training = threads.training() if covered_ns > 0 else None
    if training is None:
        at_most = _at_most(measured, 1.0 - wait_ratio, 0.0, 0.0)
        return HeldUp(gil_ratio=None, cpu_queue_ratio=None, most_ratio=at_most)
    on_cpu, queued = training[0], min(training[1], 1.0 - wait_ratio)
    asleep = max(1.0 - wait_ratio - on_cpu - queued, 0.0)
    native_cpu, native_queued = threads.native()
    native_ready = max(native_cpu + native_queued - threads.tf_data_at_work(), 0.0)
    python = sum(threads.python()) + threads.python_in_native()
    gil = _gil(measured, counted_time, asleep - native_ready, python)
    operations = max(asleep - (gil or 0.0), 0.0)
    if gil is None or has_accelerator(measured.profile, counted_time):
        operations = min(operations, native_ready)
    operations = min(operations, native_cpu + native_queued, _computing(measured))
    in_queue = native_queued / (native_cpu + native_queued) if native_cpu + native_queued else 0.0
    kept_ratio = _kept_ratio(measured, on_cpu + native_cpu, training[1] + native_queued)
    input_cpu = threads.input_cpu(kept_ratio)
    by_cores = (on_cpu + queued + operations) * min(input_cpu / measured.context.room, 1.0)
    held_up = HeldUp(gil_ratio=gil, cpu_queue_ratio=min(by_cores, queued + operations * in_queue))
    by_gil = min(asleep, python, _contention(measured, counted_time) or 0.0)
    at_most = _at_most(measured, max(1.0 - wait_ratio - on_cpu, 0.0), input_cpu, by_gil)
    return replace(
        held_up, most_ratio=max(at_most, held_up.ratio), training_cpu_ratio=min(on_cpu, 1.0)
    )


def _at_most(measured: Measurements, busy: float, input_cpu: float, by_gil: float) -> float:
    """The part of the steps that the input's work held up at most.

    Args:
        measured: the loop.
        busy: the part of the steps in which the training's thread neither waits nor has a CPU.
        input_cpu: cores' worth of CPU of the input, as far as it was read.
        by_gil: what the training's thread may have waited for the GIL.
    """
    at_work = sum(cost.at_work * _most_on_cpu(cost) for cost in measured.costs if cost.place.ahead)
    room = measured.context.room
    return min(busy * min(max(at_work, input_cpu) / room, 1.0) + by_gil, busy)


def _most_on_cpu(cost: StageCost) -> float:
    """The part of its work that a stage is on a CPU at the most."""
    if cost.cpu_ratio is not None:
        return cost.cpu_ratio
    return 1.0 if cost.cpu_at_most is None else cost.cpu_at_most


def _computing(measured: Measurements) -> float:
    """The part of the steps in which the model computes and not the loop's own Python code."""
    steps_ns = measured.account.ns(*STEP_PARTS)
    return measured.account.ns(Part.COMPUTE) / steps_ns if steps_ns else 1.0


def _kept_ratio(measured: Measurements, on_cpu: float, queued: float) -> float:
    """The part of its time that a thread has a CPU which waits for nothing else.

    The process's threads stand in the queue when they wake up, and when others took their CPU: only the
    second stops what computes in one piece, as tf.data's counted work does. The switches of the process
    show how the two compare.

    Args:
        measured: the loop.
        on_cpu: what the process's threads had a CPU.
        queued: what they stood ready without one.
    """
    forced, own = measured.cpu.forced_switches_per_s, measured.cpu.voluntary_switches_per_s
    switches = (forced or 0.0) + (own or 0.0)
    stopped = queued * (forced or 0.0) / switches if switches else queued
    return on_cpu / (on_cpu + stopped) if on_cpu else 0.0


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
    contention = _contention(measured, counted_time)
    if contention is None:
        return None
    if has_accelerator(measured.profile, counted_time):
        busiest = device_findings(measured.profile, counted_time)[0].busy_ratio
        if busiest is None:
            return None
        asleep -= busiest
    return max(min(asleep, python, contention), 0.0)


def _contention(measured: Measurements, counted_time: CountedTime) -> float | None:
    """The part of the time in which a thread that asks for the GIL waits for it, or None."""
    read = counted_time.level(measured.profile.gauges.get(Level.GIL_CONTENTION.value))
    return None if read is None else read / MILLION


def _may_compute(lane: Lane) -> bool:
    return lane.kind in (
        LaneKind.THREAD,
        LaneKind.NATIVE,
        LaneKind.LIBRARY,
        LaneKind.TF_DATA_POOL,
        LaneKind.FURTHER,
    )


def _is_native(lane: Lane) -> bool:
    return lane.kind is LaneKind.NATIVE or lane.role is Role.TRAINING


def _is_python(lane: Lane) -> bool:
    return lane.kind is LaneKind.THREAD and lane.role in (Role.INPUT, Role.WORKER, Role.OTHER)


def _is_of_tf_data(lane: Lane) -> bool:
    return lane.kind in (LaneKind.LIBRARY, LaneKind.TF_DATA_POOL) and lane.role is Role.INPUT
