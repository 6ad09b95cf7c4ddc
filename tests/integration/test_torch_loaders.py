"""PyTorch's DataLoader, given to `fit` and taken by hand: what its dataset costs, and where it runs."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pipeprof
from pipeprof.recording.lane import Role
from pipeprof.recording.loop import InputKind, LoopKind
from pipeprof.recording.stage import StageKind
from tests.integration.feeds import BATCH, BATCHES, EPOCHS, SAMPLES, STEPS, digits, model, train

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

pytestmark = pytest.mark.integration

SLEEP_S = 0.002


class Digits(torch.utils.data.Dataset):  # type: ignore[misc]
    def __len__(self) -> int:
        return BATCHES * BATCH

    def __getitem__(self, index: int) -> Any:
        time.sleep(SLEEP_S)
        images, labels = digits()
        return images[index], labels[index]


class Stream(torch.utils.data.IterableDataset):  # type: ignore[misc]
    def __iter__(self) -> Iterator[Any]:
        time.sleep(SLEEP_S)
        yield from zip(*digits(), strict=True)


def collate(samples: list[Any]) -> Any:
    images, labels = zip(*samples, strict=True)
    return torch.from_numpy(np.stack(images)), torch.from_numpy(np.array(labels))


def loader(dataset: Any, **options: Any) -> Any:
    return torch.utils.data.DataLoader(dataset, batch_size=BATCH, **options)


def fit(data: Any) -> Any:
    made = model()
    train(made, data)
    return made.get_weights()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_is_seen_and_trains_as_without(workers: int, tmp_path: Path) -> None:
    def make() -> Any:
        return loader(Digits(), num_workers=workers, collate_fn=collate)

    expected = fit(make())
    given = make()
    with pipeprof.profile(given, logdir=tmp_path) as prof:
        assert prof.dataset is given
        weights = fit(prof.dataset)
    for same, weight in zip(weights, expected, strict=True):
        assert np.array_equal(same, weight)
    assert (type(given), given.collate_fn) == (torch.utils.data.DataLoader, collate)
    assert type(given.dataset) is Digits

    result = prof.result
    [loop] = result.loops
    assert (result.check(), result.run.warnings) == ((), ())
    assert (loop.kind, loop.input.kind) == (LoopKind.FIT, InputKind.LOADER)
    assert (loop.input.workers, loop.input.multiprocessing) == (workers, workers > 0)
    assert loop.input.queue_size == (4 if workers else None)
    assert (loop.step_count, loop.sample_count) == (STEPS, SAMPLES)
    [stage] = [one for one in result.stages if one.name == "Digits.__getitem__"]
    lanes = [result.lanes[number] for number in stage.lanes]
    assert {lane.role is Role.WORKER for lane in lanes} == {workers > 0}
    assert len({lane.pid for lane in lanes}) >= max(workers, 1)
    assert stage.work.total()[0] >= SAMPLES  # Keras looks at some before
    bottleneck = prof.findings.main.diagnosis.bottleneck
    assert bottleneck is not None
    assert bottleneck.stage == "Digits.__getitem__"


@pytest.mark.parametrize("persistent", [False, True])
def test_batches_taken_by_hand(persistent: bool, tmp_path: Path) -> None:
    given = loader(Digits(), num_workers=1, persistent_workers=persistent)
    with pipeprof.profile(given, logdir=tmp_path) as prof:
        for _ in range(EPOCHS):
            for images, _labels in prof.dataset:
                with prof.step():
                    images.mean()
    again = len(list(given))  # whoever goes on with it has workers that record nothing
    del given
    [loop] = prof.result.loops
    assert (loop.kind, loop.epochs) == (LoopKind.CUSTOM, EPOCHS)
    assert (again, loop.step_count, loop.sample_count) == (BATCHES, STEPS, SAMPLES)
    names = {one.name for one in prof.result.stages}
    assert names == {"Digits.__getitem__", "default_collate"}


def test_parts_of_a_dataset_and_streams(tmp_path: Path) -> None:
    half, _ = torch.utils.data.random_split(Digits(), [BATCH, BATCH * (BATCHES - 1)])
    for data, name in ((half, "Digits.__getitem__"), (Stream(), "Stream.__iter__")):
        with pipeprof.profile(loader(data), logdir=tmp_path) as prof:
            for _batch in prof.dataset:
                pass
        kinds = {one.name: one.kind for one in prof.result.stages}
        assert kinds == {
            "DataLoader": StageKind.ITERABLE,
            name: StageKind.FUNCTION,
            "default_collate": StageKind.FUNCTION,
        }
