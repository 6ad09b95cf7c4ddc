import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from pipeprof.analysis.findings.findings import Findings, StageFinding
from pipeprof.recording.account import HostFunction, Part
from pipeprof.recording.lane import Cpu, Lane, Role
from pipeprof.recording.loop import Input, Loop, LoopKind
from pipeprof.recording.series import Binned
from pipeprof.recording.source_code import Location
from pipeprof.recording.span import SpanKind
from pipeprof.recording.stage import Stage, StageKind
from pipeprof.surfaces.timelines.cores_over_time import cores_used
from pipeprof.surfaces.timelines.xplane import LONGEST_NS, to_xspace
from pipeprof.xspace.xplane_schema import XSpace
from tests import builders
from tests.builders import MS, PID, START_NS, Span

MAIN_LANE = builders.lane()
WORKER = builders.lane("worker 1", Role.WORKER, pid=PID + 1, tid=None)


def findings_of(
    fit: Loop,
    *,
    spans: Iterable[Span] = (),
    stages: Sequence[Stage] = (),
    costs: Sequence[StageFinding] = (),
    lanes: Sequence[Lane] = (MAIN_LANE, WORKER),
    others: Sequence[Loop] = (),
    **parts: object,
) -> Findings:
    recorded = builders.profile(
        loops=(fit, *others),
        stages=tuple(stages),
        lanes=tuple(lanes),
        spans=builders.spans(*spans),
        **parts,
    )
    assert not recorded.check()
    found = builders.findings(main=builders.loop_finding(fit), stages=tuple(costs))
    return replace(found, profile=recorded)


# Reading back what was written


@dataclass(frozen=True)
class Event:
    name: str
    start_ms: float
    end_ms: float
    stats: dict[str, object]


def read(content: bytes) -> dict[str, dict[str, list[Event]]]:
    """Planes by name, their lines by name, their events."""
    return {
        plane.name: {
            line.name: [_event(plane, line, each) for each in line.events] for line in plane.lines
        }
        for plane in XSpace.FromString(content).planes
    }


def _event(plane, line, event) -> Event:
    start_ms = line.timestamp_ns / 1e6 + event.offset_ps / 1e9
    return Event(
        plane.event_metadata[event.metadata_id].name,
        start_ms,
        start_ms + event.duration_ps / 1e9,
        {
            plane.stat_metadata[stat.metadata_id].name: getattr(stat, stat.WhichOneof("value"))
            for stat in event.stats
        },
    )


def host_lines(findings: Findings, **options: int) -> dict[str, list[Event]]:
    return read(to_xspace(findings, **options))["/host:CPU"]


def parts(events: Iterable[Event]) -> list[tuple[str, float, float]]:
    return [(event.name, event.start_ms, event.end_ms) for event in events]


# Steps


def test_a_step_comes_before_its_wait_and_its_computing():
    fit = builders.loop(steps=7, wait_ns=20 * MS, compute_ns=10 * MS, lane=0)
    training = host_lines(findings_of(fit))["fit (MainThread)"]
    assert parts(training[-3:]) == [
        ("train", 180.0, 210.0),
        ("input wait", 180.0, 200.0),
        ("compute", 200.0, 210.0),
    ]
    assert training[-3].stats == {"_r": 1, "step_num": 6}


def test_only_steps_that_the_verdict_counts_are_marked():
    fit = builders.loop(steps=12, warmup=3, epochs=2, lane=0)
    training = host_lines(findings_of(fit))["fit (MainThread)"]
    marked = [event.stats["step_num"] for event in training if event.stats.get("_r") == 1]
    assert marked == [3, 4, 5, 7, 8, 9, 10, 11]
    names = Counter(event.name for event in training)
    assert names["warm-up step"] == 2
    assert names["first step of an epoch"] == 2


def test_the_first_kept_step_of_a_late_window_is_no_epochs_first():
    fit = builders.loop(steps=20, epochs=2, lane=0)
    kept = np.r_[0:8, 15:20]
    steps = replace(
        fit.steps,
        **{name: getattr(fit.steps, name)[kept] for name in fit.steps.__dataclass_fields__},
    )
    training = host_lines(findings_of(replace(fit, steps=steps)))["fit (MainThread)"]
    marked = [event.stats["step_num"] for event in training if "_r" in event.stats]
    assert marked == [5, 6, 7, 15, 16, 17, 18, 19]


