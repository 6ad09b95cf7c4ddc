"""How far the input holds up the training's computing, on built profiles.

The loop of these tests takes 100 steps of 30 ms (3 s) that wait for nothing, unless given.
"""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.findings import Diagnosis
from pipeprof.analysis.findings.verdict_kinds import Bound, Cause
from pipeprof.analysis.findings.wait_evidence_kinds import HeldUpByInput
from pipeprof.recording.devices import Device
from pipeprof.recording.lane import Cpu, Lane, LaneKind, Role
from pipeprof.recording.level_names import DeviceLevel, Level
from pipeprof.recording.loop import Loop
from pipeprof.recording.series import Gauge
from pipeprof.recording.stage import OperatorFamily, Stage, StageKind
from tests.builders import MS, evenly, gauge, lane, loop, profile, stage, those

STEP = 30 * MS
WHOLE = 100 * STEP
LIGHT = loop(wait_ns=0, compute_ns=STEP, lane=0)


def part(ratio: float) -> int:
    return round(ratio * WHOLE)


def main(cpu: float, queued: float = 0.0, during: Loop = LIGHT) -> Lane:
    return lane(cpu_ns=part(cpu), queued_ns=part(queued), during=during)


def feeder(cpu: float, queued: float = 0.0) -> Lane:
    return lane(
        "Thread (worker)",
        Role.WORKER,
        tid=9,
        busy_ns=WHOLE,
        cpu_ns=part(cpu),
        queued_ns=part(queued),
        during=LIGHT,
    )


def operations(cpu: float, queued: float = 0.0) -> Lane:
    return lane(
        "tf_Compute",
        Role.TRAINING,
        tid=None,
        cpu_ns=part(cpu),
        queued_ns=part(queued),
        during=LIGHT,
    )


def native(cpu: float, queued: float = 0.0) -> Lane:
    return lane(
        "python",
        Role.OTHER,
        kind=LaneKind.NATIVE,
        tid=None,
        cpu_ns=part(cpu),
        queued_ns=part(queued),
        during=LIGHT,
    )


def decode(cpu_ratio: float = 0.5) -> Stage:
    return stage(
        "decode",
        StageKind.SEQUENCE,
        cost_ns=STEP,
        cpu_ratio=cpu_ratio,
        lanes={1: WHOLE},
        during=LIGHT,
    )


def diagnosed(
    *lanes: Lane,
    contention: float | None = 0.8,
    machine: float | None = None,
    switches: tuple[int, int] | None = None,
    stages: Sequence[Stage] | None = None,
    during: Loop = LIGHT,
    devices: tuple[Device, ...] = (),
) -> Diagnosis:
    start, end = during.start_ns, during.end_ns
    used = sum(int(each.cpu.total()[0]) for each in lanes if each.cpu is not None)
    gauges: dict[str, Gauge] = {}
    if contention is not None:
        gauges[Level.GIL_CONTENTION.value] = gauge(round(contention * 1e6))
    if machine is not None:
        gauges[Level.MACHINE_CPU.value] = gauge(round(machine * 1e6))
    if switches is not None:
        gauges[Level.FORCED_SWITCHES.value] = gauge(switches[0])
        gauges[Level.VOLUNTARY_SWITCHES.value] = gauge(switches[1])
    cpu = Cpu(
        cores=2,
        limit=None,
        used=evenly((used,), start, end),
        sampled=evenly((end - start,), start, end),
    )
    recorded = profile(
        loops=(during,),
        stages=tuple(stages) if stages is not None else (decode(),),
        lanes=lanes,
        gauges=gauges,
        cpu=cpu,
        devices=devices,
    )
    found = analyse(recorded).main
    assert found is not None
    return found.diagnosis


def test_a_light_training_that_sleeps_beside_a_python_thread_is_held_up_by_the_gil() -> None:
    found = diagnosed(main(cpu=0.2), feeder(cpu=0.75), contention=0.8)

    assert (found.bound, found.cause) == (Bound.INPUT, Cause.GIL)
    assert found.held_up.gil_ratio == pytest.approx(0.75)
    assert found.held_up.cpu_queue_ratio == pytest.approx(0.0)
    assert found.ideal_step_ms == pytest.approx(30 * 0.25)
    assert found.bottleneck is not None
    assert found.bottleneck.stage == "decode"
    (evidence,) = those(HeldUpByInput, found.evidence)
    assert evidence.held_ms == pytest.approx(30 * 0.75)


