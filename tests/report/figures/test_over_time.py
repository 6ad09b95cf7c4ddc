from dataclasses import replace

import numpy as np
import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.recording.lane import Cpu, Role
from pipeprof.recording.level_names import DeviceLevel, Level, TfDataLevel
from pipeprof.recording.loop import Input, InputKind
from pipeprof.recording.series import Binned
from pipeprof.report.figures.accelerators import accelerators_figure
from pipeprof.report.figures.autotune_values import autotune_figure
from pipeprof.report.figures.processors import processors_figure
from pipeprof.report.figures.queues import queues_figure
from tests.builders import MS, SECOND, device, evenly, gauge, lane, loop, profile, run_info, stage
from tests.report.figures.drawn import trace, view

# 4 s.
FIT = loop(steps=400, wait_ns=5 * MS, compute_ns=5 * MS)
RUN = run_info(end_ns=FIT.end_ns)


def test_cpu_is_stacked_by_role_and_the_rest_of_the_tree_is_other() -> None:
    lanes = (
        lane("main", Role.MAIN, cpu_ns=2 * SECOND, during=FIT),
        lane("reader", Role.INPUT, cpu_ns=SECOND, during=FIT),
        lane("reader", Role.INPUT, cpu_ns=SECOND, during=FIT),
    )
    used = evenly((6 * SECOND,), FIT.start_ns, FIT.end_ns)
    recorded = profile(loops=(FIT,), lanes=lanes, cpu=Cpu(cores=4, limit=2.5, used=used), run=RUN)
    drawn = view(processors_figure(analyse(recorded)))
    means = {each["name"]: np.mean(each["y"]) for each in drawn.traces}
    assert means == pytest.approx({"training": 0.5, "input threads": 0.5, "other": 0.5}, abs=0.01)
    (limit,) = drawn.layout["shapes"]
    assert limit["y0"] == 2.5
    assert drawn.layout["annotations"][0]["text"] == "2.5 cores (limit)"


def test_what_all_programs_use_is_drawn_beside_the_training() -> None:
    used = evenly((SECOND,), FIT.start_ns, FIT.end_ns)
    gauges = {Level.MACHINE_CPU.value: gauge(1_000_000, 500_000)}
    recorded = profile(
        loops=(FIT,), cpu=Cpu(cores=4, limit=None, used=used), gauges=gauges, run=RUN
    )
    drawn = view(processors_figure(analyse(recorded)))
    assert trace(drawn, "all programs on the machine")["y"] == [4.0, 2.0]
    assert "all programs together" in drawn.caption


def test_all_programs_that_seem_to_use_less_than_the_training_are_not_named() -> None:
    """They were read in other moments."""
    used = evenly((SECOND,), FIT.start_ns, FIT.end_ns)
    gauges = {Level.MACHINE_CPU.value: gauge(1_000, 1_000)}
    recorded = profile(
        loops=(FIT,), cpu=Cpu(cores=4, limit=None, used=used), gauges=gauges, run=RUN
    )
    assert "all programs" not in view(processors_figure(analyse(recorded))).caption


def test_cpu_that_is_read_seldom_does_not_fall_to_nothing_between() -> None:
    during = loop(steps=1600, wait_ns=5 * MS, compute_ns=5 * MS)

    def read_each_2_s(reading_ns: int, channels: int = 1) -> Binned:
        sums = np.zeros((8 * 2, channels), np.int64)
        sums[1::2, 0] = reading_ns
        return Binned(start_ns=during.start_ns, width_ns=SECOND, sums=sums)

    reader = replace(
        lane("reader", Role.INPUT, during=during), cpu=read_each_2_s(SECOND, channels=2)
    )
    recorded = profile(
        loops=(during,),
        lanes=(reader,),
        cpu=Cpu(
            cores=2,
            limit=None,
            used=read_each_2_s(SECOND),
            sampled=read_each_2_s(2 * SECOND),
        ),
        run=run_info(end_ns=during.end_ns),
    )
    cores = trace(view(processors_figure(analyse(recorded))), "input threads")["y"]
    assert min(cores) > 0.2


def test_without_any_reading_of_the_cpu_there_is_no_picture() -> None:
    assert processors_figure(analyse(profile(loops=(FIT,), run=RUN))) is None


