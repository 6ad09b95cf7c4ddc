"""The code of each kind of advice, pasted: it runs, delivers what was delivered before, and saves work.

What it saves is seen by counting calls, or by calls that have to meet: two pass a `Meeting`, or none.
"""

import functools
import multiprocessing
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

from pipeprof.analysis.findings.advice_kinds import Remedy
from pipeprof.analysis.findings.host_remedies import (
    CheaperCallback,
    SaveLessOften,
    ValidateLessOften,
)
from pipeprof.analysis.findings.input_remedies import (
    FedBy,
    LongerEpochs,
    LongerQueue,
    MoreWorkers,
    Prefetch,
    SmallerBatches,
    WorkerThreads,
)
from pipeprof.analysis.findings.tfdata_remedies import (
    BatchFirst,
    Cache,
    FilterFirst,
    MappedStage,
    MoreFiles,
    OneIterator,
    OpenInParallel,
    ParallelCalls,
    ParallelFilter,
    ShuffleFirst,
    SwitchAutotuneOn,
)
from pipeprof.recording.account import CallbackEvent, CallbackMethod, KerasCallback
from pipeprof.recording.loop import InputKind, InputLibrary
from pipeprof.report.one_run.advice_code import remedy_code
from pipeprof.report.one_run.advice_text import remedy_sentence
from tests.integration.feeds import (
    BATCH,
    BATCHES,
    EPOCHS,
    STEPS,
    Digits,
    batch,
    digits,
    model,
    train,
)

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

GENERATOR = FedBy(kind=InputKind.GENERATOR, name="batches")
HAND_WRITTEN = FedBy(kind=InputKind.GENERATOR, name="batches", hand_written=True)
SEQUENCE = FedBy(kind=InputKind.SEQUENCE, name="Digits")
MADE_BY_KERAS = FedBy(
    kind=InputKind.SEQUENCE, name="DirectoryIterator", library=InputLibrary.KERAS_ITERATOR
)
TF_DATA = FedBy(kind=InputKind.TF_DATA, name="PrefetchDataset")

SOON_S = 20


def pasted(remedy: Remedy, **names: Any) -> dict[str, Any]:
    """The names that there are once the code has run."""
    namespace = {"tf": tf, "keras": keras, "np": np, **names}
    exec(remedy_code(remedy) or "", namespace)
    return namespace


def evaluated(remedy: Remedy, **names: Any) -> Any:
    return eval(remedy_code(remedy) or "", {"keras": keras, **names})


class Meeting:
    """Counts calls, each of which waits until another one is under way, if it has to.

    The first may be alone: Keras takes two batches by itself, to see their shapes.
    """

    def __init__(self, *, must_meet: bool = True, alone: int = 0) -> None:
        self.calls = 0
        self._alone = alone
        self._lock = threading.Lock()
        self._barrier = threading.Barrier(2) if must_meet else None

    def __call__(self, value: Any) -> Any:
        with self._lock:
            self.calls += 1
            alone = self.calls <= self._alone
        if self._barrier is not None and not alone:
            self._barrier.wait(SOON_S)
        return value

    def mapped(self, value: Any) -> Any:
        met = tf.numpy_function(self, [value], value.dtype)
        met.set_shape(value.shape)
        return met


def numbers(count: int = 8) -> tf.data.Dataset:
    return tf.data.Dataset.range(count)


