import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeprof.capture.patches import ImportHook
from pipeprof.capture.recorder import recorder
from pipeprof.capture.session import active, profile
from pipeprof.errors import PipeprofError, UsageError
from pipeprof.runs.run_search import list_runs

X = np.zeros((4, 2), np.float32)


def batches(count: int = 20) -> Iterator[Any]:
    for _ in range(count):
        sum(range(100_000))  # works far longer than the loop does, on a busy machine too
        yield X, X


class Sequence:
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        return X, X


Sequence.__module__ = "keras.fake"


def raise_after(done: Any, error: BaseException) -> None:
    assert done
    raise error


def test_a_hand_written_loop_over_a_generator_gets_its_verdict(tmp_path: Path) -> None:
    with profile(batches, logdir=tmp_path, sample_hz=0) as prof:
        for _ in range(2):
            for _ in prof.dataset():
                pass
    (loop,) = prof.result.loops
    assert (loop.epochs, loop.step_count, loop.sample_count) == (2, 40, 160)
    diagnosis = prof.findings.loops[0].diagnosis
    assert diagnosis.bound.value == "input"
    assert diagnosis.bottleneck is not None
    assert diagnosis.bottleneck.stage == "batches"
    assert prof.result.run.warnings == ()
    assert "batches" in prof.report(width=80)
    assert [run.name for run in list_runs(tmp_path)] == [prof.result.run.name]


def test_profiles_cannot_be_nested_and_the_outer_one_goes_on(tmp_path: Path) -> None:
    with profile(batches(), logdir=tmp_path, sample_hz=0) as prof:
        with pytest.raises(UsageError, match="cannot be nested"), profile(logdir=tmp_path):
            pass
        assert active() is prof
        assert len(list(prof.dataset)) == 20
    assert prof.result.loops[0].step_count == 20


def test_where_there_is_no_proc_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    with pytest.raises(UsageError, match="expected Linux"), profile(logdir=tmp_path):
        pass
    assert active() is None


def test_a_profile_is_entered_once(tmp_path: Path) -> None:
    prof = profile(logdir=tmp_path, sample_hz=0)
    with prof, pytest.raises(UsageError, match="entered before"):
        prof.__enter__()
    with pytest.raises(UsageError, match="entered before"):
        prof.__enter__()


def test_what_is_no_dataset_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a dataset"), profile(3, logdir=tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []
    assert active() is None


@pytest.mark.parametrize(
    "arguments",
    [
        {"warmup": -1},
        {"sample_hz": -1},
        {"sample_hz": 5000},
        {"trace_steps": -1},
        {"trace_steps": 10_000},
        {"trace_steps": 2.5},
        {"data_workers": "worker-1"},
        {"data_workers": ["worker-1:5051", "worker-2:port"]},
        {"data_workers": "worker-1:70000"},
    ],
)
def test_arguments_that_make_no_sense(arguments: Any) -> None:
    with pytest.raises(UsageError, match=r"expected .* received"):
        profile(**arguments)


def test_too_early_or_nothing_there(tmp_path: Path) -> None:
    prof = profile(logdir=tmp_path, sample_hz=0)
    for ask in (lambda: prof.dataset, lambda: prof.step().__enter__()):
        with pytest.raises(UsageError, match="inside the profile"):
            ask()
    with prof:
        for ask in (lambda: prof.result, lambda: prof.findings, prof.report):
            with pytest.raises(UsageError, match="expected the profile to be over"):
                ask()
        with pytest.raises(UsageError, match="received none"):
            _ = prof.dataset


@pytest.mark.parametrize("error", [ValueError("no image"), KeyboardInterrupt(), SystemExit(3)])
def test_an_exception_comes_out_unchanged_and_stands_in_the_run(
    tmp_path: Path, error: BaseException
) -> None:
    prof = profile(batches(), logdir=tmp_path, sample_hz=0)
    with pytest.raises(type(error)) as caught, prof:
        raise_after(next(prof.dataset), error)
    assert caught.value is error
    assert error.__context__ is None
    said = prof.result.run.error
    assert said is not None
    assert said.startswith(type(error).__name__)
    assert prof.result.loops[0].step_count == 1


def test_leaving_a_program_is_no_error(tmp_path: Path) -> None:
    with pytest.raises(SystemExit), profile(logdir=tmp_path, sample_hz=0) as prof:
        sys.exit()
    assert prof.result.run.error is None


def test_everything_is_given_back(tmp_path: Path) -> None:
    mine = Sequence()
    prof = profile(mine, logdir=tmp_path, sample_hz=0)
    with pytest.raises(ZeroDivisionError), prof:
        raise_after(prof.dataset is mine and type(mine) is not Sequence, ZeroDivisionError())
    assert type(mine) is Sequence
    # TensorFlow's own import leaves a finder of its own there.
    assert not any(isinstance(finder, ImportHook) for finder in sys.meta_path)
    assert recorder.current is None
    assert active() is None


