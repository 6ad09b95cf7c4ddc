"""What the probe of Keras does around `train_on_batch`, on a package that looks like Keras."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from pipeprof.capture.probes.keras.keras_probe import KerasProbe
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.recorder import recorder as recording
from pipeprof.capture.recorder.recorder import Recorder

PACKAGE = "looks_like_keras"


class Model:
    def __init__(self, timed: list[bool], context: ProbeContext) -> None:
        self.timed, self.context = timed, context

    def train_on_batch(self, x: Any, y: Any = None) -> float:
        self.timed.append(self.context.loops.hand.is_timed)
        if x is None:
            raise ValueError("no batch")
        return 0.5


def nothing(self: Any, *args: Any, **kwargs: Any) -> None:
    """A method of callbacks."""


METHODS = [
    f"on_{phase}{part}"
    for phase in ("train", "test", "predict")
    for part in ("_begin", "_end", "_batch_begin", "_batch_end")
]


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> ProbeContext:
    package: Any = ModuleType(PACKAGE)
    package.Model = type("Model", (Model,), {"train_on_batch": Model.train_on_batch})
    methods = dict.fromkeys([*METHODS, "on_epoch_begin", "on_epoch_end"], nothing)
    package.callbacks = SimpleNamespace(CallbackList=type("CallbackList", (), methods))
    monkeypatch.setitem(sys.modules, PACKAGE, package)
    recorder = Recorder(None)
    monkeypatch.setattr(recording, "current", recorder)
    return ProbeContext(recorder, warmup=0, fingerprint=False)


def test_what_the_probe_does_around_a_call_is_timed_with_it(
    context: ProbeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = KerasProbe(PACKAGE, context)
    probe.install()
    timed: list[bool] = []
    hand = context.loops.hand

    def note(*args: Any) -> None:
        timed.append(hand.is_timed)

    monkeypatch.setattr(probe.batches, "given", note)
    monkeypatch.setattr(probe.batches, "trained", note)
    model = sys.modules[PACKAGE].Model(timed, context)
    try:
        assert model.train_on_batch([1.0], [0.0]) == 0.5
        assert timed == [True] * 3
        assert not hand.is_timed
        assert hand.loop is not None
        with pytest.raises(ValueError, match="no batch"):
            model.train_on_batch(None)
        assert not hand.is_timed
        assert hand.loop.step == 1
    finally:
        probe.remove()
