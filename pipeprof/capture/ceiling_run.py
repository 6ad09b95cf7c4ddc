"""Measures a training with input for free: `ceiling`, and what the command line does for a script."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipeprof.capture.free_input import MOST_BATCHES, CeilingReached, FreeInput
from pipeprof.capture.profiles_inside import feed_profiles
from pipeprof.capture.session import profile
from pipeprof.capture.settings import WARMUP_STEPS
from pipeprof.errors import UsageError
from pipeprof.recording.ceiling import Ceiling
from pipeprof.recording.profile import Profile

STEPS = 100


def ceiling(
    model: Any, dataset: Any, *, steps: int = STEPS, batches: int = MOST_BATCHES, **fit: Any
) -> Ceiling:
    """Measures how fast a Keras model trains with input for free: the limit of any faster input.

    The dataset's first batches are kept in memory and fed again and again. The model's weights are
    put back afterwards; its optimizer has taken the steps.

    Args:
        model: a compiled Keras model.
        dataset: what it is trained on; as for `pipeprof.profile`.
        steps: how many steps are measured, after the warm-up.
        batches: how many batches are kept at most; fewer where they are large.
        fit: further arguments of ``model.fit``, such as ``callbacks``.

    Raises:
        UsageError: an argument makes no sense, the dataset has no batches, or another profile is on.
    """
    weights = model.get_weights() if model.built else None
    arguments = {"verbose": 0, **fit}
    try:
        return measure_ceiling(lambda: model.fit(dataset, **arguments), steps, batches)
    finally:
        if weights is not None:
            model.set_weights(weights)


def measure_ceiling(
    train: Callable[[], object], steps: int = STEPS, batches: int = MOST_BATCHES
) -> Ceiling:
    """Runs what trains until enough steps of its first training were measured.

    Args:
        train: trains; what it does after the first training does not run.
        steps: how many steps are measured, after the warm-up.
        batches: how many batches are kept at most.

    Raises:
        UsageError: there was no training whose input could be kept.
    """
    if steps < 1 or batches < 1:
        raise UsageError(f"expected 1 step and 1 batch or more, received {steps} and {batches}.")
    free = FreeInput(WARMUP_STEPS + 1 + steps, batches)
    with tempfile.TemporaryDirectory(prefix="pipeprof-ceiling-") as folder:
        with profile(logdir=Path(folder)) as session:
            free.install()
            recording_again = feed_profiles(free, session)
            try:
                train()
            except CeilingReached:
                pass
            finally:
                recording_again()
                free.remove()
        return _ceiling_of(session.result, free.kept)


def _ceiling_of(recorded: Profile, kept: int) -> Ceiling:
    # The batches to keep were taken in a loop of a few steps.
    trainings = (loop for loop in recorded.loops if loop.kind.trains)
    loop = max(trainings, key=lambda loop: loop.step_count, default=None)
    durations = np.empty(0, np.int64)
    if loop is not None and kept:
        counted = loop.steps.counted(loop.warmup_steps)
        durations = (loop.steps.end_ns - loop.steps.start_ns)[counted]
    if not len(durations):
        raise UsageError(
            "expected a training by fit or train_on_batch, or a loop over a tf.data dataset or over "
            "prof.dataset of pipeprof.profile(dataset), whose input can be kept; found none."
        )
    return Ceiling(
        median_ns=int(np.median(durations)),
        mean_ns=int(durations.mean()),
        p95_ns=int(np.percentile(durations, 95)),
        steps=len(durations),
        batches=kept,
    )
