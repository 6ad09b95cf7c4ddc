"""What numbers stand for: one stage named by several processes, lanes taken over, odd lines."""

import numpy as np
import pytest

from pipeprof.capture.collector.registry import Registry
from pipeprof.capture.recorder.facts import (
    Facts,
    LoopGauge,
    LoopLevel,
    LoopUpdate,
    RunGauge,
    SignalFacts,
    SignatureFacts,
    StageGauge,
    StageLevel,
    TraceWindowFacts,
    WarningFacts,
)
from pipeprof.capture.recorder.name_log import MOST_OF_A_TYPE
from pipeprof.recording.lane import Role
from pipeprof.recording.loop import LoopKind, WaitSource
from pipeprof.recording.source_code import Location
from tests.builders import START_NS
from tests.streams import NAMES, lane_line, loop_line, stage_line, worker_line


def registry(*lines: tuple[int, Facts], pid: int = 1) -> Registry:
    known = Registry(start_ns=START_NS, warmup=5)
    known.add_names(pid, lines)
    return known


def indices(known: Registry, pid: int, *numbers: int) -> list[int]:
    found: list[int] = known.translate(pid, np.array(numbers)).tolist()
    return found


def test_the_same_stage_of_two_processes_is_one():
    known = registry(stage_line(1, "read"), stage_line(2, "decode"))
    known.add_names(2, [stage_line(7, "decode", workers=4), stage_line(8, "flip")])
    assert [stage.facts.name for stage in known.stages] == ["read", "decode", "flip"]
    assert indices(known, 1, 1, 2) == [0, 1]
    assert indices(known, 2, 7, 8) == [1, 2]
    assert known.stages[1].facts.workers == 4


def test_stages_of_one_name_at_different_lines_are_two():
    known = registry(
        stage_line(1, "read", location=Location("a.py", 3)),
        stage_line(2, "read", location=Location("a.py", 9)),
    )
    assert len(known.stages) == 2


def test_a_stage_knows_its_parent_by_the_number_in_its_own_process():
    known = registry(stage_line(1, "read"), stage_line(2, "decode", parent=1))
    known.add_names(2, [stage_line(5, "decode"), stage_line(6, "flip", parent=5)])
    assert [stage.parent for stage in known.stages] == [None, 0, 1]


def test_stages_that_call_each_other_in_a_circle_keep_the_first_word():
    known = registry(
        stage_line(1, "a"),
        stage_line(2, "b", parent=1),
        stage_line(3, "c", parent=2),
        stage_line(4, "a", parent=3),
        stage_line(5, "b", parent=2),
    )
    assert [stage.parent for stage in known.stages] == [None, 0, 1]


def test_numbers_that_nobody_gave_out_stand_for_nothing():
    known = registry(stage_line(3, "read"))
    assert indices(known, 1, -1, 0, 1, 3, 4, 1 << 40) == [-1, -1, -1, 0, -1, -1]
    assert indices(known, 99, 3) == [-1]


def test_later_facts_are_added():
    known = registry(
        loop_line(1, waits_by=None),
        (1, LoopUpdate(waits_by=WaitSource.GAP_TIMES)),
        (2, LoopUpdate(kind=LoopKind.EVALUATE)),
    )
    assert known.loops[0].facts.waits_by is WaitSource.GAP_TIMES


def test_a_log_that_is_read_twice_changes_nothing():
    known = registry(*NAMES)
    before = [len(things) for things in (known.stages, known.lanes, known.loops, known.gauges)]
    known.add_names(1, NAMES)
    after = [len(things) for things in (known.stages, known.lanes, known.loops, known.gauges)]
    assert before == after
    assert len(known.signatures) == 1


def test_loops_are_known_apart_by_process_and_number():
    known = registry(loop_line(1), loop_line(2, LoopKind.EVALUATE, parent=1))
    known.add_names(2, [loop_line(1)])
    assert [loop.parent for loop in known.loops] == [None, 0, None]