def test_steps_whose_wait_is_unknown_are_drawn_but_not_marked():
    fit = builders.loop(steps=8, wait_ns=None, compute_ns=10 * MS, lane=0)
    content = to_xspace(findings_of(fit))
    training = read(content)["/host:CPU"]["fit (MainThread)"]
    assert parts(training[-2:]) == [("fit step", 60.0, 70.0), ("fit step", 70.0, 80.0)]
    assert not any("_r" in event.stats for event in training)
    assert "No step is marked here" in XSpace.FromString(content).warnings[0]


def test_an_input_without_waits_leaves_only_computing_in_the_steps():
    fit = builders.loop(steps=6, wait_ns=0, compute_ns=10 * MS, warmup=5, lane=0)
    training = host_lines(findings_of(fit))["fit (MainThread)"]
    assert parts(training[-2:]) == [("train", 50.0, 60.0), ("compute", 50.0, 60.0)]


def test_other_loops_have_lines_of_their_own_without_marks():
    fit = builders.loop(steps=10, lane=0)
    check = builders.loop(LoopKind.EVALUATE, steps=9, start_ns=fit.end_ns, lane=0, warmup=0)
    lines = host_lines(findings_of(fit, others=(check,)))
    assert list(lines)[:2] == ["fit (MainThread)", "evaluate (MainThread)"]
    validation = lines["evaluate (MainThread)"]
    assert sum(event.name == "evaluate step" for event in validation) == 8
    assert not any("_r" in event.stats or "_ipl_stage_id" in event.stats for event in validation)


# Lanes


def test_a_lane_is_a_line_with_outer_stages_before_inner_ones():
    stages = (builders.stage("decode"), builders.stage("read", location=None))
    spans = (
        Span(SpanKind.WORK, 0, START_NS, START_NS + 9 * MS, 1, inner_ns=2 * MS),
        Span(SpanKind.WORK, 1, START_NS + MS, START_NS + 3 * MS, 1),
        Span(SpanKind.WAIT, 0, START_NS + 9 * MS, START_NS + 10 * MS, 1),
    )
    lines = host_lines(findings_of(builders.loop(lane=0), spans=spans, stages=stages))
    worker = lines["worker 1 (worker, process 4001)"]
    assert parts(worker) == [
        ("decode (train.py:41)", 0.0, 9.0),
        ("read", 1.0, 3.0),
        ("waiting", 9.0, 10.0),
    ]
    assert [event.stats["_ipl_stage_cat"] for event in worker] == [
        "preprocessing",
        "read",
        "prefetch",
    ]
    assert worker[0].stats["location"] == "train.py:41"


def test_the_id_of_a_stage_is_that_of_its_event():
    stages = (builders.stage("decode"), builders.stage("read", location=None))
    spans = [
        Span(SpanKind.WORK, number % 2, START_NS + number * MS, START_NS + (number + 1) * MS, 1)
        for number in range(6)
    ]
    content = to_xspace(findings_of(builders.loop(lane=0), spans=spans, stages=stages))
    plane = XSpace.FromString(content).planes[0]
    ids = {
        (event.metadata_id, stat.int64_value)
        for line in plane.lines
        for event in line.events
        for stat in event.stats
        if plane.stat_metadata[stat.metadata_id].name == "_ipl_stage_id"
    }
    assert len(ids) == 3
    assert all(metadata == stage for metadata, stage in ids)


def test_of_two_that_begin_together_the_one_that_was_recorded_last_is_the_outer_one():
    names = ("outer", "same", "inner")
    stages = tuple(builders.stage(name, location=None) for name in names)
    spans = (
        Span(SpanKind.WORK, 2, START_NS, START_NS + MS, 1),
        Span(SpanKind.WORK, 1, START_NS, START_NS + 9 * MS, 1, inner_ns=MS),
        Span(SpanKind.WORK, 0, START_NS, START_NS + 9 * MS, 1, inner_ns=9 * MS),
    )
    lines = host_lines(findings_of(builders.loop(lane=0), spans=spans, stages=stages))
    worker = lines["worker 1 (worker, process 4001)"]
    assert [event.name for event in worker] == list(names)


