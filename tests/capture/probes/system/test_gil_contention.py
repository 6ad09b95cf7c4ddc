"""Contention for the GIL, with a planted knocker and with the real one."""

import multiprocessing
import os
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest

from pipeprof.capture.probes.system.gil_contention import GilSampler
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind
from pipeprof.recording.level_names import MILLION, Level
from tests.capture.probes.recorded import events, warnings_of

SECOND = 1_000_000_000


@dataclass
class PlantedKnocker:
    """Measures what it was given, one value between two looks."""

    measures: list[float]
    calls: list[str] = field(default_factory=list)
    fails: bool = False

    @property
    def contention_metric(self) -> float:
        if self.fails:
            raise RuntimeError("poisoned lock")
        return self.measures[0]

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")

    def reset_contention_metric(self) -> None:
        del self.measures[0]


def names_of_threads() -> set[str]:
    """The names that this process's threads have in Linux."""
    names = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            names.add((task / "comm").read_text().strip())
    return names


def levels(recorder: Recorder) -> list[tuple[str, int]]:
    return [(event.name, event.value) for event in events(recorder, Kind.GAUGE)]


def test_each_look_records_the_contention_since_the_last_one() -> None:
    recorder = Recorder(None)
    knocker = PlantedKnocker([0.25, 1.5, 0.0])
    sampler = GilSampler(recorder, lambda: lambda: knocker)

    for second in range(3):
        sampler.sample(second * SECOND)
    sampler.finish(3 * SECOND)

    name = Level.GIL_CONTENTION.value
    assert levels(recorder) == [(name, MILLION // 4), (name, MILLION), (name, 0)]
    assert knocker.calls == ["start", "stop"]
    assert warnings_of(recorder) == []


def test_without_gilknocker_the_level_is_unknown_and_the_run_says_so_once() -> None:
    recorder = Recorder(None)

    def missing() -> NoReturn:
        raise ModuleNotFoundError("No module named 'gilknocker'")

    sampler = GilSampler(recorder, missing)
    sampler.sample(0)
    sampler.sample(SECOND)
    sampler.finish(2 * SECOND)

    assert levels(recorder) == []
    (warning,) = warnings_of(recorder)
    assert "Contention for the GIL could not be measured" in warning
    assert "gilknocker" in warning


def test_a_knocker_that_fails_is_stopped() -> None:
    recorder = Recorder(None)
    knocker = PlantedKnocker([0.5])
    sampler = GilSampler(recorder, lambda: lambda: knocker)
    sampler.sample(0)
    knocker.fails = True

    sampler.sample(SECOND)
    sampler.sample(2 * SECOND)

    assert knocker.calls == ["start", "stop"]
    assert len(warnings_of(recorder)) == 1


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_start_and_end_beside_the_real_knocker(method: str) -> None:
    sampler = GilSampler(Recorder(None))
    sampler.sample(0)
    try:
        process = multiprocessing.get_context(method).Process(target=os.getpid)
        process.start()
        process.join(60)
        assert process.exitcode == 0
    finally:
        sampler.finish(SECOND)

    assert len(levels(sampler.recorder)) == 1


def test_the_real_knockers_threads_have_a_name_and_end_with_it() -> None:
    own_name = Path(f"/proc/self/task/{threading.get_native_id()}/comm").read_text()
    sampler = GilSampler(Recorder(None))
    sampler.sample(0)
    began = names_of_threads()
    sampler.finish(SECOND)

    assert "pipeprof-gil" in began
    assert "pipeprof-gil" not in names_of_threads()
    assert Path(f"/proc/self/task/{threading.get_native_id()}/comm").read_text() == own_name


_ENDS = """
import os, sys
from pipeprof.capture.probes.system.gil_contention import GilSampler
from pipeprof.capture.recorder.recorder import Recorder
sampler = GilSampler(Recorder(None))
sampler.sample(0)
if {forks} and os.fork():
    os.wait()
sys.exit(0)
"""


@pytest.mark.parametrize("forks", [False, True])
def test_a_program_that_does_not_finish_its_profile_ends_quietly(forks: bool) -> None:
    ended = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore:This process:DeprecationWarning",
            "-c",
            _ENDS.format(forks=forks),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
