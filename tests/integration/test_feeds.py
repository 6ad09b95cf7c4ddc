"""Every way to feed a model is seen for what it is: kind of input, steps, batches, samples, waits."""

import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.legacy.preprocessing.image import ImageDataGenerator

import pipeprof
from pipeprof.capture.session import Session
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

pytestmark = [
    pytest.mark.integration,
    # Keras learns the length of a dataset by running out of it in the first epoch, and warns.
    pytest.mark.filterwarnings("ignore:Your input ran out of data"),
]

GAPS, BY_ITERATOR, BY_GENERATOR = WaitSource.GAP_TIMES, WaitSource.ITERATOR, WaitSource.GENERATOR


@dataclass(frozen=True, kw_only=True)
class Feed:
    """A way to feed a model, and what a profile must say of it.

    Attributes:
        data: makes what is given to the profile.
        train: trains on what the profile gives back.
        kind: what kind of input the main loop must have.
        unknown: how many steps may have an unknown wait: the last of each epoch, after which
            nothing is fetched, is known only where the loop finds out by asking.
    """

    data: Callable[[], Any]
    train: Callable[[Any], Any]
    kind: InputKind
    loop: LoopKind = LoopKind.FIT
    steps: int = STEPS
    batches: int = STEPS
    samples: int | None = SAMPLES
    epochs: int = EPOCHS
    waits_by: WaitSource = GAPS
    unknown: int = EPOCHS
    workers: int | None = None
    multiprocessing: bool | None = None


def train_on_batches(data: Any, count: int | None = None, package: Any = keras) -> None:
    made = model(package)
    for done, (x, y) in enumerate(data, start=1):
        made.train_on_batch(x, y)
        if done == count:
            break


def train_epochs_on_batches(data: Any) -> None:
    made = model()
    for _ in range(EPOCHS):
        for x, y in data:
            made.train_on_batch(x, y)


def train_with_tape(data: Any) -> None:
    made = model()
    loss, optimizer = keras.losses.get("sparse_categorical_crossentropy"), keras.optimizers.SGD()

    @tf.function
    def step(x: Any, y: Any) -> None:
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(loss(y, keras.ops.softmax(made(x, training=True))))
        weights = made.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(value, weights), weights, strict=True))

    for x, y in data:
        step(x, y)


def train_two_inputs(x: Any, y: Any) -> None:
    keras.utils.set_random_seed(7)
    first, second = keras.Input((8, 8, 1), name="first"), keras.Input((8, 8, 1), name="second")
    both = keras.layers.Flatten()(keras.layers.Concatenate()([first, second]))
    made = keras.Model({"first": first, "second": second}, keras.layers.Dense(10)(both))
    made.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    train(made, x, y, batch_size=BATCH)


def produce(queue: Any) -> None:
    for index in range(STEPS):
        queue.put(batch(index))
    queue.put(None)


def batches_of_another_process() -> Iterator[Any]:
    context = multiprocessing.get_context("fork")
    queue = context.Queue(4)
    producer = context.Process(target=produce, args=(queue,))
    producer.start()
    while (item := queue.get()) is not None:
        yield item
    producer.join()


class WithOwnStep(keras.Model):
    """A model as Keras's guide to own training steps has it, but for what its loss is weighted by."""

    weighted = False

    def __init__(self) -> None:
        super().__init__()
        self.network = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10)])
        self.tracker = keras.metrics.Mean(name="loss")

    def call(self, x: Any) -> Any:
        return self.network(x)

    @property
    def metrics(self) -> list[Any]:
        return [self.tracker]

    def train_step(self, data: Any) -> Any:
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(y=y, y_pred=self(x, training=True))
        weights = self.trainable_weights
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        self.tracker.update_state(loss, sample_weight=tf.shape(x)[0] if self.weighted else None)
        return {"loss": self.tracker.result()}


class WithOwnWeightedStep(WithOwnStep):
    weighted = True


