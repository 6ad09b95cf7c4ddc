import re
from dataclasses import replace

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.recording.lane import Role
from pipeprof.recording.loop import Loop
from pipeprof.recording.profile import Profile
from pipeprof.recording.span import SpanKind
from pipeprof.report.figures.activity import MOST_LANES
from pipeprof.report.figures.lane_timeline import MOST_BARS, timeline_figure
from tests.builders import (
    MS,
    START_NS,
    Span,
    cut_short,
    lane,
    loop,
    profile,
    spans,
    stage,
    step_spans,
    trace_window,
)
from tests.report.figures.drawn import trace, view


def recorded(taken: Loop, *work: Span, lanes: int = 2, **others) -> Profile:
    return profile(
        loops=(taken,),
        stages=(stage("decode", during=taken), stage("read", during=taken, parent=0)),
        lanes=tuple(
            lane("main" if number == 0 else "worker", Role.MAIN if number == 0 else Role.WORKER)
            for number in range(lanes)
        ),
        spans=spans(*step_spans(taken), *work),
        **others,
    )


def work(start_ms: float, end_ms: float, on: int = 1, stage: int = 0) -> Span:
    start_ns, end_ns = (START_NS + round(at * MS) for at in (start_ms, end_ms))
    return Span(SpanKind.WORK, stage, start_ns, end_ns, on)


# Each step waits 20 ms and then computes 10 ms.
FIT = loop(steps=10, warmup=0, lane=0)


def test_the_training_is_shown_waiting_and_computing() -> None:
    drawn = view(timeline_figure(analyse(recorded(FIT))))
    wait, compute = trace(drawn, "wait"), trace(drawn, "compute")
    assert (wait["base"][:2], wait["x"][:2]) == ([0.0, 30.0], [20.0, 20.0])
    assert (compute["base"][:2], compute["x"][:2]) == ([20.0, 50.0], [10.0, 10.0])
    assert len(drawn.layout["shapes"]) == 10
    # Plotly makes a lone row's bars as high as the distance to the next one, unless given.
    assert all(each["width"] < 1 for each in drawn.traces)


@pytest.mark.parametrize(
    ("begin_ms", "end_ms", "share"), [(0, 20, "0 %"), (20, 30, "100 %"), (10, 30, "50 %")]
)
def test_overlap_is_what_ran_while_the_training_computed(
    begin_ms: float, end_ms: float, share: str
) -> None:
    pieces = [work(30 * step + begin_ms, 30 * step + end_ms) for step in range(10)]
    drawn = view(timeline_figure(analyse(recorded(FIT, *pieces))))
    assert f"In this time range {share} of the input's work" in drawn.caption


def test_work_within_other_work_is_drawn_over_it_and_counted_once() -> None:
    drawn = view(timeline_figure(analyse(recorded(FIT, work(0, 30), work(5, 10, stage=1)))))
    names = [each["name"] for each in drawn.traces]
    assert names.index("read") > names.index("decode")
    worker = drawn.table.rows[1]
    assert worker[:3] == ("worker", "worker", "30.0 ms")


def test_a_device_is_busy_with_the_training_and_no_part_of_the_inputs_work() -> None:
    recorded_gpu = recorded(FIT, work(0, 20), work(20, 30, on=2, stage=-1), lanes=3)
    lanes = (*recorded_gpu.lanes[:2], lane("GPU 0", Role.DEVICE))
    drawn = view(timeline_figure(analyse(replace(recorded_gpu, lanes=lanes))))
    assert trace(drawn, "device busy")["x"] == [10.0]
    assert "In this time range 0 % of the input's work" in drawn.caption


def test_lanes_of_one_name_are_numbered_and_only_the_busiest_drawn() -> None:
    pieces = [work(0, 30, on=number) for number in range(1, 60)]
    drawn = view(timeline_figure(analyse(recorded(FIT, *pieces, lanes=60))))
    names = [row[0] for row in drawn.table.rows]
    assert names == ["training", *(f"worker {number}" for number in range(1, MOST_LANES + 1))]
    assert f"{59 - MOST_LANES} lanes with less work not drawn." in drawn.caption


def test_very_many_pieces_make_few_bars_of_the_same_length() -> None:
    pieces = [work(0.02 * number, 0.02 * number + 0.015) for number in range(9_000)]
    taken = loop(steps=10, warmup=0, lane=0)
    drawn = view(timeline_figure(analyse(recorded(taken, *pieces))))
    assert sum(len(each["x"]) for each in drawn.traces) <= MOST_BARS


def test_there_are_windows_to_choose_from_the_longest_wait_among_them() -> None:
    waits = [20 * MS] * 200
    waits[120] = 300 * MS
    taken = loop(steps=200, wait_ns=waits, epochs=4, lane=0)
    figure = timeline_figure(analyse(recorded(taken)))
    assert figure is not None
    names = [each.name for each in figure.views]
    assert [name.split(":")[0] for name in names] == [
        "middle",
        "longest wait",
        "start of an epoch",
        "first steps",
        "last steps",
    ]
    (longest,) = [name for name in names if name.startswith("longest wait")]
    first, last = map(int, re.findall(r"\d+", longest))
    assert first <= 120 <= last
    for each in figure.views:
        assert each.start_ms is not None
        assert each.end_ms is not None
        assert each.start_ms < each.end_ms


def names_of_windows(taken: Loop) -> list[str]:
    figure = timeline_figure(analyse(recorded(taken)))
    assert figure is not None
    return [each.name for each in figure.views]


def test_no_epoch_starts_at_the_first_step_kept_behind_those_that_were_not() -> None:
    one_epoch_each = cut_short(loop(steps=200, epochs=2, lane=0), first=50, last=50)
    assert not any(name.startswith("start") for name in names_of_windows(one_epoch_each))
    many = cut_short(loop(steps=400, epochs=3, lane=0), first=30, last=200)
    assert "start of an epoch: steps 265 to 276" in names_of_windows(many)


def test_the_longest_wait_is_shown_where_the_steps_before_it_were_not_kept() -> None:
    waits = [20 * MS] * 400
    waits[200] = 300 * MS
    taken = cut_short(loop(steps=400, wait_ns=waits, lane=0), first=30, last=200)
    assert "longest wait: steps 200 to 211" in names_of_windows(taken)


def test_traced_steps_are_a_window_of_their_own() -> None:
    long = loop(steps=100, lane=0)
    window = trace_window(long, 30, *[20 * MS] * 5)
    figure = timeline_figure(analyse(replace(recorded(long), trace_windows=(window,))))
    assert figure is not None
    assert "traced: steps 30 to 34" in [each.name for each in figure.views]


def test_a_run_without_single_steps_has_no_picture() -> None:
    assert timeline_figure(analyse(profile())) is None
    assert timeline_figure(analyse(profile(loops=()))) is None
