"""The code of advice about workers, pasted: they make the same batches, at once."""

import functools
import multiprocessing
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeprof.analysis.findings.advice_kinds import Remedy
from pipeprof.analysis.findings.input_remedies import (
    FedBy,
    LongerEpochs,
    LongerQueue,
    MoreWorkers,
    OwnProcesses,
    Prefetch,
    SmallerBatches,
    WorkerThreads,
)
from pipeprof.recording.loop import InputKind, InputLibrary
from pipeprof.report.one_run.advice_text import remedy_sentence
from tests.integration.feeds import (
    BATCH,
    BATCHES,
    Digits,
    batch,
    digits,
    model,
    train,
)
from tests.integration.pasted_code import (
    GENERATOR,
    HAND_WRITTEN,
    MADE_BY_KERAS,
    SEQUENCE,
    SOON_S,
    TF_DATA,
    Meeting,
    pasted,
    values,
)

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


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


class Signing(Digits):
    """Leaves the number of each process that makes batches, as the name of a file."""

    def __init__(self, folder: Path) -> None:
        super().__init__(workers=2)
        self.folder = folder

    def __getitem__(self, index: int) -> Any:
        (self.folder / str(os.getpid())).touch()
        return super().__getitem__(index)


def test_worker_threads_become_processes_with_a_gil_of_their_own(tmp_path: Path) -> None:
    data = Signing(tmp_path)
    pasted(OwnProcesses(fed_by=SEQUENCE, workers=2), data=data)
    assert weights_after(data) == pytest.approx(weights_after(Digits()))
    made_by = {path.name for path in tmp_path.iterdir()}
    assert made_by - {str(os.getpid())}


@pytest.mark.parametrize("processes", [False, True])
def test_keras_2_is_told_its_workers_in_fit(processes: bool, tmp_path: Path) -> None:
    tf_keras = pytest.importorskip("tf_keras", reason="Keras 2 is not installed")

    class Images(tf_keras.utils.Sequence):  # type: ignore[misc]
        def __len__(self) -> int:
            return BATCHES

        def __getitem__(self, index: int) -> Any:
            (tmp_path / f"{os.getpid()} {threading.get_ident()}").touch()
            return batch(index)

    def trained(fit: Callable[[Any], object]) -> np.ndarray:
        made = model(tf_keras)
        fit(made)
        return np.concatenate([weight.ravel() for weight in made.get_weights()])

    def in_workers(made: Any) -> None:
        learner = SimpleNamespace(fit=functools.partial(made.fit, shuffle=False, verbose=0))
        fed_by = FedBy(kind=InputKind.SEQUENCE, name="Images", keras_2=True)
        remedy = MoreWorkers(fed_by=fed_by, stage="load", workers=2, processes=processes)
        pasted(remedy, data=Images(), model=learner)

    plain = trained(lambda made: made.fit(Images(), shuffle=False, verbose=0))
    before = {path.name for path in tmp_path.iterdir()}
    assert trained(in_workers) == pytest.approx(plain)
    assert {path.name for path in tmp_path.iterdir()} - before


def test_a_loader_of_pytorch_gets_processes_and_keeps_its_options() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    loader = torch.utils.data.DataLoader
    samples, options = list(zip(*digits(), strict=True)), {"batch_size": BATCH}
    before = [labels.tolist() for _, labels in loader(samples, **options)]
    of_torch = FedBy(kind=InputKind.LOADER, name="DataLoader", library=InputLibrary.TORCH_LOADER)
    for remedy, more in (
        (MoreWorkers(fed_by=of_torch, stage="load", workers=2, processes=True), {}),
        (LongerEpochs(fed_by=of_torch), {"WORKERS": 1}),
    ):
        names = {"DataLoader": loader, "DATASET": samples, "OPTIONS": options, **more}
        data = pasted(remedy, **names)["data"]
        assert [labels.tolist() for _, labels in data] == before
        assert data.num_workers > 0
        del data  # ends its processes


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


def test_a_generator_in_a_pipeline_becomes_calls_of_a_map() -> None:
    meeting = Meeting()
    remedy = MoreWorkers(fed_by=TF_DATA, stage="load", workers=2, processes=False)
    names = {
        "make_element": lambda index: meeting(batch(int(index))),
        "ELEMENTS": BATCHES,
        "TYPES": [tf.float32, tf.int64],
        "SHAPES": [array.shape for array in batch(0)],
    }
    made = pasted(remedy, **names)["dataset"]
    assert [tuple(spec.shape) for spec in made.element_spec] == names["SHAPES"]
    assert weights_after(made) == pytest.approx(weights_after(Digits()))
    assert meeting.calls == BATCHES


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
