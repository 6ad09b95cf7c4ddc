"""Windows of TensorFlow's profiler: XProf reads them as steps, and the training goes on as without."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import pipeprof
from pipeprof.capture.probes.profiler import step_traces
from pipeprof.capture.probes.profiler.step_traces import StepTraces
from pipeprof.capture.probes.profiler.tensorflow_profiler import ProfilerSession
from pipeprof.capture.probes.profiler.tensorflow_trace_windows import TraceWindows
from pipeprof.capture.recorder.facts import TraceWindowFacts
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.recording.devices import TraceWindow
from pipeprof.recording.loop import LoopKind
from pipeprof.recording.profile import Profile
from pipeprof.runs.log_folder import PROFILES
from tests.capture.probes.recorded import warnings_of
from tests.integration.feeds import Batch, batch, dataset, model, train

pytestmark = pytest.mark.integration

SLEEP_S = 0.015
STEPS = 30
profiler = tf.profiler.experimental


def slow() -> Any:
    """A pipeline that a training waits for."""

    def sleep(array: Any) -> Any:
        time.sleep(SLEEP_S)
        return array

    def waited(image: Any, label: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(sleep, [image], tf.float32), image.shape), label

    return tf.data.Dataset.from_tensors(batch(0)).repeat(STEPS).map(waited)


def traces(run: Profile, logdir: Path) -> list[Path]:
    """The files of its windows, which lie beside its own trace and nothing else does."""
    folder = logdir / PROFILES
    names = [window.run for window in run.trace_windows]
    assert {path.name for path in folder.iterdir()} == {run.run.name, *names}
    return [next((folder / name).glob("*.xplane.pb")) for name in names]


def xprof(path: Path) -> tuple[int, dict[str, str]]:
    """How many steps XProf's input pipeline analyser finds in a trace, and what it says of them."""
    convert = pytest.importorskip("xprof.convert.raw_to_tool_data", reason="xprof is not installed")
    page, _ = convert.xspace_to_tool_data([str(path)], "input_pipeline_analyzer", {})
    [table] = [t for t in json.loads(page) if "steptime_ms_average" in t.get("p", {})]
    return len(table["rows"]), table["p"]


def assert_waits_are_those_traced(run: Profile, number: int) -> None:
    """The steps of a window waited for most of their time, as we measured it and as the trace has it."""
    window = run.trace_windows[number]
    steps = run.loops[window.loop].steps
    chosen = np.isin(steps.ordinal, window.ordinal)
    assert steps.measured[chosen].all()
    lasted_ns = (steps.end_ns - steps.start_ns)[chosen]
    for wait_ns in (steps.wait_ns[chosen], window.wait_ns):
        assert np.median(wait_ns / lasted_ns) > 0.5


def assert_xprof_agrees(path: Path, window: TraceWindow) -> None:
    """XProf finds the steps of a window in its trace, and that they waited as long as we read there."""
    count, said = xprof(path)
    assert count == window.step_count
    waited_ms = float(window.wait_ns.mean()) / 1e6
    assert float(said["infeed_time_ms_avg"]) == pytest.approx(waited_ms, rel=0.05)


@pytest.mark.quick
def test_xprof_reads_two_windows_of_a_fit_as_its_steps(tmp_path: Path) -> None:
    with pipeprof.profile(slow(), logdir=tmp_path, trace_steps=5) as prof:
        train(model(), prof.dataset, epochs=2)
    run = prof.result
    assert (run.check(), run.run.warnings) == ((), ())
    assert [w.step_count for w in run.trace_windows] == [5, 5]
    assert run.trace_windows[0].first_step == 5
    for number, path in enumerate(traces(run, tmp_path)):
        assert_waits_are_those_traced(run, number)
        assert_xprof_agrees(path, run.trace_windows[number])
    [loop] = run.loops
    assert (~loop.steps.measured).sum() <= 2  # each step but the last of an epoch has its wait
    assert "window2" in prof.report()


def test_losses_are_those_of_a_training_without_windows(tmp_path: Path) -> None:
    def losses(**arguments: Any) -> list[float]:
        with pipeprof.profile(logdir=tmp_path, **arguments):
            history = train(model(), dataset().repeat(2), epochs=2)
        return list(history.history["loss"])

    assert losses(trace_steps=3) == losses()


def test_hand_written_loops_have_windows_too(tmp_path: Path) -> None:
    def batches() -> Iterator[Batch]:
        for index in range(STEPS):
            time.sleep(SLEEP_S / 3)
            yield batch(index)

    trained = model()
    with pipeprof.profile(batches(), logdir=tmp_path, trace_steps=4) as prof:
        for x, y in prof.dataset:
            trained.train_on_batch(x, y)
    [loop] = prof.result.loops
    assert loop.kind is LoopKind.TRAIN_ON_BATCH
    assert [(w.first_step, w.step_count) for w in prof.result.trace_windows] == [(5, 4), (18, 4)]
    assert loop.step_count == STEPS
    assert loop.steps.measured.all()