def test_what_was_wrapped_goes_on_after_the_profile(tmp_path: Path) -> None:
    with profile(batches(), logdir=tmp_path, sample_hz=0) as prof:
        next(prof.dataset)
    with prof.step():
        assert len(list(prof.dataset)) == 19
    assert prof.result.loops[0].step_count == 1


def test_a_folder_that_cannot_be_written_is_one_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with profile(batches(), logdir=tmp_path / "file", sample_hz=0) as prof:
        assert len(list(prof.dataset)) == 20
    (warning,) = prof.result.run.warnings
    assert "could not be written" in warning
    assert "choose another folder with logdir" in warning
    assert prof.result.loops[0].step_count == 20


def test_a_full_disk_at_the_end_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with profile(batches(), logdir=tmp_path, sample_hz=0) as prof:
        list(prof.dataset)
        monkeypatch.setattr("pipeprof.capture.run_writer.finish_run", full)
    (warning,) = prof.result.run.warnings
    assert "No space left on device" in warning
    assert warning in prof.report(width=400)


def test_a_failure_at_the_end_does_not_hide_the_trainings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("pipeprof.capture.active_recording.freeze_profile", broken)
    prof = profile(logdir=tmp_path, sample_hz=0)
    with pytest.raises(ValueError, match="mine"), prof:
        raise ValueError("mine")
    with pytest.raises(PipeprofError, match="could not be finished"):
        _ = prof.result
    with pytest.warns(UserWarning, match="could not be finished"), profile(logdir=tmp_path):
        pass


def test_a_script_that_changes_its_folder_gets_its_run_where_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with profile(batches(), logdir="logs", sample_hz=0) as prof:
        list(prof.dataset)
        (tmp_path / "elsewhere").mkdir()
        os.chdir(tmp_path / "elsewhere")
    assert list_runs(tmp_path / "logs") == (prof.folder,)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_forked_child_leaves_the_run_to_its_parent(tmp_path: Path) -> None:
    prof = profile(batches(), logdir=tmp_path, sample_hz=0)
    with prof:
        next(prof.dataset)
        child = os.fork()
        if not child:
            prof.__exit__(None, None, None)
            os._exit(0 if recorder.current is None else 1)
        assert os.waitpid(child, 0)[1] == 0
        next(prof.dataset)
    assert prof.result.loops[0].step_count == 2
    assert prof.result.run.warnings == ()


def test_nothing_is_imported_beside_the_training_where_a_worker_may_be_forked(
    tmp_path: Path,
) -> None:
    program = """
import pathlib, sys, threading, time
import pipeprof
from pipeprof.capture import active_recording
from pipeprof.capture.collector import collector

collector.CHECKPOINT_S = collector.LEAST_CHECKPOINT_S = 0.05
collector.DRAIN_S = collector.LONGEST_DRAIN_S = 0.05
active_recording.SCALARS_S = 0.05
elsewhere = []

def has_scalars():
    return any(pathlib.Path(sys.argv[1]).rglob("*tfevents*"))

class Imports:
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is not threading.main_thread():
            elsewhere.append(name)

def batches():
    until = time.monotonic() + 60
    while not has_scalars() and time.monotonic() < until:
        yield 1

with pipeprof.profile(batches(), logdir=sys.argv[1]) as prof:
    sys.meta_path.insert(0, Imports())
    for batch in prof.dataset:
        with prof.step():
            time.sleep(0.001)
    written = has_scalars()
print(written, elsewhere)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True []\n"


def our_finders() -> list[object]:
    """What pipeprof has put where modules are looked for; packages that it loads may put theirs there."""
    return [each for each in sys.meta_path if type(each).__module__.startswith("pipeprof.")]


def test_a_profile_that_cannot_begin_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("pipeprof.capture.collector.collector.Collector.start", fails)
    sequence = Sequence()
    finders = our_finders()
    with (
        pytest.raises(RuntimeError, match="new thread"),
        profile(sequence, logdir=tmp_path, sample_hz=0),
    ):
        pass
    assert type(sequence) is Sequence
    assert our_finders() == finders == []
    assert (active(), recorder.current) == (None, None)


def test_an_exception_that_cannot_be_printed_is_named(tmp_path: Path) -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise AttributeError

    with (
        pytest.raises(SilentError),
        profile(batches(3), logdir=tmp_path, sample_hz=0) as prof,
    ):
        raise_after(list(prof.dataset), SilentError())
    assert prof.result.run.error == "SilentError"


def test_steps_marked_in_another_thread_are_steps(tmp_path: Path) -> None:
    def train(prof: Any) -> None:
        for _ in prof.dataset:
            with prof.step():
                pass

    with profile(batches(5), logdir=tmp_path, sample_hz=0) as prof:
        thread = threading.Thread(target=train, args=(prof,))
        thread.start()
        thread.join()
    (loop,) = prof.result.loops
    assert loop.step_count == 5


def test_a_strange_number_of_columns_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "many")
    with profile(batches(3), logdir=tmp_path, sample_hz=0) as prof:
        list(prof.dataset)
    assert prof.result.run.name in prof.report()
    assert (prof._repr_html_() or "").startswith("<iframe")
