"""Exceptions of a training show the lines that they show without a profile."""

import json
import sys
from pathlib import Path

import pytest

from tests.integration.plain_and_watched import outputs

pytestmark = pytest.mark.integration

SCRIPT = """
import json, sys, traceback
from contextlib import nullcontext

import keras
import numpy as np

import pipeprof


def batches(width):
    while True:
        yield np.ones((4, width), "float32"), np.ones((4, 1), "float32")


class Fails(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        raise ValueError("of the user's")


def train(width, *callbacks):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(batches(width), steps_per_epoch=3, verbose=0, callbacks=list(callbacks))


def shown(train):
    try:
        with pipeprof.profile(logdir=sys.argv[2]) if sys.argv[1] == "watched" else nullcontext():
            train()
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [(frame.filename, frame.lineno, frame.name, frame.line) for frame in frames]
        return [type(error).__name__, *lines]


cases = {
    "a batch that does not fit": lambda: train(5),
    "a callback": lambda: train(3, Fails()),
}
print(json.dumps({case: shown(cases[case]) for case in cases}))
"""


@pytest.mark.skipif(sys.version_info < (3, 11), reason="an exception keeps its traceback there")
def test_an_exception_shows_the_lines_that_it_shows_without_a_profile(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    plain, watched = map(json.loads, outputs(script, tmp_path / "logs"))
    assert set(plain) == {"a batch that does not fit", "a callback"}
    for case in plain:
        assert len(plain[case]) > 2, case
        assert watched[case] == plain[case], case
