"""The clocks that planted trainings keep of themselves."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from pipeprof.scenarios.validation.expected import SCRIPTS


@pytest.fixture
def own_clock() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("own_clock", SCRIPTS / "own_clock.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("own_clock", None)


class Clock:
    """Stands for `time`; it is moved by hand."""

    now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(own_clock: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock()
    monkeypatch.setattr(own_clock, "time", moved)
    return moved


def test_a_stopwatch_adds_up_what_it_was_around(own_clock: ModuleType, clock: Clock) -> None:
    watch = own_clock.Stopwatch()
    for seconds in (1.0, 2.5):
        with watch:
            clock.now += seconds
        clock.now += 10.0
    assert (watch.seconds, watch.count) == (3.5, 2)


def test_a_loops_waits_begin_where_its_steps_end(own_clock: ModuleType, clock: Clock) -> None:
    loop = own_clock.LoopClock()
    for _ in range(2):
        loop.wait()
        for step in range(8):
            clock.now += 5.0 if step == 0 else 0.25
            loop.got()
            clock.now += 1.0
            loop.done()
        clock.now += 100.0  # between epochs
    truth = loop.truth()
    assert truth == {
        "steps": 16,
        "epochs": 2,
        "wait_s": 14 * 0.25,
        "first_batches_s": 10.0,
        "wait_ms": 250.0,
        "step_ms": 1250.0,
        "loop_s": 2 * (6.0 + 7 * 1.25) + 100.0,
    }


def test_means_leave_out_the_first_steps_and_those_of_epochs(own_clock: ModuleType) -> None:
    waits = [9.0, 1.0, 1.0, 1.0, 1.0, 2.0, 9.0, 4.0]
    first = [number in (0, 6) for number in range(8)]
    found = own_clock.summary(waits, [10.0] * 8, first)
    assert found["wait_ms"] == 3000.0
    assert found["wait_s"] == 10.0
    assert found["first_batches_s"] == 18.0


def test_the_truth_is_one_line_in_the_file_that_is_named(
    own_clock: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "truth.json"
    monkeypatch.setenv("PLANTED_TRUTH", str(path))
    own_clock.write_truth(wait_ms=2.0)
    [line] = path.read_text().splitlines()
    truth = json.loads(line)
    assert truth["wait_ms"] == 2.0
    assert truth["script_s"] >= 0.0
