"""The code of advice about tf.data, pasted: it runs, delivers what was delivered before, and saves work."""

import functools
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeprof.analysis.findings.input_remedies import FedBy, LongerEpochs, Prefetch
from pipeprof.analysis.findings.tfdata_remedies import (
    BatchFirst,
    Cache,
    FilterFirst,
    MappedStage,
    MoreFiles,
    OneIterator,
    OpenInParallel,
    OwnThreads,
    ParallelCalls,
    ParallelFilter,
    ShuffleFirst,
    SwitchAutotuneOn,
)
from pipeprof.recording.loop import InputKind
from pipeprof.report.one_run.advice_text import remedy_sentence
from tests.integration.feeds import (
    digits,
    model,
)
from tests.integration.pasted_code import (
    GENERATOR,
    SOON_S,
    TF_DATA,
    Meeting,
    numbers,
    pasted,
    values,
)

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

# tf.data: calls at once


@pytest.mark.parametrize("autotuned", [True, False])
def test_a_map_makes_calls_at_once(autotuned: bool) -> None:
    decode = Meeting()
    remedy = ParallelCalls(stage="decode", function="decode", calls=2, autotuned=autotuned)
    made = pasted(remedy, dataset=numbers(), decode=decode.mapped)["dataset"]
    assert values(made) == values(numbers())


@pytest.mark.parametrize("met", ["decode", "crop"])
def test_maps_that_are_slow_together_make_calls_at_once_in_their_order(met: str) -> None:
    """One at a time: calls of both that wait could take all threads of tf.data."""
    decode, crop = (Meeting(must_meet=name == met) for name in ("decode", "crop"))
    remedy = ParallelCalls(
        stage="decode",
        function="decode",
        calls=2,
        autotuned=False,
        behind=(MappedStage(stage="crop", function="crop"),),
    )
    made = pasted(
        remedy, dataset=numbers(), decode=decode.mapped, crop=lambda x: crop.mapped(x) * 10
    )["dataset"]
    assert values(made) == [10 * number for number in range(8)]


def test_more_calls_than_cores_run_at_once_on_threads_of_the_pipelines_own() -> None:
    calls = (os.cpu_count() or 1) + 2
    fetch = Meeting(calls=calls)
    dataset = numbers(2 * calls).map(fetch.mapped, num_parallel_calls=calls)
    made = pasted(OwnThreads(stage="fetch", threads=calls + 1), dataset=dataset)["dataset"]
    assert values(made) == values(numbers(2 * calls))


@pytest.mark.parametrize("pairs", [False, True])
def test_a_filter_decides_about_several_elements_at_once(pairs: bool) -> None:
    judged = Meeting()

    def keep(number: Any, *_: Any) -> Any:
        return judged.mapped(number) % 3 == 0

    dataset = tf.data.Dataset.zip(numbers(), numbers()) if pairs else numbers()
    made = pasted(ParallelFilter(stage="keep", function="keep"), dataset=dataset, keep=keep)
    expected = dataset.filter(lambda number, *_: number % 3 == 0)
    assert values(made["dataset"]) == values(expected)
    assert judged.calls == 8


@pytest.mark.parametrize("in_order", [True, False])
def test_an_interleave_reads_from_several_inputs_at_once(in_order: bool) -> None:
    read = Meeting()
    quiet = Meeting(must_meet=False)

    def opening(meeting: Meeting) -> Callable[[Any], tf.data.Dataset]:
        return lambda file: numbers(4).map(lambda line: meeting.mapped(10 * file + line))

    remedy = OpenInParallel(stage="open_file", function="open_file", calls=2, in_order=in_order)
    made = pasted(remedy, dataset=numbers(2), open_file=opening(read), CYCLE_LENGTH=2)["dataset"]
    before = (
        numbers(2).interleave(opening(quiet), cycle_length=2)
        if in_order
        else numbers(2).flat_map(opening(quiet))
    )
    found, expected = values(made), values(before)
    assert sorted(found) == sorted(expected)
    assert (found == expected) is in_order is not remedy_sentence(remedy).startswith("The order")


