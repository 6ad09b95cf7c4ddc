"""What ``fit`` and its kin are fed with: observed from when they begin, released when they end."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pipeprof.capture.probes.loaders.datasets import observe_dataset, recognise
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.recorder.facts import InputFacts
from pipeprof.recording.loop import InputKind, LoopKind

_MOVED_TO_DATASET = ("workers", "use_multiprocessing", "max_queue_size")
# The arguments of `fit` and its kin that may be a dataset with a life of its own.
_DATASET_ARGUMENTS = ("x", "generator", "validation_data")


class FitInputs:
    """The inputs of the calls that run, outermost first."""

    def __init__(self, context: ProbeContext) -> None:
        self._context = context
        self._calls: list[tuple[InputFacts | None, list[Callable[[], None]]]] = []

    @property
    def current(self) -> InputFacts | None:
        """What the innermost call is fed with; the profile's own dataset outside of any."""
        return self._calls[-1][0] if self._calls else self._context.given

    @property
    def depth(self) -> int:
        """How many calls run, one inside the other."""
        return len(self._calls)

    def observe(self, bound: inspect.BoundArguments, loop: LoopKind) -> None:
        """Observes the datasets among a call's arguments; those take their places."""
        fed_by: InputFacts | None = None
        releases: list[Callable[[], None]] = []
        self._calls.append((self.current, releases))  # until the rest is known
        arguments = bound.arguments
        for name in _DATASET_ARGUMENTS:
            data = arguments.get(name)
            kind = recognise(data) if data is not None else None
            if kind in (None, InputKind.ITERATOR):
                continue
            self._context.validating = name == "validation_data" or not loop.trains
            try:
                observed = observe_dataset(data, self._context)
            finally:
                self._context.validating = False
            arguments[name] = observed.dataset
            releases.append(observed.release)
            if name != "validation_data":
                fed_by = _with_worker_arguments(observed.fed_by, bound)
        self._calls[-1] = (fed_by, releases)

    def join(self, data: Any) -> None:
        """Observes what a ``fit`` that has begun already is fed with, where that is known."""
        fed_by = None
        releases: list[Callable[[], None]] = []
        if data is not None and recognise(data) is not None:
            observed = observe_dataset(data, self._context)
            releases.append(observed.release)
            fed_by = observed.fed_by
            if (fed_by.workers or 0) > 1 or fed_by.multiprocessing:
                self._context.recorder.warn(
                    "Waits are seen in short traces at most: Keras had made its queue of workers "
                    "before the profile began. Give the dataset to pipeprof.profile() to see them all."
                )
        self._calls.append((fed_by, releases))

    def release_down_to(self, depth: int) -> None:
        """Releases the inputs of the innermost calls until so many run."""
        while len(self._calls) > depth:
            _, releases = self._calls.pop()
            while releases:
                releases.pop()()

    def warn_of_worker_arguments(self, given: dict[str, Any]) -> None:
        """Warns of arguments of a call that Keras 3 has moved to the dataset."""
        moved = [name for name in _MOVED_TO_DATASET if name in given]
        if moved:
            self._context.recorder.warn(
                f"Keras 3 takes {' and '.join(moved)} on the dataset and not here: hand them to the "
                "dataset's super().__init__(...)."
            )


def _with_worker_arguments(fed_by: InputFacts, bound: inspect.BoundArguments) -> InputFacts:
    """An input with what Keras 2 takes on ``fit``, and Keras 3 on the dataset.

    It means something for two kinds of inputs.
    """
    if fed_by.kind not in (InputKind.GENERATOR, InputKind.SEQUENCE):
        return fed_by
    defaults = {name: p.default for name, p in bound.signature.parameters.items()}
    given = defaults | bound.arguments
    workers, queue_size = given.get("workers"), given.get("max_queue_size")
    processes = given.get("use_multiprocessing")
    return replace(
        fed_by,
        workers=workers if type(workers) is int else fed_by.workers,
        multiprocessing=processes if type(processes) is bool else fed_by.multiprocessing,
        queue_size=queue_size if type(queue_size) is int else fed_by.queue_size,
    )
