import numpy as np
import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.recording.loop import UNKNOWN_NS, Loop, LoopKind
from pipeprof.report.figures.step_times import MOST_BARS, steps_figure
from pipeprof.report.figures.theme import UNKNOWN
from tests.builders import MS, loop, profile
from tests.report.figures.drawn import trace, view


def steps_of(*loops: Loop, number: int = 0):
    return view(steps_figure(analyse(profile(loops=loops))), number)


def test_each_step_is_a_bar_of_wait_and_compute() -> None:
    drawn = steps_of(loop(steps=20, wait_ns=20 * MS, compute_ns=10 * MS))
    assert trace(drawn, "wait")["y"] == [20.0] * 20
    assert trace(drawn, "compute")["y"] == [10.0] * 20
    assert trace(drawn, "wait")["x"] == list(range(20))


def test_an_unknown_wait_is_shown_as_unknown_and_never_as_none() -> None:
    waits = [5 * MS] * 10 + [UNKNOWN_NS] * 10
    drawn = steps_of(loop(steps=20, wait_ns=waits, compute_ns=10 * MS))
    assert len(trace(drawn, "wait")["y"]) == 10
    unknown = trace(drawn, "step, wait not known")
    assert (unknown["y"], unknown["marker"]["color"]) == ([10.0] * 10, UNKNOWN)
    assert "no wait is known" in drawn.caption


def test_epochs_are_marked_where_they_begin() -> None:
    drawn = steps_of(loop(steps=30, epochs=3))
    lines = [shape["x0"] for shape in drawn.layout["shapes"] if shape["type"] == "line"]
    assert lines == [9.5, 19.5]
    assert [each["text"] for each in drawn.layout["annotations"]] == ["epoch 2", "epoch 3"]


def test_a_slow_first_step_does_not_flatten_the_others() -> None:
    drawn = steps_of(loop(steps=100, wait_ns=0, compute_ns=[2_000 * MS] + [10 * MS] * 99))
    assert drawn.layout["yaxis"]["range"][1] < 20
    assert "1 bar is taller than the picture, up to 2.0 s." in drawn.caption


@pytest.mark.parametrize("steps", [1_000, 100_000])
def test_a_long_run_is_drawn_in_few_bars_that_keep_its_means(steps: int) -> None:
    taken = loop(steps=steps, wait_ns=2 * MS, compute_ns=3 * MS)
    drawn = steps_of(taken)
    wait, compute = trace(drawn, "wait"), trace(drawn, "compute")
    assert MOST_BARS / 3 < len(wait["y"]) <= MOST_BARS
    assert np.mean(wait["y"]) == pytest.approx(2.0)
    assert np.mean(compute["y"]) == pytest.approx(3.0)
    assert sum(wait["width"]) == pytest.approx(steps, rel=0.01)


def test_a_loop_of_which_few_steps_were_kept_is_drawn_from_its_time_bins() -> None:
    taken = cut(loop(steps=5_000, wait_ns=2 * MS, compute_ns=3 * MS), kept=100)
    wait = trace(steps_of(taken), "wait")
    assert np.mean(wait["y"]) == pytest.approx(2.0)
    assert max(wait["x"]) == pytest.approx(5_000, rel=0.02)


def cut(taken: Loop, kept: int) -> Loop:
    from dataclasses import fields, replace

    steps = taken.steps
    columns = {each.name: getattr(steps, each.name)[:kept] for each in fields(steps)}
    return replace(taken, steps=replace(steps, **columns))


def test_other_loops_can_be_chosen_and_the_training_comes_first() -> None:
    test = loop(LoopKind.EVALUATE, steps=200)
    figure = steps_figure(analyse(profile(loops=(test, loop(steps=50)))))
    assert figure is not None
    assert [each.name for each in figure.views] == ["2. fit, 50 steps", "1. evaluate, 200 steps"]


def test_without_loops_there_is_no_picture() -> None:
    assert steps_figure(analyse(profile(loops=()))) is None


def test_computing_with_callbacks_is_called_so() -> None:
    drawn = view(steps_figure(analyse(profile(loops=(loop(callback_ns=2 * MS),)))))
    assert trace(drawn, "compute and callbacks")["y"][0] == 10.0


def test_loops_of_different_lengths_are_numbered() -> None:
    loops = (loop(steps=50), loop(steps=70))
    figure = steps_figure(analyse(profile(loops=loops)))
    assert figure is not None
    assert [each.name for each in figure.views] == ["2. fit, 70 steps", "1. fit, 50 steps"]