def train_own(kind: type[keras.Model], data: Any) -> None:
    made = kind()
    made.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    train(made, data)


def augmented() -> Any:
    return ImageDataGenerator(horizontal_flip=True).flow(*digits(), batch_size=BATCH, seed=3)


def unknown_length() -> tf.data.Dataset:
    return dataset().filter(lambda x, y: True)


def from_generator() -> tf.data.Dataset:
    signature = (tf.TensorSpec((None, 8, 8, 1)), tf.TensorSpec((None,), tf.int64))
    return tf.data.Dataset.from_generator(lambda: batches(BATCHES), output_signature=signature)


def fit(data: Any) -> None:
    train(model(), data)


def fit_steps(data: Any) -> None:
    train(model(), data, steps_per_epoch=BATCHES)


FEEDS = {
    "arrays": Feed(
        data=digits,
        train=lambda data: train(model(), *data, batch_size=BATCH),
        kind=InputKind.ARRAYS,
    ),
    "arrays by name": Feed(
        data=lambda: ({"first": digits()[0], "second": digits()[0]}, digits()[1]),
        train=lambda data: train_two_inputs(*data),
        kind=InputKind.ARRAYS,
    ),
    "arrays with weights": Feed(
        data=digits,
        train=lambda data: train(
            model(), *data, batch_size=BATCH, sample_weight=np.linspace(0, 2, BATCHES * BATCH)
        ),
        kind=InputKind.ARRAYS,
    ),
    "arrays with class weights": Feed(
        data=digits,
        train=lambda data: train(
            model(), *data, batch_size=BATCH, class_weight={n: 1.0 + n for n in range(10)}
        ),
        kind=InputKind.ARRAYS,
    ),
    "generator": Feed(data=batches, train=fit_steps, kind=InputKind.GENERATOR),
    "generator, eagerly": Feed(
        data=batches,
        train=lambda data: train(model(run_eagerly=True), data, steps_per_epoch=BATCHES),
        kind=InputKind.GENERATOR,
    ),
    "generator function": Feed(
        data=lambda: batches, train=lambda data: fit_steps(data()), kind=InputKind.GENERATOR
    ),
    "generator, 5 steps at once": Feed(
        data=batches,
        train=lambda data: train(model(steps_per_execution=5), data, steps_per_epoch=BATCHES),
        kind=InputKind.GENERATOR,
        steps=2 * EPOCHS,
    ),
    "PyDataset": Feed(
        data=Digits, train=fit, kind=InputKind.SEQUENCE, workers=1, multiprocessing=False
    ),
    "PyDataset, threads": Feed(
        data=lambda: Digits(workers=2),
        train=fit,
        kind=InputKind.SEQUENCE,
        workers=2,
        multiprocessing=False,
        waits_by=BY_GENERATOR,
        unknown=0,
    ),
    "PyDataset, processes": Feed(
        data=lambda: Digits(workers=2, use_multiprocessing=True),
        train=fit,
        kind=InputKind.SEQUENCE,
        workers=2,
        multiprocessing=True,
        waits_by=BY_GENERATOR,
        unknown=0,
    ),
    "ImageDataGenerator": Feed(
        data=augmented, train=fit, kind=InputKind.SEQUENCE, workers=1, multiprocessing=False
    ),
    "tf.data": Feed(data=dataset, train=fit, kind=InputKind.TF_DATA),
    "tf.data, repeated": Feed(
        data=lambda: dataset().repeat(), train=fit_steps, kind=InputKind.TF_DATA
    ),
    "tf.data of unknown length": Feed(
        data=unknown_length, train=fit, kind=InputKind.TF_DATA, unknown=0
    ),
    "tf.data from a generator": Feed(
        data=from_generator, train=fit, kind=InputKind.TF_DATA, unknown=0
    ),
    "tf.data, eagerly": Feed(
        data=dataset,
        train=lambda data: train(model(run_eagerly=True), data),
        kind=InputKind.TF_DATA,
    ),
    # The last of three steps takes what is left of ten batches, and finds out by asking.
    "tf.data, 4 steps at once": Feed(
        data=dataset,
        train=lambda data: train(model(steps_per_execution=4), data),
        kind=InputKind.TF_DATA,
        steps=3 * EPOCHS,
        unknown=0,
    ),
    "tf.data of unknown length, 4 steps at once": Feed(
        data=unknown_length,
        train=lambda data: train(model(steps_per_execution=4), data),
        kind=InputKind.TF_DATA,
        steps=3 * EPOCHS,
        unknown=0,
    ),
    "own step, weighted": Feed(
        data=dataset,
        train=lambda data: train_own(WithOwnWeightedStep, data),
        kind=InputKind.TF_DATA,
    ),
    "train_on_batch over a generator": Feed(
        data=lambda: batches(STEPS),
        train=train_on_batches,
        kind=InputKind.GENERATOR,
        loop=LoopKind.TRAIN_ON_BATCH,
        epochs=1,
        waits_by=BY_ITERATOR,
        unknown=0,
    ),
    "train_on_batch over an endless generator": Feed(
        data=batches,
        train=lambda data: train_on_batches(data, STEPS),
        kind=InputKind.GENERATOR,
        loop=LoopKind.TRAIN_ON_BATCH,
        epochs=1,
        waits_by=BY_ITERATOR,
        unknown=0,
    ),
    "train_on_batch over a list": Feed(
        data=lambda: list(batches(BATCHES)),
        train=train_epochs_on_batches,
        kind=InputKind.ITERATOR,
        loop=LoopKind.TRAIN_ON_BATCH,
        waits_by=BY_ITERATOR,
        unknown=0,
    ),
    "train_on_batch over tf.data": Feed(
        data=dataset,
        train=train_epochs_on_batches,
        kind=InputKind.TF_DATA,
        loop=LoopKind.TRAIN_ON_BATCH,
        waits_by=BY_ITERATOR,
        unknown=0,
    ),
    "train_on_batch over NumPy batches of tf.data": Feed(
        data=lambda: dataset().repeat(EPOCHS),
        train=lambda data: train_on_batches(data.as_numpy_iterator()),
        kind=InputKind.TF_DATA,
        loop=LoopKind.TRAIN_ON_BATCH,
        epochs=1,
        waits_by=BY_ITERATOR,
        unknown=0,
    ),
    "tape over another process's queue": Feed(
        data=batches_of_another_process,
        train=train_with_tape,
        kind=InputKind.GENERATOR,
        loop=LoopKind.CUSTOM,
        epochs=1,
        waits_by=BY_ITERATOR,
        unknown=0,
    ),
    "tape over tf.data": Feed(
        data=lambda: dataset().repeat(EPOCHS),
        train=train_with_tape,
        kind=InputKind.TF_DATA,
        loop=LoopKind.CUSTOM,
        epochs=1,
        waits_by=BY_ITERATOR,
        unknown=0,
    ),
    "evaluate": Feed(
        data=dataset,
        train=lambda data: model().evaluate(data, verbose=0),
        kind=InputKind.TF_DATA,
        loop=LoopKind.EVALUATE,
        steps=BATCHES,
        batches=BATCHES,
        samples=BATCHES * BATCH,
        epochs=1,
    ),
    "predict": Feed(
        data=lambda: digits()[0],
        train=lambda data: model().predict(data, batch_size=BATCH, verbose=0),
        kind=InputKind.ARRAYS,
        loop=LoopKind.PREDICT,
        steps=BATCHES,
        batches=BATCHES,
        samples=BATCHES * BATCH,
        epochs=1,
    ),
    "predict with threads": Feed(
        data=lambda: Digits(workers=2),
        train=lambda data: model().predict(data, verbose=0),
        kind=InputKind.SEQUENCE,
        loop=LoopKind.PREDICT,
        steps=BATCHES,
        batches=BATCHES,
        samples=BATCHES * BATCH,
        epochs=1,
        waits_by=BY_GENERATOR,
        workers=2,
        multiprocessing=False,
        unknown=0,
    ),
}