def test_names_that_every_new_process_makes_end_in_one():
    known = registry()
    for pid in range(100, 200):
        known.add_names(pid, [stage_line(n, f"{pid} {n}") for n in range(1, 20)])
        known.add_names(pid, [lane_line(n, f"pool {pid} {n}", Role.INPUT) for n in range(20, 40)])
    assert len(known.stages) == len(known.lanes) == MOST_OF_A_TYPE + 1
    assert known.stages[-1].facts.name == "further stages"
    assert known.lanes[-1].name == "further threads"
    assert indices(known, 199, 18, 19) == [MOST_OF_A_TYPE] * 2
    assert {text.rpartition(" shown ")[2] for text in known.warnings} == {
        "as 'further stages'.",
        "as 'further threads'.",
    }


def test_a_log_that_goes_on_without_end_fills_no_memory():
    known = registry()
    known.add_names(1, (loop_line(n) for n in range(1, 5_000)))
    known.add_names(
        1,
        (
            (n, SignatureFacts(dtypes=(), shapes=(), samples=n, size_bytes=0))
            for n in range(5_000, 9_000)
        ),
    )
    known.add_names(1, ((n, RunGauge(name=str(n))) for n in range(9_000, 12_000)))
    known.add_names(1, ((n, WarningFacts(text=str(n))) for n in range(12_000, 15_000)))
    kept = (known.loops, known.signatures, known.gauges, known.warnings)
    assert [len(things) for things in kept] == [MOST_OF_A_TYPE] * 4
    assert indices(known, 1, MOST_OF_A_TYPE, MOST_OF_A_TYPE + 1) == [MOST_OF_A_TYPE - 1, -1]


def test_worker_processes_of_a_later_pool_take_over_the_lanes():
    known = registry()
    for epoch in range(3):
        for worker in range(2):
            known.add_names(100 * epoch + worker, [worker_line(1)])
        for worker in range(2):
            known.forget(100 * epoch + worker)
    assert [(lane.name, lane.pid) for lane in known.lanes] == [("worker 1", 200), ("worker 2", 201)]
    assert known.worker_slots == {}


def test_worker_processes_at_the_same_time_have_lanes_of_their_own():
    known = registry()
    for pid in (5, 6, 7):
        known.add_names(pid, [worker_line(1)])
    known.forget(6)
    known.add_names(8, [worker_line(1)])
    assert known.worker_slots == {5: 0, 7: 2, 8: 1}


def test_another_process_may_show_of_a_worker():
    known = registry(lane_line(1), worker_line(2, pid=9))
    known.add_names(9, [worker_line(1)])
    assert [lane.name for lane in known.lanes] == ["main", "worker 1"]
    assert indices(known, 9, 1) == indices(known, 1, 2) == [1]


def test_threads_of_one_name_are_known_apart_by_their_rings():
    known = registry(
        *(lane_line(n, "Thread", Role.INPUT, ring=ring) for n, ring in ((1, 1), (2, 2)))
    )
    assert len(known.lanes) == 2


def test_each_warning_is_kept_once():
    known = registry(*((n, WarningFacts(text=text)) for n, text in ((1, "a"), (2, "b"))))
    known.add_names(2, [(1, WarningFacts(text="a"))])
    assert known.warnings == ["a", "b"]


def test_the_signal_that_ends_the_recording_is_known():
    assert registry().ended_by is None
    assert registry((1, SignalFacts(name="SIGTERM"))).ended_by == "SIGTERM"


def trace_window(loop: int) -> TraceWindowFacts:
    return TraceWindowFacts(
        run="run_window1",
        loop=loop,
        start_ns=START_NS,
        end_ns=START_NS + 9,
        first_step=5,
        step_count=3,
    )


def test_a_trace_window_is_kept_once_with_its_loop():
    known = registry(loop_line(4), (5, trace_window(4)), (6, trace_window(7)))
    known.add_names(1, [(5, trace_window(4))])  # as when the log of a checkpoint is read again
    assert known.trace_windows == [trace_window(0)]


@pytest.mark.parametrize("level", StageLevel)
def test_a_gauge_of_a_stage_that_nobody_named_is_passed_over(level: StageLevel):
    known = registry(
        (1, StageGauge(level=level, stage=7)),
        (2, LoopGauge(level=LoopLevel.QUEUE, loop=7)),
        stage_line(3, "read"),
        (4, StageGauge(level=level, stage=3)),
    )
    assert [gauge.facts for gauge in known.gauges] == [StageGauge(level=level, stage=0)]
    assert indices(known, 1, 1, 2, 3, 4) == [-1, -1, 0, 0]
