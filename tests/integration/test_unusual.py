"""Trainings of less usual shapes are followed all the same: strategies, loops in loops, own fits."""

import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf

import pipeprof
from pipeprof.recording.loop import InputKind, Loop, LoopKind, WaitSource
from pipeprof.recording.profile import Profile
from pipeprof.recording.stage import StageKind
from tests.integration.feeds import (
    BATCH,
    BATCHES,
    EPOCHS,
    SAMPLES,
    STEPS,
    Digits,
    batch,
    batches,
    dataset,
    digits,
    model,
    train,
)

pytestmark = pytest.mark.integration


def profiled(logdir: Path, train_it: Callable[[], Any], *, warnings: int = 0) -> Profile:
    with pipeprof.profile(logdir=logdir) as prof:
        train_it()
    assert prof.result.check() == ()
    assert len(prof.result.run.warnings) == warnings
    return prof.result


def counts(loop: Loop) -> tuple[LoopKind, int | None, int, int | None]:
    assert loop.batch_count == loop.step_count == len(loop.steps)
    assert int((~loop.steps.measured).sum()) <= loop.epochs
    return loop.kind, loop.epochs, loop.step_count, loop.sample_count


WHOLE_FIT = (LoopKind.FIT, EPOCHS, STEPS, SAMPLES)


@pytest.mark.parametrize(
    ("data", "arguments", "kind", "own_stages"),
    [
        (dataset, {}, InputKind.TF_DATA, {StageKind.TF_DATA}),
        (batches, {"steps_per_epoch": BATCHES}, InputKind.GENERATOR, {StageKind.GENERATOR}),
        (
            lambda: Digits(workers=2),
            {},
            InputKind.SEQUENCE,
            {StageKind.SEQUENCE, StageKind.EPOCH_START},
        ),
    ],
)
def test_a_distribution_strategy(
    data: Callable[[], Any],
    arguments: dict[str, Any],
    kind: InputKind,
    own_stages: set[StageKind],
    tmp_path: Path,
) -> None:
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        made = model()
    result = profiled(tmp_path, lambda: train(made, data(), **arguments))
    (loop,) = result.loops
    assert counts(loop) == WHOLE_FIT
    assert loop.input.kind is kind
    assert own_stages <= {one.kind for one in result.stages}


def test_a_fit_in_a_thread_of_its_own(tmp_path: Path) -> None:
    def train_aside() -> None:
        thread = threading.Thread(target=train, args=(model(), dataset()))
        thread.start()
        thread.join()

    (loop,) = profiled(tmp_path, train_aside).loops
    assert counts(loop) == WHOLE_FIT


class OwnFit(keras.Sequential):
    def fit(self, *args: Any, **kwargs: Any) -> Any:
        return super().fit(*args, **kwargs)


def test_a_model_that_overrides_fit(tmp_path: Path) -> None:
    made = OwnFit([keras.layers.Flatten(), keras.layers.Dense(10)])
    made.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    (loop,) = profiled(tmp_path, lambda: train(made, dataset())).loops
    assert counts(loop) == WHOLE_FIT