def assert_fed(loop: Loop, feed: Feed) -> None:
    assert (loop.kind, loop.input.kind) == (feed.loop, feed.kind)
    assert (loop.input.workers, loop.input.multiprocessing) == (feed.workers, feed.multiprocessing)
    assert (loop.epochs, loop.step_count) == (feed.epochs, feed.steps)
    assert (loop.batch_count, loop.sample_count) == (feed.batches, feed.samples)
    assert len(loop.steps) == feed.steps
    assert loop.waits_by is feed.waits_by
    assert int((~loop.steps.measured).sum()) <= feed.unknown


def assert_sound(result: Profile) -> None:
    assert result.check() == ()
    assert result.run.warnings == ()
    assert result.run.error is None
    assert result.run.complete


@pytest.mark.quick
@pytest.mark.parametrize("name", FEEDS)
def test_a_feed_is_seen_for_what_it_is(name: str, tmp_path: Path) -> None:
    feed = FEEDS[name]
    with pipeprof.profile(feed.data(), logdir=tmp_path) as prof:
        feed.train(prof.dataset)
    assert_sound(prof.result)
    assert len(prof.result.loops) == 1
    assert_fed(prof.result.loops[0], feed)


# What is fed to a loop of Keras is seen without having been given to the profile.
@pytest.mark.parametrize(
    "name", [name for name, feed in FEEDS.items() if feed.loop is LoopKind.FIT]
)
def test_a_feed_of_keras_is_seen_without_being_given(name: str, tmp_path: Path) -> None:
    feed = FEEDS[name]
    data = feed.data()
    with pipeprof.profile(logdir=tmp_path) as prof:
        feed.train(data)
    assert_sound(prof.result)
    assert len(prof.result.loops) == 1
    assert_fed(prof.result.loops[0], feed)