def test_several_files_are_read_at_once() -> None:
    read = Meeting()

    def open_file(file: Any) -> tf.data.Dataset:
        return numbers(4).map(lambda line: read.mapped(10 * file + line))

    remedy = MoreFiles(reader="my_reader", calls=2)
    made = pasted(remedy, FILES=np.arange(2), open_file=open_file)["dataset"]
    assert sorted(values(made)) == [0, 1, 2, 3, 10, 11, 12, 13]
    assert remedy_sentence(remedy).startswith("The order changes")


def test_records_come_from_several_files_too(tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in "ab"]
    for file in files:
        with tf.io.TFRecordWriter(file) as writer:
            writer.write(f"{file} 1".encode())
            writer.write(f"{file} 2".encode())
    made = pasted(MoreFiles(reader="TFRecordDataset", calls=2), FILES=files)["dataset"]
    assert sorted(values(made)) == [
        f"{file} {number}".encode() for file in files for number in (1, 2)
    ]


# tf.data: the order of stages


def test_what_the_filter_throws_away_is_not_decoded() -> None:
    decode = Meeting(must_meet=False)

    def keep(number: Any) -> Any:
        return number % 4 == 0

    before = values(numbers().map(decode.mapped).filter(keep))
    decoded = decode.calls
    remedy = FilterFirst(
        stage="decode", function="decode", filter="keep", predicate="keep", kept_ratio=0.25
    )
    after = values(pasted(remedy, dataset=numbers(), decode=decode.mapped, keep=keep)["dataset"])
    assert after == before == [0, 4]
    assert (decoded, decode.calls - decoded) == (8, 2)


def test_records_are_parsed_by_the_batch() -> None:
    features = {"id": tf.io.FixedLenFeature([], tf.int64)}
    parsed = tf.Variable(0)

    def record(number: int) -> bytes:
        ids = tf.train.Feature(int64_list=tf.train.Int64List(value=[number]))
        example = tf.train.Example(features=tf.train.Features(feature={"id": ids}))
        return bytes(example.SerializeToString())

    def parse(serialised: Any) -> Any:
        parsed.assign_add(1)
        return tf.io.parse_single_example(serialised, features)["id"] + 1

    def changed(serialised: Any) -> Any:
        parsed.assign_add(1)
        return tf.io.parse_example(serialised, features)["id"] + 1

    records = tf.data.Dataset.from_tensor_slices([record(number) for number in range(8)])
    before = values(records.map(parse).batch(4))
    one_by_one = int(parsed)
    remedy = BatchFirst(stage="parse", function="parse", parses=True)
    made = pasted(remedy, dataset=records, BATCH_SIZE=4, parse=changed)["dataset"]
    assert values(made) == before
    assert (one_by_one, int(parsed) - one_by_one) == (8, 2)


def test_texts_are_looked_up_by_the_batch() -> None:
    layer = keras.layers.TextVectorization(output_sequence_length=3)
    layer.adapt(["a b", "c"])
    calls = tf.Variable(0)

    def vectorize(text: Any) -> Any:
        calls.assign_add(1)
        return layer(text)

    texts = tf.data.Dataset.from_tensor_slices(["a", "b c", "c", "a b"] * 2)
    before = values(texts.map(vectorize).batch(4))
    one_by_one = int(calls)
    remedy = BatchFirst(stage="vectorize", function="vectorize", parses=False)
    after = values(pasted(remedy, dataset=texts, BATCH_SIZE=4, vectorize=vectorize)["dataset"])
    assert after == before
    assert (one_by_one, int(calls) - one_by_one) == (8, 2)


def test_the_shuffle_fills_with_names() -> None:
    load = Meeting(must_meet=False)
    next(iter(numbers(64).map(load.mapped).shuffle(64)))
    filled_with = load.calls
    remedy = ShuffleFirst(stage="load", function="load")
    made = pasted(remedy, dataset=numbers(64), load=load.mapped, BUFFER_SIZE=64)["dataset"]
    iterator = iter(made)
    next(iterator)
    assert filled_with == 64
    assert load.calls - filled_with < 32
    assert sorted(values(made)) == list(range(64))


# tf.data: less work


def test_a_cache_makes_the_second_epoch_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for on_disk in (False, True):
        decode = Meeting(must_meet=False)
        remedy = Cache(stage="decode", function="decode", before_shuffle=False, on_disk=on_disk)
        made = pasted(remedy, dataset=numbers().map(decode.mapped))["dataset"]
        assert values(made) == values(made) == values(numbers())
        assert decode.calls == 8