def test_several_outputs(tmp_path: Path) -> None:
    images = keras.Input((8, 8, 1))
    flat = keras.layers.Flatten()(images)
    made = keras.Model(images, [keras.layers.Dense(10)(flat), keras.layers.Dense(10)(flat)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile("sgd", [loss, loss], metrics=[["accuracy"], ["accuracy"]])
    x, y = digits()
    (loop,) = profiled(tmp_path, lambda: train(made, x, [y, y], batch_size=BATCH)).loops
    assert counts(loop) == WHOLE_FIT


class FitsAfterEpochs(keras.callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        train(model(), *digits(), batch_size=BATCH, epochs=1)


class TrainsAfterBatches(keras.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.other = model()

    def on_train_batch_end(self, batch_number: int, logs: Any = None) -> None:
        self.other.train_on_batch(*batch(batch_number))


class StopsInTheMiddle(keras.callbacks.Callback):
    def on_train_batch_end(self, batch_number: int, logs: Any = None) -> None:
        self.model.stop_training = batch_number == 4


def test_a_fit_inside_a_fit_is_a_loop_of_its_own(tmp_path: Path) -> None:
    result = profiled(tmp_path, lambda: train(model(), dataset(), callbacks=[FitsAfterEpochs()]))
    outer, *inner = result.loops
    assert counts(outer) == WHOLE_FIT
    assert len(inner) == EPOCHS  # of another model each
    for loop in inner:
        assert (loop.parent, loop.input.kind) == (0, InputKind.ARRAYS)
        assert counts(loop) == (LoopKind.FIT, 1, BATCHES, BATCHES * BATCH)
    assert len({loop.model for loop in result.loops}) == 1 + EPOCHS


def test_batches_trained_on_inside_a_fit_are_part_of_its_steps(tmp_path: Path) -> None:
    result = profiled(tmp_path, lambda: train(model(), dataset(), callbacks=[TrainsAfterBatches()]))
    (loop,) = result.loops
    assert counts(loop) == WHOLE_FIT


def test_a_fit_that_stops_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    result = profiled(tmp_path, lambda: train(model(), dataset(), callbacks=[StopsInTheMiddle()]))
    (loop,) = result.loops
    assert counts(loop) == (LoopKind.FIT, 1, 5, 5 * BATCH)


def test_the_last_batch_may_be_short(tmp_path: Path) -> None:
    x, y = (part[:50] for part in digits())

    def train_and_test() -> None:
        made = model()
        train(made, x, y, batch_size=BATCH)
        made.evaluate(x, y, batch_size=BATCH, verbose=0)
        made.predict(x, batch_size=BATCH, verbose=0)

    assert [counts(loop) for loop in profiled(tmp_path, train_and_test).loops] == [
        (LoopKind.FIT, EPOCHS, 4 * EPOCHS, 50 * EPOCHS),
        (LoopKind.EVALUATE, 1, 4, 50),
        (LoopKind.PREDICT, 1, 4, 50),
    ]


def test_validation_of_another_kind_and_now_and_then(tmp_path: Path) -> None:
    result = profiled(
        tmp_path,
        lambda: train(
            model(),
            Digits(workers=2),
            validation_data=batches(),
            validation_steps=4,
            validation_freq=2,
        ),
    )
    fit, evaluation = result.loops
    assert counts(fit) == WHOLE_FIT
    assert counts(evaluation) == (LoopKind.EVALUATE, 1, 4, 4 * BATCH)
    assert (evaluation.parent, evaluation.input.kind) == (0, InputKind.GENERATOR)


@pytest.mark.parametrize("given", [False, True])
def test_a_hand_written_loop_over_a_distributed_dataset(given: bool, tmp_path: Path) -> None:
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    data = strategy.experimental_distribute_dataset(dataset())
    with strategy.scope():
        made = model()

    @tf.function
    def step(x: Any, y: Any) -> Any:
        return strategy.run(lambda a, b: made.compute_loss(a, b, made(a)), (x, y))

    iterate = type(data).__iter__
    with pipeprof.profile(data if given else None, logdir=tmp_path) as prof:
        for _ in range(EPOCHS):
            for x, y in prof.dataset if given else data:
                step(x, y)
    (loop,) = prof.result.loops
    assert prof.result.check() == ()
    assert counts(loop) == (LoopKind.CUSTOM, EPOCHS, STEPS, SAMPLES)
    assert (loop.input.kind, loop.waits_by) == (InputKind.TF_DATA, WaitSource.ITERATOR)
    assert type(data).__iter__ is iterate


@pytest.mark.parametrize("marked", [False, True])
def test_slices_of_arrays_that_were_given(marked: bool, tmp_path: Path) -> None:
    made = model()
    with pipeprof.profile(digits(), logdir=tmp_path) as prof:
        x, y = prof.dataset
        for start in range(0, len(x), BATCH):
            with prof.step() if marked else nullcontext():
                made.train_on_batch(x[start : start + BATCH], y[start : start + BATCH])
    (loop,) = prof.result.loops
    assert prof.result.check() == ()
    assert (loop.kind, loop.input.kind) == (LoopKind.TRAIN_ON_BATCH, InputKind.ARRAYS)
    assert (loop.step_count, loop.sample_count) == (BATCHES, BATCHES * BATCH)
    assert loop.waits_by is None  # slicing is a part of the step


class StartsAnother(keras.callbacks.Callback):
    """Fits another model in another thread, from begin to end in the middle of a step."""

    def on_train_batch_end(self, batch_number: int, logs: Any = None) -> None:
        if batch_number == 2:
            data = Digits()
            thread = threading.Thread(
                target=train, args=(model(), data), kwargs={"validation_data": data}
            )
            thread.start()
            thread.join()


def test_of_several_fits_at_once_only_one_is_shown(tmp_path: Path) -> None:
    with pipeprof.profile(logdir=tmp_path) as prof:
        train(model(), dataset(), callbacks=[StartsAnother()])
    (loop,) = prof.result.loops
    assert prof.result.check() == ()
    assert counts(loop) == WHOLE_FIT
    (warning,) = prof.result.run.warnings
    assert warning.startswith("Several trainings ran at the same time")


class ShyModel(keras.Sequential):
    """Shows its metrics to Keras only."""

    @property
    def metrics(self) -> Any:
        if sys._getframe(1).f_globals["__name__"].startswith("pipeprof."):
            raise ValueError("planted")
        return super().metrics


def test_a_model_that_cannot_be_looked_at_trains_all_the_same(tmp_path: Path) -> None:
    made = ShyModel([keras.layers.Flatten(), keras.layers.Dense(10)])
    made.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pipeprof.profile(logdir=tmp_path) as prof:
        train(made, dataset(), epochs=1)
    assert int(made.optimizer.iterations) == BATCHES
    assert prof.result.check() == ()
    (warning,) = prof.result.run.warnings
    assert warning.startswith("The steps could not be followed any more (ValueError: planted)")
    assert prof.result.loops[0].step_count >= BATCHES - 1