def test_inner_work_that_was_not_kept_is_taken_off_the_beginning():
    stages = (builders.stage("decode"), builders.stage("read", location=None))
    spans = (
        Span(SpanKind.WORK, 0, START_NS, START_NS + 9 * MS, 1, inner_ns=5 * MS),
        Span(SpanKind.WORK, 1, START_NS + 4 * MS, START_NS + 6 * MS, 1),
    )
    lines = host_lines(findings_of(builders.loop(lane=0), spans=spans, stages=stages))
    unseen = lines["worker 1 (worker, process 4001)"][1]
    assert (unseen.start_ms, unseen.end_ms) == (0.0, 3.0)
    assert unseen.stats["_ipl_stage_cat"] == "prefetch"


def test_steps_among_the_intervals_are_not_drawn_twice():
    fit = builders.loop(steps=6, lane=0)
    work = Span(SpanKind.WORK, 0, START_NS, START_NS + MS)
    spans = (*builders.step_spans(fit), work)
    lines = host_lines(findings_of(fit, spans=spans, stages=(builders.stage(),)))
    assert parts(lines["MainThread (main, process 4000, thread 4000)"]) == [
        ("decode (train.py:41)", 0.0, 1.0)
    ]


def test_devices_are_shown_in_planes_that_do_not_disturb_the_analysis():
    gpu = builders.lane("GPU 0", Role.DEVICE, tid=None)
    busy = Span(SpanKind.WORK, -1, START_NS, START_NS + MS, 1)
    planes = read(to_xspace(findings_of(builders.loop(), spans=(busy,), lanes=(MAIN_LANE, gpu))))
    assert parts(planes["/device:CUSTOM:GPU 0"]["busy"]) == [("busy", 0.0, 1.0)]
    assert not any("GPU" in name for name in planes["/host:CPU"])


def test_traced_steps_of_a_device_are_a_plane_of_their_own():
    gpu = builders.device("GPU 0", steps=10, step_ns=30 * MS)
    planes = read(to_xspace(findings_of(builders.loop(), devices=(gpu,))))
    drawn = planes["/device:CUSTOM:GPU 0 as traced"]["traced steps"]
    assert len(drawn) == 10
    assert drawn[0].stats == {"busy_ms": 10.0}
    assert not any(name.startswith("/device:GPU") for name in planes)


def test_no_more_events_than_asked_for_are_written_and_a_warning_says_so():
    fit = builders.loop(steps=50, lane=0)
    spans = [Span(SpanKind.WORK, 0, START_NS + n, START_NS + n + 1, 1) for n in range(40)]
    found = findings_of(fit, spans=spans, stages=(builders.stage(),))
    content = to_xspace(found, max_events=10)
    lines = read(content)["/host:CPU"]
    assert len(lines["worker 1 (worker, process 4001)"]) == 10
    assert sum("_r" in event.stats for event in lines["fit (MainThread)"]) == 10
    warnings = XSpace.FromString(content).warnings
    assert list(warnings) == ["Only the last 10 of 40 recorded intervals are in this file."]


@pytest.mark.parametrize(("later_ns", "kept"), [(0, True), (1, False)])
def test_of_a_run_longer_than_times_can_show_the_end_is_kept(later_ns, kept):
    fit = builders.loop(steps=10, lane=0)
    begin_ns = START_NS + LONGEST_NS - 10 * 30 * MS + later_ns
    run = builders.run_info(end_ns=begin_ns)
    check = builders.loop(LoopKind.EVALUATE, steps=10, start_ns=begin_ns, lane=0, warmup=0)
    content = to_xspace(findings_of(fit, others=(check,), run=run))
    space = XSpace.FromString(content)
    lines = read(content)["/host:CPU"]
    assert sum("step" in event.name for event in lines["evaluate (MainThread)"]) == 10
    first = [event for event in lines["fit (MainThread)"] if event.stats.get("step") == 0]
    assert bool(first) is kept
    assert any("last 106 days" in warning for warning in space.warnings) is not kept
    clock = next(plane for plane in space.planes if plane.name == "Task Environment")
    stats = {clock.stat_metadata[each.metadata_id].name: each for each in clock.stats}
    started_ns = stats["profile_start_time"].int64_value
    assert started_ns == builders.ANCHOR.unix_ns + later_ns


# Stages of tf.data


def mean_lines(cost_ms: float) -> dict[str, list[Event]]:
    fit = builders.loop(steps=25, wait_ns=20 * MS, compute_ns=10 * MS, lane=0)
    stage = builders.stage("ParallelMapV2", StageKind.TF_DATA, location=None)
    cost = builders.stage_finding(stage, cost_ms=cost_ms)
    lines = host_lines(findings_of(fit, stages=(stage,), costs=(cost,)))
    return {name: events for name, events in lines.items() if name.startswith("tf.data")}


