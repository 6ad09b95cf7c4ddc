"""How busy lanes and processors were, what was delivered, and what looking cost."""

import dataclasses

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.recording.lane import Cpu
from pipeprof.recording.level_names import MILLION, Level
from pipeprof.recording.loop import LoopKind
from pipeprof.recording.run_info import Overhead
from tests.builders import (
    MS,
    SECOND,
    evenly,
    gauge,
    lane,
    loop,
    profile,
    run_info,
    signature,
    stage,
)


def test_a_lane_is_measured_against_its_life_in_the_counted_time() -> None:
    fit = loop(warmup=0)
    half = loop(steps=50, warmup=0)
    found = analyse(
        profile(
            loops=(fit,),
            stages=(stage(lanes={1: SECOND}),),
            lanes=(
                lane(busy_ns=3 * SECOND, cpu_ns=SECOND, during=fit),
                lane("short-lived", busy_ns=750 * MS, during=half),
            ),
        )
    )
    whole, short = found.lanes

    assert whole.busy_ratio == pytest.approx(1)
    assert whole.cpu_ratio == pytest.approx(1 / 3)
    assert (short.busy_ratio, short.cpu_ratio) == (pytest.approx(0.5), None)
    assert (whole.stages, short.stages) == ((), ("decode",))


@pytest.mark.parametrize(("limit", "ratio", "saturated"), [(None, 0.475, False), (2.0, 0.95, True)])
def test_the_cpu_is_measured_against_what_the_run_may_use(
    limit: float | None, ratio: float, saturated: bool
) -> None:
    fit = loop()
    used = evenly((round((fit.end_ns - fit.start_ns) * 1.9),), fit.start_ns, fit.end_ns)
    found = analyse(profile(loops=(fit,), cpu=Cpu(cores=4, limit=limit, used=used)))

    assert found.cpu.process_ratio == pytest.approx(ratio)
    assert found.cpu.saturated is saturated


def test_only_time_that_readings_cover_counts_for_the_cpu() -> None:
    fit = loop()
    half = (fit.end_ns - fit.start_ns) // 2
    used, sampled = (evenly((half,), fit.start_ns, fit.end_ns) for _ in range(2))
    found = analyse(profile(loops=(fit,), cpu=Cpu(cores=2, limit=None, used=used, sampled=sampled)))

    assert found.cpu.process_ratio == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("level", "millionths", "saturated"),
    [
        (Level.MACHINE_CPU, 950_000, True),
        (Level.MACHINE_CPU, 600_000, False),
        (Level.THROTTLED, 400_000, True),
        (Level.THROTTLED, 10_000, False),
    ],
)
def test_no_core_is_left_when_others_have_them_or_the_container_may_not(
    level: Level, millionths: int, saturated: bool
) -> None:
    fit = loop()
    used = evenly((fit.end_ns - fit.start_ns,), fit.start_ns, fit.end_ns)
    gauges = {level.value: gauge(millionths, start_ns=fit.start_ns)}
    found = analyse(
        profile(loops=(fit,), cpu=Cpu(cores=4, limit=None, used=used), gauges=gauges)
    ).cpu

    assert found.process_ratio == pytest.approx(0.25)
    assert found.saturated is saturated
    parts = {Level.MACHINE_CPU: found.machine_ratio, Level.THROTTLED: found.throttled_ratio}
    assert parts.pop(level) == pytest.approx(millionths / MILLION)
    assert set(parts.values()) == {None}


def test_memory_and_rates_are_those_of_the_counted_time() -> None:
    fit = loop()
    levels = {Level.MEMORY: (100, 300), Level.DISK_READ: (7,), Level.SENT: (0,)}
    gauges = {level.value: gauge(*read, start_ns=fit.start_ns) for level, read in levels.items()}
    found = analyse(profile(loops=(fit,), gauges=gauges)).resources

    assert (found.memory_bytes, found.most_memory_bytes) == (200, 300)
    assert (found.disk_read_bytes_per_s, found.sent_bytes_per_s) == (7, 0)
    assert (found.disk_written_bytes_per_s, found.received_bytes_per_s) == (None, None)


def test_a_cpu_that_was_not_read_is_unknown() -> None:
    found = analyse(profile())

    assert (found.cpu.process_ratio, found.cpu.saturated) == (None, None)


def test_time_of_a_loop_inside_is_not_the_outer_loops() -> None:
    fit = loop(steps=100, warmup=0)
    inside = loop(LoopKind.EVALUATE, steps=50, warmup=0, parent=0, start_ns=fit.start_ns + SECOND)
    outer = stage("train", cost_ns=10 * MS, during=fit)
    found = analyse(profile(loops=(fit, inside), stages=(outer,)))

    assert found.stages[0].calls == 50
    assert found.stages[0].cost_ms == pytest.approx(5)


@pytest.mark.parametrize(
    ("kind", "sizes"), [(LoopKind.FIT, {32: 90}), (LoopKind.EVALUATE, {8: 10})]
)
def test_validation_batches_are_not_the_trainings(kind: LoopKind, sizes: dict[int, int]) -> None:
    validation = dataclasses.replace(signature((8, 100), batches=10), validation=True)
    found = analyse(
        profile(loops=(loop(kind),), deliveries=(signature(batches=90), validation))
    ).delivery
    assert found is not None
    assert found.batch_sizes == sizes


def test_batches_that_fed_loops_of_both_kinds_are_those_of_each() -> None:
    found = analyse(profile(loops=(loop(LoopKind.EVALUATE),), deliveries=(signature(batches=9),)))
    assert found.delivery is not None
    assert found.delivery.batch_sizes == {32: 9}


def test_delivery_counts_batches_by_size() -> None:
    short = dataclasses.replace(signature((8, 100), batches=1), size_bytes=3_200)
    found = analyse(profile(deliveries=(short, signature(batches=99))))

    assert found.delivery is not None
    assert found.delivery.batch_sizes == {32: 99, 8: 1}
    assert found.delivery.shapes == ((32, 100),)
    assert found.delivery.bytes_per_step == pytest.approx(12_704)
    assert (found.delivery.batches, found.delivery.samples) == (100, 3_200)


def test_overhead_is_a_share_of_the_run() -> None:
    cost = Overhead(probe_ns=1_000.0, events=10_000, dropped=3, collector_ns=10 * MS)
    found = analyse(profile(overhead=cost, run=run_info())).overhead

    assert found.ratio == pytest.approx(20 / 4_000)
    assert found.events_dropped == 3


def test_unmeasured_overhead_is_unknown() -> None:
    cost = Overhead(probe_ns=None, events=10_000, dropped=0, collector_ns=0)

    assert analyse(profile(overhead=cost)).overhead.ratio is None


def test_a_run_without_a_loop_has_no_verdict() -> None:
    found = analyse(profile(loops=(), stages=(stage(),), lanes=(lane(),)))

    assert (found.main, found.loops, found.stages, found.delivery) == (None, (), (), None)
    assert found.lanes[0].busy_ratio is None