def profiled(logdir: Path, train_on: Callable[[Session], Any]) -> Profile:
    with pipeprof.profile(logdir=logdir) as prof:
        train_on(prof)
    assert prof.result.check() == ()
    return prof.result


def test_validation_is_a_loop_inside_the_fit(tmp_path: Path) -> None:
    result = profiled(
        tmp_path, lambda _: train(model(), *digits(), batch_size=BATCH, validation_split=0.2)
    )
    fit, evaluation = result.loops
    assert (fit.kind, fit.step_count, fit.sample_count) == (LoopKind.FIT, 24, 24 * BATCH)
    assert (evaluation.kind, evaluation.parent, evaluation.epochs) == (LoopKind.EVALUATE, 0, EPOCHS)
    assert (evaluation.step_count, evaluation.sample_count) == (6, 6 * BATCH)


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_of_the_validation_are_not_counted_as_delivered(
    workers: int, tmp_path: Path
) -> None:
    def validation() -> Any:
        while True:
            yield tuple(part[:3] for part in batch(0))

    result = profiled(
        tmp_path,
        lambda _: train(
            model(),
            Digits(workers=workers, use_multiprocessing=workers > 1),
            validation_data=validation(),
            validation_steps=5,
        ),
    )
    sizes = {one.samples: one.validation for one in result.deliveries}
    assert sizes == {BATCH: False, 3: True}


