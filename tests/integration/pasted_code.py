"""Runs the code of advice, and counts what it calls.

What it saves is seen by counting calls, or by calls that have to meet: some pass a `Meeting`, or none.
"""

import threading
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeprof.analysis.findings.advice_kinds import Remedy
from pipeprof.analysis.findings.input_remedies import FedBy
from pipeprof.recording.loop import InputKind, InputLibrary
from pipeprof.report.one_run.advice_code import remedy_code

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
    """Counts calls, each of which waits until others are under way, if it has to.

    The first may be alone: Keras takes two batches by itself, to see their shapes.
    """

    def __init__(self, *, must_meet: bool = True, alone: int = 0, calls: int = 2) -> None:
        self.calls = 0
        self._alone = alone
        self._lock = threading.Lock()
        self._barrier = threading.Barrier(calls) if must_meet else None

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
