"""Warnings of Keras and TensorFlow name the user's line under a profile, whatever pipeprof wraps."""

import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import pipeprof
from tests.integration.feeds import model

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(tensorflow|google|numpy)"),
]

FUNCTION = type(tf.function(lambda: None))
ITERATOR = type(iter(tf.data.Dataset.range(1)))
CALLBACKS = keras.callbacks.CallbackList


def _callbacks(name: str, *arguments: Any) -> tuple[Any, str, Callable[[], Any]]:
    made = CALLBACKS([], model=keras.Sequential())
    return CALLBACKS, name, lambda: getattr(made, name)(*arguments)


def _fit_arguments() -> tuple[Any, Any]:
    return np.ones((4, 1), "float32"), np.ones((4, 1), "float32")


# The owner of a public function that is patched, its name, and a call of it.
PATCHED: dict[str, Callable[[], tuple[Any, str, Callable[[], Any]]]] = {
    "fit": lambda: (keras.Model, "fit", lambda: model().fit(*_fit_arguments())),
    "evaluate": lambda: (keras.Model, "evaluate", lambda: model().evaluate(*_fit_arguments())),
    "predict": lambda: (keras.Model, "predict", lambda: model().predict(_fit_arguments()[0])),
    "train_on_batch": lambda: (
        keras.Model,
        "train_on_batch",
        lambda: model().train_on_batch(*_fit_arguments()),
    ),
    "on_train_begin": lambda: _callbacks("on_train_begin"),
    "on_epoch_begin": lambda: _callbacks("on_epoch_begin", 0),
    "on_train_batch_begin": lambda: _callbacks("on_train_batch_begin", 0),
    "on_train_batch_end": lambda: _callbacks("on_train_batch_end", 0),
    "on_epoch_end": lambda: _callbacks("on_epoch_end", 0),
    "on_train_end": lambda: _callbacks("on_train_end"),
    "from_generator": lambda: (
        tf.data.Dataset,
        "from_generator",
        lambda: tf.data.Dataset.from_generator(lambda: iter([1])),
    ),
    "__iter__": lambda: (tf.data.Dataset, "__iter__", lambda: tf.data.Dataset.range(1).__iter__()),
    "__call__": lambda: (FUNCTION, "__call__", lambda: tf.function(lambda: 1)()),
    "gradient": lambda: (
        tf.GradientTape,
        "gradient",
        lambda: tf.GradientTape().gradient(None, None),
    ),
}


@pytest.mark.parametrize("name", PATCHED)
def test_a_warning_inside_a_patched_function_names_the_users_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    owner, attribute, call = PATCHED[name]()

    def warns(*args: Any, **kwargs: Any) -> None:
        warnings.warn("from the library", UserWarning, stacklevel=2)

    static = isinstance(vars(owner).get(attribute), staticmethod)
    monkeypatch.setattr(owner, attribute, staticmethod(warns) if static else warns)
    with (
        pipeprof.profile(logdir=tmp_path, sample_hz=0),
        warnings.catch_warnings(record=True) as caught,
    ):
        assert vars(owner)[attribute] is not warns
        warnings.simplefilter("always")
        call()
    files = [one.filename for one in caught if str(one.message) == "from the library"]
    assert files == [__file__]


def test_taking_a_batch_by_hand_names_the_users_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def warns(self: Any) -> None:
        warnings.warn("from the library", UserWarning, stacklevel=2)

    monkeypatch.setattr(ITERATOR, "__next__", warns)
    with pipeprof.profile(logdir=tmp_path, sample_hz=0):
        iterator = iter(tf.data.Dataset.range(1))
        assert ITERATOR.__next__ is not warns
        with pytest.warns(UserWarning, match="from the library") as caught:
            next(iterator)
    assert [one.filename for one in caught] == [__file__]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Messages of TensorFlow's logger; each deprecation is logged once a process."""
    from tensorflow.python.util import deprecation

    monkeypatch.setattr(deprecation, "_PRINTED_WARNING", {})
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    tf.get_logger().addHandler(handler)
    yield messages
    tf.get_logger().removeHandler(handler)


def test_what_tensorflow_logs_as_deprecated_names_the_users_line(
    tmp_path: Path, logged: list[str]
) -> None:
    before = list(tf.get_logger().filters)
    # TensorFlow looks for deprecated arguments only where it builds a graph.
    with pipeprof.profile(logdir=tmp_path, sample_hz=0), tf.Graph().as_default():
        line = sys._getframe().f_lineno + 1
        tf.data.Dataset.from_generator(lambda: iter([1]), output_types=tf.int64)
    (message,) = [each for each in logged if "output_types" in each]
    assert message.startswith(f"From {__file__}:{line}: calling ")
    assert tf.get_logger().filters == before