def test_validation_from_image_data_generator_is_a_sequence_too(tmp_path: Path) -> None:
    x, y = digits()
    validation = ImageDataGenerator().flow(x[:64], y[:64], batch_size=BATCH, shuffle=False)
    result = profiled(tmp_path, lambda _: train(model(), augmented(), validation_data=validation))
    fit, evaluation = result.loops
    assert (fit.input.kind, fit.step_count, fit.sample_count) == (
        InputKind.SEQUENCE,
        STEPS,
        SAMPLES,
    )
    assert (evaluation.input.kind, evaluation.step_count) == (InputKind.SEQUENCE, 4 * EPOCHS)
    assert evaluation.sample_count == 4 * EPOCHS * BATCH
    [stage] = [one for one in result.stages if one.kind is StageKind.SEQUENCE]
    assert stage.name == "NumpyArrayIterator.__getitem__"


@pytest.mark.quick
def test_each_fit_of_a_profile_is_a_loop_of_its_own(tmp_path: Path) -> None:
    made = model()

    def train_in_turn(prof: Session) -> None:
        train(made, *digits(), batch_size=BATCH, epochs=1)
        train(made, dataset(), epochs=1)
        train(made, Digits(), epochs=1)
        train(made, batches(), epochs=1, steps_per_epoch=BATCHES)
        for x, y in dataset():
            made.train_on_batch(x, y)

    result = profiled(tmp_path, train_in_turn)
    assert [(loop.kind, loop.input.kind, loop.step_count) for loop in result.loops] == [
        (LoopKind.FIT, InputKind.ARRAYS, BATCHES),
        (LoopKind.FIT, InputKind.TF_DATA, BATCHES),
        (LoopKind.FIT, InputKind.SEQUENCE, BATCHES),
        (LoopKind.FIT, InputKind.GENERATOR, BATCHES),
        (LoopKind.TRAIN_ON_BATCH, InputKind.TF_DATA, BATCHES),
    ]
    assert [loop.parent for loop in result.loops] == [None] * 5


def test_train_on_batch_of_slices_is_seen_without_a_source(tmp_path: Path) -> None:
    def train_on_slices(prof: Session) -> None:
        made = model()
        for index in range(STEPS):
            made.train_on_batch(*batch(index))

    [loop] = profiled(tmp_path, train_on_slices).loops
    assert (loop.kind, loop.step_count, loop.sample_count) == (
        LoopKind.TRAIN_ON_BATCH,
        STEPS,
        SAMPLES,
    )
    assert (loop.input.kind, loop.waits_by) == (None, None)


def test_steps_marked_by_hand_are_the_steps(tmp_path: Path) -> None:
    made = model()
    with pipeprof.profile(batches(STEPS), logdir=tmp_path) as prof:
        for x, y in prof.dataset:
            with prof.step():  # trains twice
                made.train_on_batch(x, y)
                made.train_on_batch(x, y)
    [loop] = prof.result.loops
    assert prof.result.check() == ()
    assert (loop.kind, loop.step_count, loop.sample_count) == (
        LoopKind.TRAIN_ON_BATCH,
        STEPS,
        SAMPLES,
    )
    assert loop.steps.measured.all()


def test_a_loss_not_weighted_by_samples_does_not_count_them(tmp_path: Path) -> None:
    with pipeprof.profile(logdir=tmp_path) as prof:
        train_own(WithOwnStep, dataset())
    [loop] = prof.result.loops
    assert (loop.step_count, loop.sample_count) == (STEPS, None)
    [warning] = prof.result.run.warnings
    assert warning.startswith("The samples of a fit could not be counted")


class PredictsOften(keras.callbacks.Callback):
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch % 4 == 0:
            self.model.predict(digits()[0][:BATCH], verbose=0)


def test_predictions_in_the_middle_of_an_epoch_do_not_count_samples_twice(tmp_path: Path) -> None:
    result = profiled(tmp_path, lambda _: train(model(), dataset(), callbacks=[PredictsOften()]))
    fit, prediction = result.loops
    assert (fit.step_count, fit.sample_count, fit.epochs) == (STEPS, SAMPLES, EPOCHS)
    assert (prediction.kind, prediction.parent, prediction.step_count) == (
        LoopKind.PREDICT,
        0,
        3 * EPOCHS,
    )