def test_use_of_devices_is_drawn_as_their_driver_reported_it() -> None:
    busy = {DeviceLevel.UTILISATION: gauge(250_000, 750_000), DeviceLevel.POWER: gauge(200_000)}
    idle = {DeviceLevel.UTILISATION: gauge(0)}
    devices = (
        device("GPU 1", steps=0, levels=idle),
        device("GPU 0", steps=0, model="NVIDIA H200", levels=busy),
    )
    drawn = view(accelerators_figure(analyse(profile(loops=(FIT,), devices=devices, run=RUN))))
    assert [each["name"] for each in drawn.traces] == ["GPU 0, NVIDIA H200", "GPU 1"]
    assert trace(drawn, "GPU 0, NVIDIA H200")["y"] == [25.0, 75.0]
    unknown = ("not known", "not known")
    assert drawn.table.rows == (
        ("GPU 0 (NVIDIA H200)", "50 %", *unknown, "200 W"),
        ("GPU 1", "0 %", *unknown, "not known"),
    )


def test_devices_of_which_no_driver_reported_have_no_picture() -> None:
    recorded = profile(loops=(FIT,), devices=(device(),), run=RUN)
    assert accelerators_figure(analyse(recorded)) is None


def test_a_queue_of_known_size_is_shown_filled_in_part() -> None:
    fed = Input(kind=InputKind.SEQUENCE, queue=gauge(0, 5, 10), queue_size=10)
    recorded = profile(loops=(loop(fed_by=fed),))
    drawn = view(queues_figure(analyse(recorded)))
    ready = trace(drawn, "batches ready for the training")
    assert ready["y"] == [0.0, 50.0, 100.0]
    assert ready["customdata"] == [0.0, 5.0, 10.0]
    assert drawn.table.rows == (("batches ready for the training", "5.0", "10", "33 %"),)


@pytest.mark.parametrize(("level", "lines"), [(2, 1), (1, 2)])
def test_a_buffer_that_is_the_queue_itself_is_shown_once(level: int, lines: int) -> None:
    fed = Input(kind=InputKind.TF_DATA, queue=gauge(2))
    recorded = profile(
        loops=(loop(fed_by=fed),), stages=(stage("prefetch", buffer=level, buffer_size=2),)
    )
    assert len(view(queues_figure(analyse(recorded))).traces) == lines


def test_what_autotune_chose_is_shown_with_its_budgets() -> None:
    tuned = replace(
        stage("decode", parallelism=2, autotuned=True, most_parallelism=8, during=FIT),
        parallelism=gauge(1, 4, 8),
    )
    fixed = stage("read", parallelism=1, autotuned=False, during=FIT)
    gauges = {"AUTOTUNE CPU budget": gauge(4), "AUTOTUNE RAM budget": gauge(2_000_000_000)}
    recorded = profile(loops=(FIT,), stages=(tuned, fixed), gauges=gauges)
    drawn = view(autotune_figure(analyse(recorded)))
    assert [each["name"] for each in drawn.traces] == ["decode"]
    assert drawn.traces[0]["y"] == [1.0, 4.0, 8.0]
    assert drawn.table.rows == (("calls at once", "decode", "1", "8", "8"),)
    assert drawn.caption == "It may let 4 calls run at once. Its buffers may take 2.0 GB."


def test_what_lies_in_buffers_is_shown_with_what_was_chosen_and_not_alone() -> None:
    gauges = {TfDataLevel.BUFFERED.value: gauge(1_000_000, 64_000_000)}
    sized = stage("prefetch", buffer=1, buffer_size=2, during=FIT)
    drawn = view(autotune_figure(analyse(profile(stages=(sized,), gauges=gauges))))
    assert trace(drawn, "all buffers")["y"] == [1.0, 64.0]
    assert drawn.table.rows[-1] == ("MB in buffers", "all buffers", "1", "64", "64")
    assert autotune_figure(analyse(profile(stages=(stage(),), gauges=gauges))) is None


def test_where_autotune_chose_nothing_there_is_no_picture() -> None:
    assert autotune_figure(analyse(profile(stages=(stage(),)))) is None