def test_a_tf_data_stage_is_drawn_as_its_mean_and_says_so():
    ((name, events),) = mean_lines(cost_ms=6.0).items()
    assert name == "tf.data ParallelMapV2: mean work, not intervals (1 of 1)"
    assert len(events) == 20
    assert sum(event.end_ms - event.start_ms for event in events) == pytest.approx(6.0 * 20)
    assert events[0].stats["mean_work_ms_per_step"] == 6.0
    assert "not when" in str(events[0].stats["remark"])


def test_a_tf_data_stage_that_works_in_parallel_takes_several_lines():
    lines = mean_lines(cost_ms=75.0)
    assert len(lines) == 3
    drawn = [event.end_ms - event.start_ms for events in lines.values() for event in events]
    assert sum(drawn) == pytest.approx(75.0 * 20)
    assert max(drawn) <= 30.0


def test_a_tf_data_stage_with_intervals_is_not_drawn_twice():
    fit = builders.loop(steps=25, lane=0)
    stage = builders.stage("batches", StageKind.TF_DATA_PYTHON)
    spans = (Span(SpanKind.WORK, 0, START_NS, START_NS + MS, 1),)
    found = findings_of(fit, stages=(stage,), costs=(builders.stage_finding(stage),))
    assert "tf.data batches" in "".join(host_lines(found))
    timed = findings_of(fit, stages=(stage,), costs=(builders.stage_finding(stage),), spans=spans)
    assert "tf.data batches" not in "".join(host_lines(timed))


# Counters, clock and text


def test_levels_are_counters():
    fit = builders.loop(lane=0, fed_by=Input(queue=builders.gauge(1, None, 3)))
    stage = builders.stage("batch", location=None, buffer=2, parallelism=4, during=fit)
    cpu = Cpu(
        cores=4,
        limit=None,
        used=builders.evenly((3_000 * MS,), fit.start_ns, fit.end_ns),
        sampled=builders.evenly((2_000 * MS,), fit.start_ns, fit.end_ns),
    )
    found = findings_of(fit, stages=(stage,), cpu=cpu, gauges={"RAM": builders.gauge(7)})
    counters = host_lines(found)["_counters_"]
    assert all(event.start_ms == event.end_ms for event in counters)
    assert [(event.name, event.start_ms, event.stats["value"]) for event in counters] == [
        ("batches ready", 500.0, 1.0),
        ("batches ready", 2_500.0, 3.0),
        ("RAM", 500.0, 7.0),
        ("buffer of batch", 1_500.0, 2.0),
        ("parallelism of batch", 1_500.0, 4.0),
        *[("CPU cores used", 250.0 + 500.0 * n, pytest.approx(1.5)) for n in range(6)],
    ]


def test_cpu_time_and_the_time_it_was_read_for_may_lie_in_neighbouring_bins():
    used = Binned(start_ns=0, width_ns=4 * MS, sums=np.array([[0], [60 * MS]] * 250))
    sampled = Binned(start_ns=0, width_ns=8 * MS, sums=np.array([[40 * MS]] * 250))
    times_ns, cores = cores_used(Cpu(cores=4, limit=None, used=used, sampled=sampled))
    assert times_ns.tolist() == [250 * MS, 750 * MS, 1_250 * MS, 1_750 * MS]
    assert cores == pytest.approx([1.5] * 4, rel=0.02)


def test_cpu_use_that_was_not_read_is_no_counter():
    assert "_counters_" not in host_lines(findings_of(builders.loop()))


def test_times_count_from_the_start_of_the_run_whose_date_is_kept():
    content = to_xspace(findings_of(builders.loop(lane=0)))
    plane = next(
        plane for plane in XSpace.FromString(content).planes if plane.name == "Task Environment"
    )
    stats = {plane.stat_metadata[stat.metadata_id].name: stat.int64_value for stat in plane.stats}
    assert stats["profile_start_time"] == builders.ANCHOR.unix_ns


