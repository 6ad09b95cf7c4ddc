"""Devices and traced waits on planted cases, each beside its opposite."""

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.caveat_kinds import ContradictingWaits, SharedCores
from pipeprof.analysis.findings.machine_findings import DeviceSource
from pipeprof.recording.level_names import DeviceLevel
from pipeprof.recording.loop import WaitSource
from tests.builders import (
    MS,
    device,
    gauge,
    lane,
    loop,
    profile,
    stage,
    those,
    trace_window,
)


def test_the_busiest_device_comes_first_with_its_parts():
    slow, fast = device(steps=4), device("GPU 1", compute_ns=20 * MS, idle_waiting_ns=0)
    first, second = analyse(profile(devices=(slow, fast))).devices
    assert (first.name, first.busy_ratio) == ("GPU 1", pytest.approx(22 / 30))
    assert (second.traced_steps, second.source) == (4, DeviceSource.TRACE)
    assert (second.step_ms, second.compute_ms, second.copy_in_ms) == (10.0, 8.0, 2.0)
    assert second.busy_ratio == pytest.approx(1 / 3)
    assert second.idle_waiting_ratio == pytest.approx(1 / 2)


def test_without_a_trace_the_driver_reports_how_busy_a_device_was():
    measured = device(steps=0, levels={DeviceLevel.UTILISATION: gauge(400_000, 600_000)})
    unmeasured = device("GPU 1", steps=0)
    first, second = analyse(profile(devices=(unmeasured, measured))).devices
    assert (first.source, first.busy_ratio, first.step_ms) == (DeviceSource.NVML, 0.5, None)
    assert (second.source, second.busy_ratio) == (DeviceSource.NONE, None)


@pytest.mark.parametrize(
    ("devices", "seen"),
    [
        ((device(),), True),
        ((device(steps=0, levels={DeviceLevel.UTILISATION: gauge(300_000)}),), True),
        # Others use it, the training does not.
        (
            (
                device(
                    steps=0,
                    levels={
                        DeviceLevel.UTILISATION: gauge(300_000),
                        DeviceLevel.OWN_UTILISATION: gauge(0),
                    },
                ),
            ),
            False,
        ),
        # It is there, and the training does not use it.
        ((device(steps=0, levels={DeviceLevel.UTILISATION: gauge(0)}),), False),
        ((), False),
    ],
)
def test_only_without_an_accelerator_is_the_ideal_step_an_estimate(devices, seen):
    fit = loop()
    found = analyse(
        profile(loops=(fit,), stages=(stage(during=fit),), lanes=(lane(),), devices=devices)
    )
    assert found.main is not None
    shared = those(SharedCores, found.main.diagnosis.evidence)
    assert shared == ([] if seen else [SharedCores(cores=2, idle=tuple(d.name for d in devices))])


def test_a_device_of_which_nothing_was_measured_may_well_be_used() -> None:
    fit = loop()
    found = analyse(
        profile(
            loops=(fit,),
            stages=(stage(during=fit),),
            lanes=(lane(),),
            devices=(device(steps=0, levels={}),),
        )
    )
    assert found.main is not None
    assert those(SharedCores, found.main.diagnosis.evidence) == []


def contradictions(
    *waits_ms: float, waits_by: WaitSource = WaitSource.GAP_TIMES
) -> list[ContradictingWaits]:
    """Of a loop that waits 20 ms in each step, with a window over some of its steps."""
    fit = loop(waits_by=waits_by)
    window = trace_window(fit, 10, *(round(wait * MS) for wait in waits_ms))
    found = analyse(profile(loops=(fit,), trace_windows=(window,)))
    assert found.main is not None
    return those(ContradictingWaits, found.main.diagnosis.evidence)


def test_waits_that_the_profiler_saw_otherwise_are_reported():
    assert contradictions(14.0, 15.0, 16.0) == [
        ContradictingWaits(steps=3, measured_ms=20.0, traced_ms=15.0, way_unmeasured=False)
    ]


def test_the_way_from_a_generator_to_the_training_is_no_contradiction():
    [longer] = contradictions(25.0, waits_by=WaitSource.GENERATOR)
    [shorter] = contradictions(15.0, waits_by=WaitSource.GENERATOR)
    assert (longer.way_unmeasured, shorter.way_unmeasured) == (True, False)


@pytest.mark.parametrize("waits_ms", [(19.0, 20.0, 20.5), (10.0, 30.0)])
def test_waits_that_the_profiler_confirms_on_average_need_no_word(waits_ms):
    assert contradictions(*waits_ms) == []


def test_a_trace_does_not_check_itself():
    assert contradictions(5.0, 5.0, waits_by=WaitSource.TRACE) == []


def test_steps_whose_wait_was_not_measured_are_left_out():
    fit = loop(wait_ns=None)
    window = trace_window(fit, 10, 5 * MS, 5 * MS)
    found = analyse(profile(loops=(fit,), trace_windows=(window,)))
    assert found.main is not None
    assert those(ContradictingWaits, found.main.diagnosis.evidence) == []
