"""Keras 2 (``tf_keras``) is seen as Keras 3 is, with the workers that it takes on ``fit``."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pipeprof
from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.wait_evidence_kinds import BottleneckAtWork
from pipeprof.analysis.findings.work_reasons import CallKind
from pipeprof.recording.loop import InputKind, LoopKind, WaitSource
from pipeprof.recording.stage import StageKind
from pipeprof.runs.run_reading import read_run
from tests.builders import those
from tests.integration.feeds import (
    BATCH,
    BATCHES,
    EPOCHS,
    SAMPLES,
    STEPS,
    Batch,
    batch,
    batches,
    dataset,
    digits,
    model,
    train,
)

tf_keras = pytest.importorskip("tf_keras", reason="Keras 2 is not installed")

pytestmark = pytest.mark.integration


class OldDigits(tf_keras.utils.Sequence):  # type: ignore[misc]
    def __len__(self) -> int:
        return BATCHES

    def __getitem__(self, index: int) -> Batch:
        return batch(index)


def fit(data: Any, **arguments: Any) -> Any:
    made = model(tf_keras)
    train(made, data, **arguments)
    return made


def fit_steps(data: Any) -> Any:
    return fit(data, steps_per_epoch=BATCHES)


def fit_generator(data: Any) -> Any:
    made = model(tf_keras)
    made.fit_generator(data, steps_per_epoch=BATCHES, epochs=EPOCHS, verbose=0)
    return made


# Name: what is given, how it is trained on, kind of input, workers.
FEEDS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], InputKind, int | None]] = {
    "generator": (batches, fit_steps, InputKind.GENERATOR, 1),
    "fit_generator": (batches, fit_generator, InputKind.GENERATOR, 1),
    "Sequence": (OldDigits, fit, InputKind.SEQUENCE, 1),
    "tf.data": (dataset, fit, InputKind.TF_DATA, None),
    "tf.data, repeated": (lambda: dataset().repeat(), fit_steps, InputKind.TF_DATA, None),
}


@pytest.mark.quick
@pytest.mark.filterwarnings("ignore:`Model.fit_generator` is deprecated")
@pytest.mark.parametrize("name", FEEDS)
def test_a_feed_is_seen_and_trains_as_without(name: str, tmp_path: Path) -> None:
    make, train_on, kind, workers = FEEDS[name]
    expected = train_on(make()).get_weights()
    with pipeprof.profile(make(), logdir=tmp_path) as prof:
        made = train_on(prof.dataset)
    for same, weight in zip(made.get_weights(), expected, strict=True):
        assert np.array_equal(same, weight)

    result = prof.result
    [loop] = result.loops
    assert (result.check(), result.run.warnings, result.run.error) == ((), (), None)
    assert (loop.kind, loop.input.kind) == (LoopKind.FIT, kind)
    assert loop.input.workers == workers
    assert (loop.epochs, loop.step_count) == (EPOCHS, STEPS)
    assert (loop.batch_count, loop.sample_count) == (STEPS, SAMPLES)
    assert loop.waits_by is WaitSource.GAP_TIMES
    assert int((~loop.steps.measured).sum()) <= EPOCHS


# One epoch: Keras 2 waits five seconds for the queue of workers at the end of each.
@pytest.mark.quick
@pytest.mark.parametrize("processes", [False, True])
def test_workers_are_what_fit_was_reported(processes: bool, tmp_path: Path) -> None:
    with pipeprof.profile(OldDigits(), logdir=tmp_path) as prof:
        fit(prof.dataset, workers=2, use_multiprocessing=processes, epochs=1)
    [loop] = prof.result.loops
    assert prof.result.check() == ()
    assert (loop.input.kind, loop.input.workers) == (InputKind.SEQUENCE, 2)
    assert (loop.input.multiprocessing, loop.input.queue_size) == (processes, 10)
    assert (loop.step_count, loop.sample_count) == (BATCHES, BATCHES * BATCH)
    transport = [stage for stage in prof.result.stages if stage.kind is StageKind.TRANSPORT]
    assert len(transport) == processes


class SlowDigits(OldDigits):
    def __len__(self) -> int:
        return 70  # epochs of 3.5 s for two workers

    def __getitem__(self, index: int) -> Batch:
        time.sleep(0.1)
        return super().__getitem__(index)


class Pause(tf_keras.callbacks.Callback):  # type: ignore[misc]
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == 0:
            time.sleep(4)


def test_workers_that_never_rest_are_busy_whatever_lies_between_epochs(tmp_path: Path) -> None:
    with pipeprof.profile(SlowDigits(), logdir=tmp_path) as prof:
        fit(prof.dataset, workers=2, epochs=2, callbacks=[Pause()])
    [found] = analyse(prof.result).loops
    steps = found.loop.steps
    first = steps.epoch.tolist().index(1)
    between_ns = steps.end_ns[first] - steps.end_ns[first - 1]
    assert between_ns > steps.end_ns[-1] - steps.end_ns[first]
    [at_work] = those(BottleneckAtWork, found.diagnosis.evidence)
    assert (at_work.calls, at_work.at_once) == (CallKind.WORKER, 2)
    assert at_work.busy_ratio > 0.6


def slow_batches() -> Iterator[Batch]:
    for one in batches():
        time.sleep(0.01)  # so that the other worker asks meanwhile
        yield one


@pytest.mark.filterwarnings("ignore:`Model.fit_generator` is deprecated")
def test_a_generator_with_workers_fails_as_without_and_the_run_says_so(tmp_path: Path) -> None:
    made = model(tf_keras)
    with (
        pytest.raises(Exception, match="NOT thread-safe"),
        pipeprof.profile(slow_batches(), logdir=tmp_path) as prof,
    ):
        made.fit_generator(prof.dataset, steps_per_epoch=STEPS, workers=2, verbose=0)
    assert "generator is NOT thread-safe" in (prof.result.run.error or "")
    assert prof.folder is not None
    assert read_run(prof.folder).run.error == prof.result.run.error
    [loop] = prof.result.loops
    assert (loop.input.kind, loop.input.workers) == (InputKind.GENERATOR, 2)


def test_validation_split_of_arrays(tmp_path: Path) -> None:
    with pipeprof.profile(logdir=tmp_path) as prof:
        train(model(tf_keras), *digits(), batch_size=BATCH, validation_split=0.2)
    fit_loop, evaluation = prof.result.loops
    assert (fit_loop.step_count, fit_loop.sample_count) == (24, 24 * BATCH)
    assert (evaluation.kind, evaluation.parent) == (LoopKind.EVALUATE, 0)
    assert (evaluation.step_count, evaluation.sample_count) == (6, 6 * BATCH)
    assert (evaluation.input.kind, evaluation.input.workers) == (InputKind.ARRAYS, None)


def test_several_steps_at_once(tmp_path: Path) -> None:
    with pipeprof.profile(dataset(), logdir=tmp_path) as prof:
        train(model(tf_keras, steps_per_execution=4), prof.dataset)
    [loop] = prof.result.loops
    assert (loop.step_count, loop.batch_count, loop.sample_count) == (3 * EPOCHS, STEPS, SAMPLES)


@pytest.mark.quick
def test_train_on_batch(tmp_path: Path) -> None:
    made = model(tf_keras)
    with pipeprof.profile(batches(STEPS), logdir=tmp_path) as prof:
        for x, y in prof.dataset:
            made.train_on_batch(x, y)
    [loop] = prof.result.loops
    assert (loop.kind, loop.input.kind) == (LoopKind.TRAIN_ON_BATCH, InputKind.GENERATOR)
    assert (loop.step_count, loop.sample_count) == (STEPS, SAMPLES)
    assert loop.steps.measured.all()


def test_image_data_generator(tmp_path: Path) -> None:
    flow = tf_keras.preprocessing.image.ImageDataGenerator(horizontal_flip=True).flow
    with pipeprof.profile(flow(*digits(), batch_size=BATCH, seed=3), logdir=tmp_path) as prof:
        fit(prof.dataset)
    [loop] = prof.result.loops
    assert (loop.input.kind, loop.input.name) == (InputKind.SEQUENCE, "NumpyArrayIterator")
    assert (loop.step_count, loop.sample_count) == (STEPS, SAMPLES)
    [stage] = [one for one in prof.result.stages if one.kind is StageKind.SEQUENCE]
    assert stage.name == "NumpyArrayIterator.__getitem__"


def test_the_callback_works_in_keras_2_too(tmp_path: Path) -> None:
    callback = pipeprof.Callback(tmp_path, verbose=0)
    fit(dataset(), callbacks=[callback])
    [loop] = callback.result.loops
    assert (loop.input.kind, loop.epochs) == (InputKind.TF_DATA, EPOCHS)
    assert (loop.step_count, loop.sample_count) == (STEPS, SAMPLES)
