from pipeprof.analysis.analyse import analyse
from pipeprof.report.figures.comparison import comparison_figures as compared
from tests.builders import MS, loop, profile, stage
from tests.report.figures.drawn import trace, view


def run(wait_ms: int | None, **costs_ms: int):
    taken = loop(wait_ns=None if wait_ms is None else wait_ms * MS, compute_ns=10 * MS)
    stages = (stage(name, cost_ns=cost * MS, during=taken) for name, cost in costs_ms.items())
    return analyse(profile(loops=(taken,), stages=tuple(stages)))


def test_runs_stand_beside_each_other_in_wait_and_compute() -> None:
    _, figure = compared([("slow", run(30)), ("fast", run(0)), ("unseen", run(None))])
    drawn = view(figure)
    assert trace(drawn, "wait")["x"] == [30.0, 0.0, 0.0]
    assert trace(drawn, "compute")["x"] == [10.0, 10.0, 0.0]
    assert trace(drawn, "step, wait not known")["x"] == [0.0, 0.0, 10.0]
    assert drawn.layout["yaxis"]["ticktext"] == ["slow ", "fast ", "unseen "]


def test_callbacks_are_a_part_of_a_step_of_their_own() -> None:
    taken = loop(wait_ns=30 * MS, compute_ns=10 * MS, callback_ns=4 * MS)
    _, figure, *_ = compared([("a", analyse(profile(loops=(taken,))))])
    drawn = view(figure)
    assert trace(drawn, "callbacks")["x"] == [4.0]
    assert trace(drawn, "compute")["x"] == [6.0]


def test_stages_of_one_name_stand_together() -> None:
    *_, figure = compared([("a", run(30, decode=20, read=5)), ("b", run(3, decode=2))])
    drawn = view(figure)
    assert drawn.layout["yaxis"]["ticktext"] == ["decode ", "read "]
    assert trace(drawn, "a")["x"] == [20.0, 5.0]
    assert trace(drawn, "b")["x"] == [2.0, 0.0]
    assert drawn.table.rows[1] == ("read", "5.0 ms", "\N{EN DASH}")


def test_runs_that_did_not_train_are_left_out() -> None:
    nothing = analyse(profile(loops=()))
    assert compared([("empty", nothing)]) == ()
    _, figure = compared([("empty", nothing), ("a", run(3))])
    drawn = view(figure)
    assert drawn.layout["yaxis"]["ticktext"] == ["a "]
