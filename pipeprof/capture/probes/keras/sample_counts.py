"""How many samples went through a Keras loop, read from what Keras itself counts."""

from collections.abc import Callable
from typing import Any

from pipeprof.capture.probes.keras.trained_batches import samples_of_loss
from pipeprof.capture.probes.loops.batch_shapes import count_samples
from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.recording.loop import LoopKind


class SampleCounter:
    """Counts the samples of one loop.

    Args:
        loop: the loop; takes the counts.
        callbacks: Keras's list of callbacks, which knows the user's model.
        keras_model: Keras's class of models.
        warn: adds a sentence to the run's warnings.
    """

    def __init__(
        self, loop: OpenLoop, callbacks: Any, keras_model: Any, warn: Callable[[str], None]
    ) -> None:
        self._loop = loop
        self._callbacks = callbacks
        self._keras_model = keras_model
        self._warn = warn
        self._uncounted_batches = 0

    def add(self, batches: int, logs: Any) -> None:
        """A step took so many batches; its outputs count at once where it predicts."""
        self._uncounted_batches += batches
        if self._loop.kind is LoopKind.PREDICT and isinstance(logs, dict):
            samples = count_samples(logs.get("outputs"))
            if samples is not None:
                self._loop.samples(samples)

    def count(self) -> None:
        """Reads how many samples went into the loss since Keras last reset it."""
        batches, self._uncounted_batches = self._uncounted_batches, 0
        if not batches or self._loop.kind is LoopKind.PREDICT:
            return
        samples = samples_of_loss(self._callbacks.model) or None
        # Keras weights the loss of a batch with its size; a user's own step often does not.
        if samples is not None and samples <= batches and self._has_own_step():
            samples = None
        if samples is not None:
            self._loop.samples(samples)
        else:
            self._warn(
                f"The samples of a {self._loop.kind.value} could not be counted: the model does "
                "not weight its loss with the size of the batch, as Keras's own steps do."
            )

    def _has_own_step(self) -> bool:
        name = "train_step" if self._loop.kind is LoopKind.FIT else "test_step"
        return getattr(type(self._callbacks.model), name, None) is not getattr(
            self._keras_model, name, None
        )
