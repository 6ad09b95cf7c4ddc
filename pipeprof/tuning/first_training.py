"""Stops an unchanged script at its first training, and hands over the model with its dataset."""

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any

from pipeprof.capture.patches import ImportHook, Patches
from pipeprof.capture.probes.loaders.datasets import recognise
from pipeprof.capture.probes.probe_context import called_from_framework
from pipeprof.errors import TuningRefused
from pipeprof.recording.loop import InputKind
from pipeprof.tuning.subject import Subject

_FITS = ("fit", "fit_generator")


class TrainingTaken(SystemExit):
    """The training was handed over: ends the script, whose ``except Exception`` does not hold it up."""


class FirstTraining:
    """Waits for the first ``fit`` of a script.

    Args:
        take: called with what is trained, or with why that cannot be tuned.
    """

    def __init__(self, take: Callable[[Subject | TuningRefused], None]) -> None:
        self._take = take
        self._patches = Patches()
        self._imports = [
            ImportHook(package, functools.partial(self._install, package))
            for package in ("keras", "tf_keras")
        ]
        self._taken = False

    def install(self) -> None:
        """Waits for the Keras that is there, or will be."""
        for hook in self._imports:
            hook.start()

    def remove(self) -> None:
        """Gives everything back."""
        for hook in self._imports:
            hook.stop()
        self._patches.undo()

    def _install(self, package: str) -> None:
        model = importlib.import_module(package).Model
        for name in _FITS:
            if hasattr(model, name):
                self._patches.replace(model, name, self._fit(getattr(model, name)))

    def _fit(self, original: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(original)
        feed = "x" if "x" in signature.parameters else "generator"

        @functools.wraps(original)
        def fit(model: Any, *args: Any, **kwargs: Any) -> Any:
            if self._taken or called_from_framework():
                return original(model, *args, **kwargs)
            self._taken = True
            self.remove()
            bound = signature.bind(model, *args, **kwargs)
            self._take(_subject(model, bound.arguments.get(feed)))
            raise TrainingTaken

        return fit


def _subject(model: Any, dataset: Any) -> Subject | TuningRefused:
    kind = recognise(dataset)
    if kind is InputKind.GENERATOR:
        return TuningRefused(
            "expected a dataset that can be begun again, received a generator, which cannot: write a "
            "function that makes it, and run 'pipeprof tune MODULE:FUNCTION'."
        )
    if kind not in (InputKind.TF_DATA, InputKind.SEQUENCE):
        return TuningRefused(
            "expected a training on a tf.data dataset or a Sequence, received one on "
            f"{kind.value if kind else type(dataset).__name__}."
        )
    return Subject(
        kind=kind, dataset=dataset, model=model, fresh=lambda: dataset, takes_shard=False
    )
