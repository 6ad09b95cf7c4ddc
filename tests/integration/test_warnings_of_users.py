"""Warnings that the user's code gives about its caller name what they would name without a profile."""

import json
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.integration.plain_and_watched import outputs

pytestmark = pytest.mark.integration

BEGIN = """
import json, sys, warnings
from contextlib import nullcontext

import pipeprof

seen, case = [], ""


def note(message, kind, file, line, *more):
    seen.append((case, str(message), file, line))


warnings.simplefilter("always")
warnings.showwarning = note


def warn():
    for level in (2, 3):
        warnings.warn(f"of the user's {level}", stacklevel=level + 1)


def watched(*data):
    return pipeprof.profile(*data, logdir=sys.argv[2]) if sys.argv[1] == "watched" else nullcontext()


def given(data, prof):
    return data if prof is None else prof.dataset
"""

END = """
print(json.dumps(sorted({each for each in seen if each[1].startswith("of the user's")})))
"""

KERAS = """
import keras
import numpy as np

BATCH = np.ones((4, 3), "float32"), np.ones((4, 1), "float32")


def made():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def batches():
    for _ in range(6):
        warn()
        yield BATCH


class Items(keras.utils.PyDataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        warn()
        return BATCH

    def on_epoch_end(self):
        warn()


def train(data, **arguments):
    made().fit(data, verbose=0, **arguments)
"""

CASES = {
    "a callback": """
class Warns(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        warn()

    def on_train_batch_end(self, batch, logs=None):
        warn()

with watched():
    train(BATCH[0], y=BATCH[1], callbacks=[Warns()])
""",
    "a generator": """
with watched():
    train(batches(), steps_per_epoch=6)
""",
    "a generator that was given": """
with watched(batches()) as prof:
    train(given(batches(), prof), steps_per_epoch=6)
""",
    "a generator in a loop": """
with watched(batches) as prof:
    model = made()
    for x, y in given(batches, prof)():
        model.train_on_batch(x, y)
""",
    "items": """
with watched():
    train(Items(), epochs=2)
""",
    "items in threads": """
with watched():
    train(Items(workers=2), epochs=2)
""",
    "from_generator": """
import tensorflow as tf
signature = tuple(tf.TensorSpec(part.shape, part.dtype) for part in BATCH)
with watched():
    train(tf.data.Dataset.from_generator(batches, output_signature=signature))
""",
    "an iterable": """
class Batches:
    def __iter__(self):
        warn()
        return Once()

class Once:
    left = 6

    def __iter__(self):
        return self

    def __next__(self):
        warn()
        self.left -= 1
        if not self.left:
            raise StopIteration
        return BATCH

data = Batches()
with watched(data) as prof:
    model = made()
    for x, y in given(data, prof):
        model.train_on_batch(x, y)
""",
    "a marked function": """
@pipeprof.stage("one") if sys.argv[1] == "watched" else lambda function: function
def one():
    warn()
    return BATCH

@pipeprof.stage("several") if sys.argv[1] == "watched" else lambda function: function
def several():
    for _ in range(6):
        warn()
        yield one()

with watched():
    train(several(), steps_per_epoch=6)
""",
    "a loader of torch": """
import torch

class Images(torch.utils.data.Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        warn()
        return BATCH[0][0], BATCH[1][0]

def collate(samples):
    warn()
    return tuple(np.stack(part) for part in zip(*samples))

with watched():
    train(torch.utils.data.DataLoader(Images(), 2, collate_fn=collate))
""",
}


def test_warnings_of_the_users_name_who_called_as_without_a_profile(tmp_path: Path) -> None:
    cases = [case for case in CASES if "torch" not in case or find_spec("torch") is not None]
    script = tmp_path / "train.py"
    of_cases = "".join(f"case = {case!r}\n{CASES[case]}" for case in cases)
    script.write_text(BEGIN + KERAS + of_cases + END)
    plain, watched = map(_by_case, outputs(script, tmp_path / "logs"))
    for case in cases:
        assert plain[case], case
        assert watched[case] == plain[case], case


def _by_case(printed: str) -> dict[str, list[list[object]]]:
    """The warnings of each case: what they say, file and line."""
    by_case: defaultdict[str, list[list[object]]] = defaultdict(list)
    for case, *warned in json.loads(printed.splitlines()[-1]):
        by_case[case].append(warned)
    return by_case
