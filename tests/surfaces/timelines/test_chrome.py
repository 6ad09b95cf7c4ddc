"""What is written keeps the rules of the format, and has what was recorded."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeprof.analysis.analyse import analyse
from pipeprof.recording.account import HostFunction, Part
from pipeprof.recording.lane import Cpu, Role
from pipeprof.recording.level_names import DeviceLevel
from pipeprof.recording.profile import Profile
from pipeprof.recording.source_code import Location
from pipeprof.recording.span import SpanKind
from pipeprof.recording.stage import StageKind
from pipeprof.surfaces.timelines.chrome import to_chrome, to_chrome_of_ranks
from tests import builders, ranks
from tests.builders import MS, PID, SECOND, START_NS, Span
from tests.chrome_rules import Event, broken, enclosing

MAIN = builders.lane()
WORKER = builders.lane("worker 1", Role.WORKER, pid=PID + 1, tid=None)
FIT = builders.loop(steps=20, wait_ns=20 * MS, compute_ns=10 * MS, lane=0)


def events_of(recorded: Profile) -> list[Event]:
    events: list[Event] = json.loads(to_chrome(analyse(recorded)))["traceEvents"]
    return events


def traced(**parts: Any) -> list[Event]:
    spans = (
        Span(SpanKind.WORK, 0, START_NS, START_NS + 7 * MS, lane=1),
        Span(SpanKind.WORK, -1, START_NS + 2 * MS, START_NS + 3 * MS, lane=1),
    )
    given_parts = {
        "loops": (FIT,),
        "stages": (builders.stage("<decode>", during=FIT),),
        "lanes": (MAIN, WORKER),
        "spans": builders.spans(*spans),
    }
    return events_of(builders.profile(**given_parts | parts))


def named(events: list[Event], name: str) -> list[Event]:
    return [event for event in events if event["name"].startswith(name) and event["ph"] != "M"]


def test_the_rules_of_the_format_are_kept() -> None:
    events = traced(gauges={"queue": builders.gauge(1, 4)})
    assert broken(events) == []
    assert {event["ph"] for event in events} == {"X", "C", "M"}


def test_a_broken_rule_is_noticed() -> None:
    events = traced()
    steps = named(events, "step")
    steps[3]["dur"] += 1
    assert len(broken(events)) == 1
    steps[8]["tid"] = 99
    assert len(broken(events)) == 2


@st.composite
def trees(draw: st.DrawFn, start: int = 0, length: int = 1_000_000, depth: int = 3) -> list[Any]:
    """Begins and ends of intervals that nest, with borders in common and odd nanoseconds."""
    borders = sorted(draw(st.lists(st.integers(start, start + length), max_size=6)))
    spans = []
    for begin, end in zip(borders[::2], borders[1::2], strict=False):
        spans.append((begin, end))
        if depth and end > begin:
            spans += draw(trees(begin, end - begin, depth - 1))
    return spans


@given(trees(), trees(), st.integers(0, 10**15), st.integers(1, 40))
def test_intervals_of_a_thread_nest(
    first: list[Any], second: list[Any], late_ns: int, steps: int
) -> None:
    begin = START_NS + late_ns
    fit = builders.loop(
        steps=steps, wait_ns=3_333_333, compute_ns=1_111_111, start_ns=begin, lane=0
    )
    spans = [
        Span(SpanKind.WORK, 0, begin + start, begin + end, lane)
        for lane, tree in enumerate((first, second))
        for start, end in tree
    ]
    recorded = builders.profile(
        loops=(fit,),
        stages=(builders.stage(during=fit),),
        lanes=(MAIN, WORKER),
        spans=builders.spans(*spans),
    )
    assert recorded.check() == ()
    assert broken(events_of(recorded)) == []


def test_steps_their_parts_and_stages_stand_at_their_times() -> None:
    events = traced()
    steps, waits = named(events, "step"), named(events, "input wait")
    assert [step["args"]["step"] for step in steps] == list(range(20))
    assert {step["dur"] for step in steps} == {30_000.0}
    assert {wait["dur"] for wait in waits} == {20_000.0}
    (decode,) = named(events, "<decode>")
    (inner,) = named(events, "input work")
    assert (decode["pid"], decode["dur"]) == (PID + 1, 7_000.0)
    assert inner["ts"] - decode["ts"] == 2_000.0


def test_calls_of_the_host_and_compiling_stand_inside_and_between_the_steps() -> None:
    save = HostFunction(
        part=Part.CALLBACKS, name="Save.on_train_batch_end", location=Location("a.py", 3)
    )
    step = STEP_7
    events = traced(
        spans=builders.spans(
            Span(SpanKind.COMPILE, 0, step + MS, step + 24 * MS),
            Span(SpanKind.CALL, 0, step + 25 * MS, step + 29 * MS),
            Span(SpanKind.CALL, 0, FIT.end_ns, FIT.end_ns + 5 * MS),
        ),
        loops=(
            replace(FIT, account=replace(FIT.account, end_ns=FIT.end_ns + 9 * MS, pass_count=9)),
        ),
        host_functions=(save,),
    )
    assert broken(events) == []
    (compiling,) = named(events, "compile")
    first, last = named(events, "Save.on_train_batch_end")
    (thread,) = {event["tid"] for event in named(events, "step")}
    assert {event["tid"] for event in (compiling, first, last)} == {thread}
    assert first["args"] == {"location": "a.py:3"}
    assert last["ts"] == (FIT.end_ns - START_NS) / 1000
    inside = [e for e in named(events, "") if e["tid"] == thread and e["ph"] == "X"]
    inside = [e for e in inside if step <= START_NS + e["ts"] * 1000 < step + 30 * MS]
    assert [(e["name"], e["ts"] - 210_000, e["dur"]) for e in inside] == [
        ("step", 0, 30_000),
        ("compute", 0, 1_000),
        ("compile", 1_000, 23_000),
        ("input wait", 1_000, 20_000),
        ("compute", 24_000, 1_000),
        ("Save.on_train_batch_end", 25_000, 4_000),
        ("compute", 29_000, 1_000),
    ]


def test_a_wait_that_is_not_known_is_not_drawn() -> None:
    events = traced(loops=(builders.loop(steps=20, wait_ns=None, lane=0),))
    assert len(named(events, "step")) == 20
    assert named(events, "input wait") == named(events, "compute") == []


def test_stages_of_tf_data_are_drawn_as_means_and_say_so() -> None:
    fit = builders.loop(steps=25, wait_ns=20 * MS, compute_ns=10 * MS, lane=0)
    stage = builders.stage("MapAndBatch", StageKind.TF_DATA, location=None, during=fit)
    events = events_of(builders.profile(loops=(fit,), stages=(stage,)))
    (line,) = [e for e in events if "mean work, not intervals" in str(e.get("args"))]
    drawn = named(events, "MapAndBatch")
    assert len(drawn) == 20
    assert {event["tid"] for event in drawn} == {line["tid"]}


def test_levels_are_counters_where_they_were_read() -> None:
    seconds = (20 * SECOND,)
    cpu = Cpu(
        cores=4,
        limit=None,
        used=builders.evenly((3 * 20 * SECOND,), START_NS, START_NS + 20 * SECOND),
        sampled=builders.evenly(seconds, START_NS, START_NS + 20 * SECOND),
    )
    long = builders.loop(steps=2_000, wait_ns=9 * MS, compute_ns=MS, lane=0)
    busy = builders.lane("worker 2", Role.WORKER, tid=7, cpu_ns=2 * 20 * SECOND, during=long)
    gpu = builders.device(levels={DeviceLevel.MEMORY: builders.gauge(5)})
    events = traced(
        loops=(long,),
        lanes=(MAIN, busy),
        gauges={"queue": builders.gauge(1, None, 4)},
        cpu=cpu,
        devices=(gpu,),
    )
    levels: dict[str, list[float]] = {}
    for event in events:
        if event["ph"] == "C":
            levels.setdefault(event["name"], []).append(event["args"]["value"])
    assert levels.pop("queue") == [1, 4]
    assert levels.pop(f"{gpu.name}: device memory bytes") == [5]
    assert {round(level, 6) for level in levels.pop("CPU cores used")} == {3.0}
    assert {round(level, 6) for level in levels.pop("CPU cores used: worker")} == {2.0}
    assert levels == {}


STEP_7 = int(FIT.steps.start_ns[7])
MADE = Span(SpanKind.WORK, 0, START_NS + 5 * MS, START_NS + 9 * MS, lane=1)
INNER = Span(SpanKind.WORK, 0, START_NS + 5 * MS, START_NS + 6 * MS, lane=1)
TAKEN = Span(SpanKind.BATCH, 0, START_NS + 5 * MS, STEP_7 + 30 * MS)


def arrows(*spans: Span, **parts: Any) -> list[Event]:
    events = traced(spans=builders.spans(*spans), **parts)
    assert broken(events) == []
    return [event for event in events if event["ph"] in "sf"]


def test_levels_of_stages_named_alike_are_not_mixed() -> None:
    stages = (
        builders.stage("Prefetch", StageKind.TF_DATA, during=FIT, buffer=1, location=None),
        builders.stage("Prefetch", StageKind.TF_DATA, during=FIT, buffer=7, location=None),
    )
    counters = [event for event in traced(stages=stages) if event["ph"] == "C"]
    assert {event["name"]: event["args"]["value"] for event in counters} == {
        "buffer of Prefetch": 1,
        "buffer of Prefetch (2)": 7,
    }


def test_an_arrow_follows_a_batch_from_its_worker_to_the_end_of_its_wait() -> None:
    begin, end = arrows(INNER, MADE, TAKEN)
    events = traced(spans=builders.spans(INNER, MADE, TAKEN))
    (work,) = enclosing(events, begin)
    assert (work["pid"], work["dur"]) == (PID + 1, 4_000.0)
    assert [event["args"]["step"] for event in enclosing(events, end) if "args" in event] == [7]
    assert end["ts"] * 1000 == STEP_7 + 20 * MS - 1 - START_NS


def test_where_the_wait_is_not_known_an_arrow_leads_to_the_begin_of_the_step() -> None:
    fit = builders.loop(steps=20, wait_ns=None, compute_ns=30 * MS, lane=0)
    _, end = arrows(MADE, TAKEN, loops=(fit,))
    assert end["ts"] * 1000 == STEP_7 - START_NS


def test_a_batch_that_came_late_in_its_step_is_not_used_before_it_is_there() -> None:
    made = Span(SpanKind.WORK, 0, START_NS + 5 * MS, STEP_7 + 25 * MS, lane=1)
    begin, end = arrows(made, TAKEN)
    assert begin["ts"] == end["ts"] == (STEP_7 + 25 * MS - 1 - START_NS) / 1000


@pytest.mark.parametrize(
    "spans",
    [
        (TAKEN,),
        (MADE,),
        (MADE, replace(MADE, lane=0), TAKEN),
        (MADE, replace(TAKEN, end_ns=FIT.end_ns + MS)),
        (MADE, replace(TAKEN, start_ns=START_NS + 5 * MS + 1)),
        (replace(MADE, end_ns=STEP_7 + 31 * MS), TAKEN),
    ],
    ids=[
        "making not kept",
        "step not known",
        "two lanes at once",
        "step not kept",
        "other work",
        "made after the step",
    ],
)
def test_what_is_not_known_has_no_arrow(spans: tuple[Span, ...]) -> None:
    assert arrows(*spans) == []


def test_devices_have_lines_of_their_own() -> None:
    gpu = builders.lane("GPU 0", Role.DEVICE, tid=None)
    busy = builders.spans(Span(SpanKind.WORK, -1, START_NS, START_NS + MS, lane=1))
    events = traced(lanes=(MAIN, gpu), spans=busy)
    (drawn,) = named(events, "busy")
    assert drawn["dur"] == 1_000.0


def test_traced_steps_of_a_device_show_what_it_did() -> None:
    gpu = builders.device("GPU 0", steps=10, step_ns=30 * MS, compute_ns=8 * MS)
    events = traced(devices=(gpu, builders.device("GPU 1", steps=0)))
    assert broken(events) == []
    drawn = named(events, "device step")
    assert [event["dur"] for event in drawn] == [30_000.0] * 10
    assert drawn[0]["args"]["compute_ms"] == 8.0
    (line,) = [event for event in events if "traced steps" in str(event.get("args"))]
    assert line["args"]["name"] == "GPU 0: traced steps"


def test_traced_steps_that_overlap_are_not_drawn_over_each_other() -> None:
    gpu = builders.device("GPU 0", steps=3, step_ns=30 * MS)
    assert gpu.steps is not None
    late = replace(gpu.steps, end_ns=gpu.steps.end_ns + MS)
    events = traced(devices=(replace(gpu, steps=late),))
    assert broken(events) == []
    assert len(named(events, "device step")) == 2


def test_names_from_elsewhere_do_not_break_the_file() -> None:
    stage = builders.stage('"\ud800\x00\n</script>', during=FIT)
    written = to_chrome(analyse(builders.profile(loops=(FIT,), stages=(stage,))))
    assert "ud800" not in written
    assert broken(json.loads(written)["traceEvents"]) == []


def test_a_run_of_a_year_is_written_whole() -> None:
    year_ns = 365 * 24 * 3600 * SECOND
    late = builders.loop(steps=3, start_ns=START_NS + year_ns)
    events = traced(loops=(FIT, late))
    assert broken(events) == []
    assert named(events, "step")[-3]["ts"] == year_ns / 1000


def test_a_run_in_which_nothing_happened_is_a_trace() -> None:
    empty = replace(builders.profile(), loops=(), stages=(), lanes=())
    assert events_of(empty) == []


def test_ranks_are_processes_on_one_time_axis():
    profiles = ranks.in_lock_step(ranks.waits(2, 30, 2))
    profiles[2] = ranks.with_clock(profiles[2], 60)
    found = ranks.of_profiles(profiles)
    trace = json.loads(
        to_chrome_of_ranks(
            [
                replace(analyse(profile), ranks=replace(found, shown=number))
                for number, profile in enumerate(profiles)
            ]
        )
    )
    assert broken(trace["traceEvents"]) == []
    names = {
        event["pid"]: event["args"]["name"]
        for event in trace["traceEvents"]
        if event["name"] == "process_name"
    }
    assert [name.partition(" ·")[0] for name in names.values()] == ["rank 0", "rank 1", "rank 2"]
    ends = {
        pid: sorted(
            event["ts"] + event["dur"]
            for event in trace["traceEvents"]
            if event["name"] == "step" and event["pid"] == pid
        )
        for pid in names
    }
    first, *others = ends.values()
    assert len(first) == 100
    for other in others:  # the clock that is a minute ahead moves nothing
        assert other == pytest.approx(first, abs=1_000)
