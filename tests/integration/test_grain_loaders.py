"""grain's loaders, given to `fit` and taken by hand: what it reads and computes, and where."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pipeprof
from pipeprof.recording.lane import Role
from pipeprof.recording.loop import InputKind, LoopKind
from pipeprof.recording.stage import StageKind

# The worker processes import this module again: frameworks that it does not need stay out of it.
grain = pytest.importorskip("grain", reason="grain is not installed")

pytestmark = pytest.mark.integration

BATCH, BATCHES, EPOCHS = 8, 12, 2
SLEEP_S = 0.002


class Numbers:
    def __len__(self) -> int:
        return BATCH * BATCHES

    def __getitem__(self, index: int) -> int:
        return index


class Decode(grain.transforms.Map):  # type: ignore[misc]
    def map(self, number: int) -> Any:
        time.sleep(SLEEP_S)
        return np.full((8, 8, 1), int(number) / 100, np.float32), np.int64(number % 10)


def decode(number: int) -> Any:
    return Decode().map(number)


def loader(worker_count: int = 0) -> Any:
    sharding = grain.sharding.NoSharding()
    return grain.DataLoader(
        data_source=Numbers(),
        sampler=grain.samplers.IndexSampler(
            BATCH * BATCHES, num_epochs=1, shard_options=sharding, shuffle=False, seed=0
        ),
        operations=[Decode(), grain.transforms.Batch(BATCH)],
        worker_count=worker_count,
    )


def map_dataset() -> Any:
    return grain.MapDataset.source(Numbers()).map(decode).batch(BATCH)


def iter_dataset() -> Any:
    options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
    source = grain.MapDataset.source(Numbers()).to_iter_dataset(options)
    return source.map(Decode()).batch(BATCH)


# Name: what makes it, its public name, threads or processes reported, stage that sleeps.
FEEDS: dict[str, tuple[Callable[[], Any], str, int | None, str]] = {
    "DataLoader": (loader, "grain.DataLoader", 16, "Decode.map"),
    "MapDataset": (map_dataset, "grain.MapDataset", None, "decode"),
    "IterDataset": (iter_dataset, "grain.IterDataset", 2, "Decode.map"),
}


def fit(data: Any) -> Any:
    from tests.integration.feeds import model, train

    made = model()
    train(made, data, epochs=EPOCHS)
    return made.get_weights()


@pytest.mark.quick
@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras, of each grain dataset
@pytest.mark.parametrize("name", FEEDS)
def test_a_loader_is_seen_and_trains_as_without(name: str, tmp_path: Path) -> None:
    make, public_name, workers, stage_name = FEEDS[name]
    expected = fit(make())
    with pipeprof.profile(make(), logdir=tmp_path) as prof:
        weights = fit(prof.dataset)
    for same, weight in zip(weights, expected, strict=True):
        assert np.array_equal(same, weight)

    result = prof.result
    [loop] = result.loops
    assert (result.check(), result.run.warnings) == ((), ())
    assert (loop.kind, loop.input.kind) == (LoopKind.FIT, InputKind.LOADER)
    assert (loop.input.name, loop.input.workers) == (public_name, workers)
    assert loop.input.multiprocessing is False
    assert loop.step_count == BATCHES * EPOCHS
    [stage] = [one for one in result.stages if one.name == stage_name]
    assert stage.location is not None
    assert stage.location.file.endswith("test_grain_loaders.py")


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize(
    "name", ["DataLoader", "IterDataset"]
)  # a MapDataset's threads work side by side
def test_the_slow_stage_of_a_loader_is_the_bottleneck(name: str, tmp_path: Path) -> None:
    make, _, _, stage_name = FEEDS[name]
    with pipeprof.profile(make(), logdir=tmp_path) as prof:
        fit(prof.dataset)
    bottleneck = prof.findings.main.diagnosis.bottleneck
    assert bottleneck is not None
    assert bottleneck.stage == stage_name
    assert bottleneck.kind == StageKind.ITERABLE.value


def test_worker_processes_record_as_well(tmp_path: Path) -> None:
    from absl import flags

    flags.FLAGS.mark_as_parsed()  # as grain asks of a program with worker processes
    with pipeprof.profile(loader(worker_count=2), logdir=tmp_path) as prof:
        for images, _ in prof.dataset:
            with prof.step():
                images = np.array(images)
        del images, _
    result = prof.result
    [loop] = result.loops
    assert (loop.kind, loop.input.kind) == (LoopKind.CUSTOM, InputKind.LOADER)
    assert (loop.input.workers, loop.input.multiprocessing) == (2, True)
    assert loop.step_count == BATCHES
    [stage] = [one for one in result.stages if one.name == "Decode.map"]
    lanes = [result.lanes[number] for number in stage.lanes]
    assert len({lane.pid for lane in lanes}) == 2
    assert {lane.role for lane in lanes} == {Role.WORKER}
    assert stage.workers == 2