def values(dataset: Any) -> list[Any]:
    return [
        each.tolist() if hasattr(each, "tolist") else each for each in dataset.as_numpy_iterator()
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


# Workers


class Meetings(Digits):
    """Batches that are made two at once, or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.meeting = Meeting(alone=2)

    def __getitem__(self, index: int) -> Any:
        return self.meeting(super().__getitem__(index))


def weights_after(data: Any) -> np.ndarray:
    """The weights after an epoch: equal for equal batches in equal order."""
    made = model()
    train(made, data, epochs=1)
    return np.concatenate([weight.ravel() for weight in made.get_weights()])


@pytest.mark.parametrize(
    "remedy",
    [
        MoreWorkers(fed_by=SEQUENCE, stage="load", workers=2, processes=False),
        WorkerThreads(fed_by=SEQUENCE, workers=2),
        Prefetch(fed_by=SEQUENCE),
    ],
)
def test_threads_make_batches_at_once_in_their_order(remedy: Remedy) -> None:
    data = Meetings()
    pasted(remedy, data=data)
    assert weights_after(data) == pytest.approx(weights_after(Digits()))


def test_processes_deliver_the_same_batches() -> None:
    data = Digits()
    pasted(MoreWorkers(fed_by=SEQUENCE, stage="load", workers=2, processes=True), data=data)
    assert (data.workers, data.use_multiprocessing) == (2, True)
    assert weights_after(data) == pytest.approx(weights_after(Digits()))


def test_a_generator_becomes_a_dataset_with_workers() -> None:
    meeting = Meeting(alone=2)
    remedy = MoreWorkers(fed_by=GENERATOR, stage="load", workers=2, processes=False)
    names = {"make_batch": lambda index: meeting(batch(index)), "BATCHES_PER_EPOCH": BATCHES}
    data = pasted(remedy, **names)["data"]
    assert weights_after(data) == pytest.approx(weights_after(Digits()))
    assert meeting.calls == BATCHES + 2


def test_a_loop_of_ones_own_gets_threads() -> None:
    meeting = Meeting()
    remedy = MoreWorkers(fed_by=HAND_WRITTEN, stage="load", workers=2, processes=False)
    names = {
        "make_batch": lambda index: meeting(batch(int(index))),
        "BATCHES_PER_EPOCH": BATCHES,
        "TYPES": [tf.float32, tf.int64],
    }
    made = list(pasted(remedy, **names)["dataset"].as_numpy_iterator())
    assert [label.tolist() for _, label in made] == [batch(n)[1].tolist() for n in range(BATCHES)]


def test_a_loop_of_ones_own_gets_processes() -> None:
    remedy = MoreWorkers(fed_by=HAND_WRITTEN, stage="load", workers=2, processes=True)
    names = {"make_batch": np.arange, "BATCHES_PER_EPOCH": 4, "TYPES": tf.int64}
    # A fork server would outlive the test.
    forking = SimpleNamespace(get_context=lambda method: multiprocessing.get_context("fork"))
    made = pasted(remedy, multiprocessing=forking, **names)
    try:
        assert values(made["dataset"]) == [[], [0], [0, 1], [0, 1, 2]]
    finally:
        made["pool"].terminate()
        made["pool"].join()


class SlowFirst(Digits):
    """Its first batch is ready only when eight others were begun."""

    def __init__(self) -> None:
        super().__init__(workers=2, max_queue_size=2)
        self.begun = threading.Semaphore(0)
        self.ahead = 0
        self.looks = 1

    def __getitem__(self, index: int) -> Any:
        if index:
            self.begun.release()
        elif self.looks:  # Keras looks at its shape
            self.looks -= 1
        else:
            self.ahead = sum(self.begun.acquire(timeout=SOON_S) for _ in range(8))
        return super().__getitem__(index)


def test_a_longer_queue_lets_workers_run_ahead_of_a_slow_batch() -> None:
    data = SlowFirst()
    pasted(LongerQueue(fed_by=SEQUENCE, size=16), data=data)
    train(model(), data, epochs=1)
    assert data.ahead == 8


def test_a_sequence_starts_less_often() -> None:
    data = pasted(LongerEpochs(fed_by=SEQUENCE), Digits=Digits, PASSES=3)["Longer"]()
    made = pasted(
        LongerEpochs(fed_by=MADE_BY_KERAS),
        data=Digits(),
        PASSES=3,
    )["Longer"]()
    for longer in (data, made):
        labels = [longer[index][1].tolist() for index in range(len(longer))]
        assert labels == 3 * [batch(index)[1].tolist() for index in range(BATCHES)]


def test_a_generator_makes_several_passes() -> None:
    names = {"batches": lambda: iter(range(4)), "PASSES": 2}
    assert list(pasted(LongerEpochs(fed_by=GENERATOR), **names)["longer"]()) == [*range(4)] * 2


@pytest.mark.parametrize(
    ("given", "remedy", "share"),
    [
        (np.float64, SmallerBatches(dtype="float32", exact=True), 2),
        (np.float32, SmallerBatches(dtype="uint8", pictures=True), 4),
        (np.float32, SmallerBatches(dtype="float16"), 2),
    ],
)
def test_batches_get_smaller_and_keep_what_is_said(
    given: type, remedy: SmallerBatches, share: int
) -> None:
    whole = np.arange(256).reshape(1, 16, 16, 1).astype(given)
    name = "images" if remedy.pictures else "x"
    sent = pasted(remedy, **{name: whole})[name]
    assert sent.nbytes * share == whole.nbytes
    assert (sent == whole).all()
    assert remedy.exact is not remedy_sentence(remedy).startswith("The values")


# Callbacks and validation


class Board(keras.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.called = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.called += 1

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.called += 1


@pytest.mark.parametrize(
    ("method", "event", "expected"),
    [
        ("on_train_batch_end", CallbackEvent.BATCH, EPOCHS + EPOCHS),
        ("on_epoch_end", CallbackEvent.EPOCH, STEPS + 1),
    ],
)
def test_a_callback_is_called_less_often(method: str, event: CallbackEvent, expected: int) -> None:
    often = Board()
    described = CallbackMethod(owner="Board", method=method, event=event)
    seldom = pasted(CheaperCallback(name="Board", method=described), Board=Board)["Seldom"]()
    train(model(), Digits(), callbacks=[often, seldom])
    assert (often.called, seldom.called) == (STEPS + EPOCHS, expected)


@pytest.mark.parametrize("each_batch", [True, False])
def test_a_checkpoint_saves_less_often(each_batch: bool, tmp_path: Path) -> None:
    remedy = SaveLessOften(callback=KerasCallback.MODEL_CHECKPOINT, each_batch=each_batch)
    made, saved = model(), []
    save = made.save
    made.save = lambda path, *given, **named: (saved.append(path), save(path, *given, **named))
    file = str(tmp_path / "model.keras")
    checkpoint = evaluated(remedy, FILE=file, STEPS_PER_EPOCH=BATCHES)
    train(made, Digits(), callbacks=[checkpoint], epochs=5)
    assert len(saved) == (5 if each_batch else 1)


@pytest.mark.parametrize("event", [CallbackEvent.BATCH, CallbackEvent.EPOCH])
def test_tensorboard_writes_less_often(event: CallbackEvent, tmp_path: Path) -> None:
    name = "on_train_batch_end" if event is CallbackEvent.BATCH else "on_epoch_end"
    method = CallbackMethod(
        owner="TensorBoard", method=name, event=event, of_keras=KerasCallback.TENSORBOARD
    )
    board = evaluated(CheaperCallback(name=method.name, method=method), FOLDER=str(tmp_path))
    train(model(), Digits(), callbacks=[board], epochs=1)
    assert (board.update_freq, board.histogram_freq) == (
        (100, 0) if event is CallbackEvent.BATCH else ("epoch", 0)
    )


def test_validation_comes_less_often() -> None:
    validated = []
    made = model()

    class Counting(keras.callbacks.Callback):
        def on_test_begin(self, logs: Any = None) -> None:
            validated.append(None)

    fit = made.fit
    made.fit = lambda *given, **named: fit(*given, callbacks=[Counting()], verbose=0, **named)
    remedy = ValidateLessOften(ratio=0.5, hand_written=False)
    x, y = digits()
    names = {"data": Digits(), "VALIDATION_DATA": (x[:BATCH], y[:BATCH]), "EPOCHS": 10}
    pasted(remedy, model=made, **names)
    assert len(validated) == 2
