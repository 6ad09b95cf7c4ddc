"""A training in NumPy whose work per step can be made longer by a factor, recorded by pipeprof.

Arguments: log folder, name of the run, factor. One thread computes: `validate_comparisons` starts it so.
"""

import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import pipeprof

# For longer than other load of `validate_comparisons` takes to come and go.
STEPS = 1000
REPEATS, PAUSE_S = 60, 0.002


def main() -> None:
    logdir, name, factor = sys.argv[1], sys.argv[2], float(sys.argv[3])
    random = np.random.default_rng(0)
    data, weights = random.normal(size=(64, 64)), random.normal(size=(64, 64)) / 8
    with pipeprof.profile(batches(data, factor), logdir=logdir, name=name) as prof:
        for batch in prof.dataset:
            for _ in range(round(REPEATS * factor)):
                out = np.tanh(batch @ weights)
                weights = weights - 1e-4 * (batch.T @ (out - batch))


def batches(data: Any, factor: float) -> Iterator[Any]:
    for _ in range(STEPS):
        time.sleep(PAUSE_S * factor)
        yield data


if __name__ == "__main__":
    main()
