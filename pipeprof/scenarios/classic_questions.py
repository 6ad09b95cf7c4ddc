"""Trains one small model in the ways that people compare, and measures what they ask about.

Why do ``fit`` and a generator give other losses on 'the same data'? What is the loss that ``fit`` shows?
Why do validation inside ``fit`` and ``evaluate`` disagree, or the training loss and both of them?
"""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pipeprof.analysis.comparing.classic_answers import (
    ClassicAnswer,
    EvaluationAnswer,
    Feed,
    FeedAnswer,
    MeanAnswer,
)
from pipeprof.analysis.comparing.run_comparison import compare_runs
from pipeprof.analysis.findings.findings import Findings
from pipeprof.analysis.findings.losses import losses_of
from pipeprof.capture.session import profile

SAMPLES, BATCH, EPOCHS = 400, 32, 2
BATCHES = -(-SAMPLES // BATCH)
_SEED = 1

Batch = tuple[Any, Any]


class _Parts(keras.utils.PyDataset):
    """The data in their order, as a PyDataset (`Sequence` in Keras 2)."""

    def __init__(self, data: Batch) -> None:
        super().__init__()
        self._data = data

    def __len__(self) -> int:
        return BATCHES

    def __getitem__(self, index: int) -> Batch:
        return _part(self._data, index)


def answer_classic_questions(
    logdir: Path, progress: Callable[[str], None] = lambda what: None
) -> Iterator[ClassicAnswer]:
    """Trains, and yields one answer after the other.

    Args:
        logdir: where the runs are recorded.
        progress: called with what is trained next.
    """
    data = _data()

    def recorded(name: str, train: Callable[[Any], object], model: Any) -> Findings:
        progress(name)
        with profile(logdir=logdir, name=f"demo-compare-{name}", fingerprint=True) as session:
            train(model)
        return session.findings

    x, y = data
    arrays = recorded(
        "arrays",
        lambda m: m.fit(x, y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0),
        _model(),
    )
    for feed, train in _ways(data).items():
        found = recorded(feed.value, train, _model())
        yield FeedAnswer(feed=feed, comparison=compare_runs([arrays], [found]))
    yield _mean(arrays)
    for augments, model in ((False, _model), (True, _augmenting)):
        history: list[float] = []
        name = "augmentation" if augments else "modes"
        evaluate = functools.partial(_evaluate, data=data, history=history)
        [pair] = recorded(name, evaluate, model()).evaluations
        yield EvaluationAnswer(augments=augments, pair=pair, training_loss=history[-1])


def _ways(data: Batch) -> dict[Feed, Callable[[Any], object]]:
    x, y = data
    return {
        Feed.GENERATOR: lambda m: m.fit(
            _endless(data), steps_per_epoch=BATCHES, epochs=EPOCHS, shuffle=False, verbose=0
        ),
        Feed.SEQUENCE: lambda m: m.fit(_Parts(data), epochs=EPOCHS, shuffle=False, verbose=0),
        Feed.TRAIN_ON_BATCH: lambda m: [
            m.train_on_batch(*_part(data, n)) for _ in range(EPOCHS) for n in range(BATCHES)
        ],
        Feed.SHUFFLED: lambda m: m.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0),
    }


def _mean(findings: Findings) -> MeanAnswer:
    assert findings.main is not None
    delivery = findings.main.loop.delivery
    assert delivery is not None
    return MeanAnswer(losses=losses_of(delivery), batches_per_epoch=BATCHES)


def _evaluate(model: Any, data: Batch, history: list[float]) -> None:
    x, y = data
    fitted = model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, validation_data=data, verbose=0)
    history += fitted.history["loss"]
    model.evaluate(x, y, batch_size=BATCH, verbose=0)


def _data() -> Batch:
    """Digits of 8 by 8 pixels, each drawn with noise around a pattern of its class."""
    random = np.random.default_rng(_SEED)
    classes = random.integers(0, 10, SAMPLES)
    patterns = random.normal(size=(10, 8, 8, 1))
    pictures = patterns[classes] + random.normal(size=(SAMPLES, 8, 8, 1))
    return pictures.astype(np.float32), classes


def _part(data: Batch, index: int) -> Batch:
    part = slice(index * BATCH, (index + 1) * BATCH)
    return data[0][part], data[1][part]


def _endless(data: Batch) -> Iterator[Batch]:
    while True:
        for index in range(BATCHES):
            yield _part(data, index)


def _model() -> Any:
    keras.utils.set_random_seed(_SEED)  # before the layers, which draw seeds of their own
    layers = keras.layers
    return _compiled(
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.BatchNormalization(),
        layers.Dropout(0.3),
    )


def _augmenting() -> Any:
    keras.utils.set_random_seed(_SEED)
    layers = keras.layers
    return _compiled(layers.RandomFlip(), layers.Flatten(), layers.Dense(64, activation="relu"))


def _compiled(*hidden: Any) -> Any:
    output = keras.layers.Dense(10, activation="softmax")
    model = keras.Sequential([keras.layers.Input((8, 8, 1)), *hidden, output])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model