def test_a_cache_before_a_shuffle_leaves_the_order_random() -> None:
    decode = Meeting(must_meet=False)
    remedy = Cache(stage="decode", function="decode", before_shuffle=True)
    names = {"dataset": numbers(64), "decode": decode.mapped, "BUFFER_SIZE": 64}
    made = pasted(remedy, **names)["dataset"]
    first, second = values(made), values(made)
    assert first != second
    assert sorted(first) == sorted(second) == list(range(64))
    assert decode.calls == 64


@pytest.mark.parametrize(
    ("fed_by", "count"), [(TF_DATA, 8), (FedBy(kind=InputKind.ARRAYS, name="ndarray"), 8)]
)
def test_a_longer_epoch_has_all_passes(fed_by: FedBy, count: int) -> None:
    names = {
        "dataset": numbers(),
        "ARRAYS": np.arange(8),
        "SAMPLES": 8,
        "BATCH_SIZE": 1,
        "PASSES": 3,
    }
    found = values(pasted(LongerEpochs(fed_by=fed_by), **names)["dataset"])
    assert Counter(np.array(found).ravel().tolist()) == dict.fromkeys(range(count), 3)


def test_passes_joined_behind_a_shuffle_fill_it_once() -> None:
    load = Meeting(must_meet=False)
    dataset = numbers(64).map(load.mapped)
    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False

    def most_loads_between_elements(made: tf.data.Dataset) -> int:
        return int(np.diff([load.calls for _ in made.with_options(options)]).max())

    again = most_loads_between_elements(dataset.shuffle(32).batch(1).repeat(2))
    remedy = LongerEpochs(fed_by=TF_DATA, behind_shuffle=True)
    made = pasted(remedy, dataset=dataset, BUFFER_SIZE=32, PASSES=2)["dataset"]
    once = most_loads_between_elements(made.batch(1))
    assert (once, again) == (1, 32)
    assert Counter(values(made)) == dict.fromkeys(range(64), 2)


def test_all_epochs_come_from_one_iterator(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    make = tf.data.Dataset.__iter__
    monkeypatch.setattr(tf.data.Dataset, "__iter__", lambda self: made.append(self) or make(self))
    dataset = tf.data.Dataset.from_tensor_slices(digits()).take(6 * 8).batch(8)

    def losses(fit: Callable[..., Any]) -> list[float]:
        return list(fit(epochs=3, shuffle=False, verbose=0).history["loss"])

    def trained() -> Any:
        keras.utils.set_random_seed(1)
        return model()

    plain = losses(functools.partial(trained().fit, dataset))
    of_each_epoch = len(made)
    fits: list[Callable[..., Any]] = []
    learner = trained()
    keeps = SimpleNamespace(
        fit=lambda *a, **k: fits.append(functools.partial(learner.fit, *a, **k))
    )
    pasted(OneIterator(steps=6), dataset=dataset, model=keeps)
    assert losses(fits[0]) == plain
    assert of_each_epoch >= 3
    assert len(made) - of_each_epoch == 1


def test_autotune_is_switched_on() -> None:
    options = tf.data.Options()
    options.autotune.enabled = False
    made = pasted(SwitchAutotuneOn(), dataset=numbers().with_options(options))["dataset"]
    assert made.options().autotune.enabled
    assert values(made) == values(numbers())


# Loading ahead


def counted_batches(begun: threading.Semaphore) -> Callable[[], Iterator[int]]:
    def batches() -> Iterator[int]:
        for number in range(8):
            begun.release()
            yield number

    return batches


@pytest.mark.parametrize("fed_by", [TF_DATA, GENERATOR])
def test_the_next_batch_loads_while_one_is_used(fed_by: FedBy) -> None:
    begun = threading.Semaphore(0)
    batches, signature = counted_batches(begun), tf.TensorSpec((), tf.int64)
    before = tf.data.Dataset.from_generator(batches, output_signature=signature)
    made = pasted(Prefetch(fed_by=fed_by), dataset=before, batches=batches, SIGNATURE=signature)
    iterator = iter(made["dataset"])
    assert int(next(iterator)) == 0
    assert all(begun.acquire(timeout=SOON_S) for _ in range(2))
    assert [int(each) for each in iterator] == list(range(1, 8))