def test_the_ideal_of_the_whole_loop_leaves_out_what_holds_it_up() -> None:
    found = diagnosed(main(cpu=0.2), feeder(cpu=0.75))

    assert found.free_input is not None
    assert found.free_input.speedup == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("lanes", "contention"),
    [
        ((main(0.2), feeder(0.0)), 0.0),  # threads that sleep
        (
            (main(0.02), feeder(0.9), operations(0.1), native(1.0)),
            0.02,
        ),  # NumPy beside a heavy model
        (
            (main(0.02), feeder(0.3), operations(0.1), native(0.9)),
            0.3,
        ),  # Python beside a heavy model
        ((main(0.9), feeder(0.05)), 0.8),  # the training's own Python holds the GIL
        ((main(0.2), feeder(0.9)), 0.05),  # whoever asks for the GIL gets it
    ],
)
def test_what_does_not_keep_the_gil_from_the_training_holds_nothing_up(
    lanes: tuple[Lane, ...], contention: float
) -> None:
    found = diagnosed(*lanes, contention=contention)

    assert found.held_up.ratio <= 0.1
    assert (found.bound, found.cause) == (Bound.COMPUTE, Cause.NONE)
    assert those(HeldUpByInput, found.evidence) == []


def test_without_a_measured_contention_the_part_of_the_gil_is_unknown() -> None:
    found = diagnosed(main(cpu=0.2), feeder(cpu=0.75), contention=None)

    assert found.held_up.gil_ratio is None
    assert found.bound is Bound.COMPUTE


def test_a_device_that_works_explains_why_the_training_sleeps() -> None:
    level = {
        DeviceLevel.UTILISATION: gauge(900_000),
        DeviceLevel.OWN_UTILISATION: gauge(900_000),
    }
    gpu = Device(kind="gpu", name="GPU 0", model=None, levels=level)

    found = diagnosed(main(cpu=0.05), feeder(cpu=0.9), devices=(gpu,))

    assert found.held_up.gil_ratio == pytest.approx(0.05)
    assert found.bound is Bound.COMPUTE


def test_operations_that_stand_in_the_queue_beside_input_work_are_held_up_by_the_cores() -> None:
    lanes = (main(0.1, 0.1), feeder(0.9, 0.3), operations(0.5, 0.4))

    found = diagnosed(*lanes, contention=0.0)

    # All the time it is ready, or its operations are; the input has 0.9 of the 2 cores.
    assert found.held_up.cpu_queue_ratio == pytest.approx(0.9 / 2)
    assert (found.bound, found.cause) == (Bound.INPUT, Cause.CPU_SATURATED)


def test_a_queue_behind_other_programs_is_not_the_inputs() -> None:
    lanes = (main(0.1, 0.1), feeder(0.1, 0.1), operations(0.2, 0.4))

    found = diagnosed(*lanes, contention=0.0, machine=1.0)

    # Of the 1.7 cores that others of its process have not, other programs have 1.6.
    assert found.held_up.cpu_queue_ratio is not None
    assert found.held_up.cpu_queue_ratio <= 0.06
    assert found.bound is Bound.COMPUTE


def test_what_is_in_the_queue_is_no_longer_than_the_input_had_a_cpu() -> None:
    found = diagnosed(main(0.1, 0.6), feeder(0.05), operations(0.1, 0.1), contention=0.0)

    assert found.held_up.cpu_queue_ratio == pytest.approx(0.9 * 0.05 / 2)


def test_what_stands_in_no_queue_is_not_held_up_however_much_the_input_computes() -> None:
    found = diagnosed(main(0.1), feeder(0.95), operations(0.8, 0.02), contention=0.0)

    assert found.held_up.cpu_queue_ratio == pytest.approx(0.02)
    assert found.bound is Bound.COMPUTE


