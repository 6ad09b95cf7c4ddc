"""Measures what `fingerprint=True` costs a training that is profiled already, in alternating pairs."""

import statistics
import time
from pathlib import Path

import numpy as np
from overhead_pairs import Pairs, Times, as_percent, ratios

from pipeprof.capture.session import profile

Row = tuple[str, str, str]

# Name, shape of a sample, samples in a batch: a table of numbers, and pictures.
INPUTS = (("rows of 64 numbers", (64,), 64), ("pictures of 64 by 64", (64, 64, 3), 32))
STEPS, PAIRS = 100, 5


def fingerprints(logdir: Path, pairs: Pairs) -> list[Row]:
    """The slow-down of a profiled `fit` on arrays by fingerprints of all that it consumes."""
    return [_of_input(logdir, pairs, *each) for each in INPUTS]


def _of_input(logdir: Path, pairs: Pairs, name: str, shape: tuple[int, ...], samples: int) -> Row:
    import keras

    keras.utils.set_random_seed(0)
    features = np.random.default_rng(0).random((samples * STEPS, *shape), np.float32)
    labels = np.zeros(len(features), np.int64)
    layers = [keras.layers.Flatten(), keras.layers.Dense(512, "relu"), keras.layers.Dense(2)]
    model = keras.Sequential(layers)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    def fit(*, fingerprint: bool) -> Times:
        with profile(logdir=logdir, fingerprint=fingerprint):
            begin_s = time.perf_counter()
            model.fit(features, labels, batch_size=samples, verbose=0)
            return (time.perf_counter() - begin_s,)

    fit(fingerprint=False)
    found = pairs.compare(
        f"fingerprints {name}",
        lambda: fit(fingerprint=False),
        lambda: fit(fingerprint=True),
        narrow=True,
        times=PAIRS,
    )
    step_ms = statistics.median(bare[0] for bare, _ in found) / STEPS * 1e3
    moved = features[:samples].nbytes / 1e3
    what = f"fingerprints: `fit` on {name}, {STEPS} steps of {step_ms:.1f} ms with {moved:,.0f} kB each"
    return what, as_percent(ratios(found)), ""
