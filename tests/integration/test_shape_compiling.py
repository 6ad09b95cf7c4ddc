"""Where XLA compiles a model anew for each new shape of its batches, the report of a real training says so.

The trainings run in a process of their own.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

SCRIPT = """
import json
import sys

import keras
import numpy as np
import tensorflow as tf

import pipeprof
from pipeprof.analysis.findings.caveat_kinds import CompiledByShape
from pipeprof.analysis.findings.wall_evidence_kinds import Retracings

BATCH, LENGTHS, BATCHES, EPOCHS = 4, 12, 36, 4
LONGEST = 8 + 4 * LENGTHS


def model(jit_compile):
    texts = keras.Input((None,), dtype="int32")
    words = keras.layers.Embedding(50, 8)(texts)
    seen = keras.layers.Conv1D(8, 3, padding="same", activation="relu")(words)
    made = keras.Model(texts, keras.layers.Dense(1)(keras.layers.GlobalMaxPooling1D()(seen)))
    made.compile("adam", "mse", jit_compile=jit_compile)
    return made


def texts(index):
    length = 8 + 4 * (index * 7 % LENGTHS)
    return np.ones((BATCH, length), "int32"), np.zeros((BATCH, 1), "float32")


class Texts(keras.utils.PyDataset):
    def __len__(self):
        return BATCHES

    def __getitem__(self, index):
        return texts(index)


def batches():
    while True:
        yield from map(texts, range(BATCHES))


def rows():
    for index in range(BATCHES):
        yield from zip(*texts(index))


def padded(to=None):
    signature = (tf.TensorSpec((None,), tf.int32), tf.TensorSpec((1,)))
    made = tf.data.Dataset.from_generator(rows, output_signature=signature)
    return made.padded_batch(BATCH, padded_shapes=((to,), (1,)))


def fit(made, data, **arguments):
    made.fit(data, epochs=EPOCHS, verbose=0, **arguments)


def by_hand(made, data):
    for index in range(EPOCHS * BATCHES):
        made.train_on_batch(*data(index % BATCHES))


def report(data, jit_compile=True, train=fit, **arguments):
    with pipeprof.profile(logdir=sys.argv[1]) as prof:
        train(model(jit_compile), data, **arguments)
    main = prof.findings.main
    evidence = main.diagnosis.evidence
    return {
        "by_shape": main.loop.compiled_by_shape,
        "probable": [each.steps for each in evidence if isinstance(each, CompiledByShape)],
        "known": [each.count for each in evidence if isinstance(each, Retracings)],
        "change": [each.change for each in evidence if isinstance(each, Retracings)],
        "advice": [each.action for each in main.diagnosis.advice],
        "compile_steps": main.loop.account.compile_steps,
    }


found = {
    "tf.data": report(padded()),
    "generator": report(batches(), steps_per_epoch=BATCHES),
    "PyDataset": report(Texts()),
    "by hand": report(texts, train=by_hand),
    "fixed": report(padded(to=LONGEST)),
    "not compiled": report(padded(), jit_compile=False),
}
json.dump(found, open(sys.argv[2], "w"))
"""


def test_steps_that_xla_compiles_for_new_shapes_are_reported_and_no_others(tmp_path: Path) -> None:
    script, answer = tmp_path / "train.py", tmp_path / "found.json"
    script.write_text(SCRIPT)
    subprocess.run([sys.executable, script, tmp_path, answer], check=True, timeout=500)
    found = json.loads(answer.read_text())
    for name in ("tf.data", "generator", "PyDataset"):
        assert found[name]["by_shape"], name
    for name in ("fixed", "not compiled"):
        assert not found[name]["by_shape"], name
        assert (found[name]["probable"], found[name]["known"]) == ([], []), name
        assert found[name]["compile_steps"] == 1, name
    # Of a tf.data pipeline the shapes are not seen; some of the 12 come in steps that do not count.
    [steps] = found["tf.data"]["probable"]
    assert 3 <= steps <= 12
    assert "leave_input" not in found["tf.data"]["advice"]
    for name in ("generator", "PyDataset", "by hand"):
        assert found[name]["probable"] == [], name
        assert "leave_input" not in found[name]["advice"], name
        # The first shape is compiled where the function is traced.
        assert found[name]["known"] == [11], name
        [change] = found[name]["change"]
        assert change.startswith("int32 (4, ")
