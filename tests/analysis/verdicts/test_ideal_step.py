"""What a step takes with input for free: never less than a device is busy, and a bound where that hides.

The loops of these tests take 100 steps of 30 ms, 20 of them waiting, unless given.
"""

import math
from dataclasses import replace

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.caveat_kinds import DeviceMayRunAhead
from pipeprof.analysis.findings.findings import Diagnosis, Interval, LimitSource, LoopOnFreeInput
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.recording.account import HostSample, HostState, Part
from pipeprof.recording.devices import Device
from pipeprof.recording.lane import Cpu
from pipeprof.recording.level_names import DeviceLevel
from pipeprof.recording.loop import Loop, LoopKind
from pipeprof.recording.run_info import RunInfo
from pipeprof.recording.source_code import Location
from tests.builders import (
    MS,
    SECOND,
    device,
    evenly,
    gauge,
    lane,
    loop,
    profile,
    run_info,
    stage,
    those,
)

WAITS: dict[str, int] = {"wait_ns": 20 * MS, "compute_ns": 10 * MS}


def diagnosed(of: Loop, *devices: Device, info: RunInfo | None = None) -> Diagnosis:
    found = analyse(
        profile(
            run=info or run_info(),
            loops=(of,),
            stages=(stage(cost_ns=25 * MS, during=of),),
            lanes=(lane(during=of),),
            devices=devices,
        )
    ).main
    assert found is not None
    return found.diagnosis


def free_input(of: Diagnosis) -> LoopOnFreeInput:
    assert of.free_input is not None
    return of.free_input


def busy(ratio: float, own: float | None = None) -> Device:
    levels = {DeviceLevel.UTILISATION: gauge(round(ratio * 1e6))}
    if own is not None:
        levels[DeviceLevel.OWN_UTILISATION] = gauge(round(own * 1e6))
    return device(steps=0, levels=levels)


def idle() -> Device:
    return device(steps=0, levels={})


def test_a_step_is_no_shorter_than_a_device_is_busy_in_it() -> None:
    found = diagnosed(loop(**WAITS), busy(0.8))
    assert found.ideal_step_ms == pytest.approx(24.0)
    assert found.ideal_step_interval is not None
    assert found.ideal_step_interval.low == pytest.approx(24.0)
    # 100 steps of 30 ms, the first of which waits as well, become such of 24 ms.
    assert free_input(found).speedup == pytest.approx(30 / 24, rel=0.01)
    assert free_input(found).known is LimitSource.ESTIMATED


def test_what_others_do_on_the_device_is_not_the_trainings() -> None:
    assert diagnosed(loop(**WAITS), busy(0.8, own=0.1)).ideal_step_ms == pytest.approx(10.0)


def test_a_trace_shows_how_busy_a_device_is() -> None:
    traced = device(step_ns=30 * MS, compute_ns=18 * MS, copy_in_ns=3 * MS, idle_waiting_ns=5 * MS)
    assert diagnosed(loop(**WAITS), traced).ideal_step_ms == pytest.approx(21.0)


AHEAD = (
    (loop(kind=LoopKind.CUSTOM, **WAITS), run_info(backend=None)),
    (replace(loop(**WAITS), batch_count=400), run_info()),
    (loop(**WAITS), run_info(backend="jax")),
    (loop(**WAITS), run_info(backend="torch")),
)


@pytest.mark.parametrize(("of", "info"), AHEAD)
def test_where_steps_return_early_and_no_device_was_measured_the_limit_is_a_bound(
    of: Loop, info: RunInfo
) -> None:
    found = diagnosed(of, idle(), info=info)
    assert free_input(found).known is LimitSource.UPPER_BOUND
    assert len(those(DeviceMayRunAhead, found.evidence)) == 1
    assert found.ideal_step_interval == Interval(
        low=pytest.approx(10 / (1 + 0.4 * math.sqrt(20)) - 0.5, rel=0.01), high=pytest.approx(30.0)
    )
    assert free_input(found).speedup_interval.low == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(("of", "info"), AHEAD)
def test_where_the_device_was_measured_it_is_none(of: Loop, info: RunInfo) -> None:
    found = diagnosed(of, busy(0.5), info=info)
    assert free_input(found).known is LimitSource.ESTIMATED
    assert those(DeviceMayRunAhead, found.evidence) == []
    assert found.ideal_step_ms == pytest.approx(15.0)


@pytest.mark.parametrize(("of", "info"), AHEAD)
def test_what_a_device_works_on_while_the_loop_waits_is_computing(of: Loop, info: RunInfo) -> None:
    assert diagnosed(of, busy(0.97), info=info).bound is Bound.COMPUTE
    assert diagnosed(of, busy(0.9), info=info).bound is Bound.BALANCED
    found = diagnosed(of, busy(0.3), info=info)
    assert found.bound is Bound.INPUT
    assert found.wall is not None
    assert found.wall.wait_ratio == pytest.approx(2 / 3, abs=0.01)


@pytest.mark.parametrize(
    ("computes", "known"), [(True, LimitSource.UPPER_BOUND), (False, LimitSource.ESTIMATED)]
)
def test_on_cpus_only_a_jax_that_computes_lets_a_loop_run_ahead(
    computes: bool, known: LimitSource
) -> None:
    info = run_info(versions={"tensorflow": "2.21.0", "jax": "0.10.2"}, jax_computes=computes)
    found = diagnosed(loop(kind=LoopKind.CUSTOM, **WAITS), info=info)
    assert free_input(found).known is known


