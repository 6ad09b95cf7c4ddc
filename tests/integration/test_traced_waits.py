"""Where AUTOTUNE is off, short windows of TensorFlow's profiler measure waits, and get in nobody's way."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import pipeprof
from pipeprof.analysis.findings.caveat_kinds import WaitsOfTracedSteps
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.recording.loop import Loop, WaitSource
from pipeprof.xspace.trace_reader import read_trace
from tests.builders import those
from tests.integration.feeds import Batch, batch, model, train

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:Your input ran out of data"),
]

STEPS = 60
PLANTED_S = 0.02
SIGNATURE = (tf.TensorSpec((None, 8, 8, 1)), tf.TensorSpec((None,), tf.int64))
profiler = tf.profiler.experimental


def sleeping(image: Any, label: Any) -> Any:
    def sleep(array: Any) -> Any:
        time.sleep(PLANTED_S)
        return array

    return tf.ensure_shape(tf.numpy_function(sleep, [image], tf.float32), image.shape), label


def untuned(data: Any) -> Any:
    options = tf.data.Options()
    options.autotune.enabled = False
    return data.with_options(options)


def batches() -> Any:
    return tf.data.Dataset.from_tensors(batch(0)).repeat(STEPS)


def steps_marked(trainings: Any) -> Any:
    import keras

    class Marked(keras.callbacks.Callback):  # type: ignore[misc]
        """Traces some steps as a user would, with the marks that XProf needs."""

        def on_train_batch_begin(self, step: int, logs: Any = None) -> None:
            if step == trainings.start:
                profiler.start(str(trainings.folder))
            if trainings.start <= step < trainings.stop:
                self.mark = profiler.Trace("train", step_num=step, _r=1)
                self.mark.__enter__()

        def on_train_batch_end(self, step: int, logs: Any = None) -> None:
            if trainings.start <= step < trainings.stop:
                self.mark.__exit__(None, None, None)
            if step == trainings.stop - 1:
                profiler.stop()

    return Marked()


class Traced:
    """Which steps of a training are traced, and where to."""

    def __init__(self, folder: Path, start: int, stop: int) -> None:
        self.folder, self.start, self.stop = folder, start, stop

    def trace(self) -> Path:
        [path] = self.folder.rglob("*.xplane.pb")
        return path


def fit(data: Any, folder: Path, *callbacks: Any) -> Any:
    with pipeprof.profile(data, logdir=folder) as prof:
        train(model(), prof.dataset, epochs=1, callbacks=list(callbacks))
    assert prof.result.check() == ()
    assert prof.result.run.warnings == ()
    return prof


@pytest.mark.quick
def test_waits_of_a_pipeline_without_autotune_are_traced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    prof = fit(untuned(batches().map(sleeping).prefetch(2)), tmp_path / "run")
    [loop] = prof.result.loops
    assert loop.waits_by is WaitSource.TRACE
    waits = loop.steps.wait_ns[loop.steps.measured]
    assert len(waits) >= 20
    durations = (loop.steps.end_ns - loop.steps.start_ns)[loop.steps.measured]
    # Nothing but the sleep of the next batch takes time: a step mostly waits.
    assert np.median(waits / durations) > 0.5
    said = prof.findings.loops[0].diagnosis
    assert said.bound is Bound.INPUT
    assert those(WaitsOfTracedSteps, said.evidence)
    assert not list(temporary.glob("pipeprof-*"))


def test_a_pipeline_without_autotune_that_keeps_up_is_not_waited_for(tmp_path: Path) -> None:
    import keras

    class Slowly(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_begin(self, step: int, logs: Any = None) -> None:
            time.sleep(PLANTED_S)

    prof = fit(untuned(batches().prefetch(2)), tmp_path, Slowly())
    [loop] = prof.result.loops
    assert loop.waits_by is WaitSource.TRACE
    durations = (loop.steps.end_ns - loop.steps.start_ns)[loop.steps.measured]
    assert np.median(loop.steps.wait_ns[loop.steps.measured] / durations) < 0.5


def test_steps_of_short_epochs_are_traced_in_several_windows(tmp_path: Path) -> None:
    with pipeprof.profile(untuned(batches().take(6).map(sleeping)), logdir=tmp_path) as prof:
        train(model(), prof.dataset, epochs=10, validation_data=untuned(batches().take(2)))
    loop, validation = prof.result.loops
    assert loop.waits_by is WaitSource.TRACE
    assert validation.waits_by is None  # no verdict hangs on it
    assert prof.findings.loops[0].diagnosis.bound is Bound.INPUT


def test_a_bare_generator_without_autotune_needs_no_trace(tmp_path: Path) -> None:
    def slowly() -> Iterator[Batch]:
        for _ in range(STEPS):
            time.sleep(PLANTED_S / 4)
            yield batch(0)

    with pipeprof.profile(logdir=tmp_path) as prof:
        data = untuned(tf.data.Dataset.from_generator(slowly, output_signature=SIGNATURE))
        train(model(), data, epochs=1)
    [loop] = prof.result.loops
    assert loop.waits_by is WaitSource.GENERATOR
    assert loop.steps.measured.all()


def test_a_profiler_that_is_on_is_left_alone(tmp_path: Path) -> None:
    traced = Traced(tmp_path / "own", 2, STEPS - 1)
    prof = fit(untuned(batches()), tmp_path / "run", steps_marked(traced))
    assert traced.trace().stat().st_size > 0
    assert prof.result.loops[0].waits_by is None


def test_a_profiler_that_is_turned_on_in_a_window_gets_its_way(tmp_path: Path) -> None:
    start = profiler.start
    traced = Traced(tmp_path / "own", 9, 25)  # the first window begins after the warm-up of 5 steps
    fit(untuned(batches()), tmp_path / "run", steps_marked(traced))
    assert traced.trace().stat().st_size > 0
    assert profiler.start is start


@pytest.mark.parametrize("tuned", [True, False])
def test_xprof_agrees_on_the_waits_of_the_same_steps(tuned: bool, tmp_path: Path) -> None:
    """Gaps of AUTOTUNE's model, and our reading of a trace, against XProf's of that very trace."""
    convert = pytest.importorskip("xprof.convert.raw_to_tool_data", reason="xprof is not installed")
    traced = Traced(tmp_path / "own", 20, 50)
    data = batches().map(sleeping).prefetch(2)
    prof = fit(data if tuned else untuned(data), tmp_path / "run", steps_marked(traced))
    page, _ = convert.xspace_to_tool_data([str(traced.trace())], "input_pipeline_analyzer", {})
    [said] = [t["p"] for t in json.loads(page) if "steptime_ms_average" in t.get("p", {})]
    xprof_ms = float(said["infeed_time_ms_avg"])
    waited_ms = waits_of(prof.result.loops[0], traced) if tuned else waits_in(traced)
    assert waited_ms == pytest.approx(xprof_ms, rel=0.10)


def waits_of(loop: Loop, traced: Traced) -> float:
    chosen = (loop.steps.ordinal >= traced.start) & (loop.steps.ordinal < traced.stop)
    return float(loop.steps.wait_ns[chosen].mean()) / 1e6


def waits_in(traced: Traced) -> float:
    rows = read_trace(traced.trace()).fetches
    return float((rows[:, 1] - rows[:, 0]).sum()) / 1e6 / (traced.stop - traced.start)