def test_names_from_elsewhere_can_neither_be_markup_nor_break_the_file():
    stage = builders.stage("<b>\ud800&amp;", location=Location("<i>.py", 3))
    spans = (Span(SpanKind.WORK, 0, START_NS, START_NS + MS, 1),)
    found = findings_of(builders.loop(lane=0), spans=spans, stages=(stage,))
    content = to_xspace(found)
    events = read(content)["/host:CPU"]["worker 1 (worker, process 4001)"]
    assert [event.name for event in events] == ["\u2039b\u203a?+amp; (\u2039i\u203a.py:3)"]
    assert not any(sign in repr(event.stats) for event in events for sign in "<>&")


def test_a_run_without_loops_still_gives_a_file():
    found = replace(builders.findings(), profile=builders.profile(loops=(), lanes=()))
    assert list(read(to_xspace(found))) == ["/host:CPU", "Task Environment"]


# What XProf makes of it


def xprof_tool(tmp_path, content: bytes, tool: str):
    convert = pytest.importorskip("xprof.convert.raw_to_tool_data")
    path = tmp_path / "host-a.xplane.pb"
    path.write_bytes(content)
    data, _ = convert.xspace_to_tool_data([str(path)], tool, {"trace_viewer_options": {}})
    return json.loads(data)


def input_analysis(tmp_path, findings: Findings):
    tables = xprof_tool(tmp_path, to_xspace(findings), "input_pipeline_analyzer")
    rows = [[cell["v"] for cell in row["c"]] for row in tables[2]["rows"]]
    return tables[1]["p"], {row[0]: row for row in rows}


def work_in_steps(fit: Loop, lanes: int) -> list[Span]:
    """Each step decodes for 8 ms, 3 of them reading, on one lane after the other."""
    return [
        span
        for number, start in enumerate(fit.steps.start_ns.tolist())
        for lane in [1 + number % lanes]
        for span in (
            Span(SpanKind.WORK, 1, start + MS, start + 4 * MS, lane),
            Span(SpanKind.WORK, 0, start, start + 8 * MS, lane, inner_ns=3 * MS),
            Span(SpanKind.WAIT, -1, start + 8 * MS, start + 9 * MS, lane),
        )
    ]


STAGES = (builders.stage("decode"), builders.stage("read", location=None))


@pytest.mark.integration
@pytest.mark.parametrize("lanes", [1, 24])
@pytest.mark.parametrize("wait_ratio", [0.0, 0.03, 0.30, 0.74, 0.97])
def test_xprof_gives_our_share_of_waiting(tmp_path, wait_ratio, lanes):
    noise = np.random.default_rng(7).uniform(0.5, 1.5, 60)
    waits = (100 * MS * wait_ratio * noise).astype(np.int64)
    computes = (100 * MS * (1 - wait_ratio) * noise[::-1]).astype(np.int64)
    # The first step compiles: it would drown the rest if it counted.
    computes[0] += 5_000 * MS
    fit = builders.loop(steps=60, wait_ns=waits.tolist(), compute_ns=computes.tolist(), lane=0)
    workers = [
        builders.lane(f"worker {n}", Role.WORKER, pid=PID + n, tid=None) for n in range(lanes)
    ]
    found = findings_of(
        fit, spans=work_in_steps(fit, lanes), stages=STAGES, lanes=(MAIN_LANE, *workers)
    )
    said, stages = input_analysis(tmp_path, found)
    ours = float(waits[5:].sum() / (waits + computes)[5:].sum())
    theirs = float(said["infeed_time_ms_avg"]) / float(said["steptime_ms_average"])
    assert theirs == pytest.approx(ours, abs=0.03)
    assert ("HIGHLY input-bound" in said["input_conclusion"]) == (wait_ratio >= 0.2)
    assert set(stages) == {"decode (train.py:41)", "read"}
    name, count, total_ms, _, own_ms, *_ = stages["decode (train.py:41)"]
    assert (name, count, total_ms, own_ms) == ("decode (train.py:41)", 60, 480.0, 300.0)
    assert stages["read"][4] == pytest.approx(180.0)