def counted(at_work: float) -> Stage:
    """A function of tf.data's, of which only its work is known, not its CPU time."""
    return stage(
        "decode",
        StageKind.TF_DATA,
        cost_ns=round(at_work * STEP),
        cpu_ratio=None,
        during=LIGHT,
    )


SHARED = (main(0.1, 0.1), operations(0.9, 1.5))


def test_counted_work_of_tf_data_has_a_cpu_but_while_another_took_it() -> None:
    # 1.6 in the queue, a half of it after another took the CPU: what computes has it 1 of 1.8 parts.
    found = diagnosed(*SHARED, contention=0.0, stages=(counted(0.8),), switches=(500, 500))

    assert found.held_up.cpu_queue_ratio == pytest.approx(0.8 * (1 / 1.8) / 2)
    assert (found.bound, found.cause) == (Bound.INPUT, Cause.CPU_SATURATED)
    assert found.bottleneck is not None
    assert found.bottleneck.stage == "decode"
    assert found.ideal_step_ms == pytest.approx(30 * (1 - 0.4 / 1.8))


def test_a_light_function_of_tf_data_holds_up_next_to_nothing() -> None:
    found = diagnosed(*SHARED, contention=0.0, stages=(counted(0.05),), switches=(500, 500))

    assert found.held_up.cpu_queue_ratio == pytest.approx(0.05 * (1 / 1.8) / 2)
    assert (found.bound, found.cause) == (Bound.COMPUTE, Cause.NONE)


def test_counted_work_has_no_more_of_the_cores_than_the_threads_that_can_do_it() -> None:
    lanes = (main(0.1, 0.1), operations(0.2, 0.6))  # much of the work waits for storage

    found = diagnosed(*lanes, contention=0.0, stages=(counted(4.0),), switches=(10, 990))

    assert found.held_up.cpu_queue_ratio == pytest.approx(0.2 / 2)


@pytest.mark.parametrize(("contention", "part"), [(0.6, 0.6), (0.01, 0.01)])
def test_a_python_function_of_tf_data_computes_as_far_as_it_keeps_the_gil(
    contention: float, part: float
) -> None:
    calls = stage(
        "clean", StageKind.TF_DATA_PYTHON, cost_ns=STEP, cpu_ratio=None, lanes={}, during=LIGHT
    )

    found = diagnosed(*SHARED, contention=contention, stages=(calls,), switches=(500, 500))

    assert found.held_up.cpu_queue_ratio == pytest.approx(part * (1 / 1.8) / 2)
    assert found.held_up.gil_ratio == 0.0  # the training has operations of its own to wait for


def pool(cpu: float) -> Lane:
    """Threads of tf.data's own, which alone run its functions."""
    return lane(
        "tf_data_private",
        Role.INPUT,
        kind=LaneKind.TF_DATA_POOL,
        tid=None,
        cpu_ns=part(cpu),
        during=LIGHT,
    )


@pytest.mark.parametrize("kind", [StageKind.TF_DATA_PYTHON, StageKind.TF_DATA])
@pytest.mark.parametrize("computed", [0.02, 0.7])
def test_functions_in_a_pool_of_tf_datas_own_compute_what_its_threads_do(
    kind: StageKind, computed: float
) -> None:
    calls = stage("fetch", kind, cost_ns=4 * STEP, cpu_ratio=None, lanes={}, during=LIGHT)

    found = diagnosed(*SHARED, pool(computed), contention=0.4, stages=(calls,))

    assert found.held_up.cpu_queue_ratio == pytest.approx(computed / 2)
    assert found.held_up.gil_ratio == 0.0
    assert (found.bound is Bound.COMPUTE) is (computed < 0.1)


