# A training in NumPy whose work per step can be made longer by a tenth: two of them are compared.
import os
import sys
import time

os.environ["OPENBLAS_NUM_THREADS"] = (
    "1"  # threads that wait for each other would be most of the noise
)

import numpy as np

import pipeprof

logdir, name, factor = sys.argv[1], sys.argv[2], float(sys.argv[3])
STEPS = 400
rng = np.random.default_rng(0)
data = rng.normal(size=(64, 64))
weights = rng.normal(size=(64, 64)) / 8


def batches():
    for _ in range(STEPS):
        time.sleep(0.002 * factor)
        yield data


def train(batch):
    global weights
    for _ in range(round(60 * factor)):
        out = np.tanh(batch @ weights)
        weights = weights - 1e-4 * (batch.T @ (out - batch))


with pipeprof.profile(batches(), logdir=logdir, name=name) as prof:
    for batch in prof.dataset:
        train(batch)