@pytest.mark.integration
def test_xprof_judges_a_long_run_by_its_windows(tmp_path):
    fit = builders.loop(steps=4_000, wait_ns=3 * MS, compute_ns=1 * MS, epochs=2, lane=0)
    kept = np.r_[0:30, 3_970:4_000]
    steps = replace(
        fit.steps,
        **{name: getattr(fit.steps, name)[kept] for name in fit.steps.__dataclass_fields__},
    )
    cost = builders.stage_finding(
        builders.stage("MapAndBatch", StageKind.TF_DATA, location=None), cost_ms=6.0
    )
    found = findings_of(replace(fit, steps=steps), stages=(cost.stage,), costs=(cost,))
    said, stages = input_analysis(tmp_path, found)
    assert float(said["infeed_time_ms_avg"]) == pytest.approx(3.0, abs=0.1)
    assert float(said["steptime_ms_average"]) == pytest.approx(4.0, abs=0.1)
    assert stages["MapAndBatch"][4] == pytest.approx(6.0 * (25 + 30), rel=0.01)


@pytest.mark.integration
def test_callbacks_and_compiling_leave_xprofs_steps_and_waits_as_they_are(tmp_path):
    fit = builders.loop(steps=30, wait_ns=20 * MS, compute_ns=10 * MS, lane=0)
    starts = fit.steps.start_ns.tolist()
    calls = [Span(SpanKind.CALL, 0, start + 25 * MS, start + 29 * MS) for start in starts]
    begins = [Span(SpanKind.CALL, 1, start, start + MS) for start in starts]
    compiling = [Span(SpanKind.COMPILE, 0, starts[8] + MS, starts[8] + 25 * MS)]
    functions = tuple(
        HostFunction(part=Part.CALLBACKS, name=f"Save.{name}", location=Location("a.py", 3))
        for name in ("on_train_batch_end", "on_train_batch_begin")
    )
    found = findings_of(fit, spans=[*calls, *begins, *compiling], host_functions=functions)
    training = host_lines(found)["fit (MainThread)"]
    assert parts(training[-5:]) == [
        ("Save.on_train_batch_begin", 870.0, 871.0),
        ("input wait", 871.0, 891.0),
        ("compute", 891.0, 895.0),
        ("Save.on_train_batch_end", 895.0, 899.0),
        ("compute", 899.0, 900.0),
    ]
    assert training[-2].stats == {"location": "a.py:3"}
    assert [event.name for event in training].count("compile") == 1
    said, _ = input_analysis(tmp_path, found)
    assert float(said["infeed_time_ms_avg"]) == pytest.approx(20.0)
    assert float(said["steptime_ms_average"]) == pytest.approx(30.0)


@pytest.mark.integration
def test_xprof_gives_no_verdict_where_nothing_measured_the_wait(tmp_path):
    fit = builders.loop(steps=30, wait_ns=None, lane=0)
    tables = xprof_tool(tmp_path, to_xspace(findings_of(fit)), "input_pipeline_analyzer")
    assert "input-bound" not in tables[1]["p"]["input_conclusion"]
    assert not tables[1]["rows"]


@pytest.mark.integration
def test_xprof_overview_repeats_the_verdict_and_shows_the_warnings(tmp_path):
    run = builders.run_info(warnings=("The waits are estimates.",))
    found = findings_of(builders.loop(steps=30, lane=0), run=run)
    shown = json.dumps(xprof_tool(tmp_path, to_xspace(found), "overview_page"))
    assert "66.7% of the total step time sampled is waiting for input" in shown
    assert "The waits are estimates." in shown


@pytest.mark.integration
def test_xprof_trace_viewer_shows_steps_lanes_and_devices(tmp_path):
    fit = builders.loop(steps=12, lane=0, fed_by=Input(queue=builders.gauge(2)))
    gpu = builders.lane("GPU 0", Role.DEVICE, tid=None)
    busy = [Span(SpanKind.WORK, -1, start, start + MS, 2) for start in fit.steps.start_ns.tolist()]
    found = findings_of(
        fit,
        spans=[*work_in_steps(fit, 1), *busy],
        stages=STAGES,
        lanes=(MAIN_LANE, WORKER, gpu),
    )
    trace = xprof_tool(tmp_path, to_xspace(found), "trace_viewer")["traceEvents"]
    names = {
        event["args"]["name"]
        for event in trace
        if event.get("ph") == "M" and "name" in event["args"]
    }
    assert {"/host:CPU", "/device:CUSTOM:GPU 0", "fit (MainThread)"} <= names
    steps = [event for event in trace if event.get("name") == "train 11"]
    assert [(step["ts"], step["dur"]) for step in steps] == [(330_000.0, 30_000.0)]
    said, _ = input_analysis(tmp_path, found)
    assert float(said["infeed_time_ms_avg"]) == pytest.approx(20.0)
