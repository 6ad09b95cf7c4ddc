"""Exceptions of a training show the lines that they show without a profile."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]

SCRIPT = """
import sys, traceback
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


def fails(how):
    try:
        with pipeprof.profile(logdir=sys.argv[2]) if sys.argv[1] == "watched" else nullcontext():
            how()
    except Exception as error:
        print(type(error).__name__)
        for frame in traceback.extract_tb(error.__traceback__):
            print(frame.filename, frame.lineno, frame.name, frame.line)


print("a batch that does not fit")
fails(lambda: train(5))
print("a callback")
fails(lambda: train(3, Fails()))
"""


@pytest.mark.skipif(sys.version_info < (3, 11), reason="an exception keeps its traceback there")
def test_an_exception_shows_the_lines_that_it_shows_without_a_profile(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    plain, watched = (_written(script, how, tmp_path / "logs") for how in ("plain", "watched"))
    assert {"InvalidArgumentError", "ValueError"} & set(plain)
    assert len(plain) > 10
    assert watched == plain


def _written(script: Path, how: str, logdir: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, str(script), how, str(logdir)],
        capture_output=True,
        check=False,
        cwd=ROOT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
