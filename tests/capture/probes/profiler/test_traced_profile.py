"""What a window's trace adds to a recording: from made traces, and from a real one of a GPU."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.capture.probes.profiler import traced_profile as traced
from pipeprof.capture.probes.profiler.traced_profile import (
    KeptTrace,
    why_none,
    with_devices,
    with_traces,
)
from pipeprof.recording.devices import TraceWindow
from pipeprof.recording.lane import Role
from pipeprof.recording.loop import WaitSource
from pipeprof.recording.profile import Profile
from pipeprof.recording.span import SpanKind
from pipeprof.surfaces.json_report.as_json import to_dict
from pipeprof.xspace.trace_reader import ANCHOR, read_trace
from pipeprof.xspace.xplane_schema import XSpace
from tests.builders import MS, START_NS, lane, loop, profile, spans, step_spans
from tests.xspace.test_trace_reader import BERT, add_plane

AHEAD_NS = START_NS - 50 * MS
"""What a trace calls 50 ms is the begin of the run."""


def trace_of(*fetches: tuple[int, int], gpu: tuple[tuple[str, int, int], ...] = ()) -> Any:
    """A trace of the default loop (steps of 30 ms), in milliseconds after the run began."""
    space = XSpace()
    add_plane(
        space,
        "/host:CPU",
        python=[(ANCHOR, 10, 12)],
        fetching=[("IteratorGetNextOp::DoCompute", 50 + a, 50 + b) for a, b in fetches],
    )
    if gpu:
        add_plane(space, "/device:GPU:0", Stream_1=[(name, 50 + a, 50 + b) for name, a, b in gpu])
    return space


Traced = tuple[TraceWindow, KeptTrace]


def traced_steps(space: Any, folder: Path, first: int, steps: int, number: int = 1) -> Traced:
    """A window as it is recorded, and its trace."""
    path = folder / f"run-1_window{number}" / "host-a.xplane.pb"
    path.parent.mkdir()
    path.write_bytes(space.SerializeToString())
    window = TraceWindow(
        run=path.parent.name,
        loop=0,
        start_ns=START_NS + (30 * first - 1) * MS,
        end_ns=START_NS + (30 * (first + steps) + 1) * MS,
        first_step=first,
        step_count=steps,
        ordinal=np.zeros(0, np.int64),
        wait_ns=np.zeros(0, np.int64),
    )
    return window, KeptTrace(path=path, anchors=((AHEAD_NS + 10 * MS, AHEAD_NS + 12 * MS),))


def recorded(*windows: Traced, waits_by: WaitSource = WaitSource.GAP_TIMES) -> Profile:
    fit = loop(lane=0, waits_by=waits_by)
    return profile(
        loops=(fit,),
        lanes=(lane(),),
        spans=spans(*step_spans(fit)),
        trace_windows=tuple(window for window, _ in windows),
    )


def with_traces_of(*windows: Traced, waits_by: WaitSource = WaitSource.GAP_TIMES) -> Profile:
    return with_traces(recorded(*windows, waits_by=waits_by), [trace for _, trace in windows])


def test_two_windows_show_what_a_gpu_did_in_their_steps(tmp_path):
    # Each step waits 20 ms and computes 10 ms; the copy begins while the next batch is waited for.
    first = trace_of(
        (300, 320),
        (330, 350),
        gpu=(("kernel", 320, 329), ("MemcpyH2D", 348, 350), ("kernel", 350, 359)),
    )
    second = trace_of((600, 620), gpu=(("kernel", 620, 626),))
    seen = with_traces_of(
        traced_steps(first, tmp_path, 10, 2), traced_steps(second, tmp_path, 20, 1, number=2)
    )
    assert seen.check() == ()
    [gpu] = seen.devices
    assert (gpu.kind, gpu.name) == ("gpu", "GPU 0")
    assert gpu.steps is not None
    assert (gpu.steps.compute_ns // MS).tolist() == [9, 9, 6]
    assert (gpu.steps.copy_in_ns // MS).tolist() == [0, 2, 0]
    assert (gpu.steps.idle_waiting_ns // MS).tolist() == [20, 18, 20]
    assert [(w.run, w.first_step, w.ordinal.tolist()) for w in seen.trace_windows] == [
        ("run-1_window1", 10, [10, 11]),
        ("run-1_window2", 20, [20]),
    ]
    assert [(w.wait_ns // MS).tolist() for w in seen.trace_windows] == [[20, 20], [20]]
    [device] = [each for each in seen.lanes if each.role is Role.DEVICE]
    assert int(device.busy.sums.sum()) == (9 + 11 + 6) * MS
    drawn = (seen.spans.lane == 1) & (seen.spans.kind == SpanKind.WORK)
    assert (seen.spans.start_ns[drawn] - START_NS).tolist() == [320 * MS, 348 * MS, 620 * MS]
    assert (np.diff(seen.spans.end_ns) >= 0).all()


def test_a_gpu_whose_input_is_no_dataset_of_tensorflow_idles_while_the_loop_waits(tmp_path):
    space = trace_of(gpu=(("kernel", 315, 329),))
    seen = with_traces_of(traced_steps(space, tmp_path, 10, 1), waits_by=WaitSource.ITERATOR)
    [gpu] = seen.devices
    assert gpu.steps is not None
    assert (gpu.steps.idle_waiting_ns // MS).tolist() == [15]
    assert len(seen.trace_windows[0].wait_ns) == 0


def test_a_cpu_has_windows_and_no_device(tmp_path):
    seen = with_traces_of(traced_steps(trace_of((300, 320)), tmp_path, 10, 1))
    assert (seen.devices, seen.lanes) == ((), recorded().lanes)
    assert (seen.trace_windows[0].wait_ns // MS).tolist() == [20]


def test_what_cannot_be_read_is_said_and_the_rest_is_kept(tmp_path, monkeypatch):
    broken = traced_steps(trace_of(), tmp_path, 10, 1)
    broken[1].path.write_bytes(b"no trace")
    window, trace = traced_steps(trace_of((600, 620)), tmp_path, 20, 1, number=2)
    untied = window, replace(trace, anchors=())
    whole = traced_steps(trace_of((900, 920)), tmp_path, 30, 1, number=3)
    seen = with_traces_of(broken, untied, whole)
    assert [(w.run, len(w.wait_ns)) for w in seen.trace_windows] == [
        ("run-1_window1", 0),
        ("run-1_window2", 0),
        ("run-1_window3", 1),
    ]
    first, second = seen.run.warnings
    assert "expected a whole trace" in first
    assert "run-1_window2 is left to XProf: nothing in it ties its clock" in second
    monkeypatch.setattr(traced, "MOST_BYTES", 10)
    seen = with_traces_of(whole)
    assert "too large" in seen.run.warnings[0]
    assert [w.step_count for w in seen.trace_windows] == [1]


def test_a_trace_that_no_memory_is_left_for_does_not_cost_the_recording(tmp_path, monkeypatch):
    def read(path, **_):
        raise MemoryError

    monkeypatch.setattr(traced, "read_trace", read)
    seen = with_traces_of(traced_steps(trace_of(), tmp_path, 10, 1))
    assert [loop.step_count for loop in seen.loops] == [
        loop.step_count for loop in recorded().loops
    ]
    (warning,) = seen.run.warnings
    assert "A trace could not be read (MemoryError" in warning


def test_many_kernels_are_drawn_as_few_and_counted_as_all(monkeypatch, tmp_path):
    monkeypatch.setattr(traced, "MOST_BUSY_SPANS", 2)
    kernels = tuple(("kernel", 300 + at, 300 + at + 1) for at in (0, 2, 9, 12))
    seen = with_traces_of(traced_steps(trace_of(gpu=kernels), tmp_path, 10, 1))
    drawn = seen.spans.lane == 1
    rows = np.column_stack([seen.spans.start_ns[drawn], seen.spans.end_ns[drawn]]) - START_NS
    assert (rows // MS).tolist() == [[300, 303], [309, 313]]
    assert int(seen.lanes[1].busy.sums.sum()) == 4 * MS


def test_a_real_gpu_trace_becomes_the_finding_of_its_device():
    trace = read_trace(BERT)
    nothing = np.empty((0, 2), np.int64)
    seen = with_devices(profile(run=None), trace, nothing, trace.fetches)
    [found] = analyse(seen).devices
    assert (found.kind, found.name, found.traced_steps) == ("gpu", "GPU 6", 1)
    assert found.compute_ms == pytest.approx(14.865, abs=0.001)
    assert found.busy_ratio == pytest.approx(14.900 / 21.310, abs=0.001)
    device = to_dict(analyse(seen))["device"]
    assert device["source"] == "trace"
    assert device["step_ms"] == pytest.approx(14.900, abs=0.001)
    assert device["copy_in_ms"] == pytest.approx(0.051, abs=0.001)


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"backend": "jax", "loaded": True, "tried": False}, "Keras ran on jax"),
        ({"backend": None, "loaded": False, "tried": False}, "TensorFlow was not loaded"),
        ({"backend": None, "loaded": True, "tried": True}, "no whole step lay between"),
        ({"backend": None, "loaded": True, "tried": False}, "went on after its 5 warm-up steps"),
    ],
)
def test_why_there_are_no_windows_is_said(known, reason):
    assert reason in why_none(**known, warmup=5)
