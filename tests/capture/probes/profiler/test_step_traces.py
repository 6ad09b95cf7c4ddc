"""When a window is due, which are kept, and what is recorded of them; needs no framework."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.probes.profiler import step_traces
from pipeprof.capture.probes.profiler.step_traces import MOST_TRIED, TRIED_FOR_WHOLE, StepTraces
from pipeprof.capture.probes.profiler.trace_plan import EndedWindow
from pipeprof.capture.recorder.facts import TraceWindowFacts
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.recording.loop import LoopKind
from tests.capture.probes.recorded import facts_of, warnings_of

WARMUP = 5
STEPS = 4


class Planned:
    """Traces that are planned for one loop, which moves by hand."""

    def __init__(self, folder: Path, kind: LoopKind = LoopKind.FIT) -> None:
        self.recorder = Recorder(None)
        self.folder = folder
        self.traces = StepTraces(
            folder / "profile",
            "run",
            steps=STEPS,
            warmup=WARMUP,
            wanted=lambda: True,
            recorder=self.recorder,
        )
        self.loop = OpenLoop(self.recorder, kind, 7, fetches_first=False)

    def is_due(self, done: int) -> bool:
        return self.traces.is_due(self.loop, done)

    def trace(self, first: int, count: int, size: int = 10) -> bool:
        """Traces some steps; returns whether the window was kept."""
        self.loop.step = first
        self.traces.opening(self.loop)
        self.loop.step = first + count
        window = EndedWindow(
            loop=self.loop,
            first_step=first,
            step_count=count,
            start_ns=1_000,
            end_ns=2_000,
            anchors=((1_100, 1_200),),
        )
        if not self.traces.ended(window):
            return False
        trace = self.folder / "host.xplane.pb"
        trace.write_bytes(bytes(size))
        self.traces.take(window, trace)
        return True


@pytest.fixture
def planned(tmp_path: Path) -> Planned:
    return Planned(tmp_path)


def test_one_window_comes_after_the_warm_up_and_one_well_apart(planned: Planned) -> None:
    assert [planned.is_due(done) for done in (WARMUP - 1, WARMUP)] == [False, True]
    assert planned.trace(5, STEPS)
    assert [planned.is_due(done) for done in (17, 18)] == [False, True]
    assert planned.trace(18, STEPS)
    assert not planned.is_due(10_000)


def test_each_window_is_recorded_with_its_loop(planned: Planned) -> None:
    planned.trace(5, STEPS)
    [window] = [f for f in facts_of(planned.recorder).values() if isinstance(f, TraceWindowFacts)]
    assert window == TraceWindowFacts(
        run="run_window1", loop=7, start_ns=1_000, end_ns=2_000, first_step=5, step_count=STEPS
    )
    [kept] = planned.traces.kept
    assert kept.path == planned.folder / "profile" / "run_window1" / "host.xplane.pb"
    assert kept.path.exists()


def test_a_window_that_an_epoch_cuts_short_is_followed_by_the_next_at_once(
    planned: Planned,
) -> None:
    assert planned.trace(5, STEPS // 2)  # half of them are enough
    assert planned.is_due(8)
    assert not planned.trace(8, 1)
    assert planned.is_due(10)


def test_where_epochs_are_short_less_is_kept_and_trying_has_an_end(planned: Planned) -> None:
    kept = [planned.trace(10 * n, 1) for n in range(TRIED_FOR_WHOLE)]
    assert kept == [False] * (TRIED_FOR_WHOLE - 1) + [True]
    for n in range(TRIED_FOR_WHOLE, MOST_TRIED):
        assert planned.is_due(10 * n)
        assert not planned.trace(10 * n, 0)
    assert not planned.is_due(10_000)


def test_only_loops_that_train_are_traced(tmp_path: Path) -> None:
    assert not Planned(tmp_path, LoopKind.EVALUATE).is_due(100)


@pytest.mark.parametrize(
    ("size", "sentence", "steps"), [(15, "the next has 2 steps", 2), (900, "no second", 0)]
)
def test_after_a_large_trace_the_next_is_shorter(
    planned: Planned, monkeypatch: pytest.MonkeyPatch, size: int, sentence: str, steps: int
) -> None:
    monkeypatch.setattr(step_traces, "MOST_BYTES", 10)
    planned.trace(5, STEPS, size)
    assert planned.traces.steps == steps
    assert planned.is_due(1_000) is bool(steps)
    [warning] = warnings_of(planned.recorder)
    assert sentence in warning
    assert planned.traces.warned


def test_a_window_that_ends_early_because_it_took_long_is_whole(planned: Planned) -> None:
    planned.traces.opening(planned.loop)
    planned.loop.step = 1
    window = EndedWindow(
        loop=planned.loop, first_step=0, step_count=1, start_ns=0, end_ns=1, anchors=()
    )
    assert not planned.traces.ended(window)
    assert planned.traces.ended(replace(window, end_ns=planned.traces.longest_ns))