def test_a_hand_written_loop_over_a_dataset_is_confirmed_by_its_windows(tmp_path: Path) -> None:
    trained = model()
    with pipeprof.profile(slow(), logdir=tmp_path, trace_steps=4) as prof:
        for x, y in prof.dataset:
            with prof.step():
                trained.train_on_batch(x, y)
    assert [w.step_count for w in prof.result.trace_windows] == [4, 4]
    for number in range(2):
        assert_waits_are_those_traced(prof.result, number)


def test_steps_of_several_batches_are_those_of_xprof_too(tmp_path: Path) -> None:
    with pipeprof.profile(slow().repeat(2), logdir=tmp_path, trace_steps=3) as prof:
        train(model(steps_per_execution=3), prof.dataset, epochs=1)
    run = prof.result
    assert [w.step_count for w in run.trace_windows] == [3, 3]
    for number, path in enumerate(traces(run, tmp_path)):
        assert_waits_are_those_traced(run, number)
        assert_xprof_agrees(path, run.trace_windows[number])


def test_windows_end_with_their_epochs(tmp_path: Path) -> None:
    with pipeprof.profile(slow().take(4), logdir=tmp_path, trace_steps=20) as prof:
        train(model(), prof.dataset, epochs=8, validation_data=slow().take(2))
    run = prof.result
    steps = run.loops[0].steps
    assert run.run.warnings == ()
    assert len(run.trace_windows) == 2
    for window in run.trace_windows:
        assert run.loops[window.loop].kind is LoopKind.FIT
        assert 1 <= window.step_count < 4
        epochs = steps.epoch[np.isin(steps.ordinal, window.ordinal)]
        assert len(set(epochs.tolist())) == 1


def test_an_exception_in_a_window_comes_through_and_the_window_is_kept(tmp_path: Path) -> None:
    class Fails(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, step: int, logs: Any = None) -> None:
            if step == 8:
                raise RuntimeError("the user's own")

    prof = pipeprof.profile(slow(), logdir=tmp_path, trace_steps=5)
    with pytest.raises(RuntimeError, match="the user's own"), prof:
        train(model(), prof.dataset, epochs=1, callbacks=[Fails()])
    [window] = prof.result.trace_windows
    assert 3 <= window.step_count < 5
    profiler.start(str(tmp_path / "own"))  # it is free again
    profiler.stop()


def test_a_profiler_that_is_on_is_left_alone(tmp_path: Path) -> None:
    profiler.start(str(tmp_path / "own"))
    with pipeprof.profile(slow(), logdir=tmp_path / "run", trace_steps=5) as prof:
        train(model(), prof.dataset, epochs=1)
    profiler.stop()
    assert list((tmp_path / "own").rglob("*.xplane.pb"))
    assert prof.result.trace_windows == ()
    [warning] = prof.result.run.warnings
    assert "was on already" in warning


def test_a_session_of_the_profilers_server_is_left_alone(tmp_path: Path) -> None:
    internal = pytest.importorskip("tensorflow.python.profiler.internal._pywrap_profiler")
    session = internal.ProfilerSession()
    session.start("", {})
    assert ProfilerSession.open(devices=True) is None
    assert session.stop()
    profiler.start(str(tmp_path))  # TensorFlow's own bookkeeping is as it was
    profiler.stop()
    assert list(tmp_path.rglob("*.xplane.pb"))


# Keras's callback converts TensorFlow's tensors in a way that NumPy 2 warns of.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_keras_gets_the_profiler_that_it_turns_on_in_a_window(tmp_path: Path) -> None:
    start = profiler.start
    tensorboard = keras.callbacks.TensorBoard(str(tmp_path / "own"), profile_batch=(8, 12))
    with pipeprof.profile(slow(), logdir=tmp_path / "run", trace_steps=5) as prof:
        train(model(), prof.dataset, epochs=1, callbacks=[tensorboard])
    assert profiler.start is start
    assert list((tmp_path / "own").rglob("*.xplane.pb"))
    assert len(prof.result.trace_windows) == 1  # the one after it
    assert "got it" in " ".join(prof.result.run.warnings)


def test_both_kinds_of_windows_share_the_profiler(tmp_path: Path) -> None:
    options = tf.data.Options()
    options.autotune.enabled = False
    untuned = slow().repeat(3).with_options(options)
    with pipeprof.profile(untuned, logdir=tmp_path, trace_steps=4) as prof:
        train(model(), prof.dataset, epochs=1)
    assert prof.result.run.warnings == ()
    assert [w.step_count for w in prof.result.trace_windows] == [4, 4]
    assert prof.result.loops[0].steps.measured.sum() >= 20


