"""The code of advice about callbacks, validation and predictions, pasted: it does as said."""

from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf

from pipeprof.analysis.findings.advice_kinds import FeedValidation
from pipeprof.analysis.findings.host_remedies import (
    CheaperCallback,
    PredictOnBatch,
    SaveLessOften,
    ValidateLessOften,
)
from pipeprof.analysis.findings.input_remedies import Prefetch
from pipeprof.recording.account import CallbackEvent, CallbackMethod, KerasCallback
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
from tests.integration.pasted_code import (
    TF_DATA,
    evaluated,
    pasted,
)

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


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


def iterators_made(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    made: list[object] = []
    make = tf.data.Dataset.__iter__
    monkeypatch.setattr(tf.data.Dataset, "__iter__", lambda self: made.append(self) or make(self))
    return made


def test_single_batches_are_predicted_without_a_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    made = iterators_made(monkeypatch)
    learner, (x, _) = model(), batch(0)
    before = learner.predict(x, verbose=0)
    of_predict = len(made)
    after = evaluated(PredictOnBatch(calls=90, call_ms=30.0), model=learner, x=x)
    assert after == pytest.approx(before)
    assert (of_predict > 0, len(made)) == (True, of_predict)


def test_what_is_done_for_an_input_can_be_done_for_that_of_the_validation() -> None:
    validation = tf.data.Dataset.from_tensor_slices(digits()).batch(BATCH)
    remedy = FeedValidation(remedy=Prefetch(fed_by=TF_DATA))
    made = pasted(remedy, dataset=validation)["dataset"]
    before, after = (
        train(model(), Digits(), epochs=2, validation_data=data).history["val_loss"]
        for data in (validation, made)
    )
    assert after == pytest.approx(before)
