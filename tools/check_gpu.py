"""Checks on a real GPU that pipeprof's device time agrees with the framework's own timing.

Trains Keras on its JAX or torch backend (``KERAS_BACKEND``) with an input that sleeps, so that the device
has to idle for a part of each step. The framework's time is that of steps one after the other on a batch
that is there already, until the device is done; pipeprof's is from the driver, in the training. Ends with
1 where they differ by more than 15 %, and with 2 where there is no GPU.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras  # noqa: TID253 - this is a script
import numpy as np

import pipeprof
from pipeprof.analysis.findings.findings import Findings
from pipeprof.analysis.findings.machine_findings import DeviceFinding, DeviceSource

FARTHEST = 0.15
# Long enough against the second over which a driver may average.
STEPS, WIDTH, FEATURES, BATCH = 600, 8192, 64, 4096
TIMED_STEPS = 50
SLEEPS_MS = (0, 20, 60)


def main() -> int:
    """Runs all checks; returns the exit code."""
    backend = keras.backend.backend()
    wait = _waiting(backend)
    if wait is None:
        print(f"expected a GPU for Keras's backend {backend!r}: none was found.", file=sys.stderr)
        return 2
    print("| input sleeps | step | device, by the framework | device, by its driver | difference |")
    print("|---|---|---|---|---|")
    farthest = 0.0
    for sleep_ms in SLEEPS_MS:
        findings, framework_ms = train(sleep_ms / 1e3, wait)
        device = findings.devices[0] if findings.devices else None
        step = findings.main.diagnosis.step_ms if findings.main else None
        if device is None or device.source is not DeviceSource.NVML or step is None:
            print(f"expected a device that NVML reports, received {device}.", file=sys.stderr)
            return 1
        ours_ms = _busy(device) * step.mean
        difference = ours_ms / framework_ms - 1
        farthest = max(farthest, abs(difference))
        print(
            f"| {sleep_ms} ms | {step.mean:.1f} ms | {framework_ms:.1f} ms | {ours_ms:.1f} ms "
            f"| {difference:+.1%} |"
        )
    return int(farthest > FARTHEST)


def train(sleep_s: float, wait: Callable[[], None]) -> tuple[Findings, float]:
    """What pipeprof reports about a training, and how long a step's device work took by the framework."""
    hidden = [keras.layers.Dense(WIDTH) for _ in range(4)]
    model = keras.Sequential([*hidden, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    batch = np.zeros((BATCH, FEATURES), np.float32), np.zeros((BATCH, 1), np.float32)

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        while True:
            time.sleep(sleep_s)
            yield batch

    model.train_on_batch(*batch)
    wait()
    began_s = time.perf_counter()
    for _ in range(TIMED_STEPS):
        model.train_on_batch(*batch)
    wait()
    framework_ms = 1e3 * (time.perf_counter() - began_s) / TIMED_STEPS
    with tempfile.TemporaryDirectory() as logdir:
        with pipeprof.profile(batches(), logdir=Path(logdir)) as prof:
            model.fit(prof.dataset, steps_per_epoch=STEPS, verbose=0)
        return prof.findings, framework_ms


def _busy(device: DeviceFinding) -> float:
    return device.own_busy_ratio if device.own_busy_ratio is not None else device.busy_ratio or 0.0


def _waiting(backend: str) -> Callable[[], None] | None:
    """What waits for the GPU, or None where the backend has none."""
    if backend == "jax":
        import jax

        if jax.default_backend() != "gpu":
            return None

        def wait_for_jax() -> None:
            # What is asked of a device now runs after all that was asked of it before.
            (jax.numpy.zeros(()) + 1).block_until_ready()

        return wait_for_jax
    if backend == "torch":
        import torch

        return torch.cuda.synchronize if torch.cuda.is_available() else None
    return None


if __name__ == "__main__":
    sys.exit(main())