KILLED = """
import os, signal, sys
import keras, pipeprof
from tests.integration.feeds import dataset, model, train

class DiesAfterTheWindow(keras.callbacks.Callback):
    def on_train_batch_end(self, step, logs=None):
        if step == 12:  # steps 5 to 7 are traced
            os.kill(os.getpid(), signal.SIGKILL)

with pipeprof.profile(dataset().repeat(4), logdir=sys.argv[1], trace_steps=3) as prof:
    train(model(), prof.dataset, epochs=1, callbacks=[DiesAfterTheWindow()])
"""


def test_a_training_that_was_killed_after_its_first_window_still_reports_it(
    tmp_path: Path,
) -> None:
    killed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLED, str(tmp_path)], capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    run = pipeprof.load(tmp_path)
    assert not run.profile.run.complete
    [window] = run.profile.trace_windows
    assert (window.loop, window.first_step, window.step_count) == (0, 5, 3)
    assert list((tmp_path / PROFILES / window.run).glob("*.xplane.pb"))
    assert window.run in run.report(width=200)
    [reported] = run.to_dict()["trace_windows"]
    assert reported["run"] == window.run


def test_a_training_that_is_too_short_says_so(tmp_path: Path) -> None:
    with pipeprof.profile(slow().take(4), logdir=tmp_path, trace_steps=5) as prof:
        train(model(), prof.dataset, epochs=1)
    assert "no training loop went on after its 5 warm-up steps" in prof.result.run.warnings[0]


class Loop:
    """A loop as far as windows look at it."""

    kind = LoopKind.FIT
    number = 1
    step = 0


def open_windows(folder: Path) -> tuple[TraceWindows, Recorder, Any]:
    """Windows of five steps, what records them, and a loop in the first of them."""
    recorder = Recorder(None)
    plan = StepTraces(folder, "run", steps=5, warmup=0, wanted=lambda: True, recorder=recorder)
    windows = TraceWindows(recorder.warn, plan)
    loop: Any = Loop()
    windows.between_steps(loop)
    return windows, recorder, loop


def test_a_step_that_takes_too_long_does_not_keep_the_profiler_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows, recorder, loop = open_windows(tmp_path)
    loop.step = 2
    windows.limit()
    assert recorder.names.lines == []
    monkeypatch.setattr(step_traces, "LONGEST_NS", 0)
    windows.limit()
    windows.left(loop)
    [(_, window)] = recorder.names.lines
    assert isinstance(window, TraceWindowFacts)
    assert (window.run, window.loop, window.step_count) == ("run_window1", 1, 2)
    assert list((tmp_path / "run_window1").glob("*.xplane.pb"))
    assert ProfilerSession.current is None


@pytest.mark.parametrize("workers", [["a:1"], ["a:1", "b:1"]])
def test_no_window_opens_where_it_can_crash_a_process_among_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: list[str]
) -> None:
    cluster = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    windows, recorder, loop = open_windows(tmp_path)
    alone = len(workers) == 1
    assert (ProfilerSession.current is not None) is alone
    assert any("can crash a process" in sentence for sentence in warnings_of(recorder)) is not alone
    loop.step = 2
    windows.left(loop)
    assert ProfilerSession.current is None


@pytest.mark.parametrize(("most_bytes", "sentence"), [(1, "no second"), (10**9, "")])
def test_after_a_large_trace_there_is_no_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_bytes: int, sentence: str
) -> None:
    monkeypatch.setattr(step_traces, "MOST_BYTES", most_bytes)
    windows, recorder, loop = open_windows(tmp_path)
    loop.step = 5
    windows.left(loop)
    assert windows.due(loop, 1_000) is not bool(sentence)
    assert sentence in " ".join(warnings_of(recorder))


def test_no_window_is_due_that_cannot_begin(tmp_path: Path) -> None:
    wanted = False
    recorder = Recorder(None)
    plan = StepTraces(tmp_path, "run", steps=5, warmup=0, wanted=lambda: wanted, recorder=recorder)
    windows = TraceWindows(recorder.warn, plan)
    loop: Any = Loop()
    assert not windows.due(loop, 0)
    wanted = True
    assert windows.due(loop, 0)
    others = ProfilerSession.open(devices=False)
    assert others is not None
    assert not windows.due(loop, 0)
    others.close(save=False)
    others.forget()
    assert windows.due(loop, 0)


@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
def test_keras_on_another_backend_is_reported_and_trains_on(tmp_path: Path) -> None:
    script = f"""
import sys
import keras, numpy as np, pipeprof
model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
data = np.zeros((640, 4)), np.zeros((640, 1))
with pipeprof.profile(logdir={str(tmp_path)!r}, trace_steps=5) as prof:
    model.fit(*data, verbose=0)
print(prof.result.loops[0].step_count, prof.result.run.warnings)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env=os.environ | {"KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=True,
    )
    said = "No steps were traced: TensorFlow's profiler traces them, and Keras ran on jax."
    assert done.stdout.strip().endswith(f"20 ({said!r},)".replace("'No", '"No').replace(".'", '."'))
