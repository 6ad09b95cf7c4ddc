"""Arrows from the work that made a batch to the step that took it, in real trainings.

Every batch carries the number of its item, and the model notes which of them each step trained on.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import pipeprof
from pipeprof.capture.session import Session
from pipeprof.surfaces.timelines.chrome import to_chrome
from tests.chrome_rules import Event, broken, enclosing

BATCHES = 12
EPOCHS = 3


class Model(keras.Model):
    """Says which item each step trains on, which is the first number of its batch."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = tf.Variable(tf.fill([10_000], -1), trainable=False)
        self.steps = tf.Variable(0, trainable=False)
        self.dense = keras.layers.Dense(1)

    def call(self, x: Any) -> Any:
        return self.dense(x)

    def train_step(self, data: Any) -> Any:
        x = data[0]
        self.seen.scatter_nd_update([[self.steps]], [tf.cast(x[0, 0], tf.int32)])
        self.steps.assign_add(1)
        return super().train_step(data)

    def items(self) -> list[int]:
        return self.seen.numpy()[: int(self.steps)].tolist()


def batch_of(item: int) -> Any:
    return np.full((4, 3), item, np.float32), np.zeros((4, 1), np.float32)


def make(item: int, batch: Any = None) -> Any:
    """Makes a batch, in whichever process, in a stage that is named for its item."""
    with pipeprof.stage(f"item {item}"):
        time.sleep(0.001 * (1 + item % 4))
        return batch_of(item) if batch is None else batch


class Batches(keras.utils.PyDataset):
    def __len__(self) -> int:
        return BATCHES

    def __getitem__(self, item: int) -> Any:
        return make(item)


def train(data: Any, logdir: Path, *, at_once: int = 1, **arguments: Any) -> tuple[Session, Model]:
    model = Model()
    model.compile("sgd", "mse", steps_per_execution=at_once)
    with pipeprof.profile(data, logdir=logdir) as prof:
        model.fit(prof.dataset, **{"epochs": EPOCHS, "verbose": 0, "shuffle": False} | arguments)
    assert prof.result.check() == ()
    return prof, model


def arrows(prof: Session) -> list[tuple[int, int]]:
    """Of each arrow the item that was made where it begins, and the step of `fit` that it leads to."""
    return arrows_in(json.loads(to_chrome(prof.findings))["traceEvents"])


def arrows_in(events: list[Event]) -> list[tuple[int, int]]:
    """The same of a trace."""
    assert broken(events) == []
    (training,) = [
        event["tid"]
        for event in events
        if event["ph"] == "M" and event["args"]["name"].startswith("steps of fit")
    ]
    begins = {event["id"]: event for event in events if event["ph"] == "s"}
    ends = [event for event in events if event["ph"] == "f" and event["tid"] == training]
    return [(_item(events, begins[end["id"]]), _step(events, end)) for end in ends]


def _item(events: list[Event], begin: Event) -> int:
    """The item whose stage lies in the work that an arrow begins in."""
    work = max(enclosing(events, begin), key=lambda event: event["dur"])
    (item,) = [
        event["name"].split()[1]
        for event in events
        if event["ph"] == "X"
        and event["name"].startswith("item ")
        and event["tid"] == work["tid"]
        and work["ts"] <= event["ts"] <= work["ts"] + work["dur"]
    ]
    return int(item)


def _step(events: list[Event], end: Event) -> int:
    (step,) = [event for event in enclosing(events, end) if event["name"] == "step"]
    number: int = step["args"]["step"]
    return number


@pytest.mark.parametrize(
    "options",
    [
        {"workers": 2, "max_queue_size": 4},
        {"workers": 2, "max_queue_size": 4, "use_multiprocessing": True},
        {"workers": 1},
    ],
    ids=["threads", "processes", "none"],
)
def test_arrows_lead_from_each_batch_of_a_sequence_to_its_step(
    options: dict[str, Any], tmp_path: Path
) -> None:
    check = Batches(workers=2)
    data = Batches(**options)
    prof, model = train(data, tmp_path / "runs", shuffle=True, validation_data=check)

    trained_on = model.items()
    assert trained_on[:BATCHES] != sorted(trained_on[:BATCHES])
    assert arrows(prof) == list(zip(trained_on, range(EPOCHS * BATCHES), strict=True))


@pytest.mark.parametrize("at_once", [1, 3])
def test_arrows_lead_from_each_batch_of_a_generator_to_its_step(
    at_once: int, tmp_path: Path
) -> None:
    def batches() -> Iterator[Any]:
        item = 0
        while True:
            yield make(item)
            item += 1

    prof, _ = train(batches(), tmp_path / "runs", steps_per_epoch=BATCHES, at_once=at_once)
    items = range(EPOCHS * BATCHES)
    assert arrows(prof) == [(item, item // at_once) for item in items]


def test_an_array_that_is_filled_again_never_leads_to_a_wrong_step(tmp_path: Path) -> None:
    buffer = batch_of(0)

    class Refilled(Batches):
        def __getitem__(self, item: int) -> Any:
            return make(item, buffer)

    # Who trains on which of them nobody can know: it is one array. Items are taken in their order.
    prof, _ = train(Refilled(workers=2), tmp_path / "runs")
    found = arrows(prof)
    assert len(found) < EPOCHS * BATCHES
    assert all(item == step % BATCHES for item, step in found)


def test_elements_of_a_pipeline_of_ones_own_lead_nowhere(tmp_path: Path) -> None:
    model = Model()
    model.compile("sgd", "mse")

    def batches() -> Iterator[Any]:
        for item in range(BATCHES):
            yield make(item)

    with pipeprof.profile(logdir=tmp_path / "runs") as prof:
        shape = tf.TensorSpec((4, 3)), tf.TensorSpec((4, 1))
        whole = tf.data.Dataset.from_generator(batches, output_signature=shape)
        mixed = whole.unbatch().shuffle(8).batch(4)
        model.fit(mixed, verbose=0, shuffle=False, steps_per_epoch=BATCHES)
    assert prof.result.main_loop is not None
    assert prof.result.main_loop.step_count == BATCHES
    assert arrows(prof) == []