def test_what_a_stage_computes_at_most_bounds_what_it_holds_up() -> None:
    def most(cores: float) -> float:
        """Of a loop that waits 3 parts of 10, while all its threads use so many cores."""
        of = loop(wait_ns=STEP * 3 // 10, compute_ns=STEP * 7 // 10, lane=0)
        moments = (400 * MS, round(cores * 400 * MS), 200 * MS, 380 * MS)
        of = replace(of, moments_over_time=evenly(moments, of.start_ns, of.end_ns))
        lanes = (main(0.1, during=of), operations(0.01))
        ahead = replace(counted(1.0), parallel=True)
        return diagnosed(*lanes, contention=0.0, stages=(ahead,), during=of).held_up.most_ratio

    assert most(0.1) == pytest.approx(0.1 * most(1.0))


@pytest.mark.parametrize("computed", [0.02, 0.6])
def test_reading_files_computes_no_more_than_the_threads_that_tf_data_has_for_it(
    computed: float,
) -> None:
    reader = lane(
        "tf_data_prefetc",
        Role.INPUT,
        kind=LaneKind.LIBRARY,
        tid=None,
        cpu_ns=part(computed),
        during=LIGHT,
    )
    reads = replace(counted(0.8), family=OperatorFamily.READ)

    found = diagnosed(*SHARED, reader, contention=0.0, stages=(reads,))

    assert found.held_up.cpu_queue_ratio == pytest.approx(computed / 2)
    assert (found.bound is Bound.COMPUTE) is (computed < 0.1)


@pytest.mark.parametrize("cores", [0.05, 1.0])
def test_work_that_is_known_to_wait_holds_nothing_up(cores: float) -> None:
    waits = loop(wait_ns=STEP // 10, compute_ns=STEP * 9 // 10, lane=0)
    moments = (300 * MS, round(cores * 300 * MS), 900 * MS, 900 * MS)
    waits = replace(waits, moments_over_time=evenly(moments, waits.start_ns, waits.end_ns))
    lanes = (main(0.1, 0.1, during=waits), operations(0.8, 0.8))

    found = diagnosed(*lanes, contention=0.0, stages=(counted(0.6),), during=waits)

    assert found.held_up.cpu_queue_ratio is not None
    assert (found.held_up.cpu_queue_ratio < 0.05) is (cores < 0.1)
    assert (found.bound is Bound.INPUT) is (cores > 0.1)


def test_what_is_held_up_and_what_waits_count_together() -> None:
    waits = loop(wait_ns=STEP * 15 // 100, compute_ns=STEP * 85 // 100, lane=0)
    lanes = (main(0.1, 0.05, during=waits), feeder(0.4), operations(0.6, 0.4))

    found = diagnosed(*lanes, contention=0.0, during=waits)

    assert found.held_up.cpu_queue_ratio == pytest.approx(0.85 * 0.4 / 2)
    assert (found.bound, found.cause) == (Bound.INPUT, Cause.CPU_SATURATED)
    assert found.wall is not None
    assert found.wall.wait_ratio == pytest.approx(0.15)
    assert found.ideal_step_ms == pytest.approx(30 * (0.85 - 0.17))


@pytest.mark.parametrize(("kind", "counts"), [(LaneKind.LIBRARY, True), (LaneKind.PIPEPROF, False)])
def test_threads_that_a_library_has_for_input_work_for_it_whatever_their_name(
    kind: LaneKind, counts: bool
) -> None:
    beside = lane("beside", Role.INPUT, kind=kind, tid=None, cpu_ns=part(0.05), during=LIGHT)

    found = diagnosed(main(0.1, 0.6), beside, operations(0.1, 0.1), contention=0.0)

    assert found.held_up.cpu_queue_ratio is not None
    assert (found.held_up.cpu_queue_ratio > 0.01) is counts


def test_waiting_that_is_longer_than_what_is_held_up_keeps_its_cause() -> None:
    waits = loop(wait_ns=STEP * 6 // 10, compute_ns=STEP * 4 // 10, lane=0)

    found = diagnosed(main(0.1, during=waits), feeder(0.9), during=waits)

    assert found.held_up.gil_ratio == pytest.approx(0.3)
    assert found.bound is Bound.INPUT
    assert found.cause is not Cause.GIL
    assert those(HeldUpByInput, found.evidence) == []


def test_waits_that_were_not_measured_leave_all_of_it_unknown() -> None:
    unknown = loop(wait_ns=None, compute_ns=STEP, lane=0)

    found = diagnosed(main(0.2, during=unknown), feeder(0.75), during=unknown)

    assert (found.held_up.gil_ratio, found.held_up.cpu_queue_ratio) == (None, None)
    assert found.bound is Bound.UNKNOWN
