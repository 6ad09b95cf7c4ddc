"""Waits are recorded of the steps that had them, and of no others, however the model is fed."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import pipeprof
from pipeprof.recording.loop import Loop, WaitSource
from tests.integration.feeds import BATCHES, Batch, Digits, batch, dataset, model, train

pytestmark = [
    pytest.mark.integration,
    # Keras learns the length of a dataset by running out of it in the first epoch, and warns.
    pytest.mark.filterwarnings("ignore:Your input ran out of data"),
]

PLANTED_S = 0.12

# Batches of a pass over the data that are slow to come, none of them an epoch's first or last: a
# first step also has what starts up, and after a last one nothing is fetched that shows its wait.
SLOW = (3, 6)
SIGNATURE = (tf.TensorSpec((None, 8, 8, 1)), tf.TensorSpec((None,), tf.int64))


def slow_batches(count: int | None = BATCHES) -> Iterator[Batch]:
    index = 0
    while count is None or index < count:
        if index % BATCHES in SLOW:
            time.sleep(PLANTED_S)
        yield batch(index)
        index += 1


class SlowDigits(Digits):
    def __getitem__(self, index: int) -> Batch:
        if index in SLOW:
            time.sleep(PLANTED_S)
        return batch(index)


class SlowBatches:
    def __iter__(self) -> Iterator[Batch]:
        return slow_batches()


def slow_dataset(count: int | None = BATCHES) -> tf.data.Dataset:
    made = tf.data.Dataset.from_generator(lambda: slow_batches(count), output_signature=SIGNATURE)
    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False  # nothing runs ahead of the training
    return made.with_options(options)


def of_known_length() -> tf.data.Dataset:
    return slow_dataset().apply(tf.data.experimental.assert_cardinality(BATCHES))


def by_hand(data: Any) -> None:
    made = model()
    for _ in range(2):  # the second finds a generator exhausted
        for x, y in data:
            made.train_on_batch(x, y)


def fit(data: Any, **arguments: Any) -> None:
    train(model(), data, epochs=2, **arguments)


def fit_4_at_once(data: Any) -> None:
    train(model(steps_per_execution=4), data, epochs=2)


FED: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {
    "known length": (of_known_length, fit),
    "known length, validated": (
        of_known_length,
        lambda data: fit(data, validation_data=dataset().take(3)),
    ),
    "unknown length": (slow_dataset, fit),
    "unknown length, validated": (
        slow_dataset,
        lambda data: fit(data, validation_data=dataset().take(3)),
    ),
    "endless": (lambda: slow_dataset(None), lambda data: fit(data, steps_per_epoch=BATCHES)),
    "endless, validated": (
        lambda: slow_dataset(None),
        lambda data: fit(data, steps_per_epoch=BATCHES, validation_data=dataset().take(3)),
    ),
    "4 steps at once": (of_known_length, fit_4_at_once),
    "4 steps at once, unknown length": (slow_dataset, fit_4_at_once),
    "eagerly": (of_known_length, lambda data: train(model(run_eagerly=True), data, epochs=2)),
    "by hand": (slow_dataset, by_hand),
    "a generator by hand": (lambda: slow_batches(2 * BATCHES), by_hand),
    "an iterable by hand": (SlowBatches, by_hand),
}


@pytest.mark.quick
@pytest.mark.parametrize("name", FED)
def test_the_slow_batches_are_what_is_waited_for(name: str, tmp_path: Path) -> None:
    make, train_on = FED[name]
    with pipeprof.profile(make(), logdir=tmp_path) as prof:
        train_on(prof.dataset)
    assert prof.result.check() == ()
    at_once = 4 if "4 steps" in name else 1
    assert_waited(prof.result.loops[0], at_once)


def assert_waited(loop: Loop, at_once: int = 1) -> None:
    """Each slow batch was waited for, and no other; each epoch's first step has waits of its own."""
    steps = loop.steps
    in_epoch = steps.ordinal % -(-BATCHES // at_once)
    slow = np.isin(in_epoch, [index // at_once for index in SLOW])
    assert steps.measured[slow].all()
    others = steps.measured & ~slow & (in_epoch > 0)
    assert others.sum() >= 2
    longest_others = np.sort(steps.wait_ns[others])
    assert longest_others[-2] < steps.wait_ns[slow].min()  # the machine may hold one up


def test_a_tf_data_pipeline_inside_a_generator_does_not_show_the_waits(tmp_path: Path) -> None:
    inner = dataset().repeat()

    def behind() -> Iterator[Any]:
        for index, item in enumerate(inner.as_numpy_iterator()):
            if index % BATCHES in SLOW:
                time.sleep(PLANTED_S)
            yield item

    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False
    data = tf.data.Dataset.from_generator(behind, output_signature=SIGNATURE).with_options(options)
    with pipeprof.profile(data, logdir=tmp_path) as prof:
        fit(prof.dataset, steps_per_epoch=BATCHES)
    [loop] = prof.result.loops
    assert_waited(loop)


@pytest.mark.parametrize("processes", [False, True])
def test_a_slow_item_is_waited_for_in_spite_of_workers(processes: bool, tmp_path: Path) -> None:
    data = SlowDigits(workers=2, use_multiprocessing=processes)
    with pipeprof.profile(data, logdir=tmp_path) as prof:
        fit(prof.dataset)
    [loop] = prof.result.loops
    assert loop.steps.measured.all()
    # The other slow one is made at the same time.
    waited_for = {int(step) % BATCHES for step in np.argsort(loop.steps.wait_ns)[-4:]}
    assert SLOW[0] in waited_for


def test_no_model_is_asked_for_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow may write a warning of its own about each time that it is asked in vain."""
    asked: list[Any] = []
    monkeypatch.setattr(
        "pipeprof.capture.probes.tfdata.model_reader.read_model", lambda *given: asked.append(given)
    )
    with pipeprof.profile(Digits(workers=2), logdir=tmp_path) as prof:  # Keras turns AUTOTUNE off
        fit(prof.dataset)
    assert prof.result.loops[0].steps.measured.all()
    assert asked == []


def test_no_step_is_missed_however_fast_they_are(tmp_path: Path) -> None:
    one = tf.data.Dataset.from_tensors(batch(0))
    with pipeprof.profile(one.repeat(1000), logdir=tmp_path) as prof:
        train(model(), prof.dataset, epochs=2, validation_data=one.repeat(200))
        train(model(steps_per_execution=16), prof.dataset, epochs=1)
    many, validation, at_once = prof.result.loops
    # Nothing is fetched after the last step of an epoch: how long it took shows what it waited.
    assert unknown_waits(many) == unknown_waits(validation) == unknown_waits(at_once) == 0


def unknown_waits(loop: Loop) -> int:
    steps, measured = loop.over_time.total()[[0, 2]].tolist()
    return int(steps - measured)


def test_waits_of_steps_with_more_batches_than_gaps_are_remembered_are_estimated(
    tmp_path: Path,
) -> None:
    slow = 2  # the step whose every batch is slow to come

    def batches() -> Iterator[Batch]:
        for index in range(5 * 120):
            time.sleep(0.006 if index // 120 == slow else 0)
            yield batch(0)

    data = tf.data.Dataset.from_generator(batches, output_signature=SIGNATURE)
    data = data.apply(tf.data.experimental.assert_cardinality(5 * 120))
    with pipeprof.profile(data, logdir=tmp_path, warmup=0) as prof:
        train(model(steps_per_execution=120), prof.dataset, epochs=1)
    [loop] = prof.result.loops
    steps = loop.steps
    assert steps.measured.all()
    # It has 120 sleeps that the others do not have; the first also has what starts up.
    assert steps.wait_ns[slow] > steps.wait_ns[[1, 3, 4]].sum()
    assert any("estimated" in warning for warning in prof.result.run.warnings)


def test_a_generator_that_works_beside_a_hand_written_loop_is_not_its_waiting(
    tmp_path: Path,
) -> None:
    def rows() -> Iterator[Any]:
        for _ in range(8 * 20):
            time.sleep(0.002)
            yield np.zeros(8, np.float32)

    by_own_clock_ns: list[int] = []
    with pipeprof.profile(logdir=tmp_path) as prof:
        data = tf.data.Dataset.from_generator(rows, output_signature=tf.TensorSpec((8,)))
        begin = time.perf_counter_ns()
        for _ in data.batch(8).prefetch(2):
            by_own_clock_ns.append(time.perf_counter_ns() - begin)
            time.sleep(0.04)
            begin = time.perf_counter_ns()
    [loop] = prof.result.loops
    assert loop.waits_by is WaitSource.ITERATOR
    assert loop.steps.measured.all()
    # The loop's own clock also counts what pipeprof does around the fetch.
    assert (loop.steps.wait_ns <= by_own_clock_ns).all()
