"""Iterators behave and end as without pipeprof: nothing raises, nothing is kept."""

import gc
import itertools
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import pipeprof

pytestmark = pytest.mark.integration

Dataset = tf.data.Dataset
BROKEN_AT = 30


def numbers(broken_at: int | None = None) -> Any:
    def check(x: Any) -> Any:
        if x == broken_at:
            raise ValueError("broken element")
        return x

    def work(x: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(check, [x], tf.int64), [])

    mapped = Dataset.range(100).map(work, num_parallel_calls=2)
    return mapped.shuffle(3, seed=1).batch(5).prefetch(2)


def read_to_the_end(dataset: Any) -> Any:
    return [batch.numpy().tolist() for batch in dataset]


def abandon(dataset: Any) -> Any:
    """Leaves while the pipeline runs ahead."""
    iterator = iter(dataset.repeat())
    return [next(iterator).numpy().shape for _ in range(3)]


def leave_unread(dataset: Any) -> Any:
    return type(iter(dataset)).__name__


def train(dataset: Any) -> Any:
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    data = dataset.map(lambda x: (tf.cast(x, tf.float32)[:, None] / 100, tf.zeros_like(x)))
    return model.fit(data, epochs=2, verbose=0, shuffle=False).history["loss"]


def use_endless(dataset: Any) -> Any:
    endless = dataset.unbatch().repeat().filter(lambda x: x >= 0)  # of unknown size besides
    return [len(batch) for batch in itertools.islice(endless.batch(7), 40)]


USES: dict[str, Callable[[Any], Any]] = {
    "read to the end": read_to_the_end,
    "abandoned": abandon,
    "never read": leave_unread,
    "trained on": train,
    "endless": use_endless,
}


def iterators() -> int:
    kind = type(iter(Dataset.range(1)))
    gc.collect()
    return sum(type(one) is kind for one in gc.get_objects())


def use_up(use: Callable[[Any], Any]) -> tuple[Any, bool, int]:
    """What came of it, whether the dataset is there no more, and how many iterators were left."""
    tf.random.set_seed(0)
    before = iterators()
    dataset = numbers()
    came = use(dataset)
    held = weakref.ref(dataset)
    del dataset
    left = iterators() - before
    return came, held() is None, left


@pytest.mark.parametrize("use", USES)
def test_nothing_changes_and_nothing_is_kept(use: str, tmp_path: Path) -> None:
    expected = use_up(USES[use])
    assert expected[1:] == (True, 0)
    with pipeprof.profile(logdir=tmp_path) as prof:
        assert use_up(USES[use]) == expected  # while the profile is still on
    assert prof.result.run.warnings == ()


def test_an_error_in_the_middle_is_the_users_own(tmp_path: Path) -> None:
    taken: list[int] = []
    with pipeprof.profile(numbers(BROKEN_AT), logdir=tmp_path) as prof:
        with pytest.raises(tf.errors.InvalidArgumentError, match="broken element"):
            taken.extend(map(len, prof.dataset))
        taken_after = [len(batch) for batch in Dataset.range(20).batch(5)]
    assert sum(taken) <= BROKEN_AT
    assert taken_after == [5] * 4
    assert prof.result.run.warnings == ()
    assert prof.result.loops[0].batch_count == len(taken)


def test_iterators_give_their_memory_back_while_the_profile_is_on(tmp_path: Path) -> None:
    """What a cache holds belongs to its iterator's resources, which TensorFlow counts for us."""
    block = np.zeros(1_000_000, np.uint8)

    def resident_mb() -> int:
        pages = Path("/proc/self/statm").read_text().split()[1]
        return int(pages) * 4096 >> 20

    def pass_over() -> None:
        blocks = Dataset.range(60).map(lambda x: tf.constant(block) + tf.cast(x, tf.uint8))
        for _ in blocks.cache().prefetch(20):
            pass

    with pipeprof.profile(logdir=tmp_path):
        pass_over()
        gc.collect()
        before_mb = resident_mb()
        for _ in range(8):  # 480 MB, were they kept
            pass_over()
            gc.collect()
        assert resident_mb() - before_mb < 240


def test_a_reading_that_fails_is_one_warning_and_the_next_reads_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeprof.capture.probes.tfdata import model_reader

    real, calls = model_reader.read_model, itertools.count()

    def fails_at_times(*arguments: Any) -> Any:
        if next(calls) in (1, 2):
            raise RuntimeError("no counters")
        return real(*arguments)

    monkeypatch.setattr(model_reader, "read_model", fails_at_times)
    with pipeprof.profile(logdir=tmp_path, sample_hz=0, warmup=0) as prof:
        train(numbers().repeat(10))
    (warning,) = prof.result.run.warnings
    assert warning.startswith("A reading of tf.data's model failed (RuntimeError: no counters)")
    (loop,) = prof.result.loops
    assert loop.wait_times.count > loop.step_count / 2
