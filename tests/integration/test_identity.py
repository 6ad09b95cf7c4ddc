"""A profile changes nothing: the same batches, losses, weights and exceptions, and all is given back."""

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import pipeprof
from tests.integration.feeds import (
    BATCH,
    BATCHES,
    STEPS,
    Batch,
    Digits,
    batch,
    batches,
    dataset,
    digits,
    model,
    train,
)

pytestmark = pytest.mark.integration


class Seen:
    """What reached the code of a user: indices in the order in which they were asked for."""

    def __init__(self) -> None:
        self.indices: list[int] = []

    def batches(self, count: int | None = None) -> Iterator[Batch]:
        for index, item in enumerate(batches(count)):
            self.indices.append(index)
            yield item


class SeenDigits(Digits):
    def __init__(self, seen: Seen, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.seen = seen

    def __getitem__(self, index: int) -> Batch:
        self.seen.indices.append(index)
        return batch(index)

    def on_epoch_end(self) -> None:
        self.seen.indices.append(-1)


class Losses(keras.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.losses.append(float(logs["loss"]))


def fit(data: Any, losses: Losses, **arguments: Any) -> Any:
    made = model()
    arrays = data if isinstance(data, tuple) else (data,)
    train(made, *arrays, batch_size=None, callbacks=[losses], **arguments)
    return made


def fit_steps(data: Any, losses: Losses) -> Any:
    return fit(data, losses, steps_per_epoch=BATCHES)


def fit_shuffled(data: Any, losses: Losses) -> Any:
    made = model()
    made.fit(*data, batch_size=BATCH, epochs=2, verbose=0, callbacks=[losses])
    return made


def fit_and_validate(data: Any, losses: Losses) -> Any:
    return fit(data, losses, validation_data=Digits())


def train_on_batches(data: Any, losses: Losses) -> Any:
    made = model()
    losses.losses = [float(made.train_on_batch(x, y)) for x, y in data]
    return made


WAYS: dict[str, tuple[Callable[[Seen], Any], Callable[[Any, Losses], Any]]] = {
    "arrays, shuffled": (lambda seen: digits(), fit_shuffled),
    "generator": (lambda seen: seen.batches(STEPS), fit_steps),
    "PyDataset": (SeenDigits, fit),
    "PyDataset, validated": (SeenDigits, fit_and_validate),
    "PyDataset, a thread and a queue": (
        lambda seen: SeenDigits(seen, workers=2, max_queue_size=2),
        fit,
    ),
    "PyDataset, processes": (lambda seen: Digits(workers=2, use_multiprocessing=True), fit),
    "tf.data": (lambda seen: dataset(), fit),
    "tf.data, repeated": (lambda seen: dataset().repeat(), fit_steps),
    "train_on_batch over a generator": (lambda seen: seen.batches(STEPS), train_on_batches),
    "train_on_batch over tf.data": (lambda seen: dataset(), train_on_batches),
}


def trained(name: str, logdir: Path | None) -> tuple[list[float], list[Any], list[int]]:
    """Losses, final weights, and what was asked of the user's code."""
    make, train_on = WAYS[name]
    seen, losses = Seen(), Losses()
    data = make(seen)
    profile: Any = pipeprof.profile(data, logdir=logdir) if logdir else nullcontext()
    with profile as prof:
        made = train_on(prof.dataset if logdir else data, losses)
    return losses.losses, made.get_weights(), seen.indices


@pytest.mark.quick
@pytest.mark.parametrize("name", WAYS)
def test_training_is_the_same_to_the_last_bit(name: str, tmp_path: Path) -> None:
    losses, weights, indices = trained(name, None)
    same_losses, same_weights, same_indices = trained(name, tmp_path)
    assert same_losses == losses
    assert len(losses) >= BATCHES
    for same, weight in zip(same_weights, weights, strict=True):
        assert np.array_equal(same, weight)
    # Two threads may ask in either order.
    ordered = sorted if "thread" in name else list
    assert ordered(same_indices) == ordered(indices)


def test_as_many_elements_are_taken_from_a_generator_as_without(tmp_path: Path) -> None:
    left = []
    for logdir in (None, tmp_path):
        source = batches(2 * STEPS)
        profile: Any = pipeprof.profile(source, logdir=logdir) if logdir else nullcontext()
        with profile as prof:
            taken = prof.dataset if logdir else source
            made = model()
            for _, (x, y) in zip(range(STEPS), taken, strict=False):
                made.train_on_batch(x, y)
        left.append(sum(1 for _ in source))
    assert left == [STEPS, STEPS]


# Public names that a profile changes while it is on (facts.md, 12).
NAMES = ("fit", "fit_generator", "evaluate", "predict", "train_on_batch", "test_on_batch")
HOOKS = (
    *(
        f"on_{phase}_{point}"
        for phase in ("train", "test", "predict")
        for point in ("begin", "end")
    ),
    *(
        f"on_{phase}_batch_{point}"
        for phase in ("train", "test", "predict")
        for point in ("begin", "end")
    ),
    "on_epoch_begin",
    "on_epoch_end",
)


def public_names() -> dict[tuple[type, str], Any]:
    names = {
        **{(package.Model, name): None for package in (keras, tf_keras) for name in NAMES},
        **{
            (package.callbacks.CallbackList, name): None
            for package in (keras, tf_keras)
            for name in HOOKS
        },
        (tf.data.Dataset, "__iter__"): None,
        (tf.data.Dataset, "from_generator"): None,
        (type(iter(tf.data.Dataset.range(1))), "__next__"): None,
        (type(tf.data.Dataset.range(1).as_numpy_iterator()), "__next__"): None,
    }
    return {
        (owner, name): (name in vars(owner), getattr(owner, name, None)) for owner, name in names
    }


@pytest.mark.quick
@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_what_was_patched_is_given_back_exactly(
    error: type[BaseException] | None, tmp_path: Path
) -> None:
    before = public_names()
    sequence = Digits()
    with (
        pytest.raises(error) if error else nullcontext(),
        pipeprof.profile(sequence, logdir=tmp_path) as prof,
    ):
        assert public_names() != before
        train(model(), prof.dataset, epochs=1, validation_data=Digits(workers=2))
        for x, y in dataset().take(2).as_numpy_iterator():
            model().train_on_batch(x, y)
        assert type(sequence) is not Digits
        if error:
            raise error("planted")
    assert public_names() == before
    assert type(sequence) is Digits
    assert prof.dataset is sequence


def test_a_sequence_that_keras_was_fed_with_is_given_back_after_the_loop(tmp_path: Path) -> None:
    sequence, validation = Digits(), Digits()
    with pipeprof.profile(logdir=tmp_path):
        train(model(), sequence, epochs=1, validation_data=validation)
        assert type(sequence) is type(validation) is Digits


def test_a_profile_keeps_no_dataset_or_iterator_alive(tmp_path: Path) -> None:
    alive: list[weakref.ref[Any]] = []
    made = model()

    # Of what Keras puts through from_generator (generators, sequences) TensorFlow itself keeps hold.
    def train_once() -> None:
        fitted, taken, unread = dataset(), dataset(), dataset()
        iterators = [iter(taken), iter(unread)]
        train(made, fitted, epochs=1)
        made.train_on_batch(*next(iterators[0]))
        alive.extend(weakref.ref(one) for one in (fitted, taken, unread, *iterators))

    with pipeprof.profile(logdir=tmp_path):
        train_once()
        gc.collect()
        assert [one() for one in alive] == [None] * 5


def test_a_dataset_made_in_one_profile_may_be_used_in_the_next(tmp_path: Path) -> None:
    signature = (tf.TensorSpec((None, 8, 8, 1)), tf.TensorSpec((None,), tf.int64))
    with pipeprof.profile(logdir=tmp_path):
        data = tf.data.Dataset.from_generator(
            lambda: batches(BATCHES), output_signature=signature
        ).apply(tf.data.experimental.assert_cardinality(BATCHES))
    made = model()
    train(made, data, epochs=1)
    with pipeprof.profile(data, logdir=tmp_path) as prof:
        train(made, prof.dataset)
    [loop] = prof.result.loops
    assert loop.step_count == STEPS
    assert any(stage.name == "<lambda>" for stage in prof.result.stages)


def test_a_profile_sees_nothing_of_what_came_before_or_after(tmp_path: Path) -> None:
    made = model()
    train(made, dataset())
    with pipeprof.profile(logdir=tmp_path) as prof:
        pass
    train(made, dataset())
    assert prof.result.loops == ()
    assert prof.result.stages == ()