def test_a_loop_that_waits_for_its_device_hides_nothing() -> None:
    assert diagnosed(loop(**WAITS), busy(0.97)).bound is Bound.INPUT


def test_what_is_left_to_a_device_at_the_end_of_an_epoch_is_computing() -> None:
    late = loop(wait_ns=0, compute_ns=8 * MS, epochs=2, pause_ns=SECOND)
    found = diagnosed(late, info=run_info(backend="jax"))
    assert found.bound is Bound.COMPUTE
    assert found.ideal_step_ms == pytest.approx(18.0)  # a second and 100 times 8 ms
    assert found.ideal_step_interval is not None
    assert found.ideal_step_interval.high == pytest.approx(18.0)
    assert diagnosed(late).bound is Bound.HOST


@pytest.mark.parametrize(
    ("of", "info", "devices"),
    [
        (loop(**WAITS), run_info(), (idle(),)),  # Keras on TensorFlow waits for its device
        (loop(kind=LoopKind.TRAIN_ON_BATCH, **WAITS), run_info(), (idle(),)),  # so does this
        (
            loop(kind=LoopKind.CUSTOM, **WAITS),
            run_info(),
            (),
        ),  # TensorFlow on CPUs computes at once
        (loop(**WAITS), run_info(backend="torch"), ()),  # and so does torch
    ],
)
def test_steps_that_wait_for_their_device_bound_nothing(
    of: Loop, info: RunInfo, devices: tuple[Device, ...]
) -> None:
    found = diagnosed(of, *devices, info=info)
    assert free_input(found).known is LimitSource.ESTIMATED
    assert those(DeviceMayRunAhead, found.evidence) == []


def test_jax_computes_on_after_a_step_has_returned_on_cpus_too() -> None:
    found = diagnosed(loop(**WAITS), info=run_info(backend="jax"))
    assert free_input(found).known is LimitSource.UPPER_BOUND
    (caveat,) = those(DeviceMayRunAhead, found.evidence)
    assert not caveat.traceable


def interval_of(of: Loop, cpu_ns: int | None = None) -> Interval:
    """Where the ideal step lies.

    Args:
        of: the loop.
        cpu_ns: what its thread was on a CPU, each step; None: not read.
    """
    whole_ns = of.end_ns - of.start_ns
    lanes, cpu = (lane(during=of),), Cpu(cores=2, limit=None, used=None, sampled=None)
    if cpu_ns is not None:
        used_ns = cpu_ns * of.step_count
        lanes = (lane(cpu_ns=used_ns, during=of),)
        used, sampled = (evenly((ns,), of.start_ns, of.end_ns) for ns in (used_ns, whole_ns))
        cpu = replace(cpu, used=used, sampled=sampled)
    found = analyse(profile(loops=(of,), lanes=lanes, cpu=cpu)).main
    assert found is not None
    interval = found.diagnosis.ideal_step_interval
    assert interval is not None
    return interval


def test_a_step_may_be_shorter_that_needs_not_get_going_again_after_a_wait() -> None:
    waits = loop(wait_ns=25 * MS, compute_ns=9 * MS, lane=0)
    # Half a millisecond goes to threads that are woken. After 25 ms, caches make the thread that trains
    # three times as slow at the most, and other threads half as slow again.
    assert interval_of(waits, cpu_ns=3 * MS) == Interval(
        low=pytest.approx(1.0 + 4.0 - 0.5, rel=0.03), high=pytest.approx(9.0)
    )
    assert interval_of(waits, cpu_ns=0).low == pytest.approx(6.0 - 0.5, rel=0.03)
    assert interval_of(waits).low == pytest.approx(3.0 - 0.5, rel=0.03)
    assert interval_of(loop(wait_ns=20 * MS, compute_ns=MS // 2)).low == 0.0


def test_a_short_pause_leaves_caches_as_they_are_and_a_longer_one_than_some_is_as_bad() -> None:
    lows = [
        interval_of(loop(wait_ns=wait_ms * MS, compute_ns=9 * MS, lane=0), cpu_ns=3 * MS).low
        for wait_ms in (1, 25, 100, 400)
    ]
    assert lows == sorted(lows, reverse=True)
    assert lows[0] > 7.0
    assert lows[2] == pytest.approx(lows[3])


def test_a_step_after_no_wait_is_as_short_as_it_can_be() -> None:
    ready = loop(wait_ns=0, compute_ns=3 * MS, lane=0)
    assert interval_of(ready, cpu_ns=MS) == interval_of(ready) == Interval(low=3.0, high=3.0)


def test_samples_show_that_a_loop_waits_where_no_clock_does() -> None:
    def met(state: HostState, samples: int) -> HostSample:
        place = Location("train.py", 7)
        return HostSample(
            function="read",
            location=place,
            part=Part.OWN_CODE,
            state=state,
            detail=None,
            samples=samples,
        )

    of = loop(LoopKind.TRAIN_ON_BATCH, wait_ns=None, compute_ns=18 * MS, lane=0)
    samples = (met(HostState.MAKING, 8), met(HostState.FRAMEWORK, 1))
    found = interval_of(replace(of, account=replace(of.account, samples=samples)), cpu_ns=MS)
    assert found.high == pytest.approx(2.0)
    assert found.low == pytest.approx(1 / 2.6 + 1 / 1.4 - 0.5, abs=0.05)
