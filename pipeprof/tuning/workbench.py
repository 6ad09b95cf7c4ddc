"""Where trials run: consumes the user's input, as it is or changed, in this process."""

import contextlib
import functools
import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from pipeprof.analysis.analyse import main_verdict
from pipeprof.analysis.predicting.what_if import what_if
from pipeprof.capture.free_input import repeated
from pipeprof.capture.session import profile
from pipeprof.errors import PipeprofError, TuningRefused
from pipeprof.host import machine
from pipeprof.host.cgroups import ControlGroups
from pipeprof.recording.loop import InputKind
from pipeprof.recording.pipeline_edits import AddCache, Edit
from pipeprof.recording.tuning_outcome import Description, TrialSteps, TunedTransformation
from pipeprof.tuning.consuming import (
    Limits,
    backend_of,
    first_batches,
    keras_of,
    loaded_by_fit,
    model_that_only_takes,
    never_ends,
    take_from,
    train_on,
)
from pipeprof.tuning.generator_input import edited_generator
from pipeprof.tuning.sameness import Delivered, delivered_by, difference
from pipeprof.tuning.sequence_input import load_by, loaded_by, loads_by_itself, workers_of
from pipeprof.tuning.subject import Subject
from pipeprof.tuning.supposing import suppositions_of

# Batches whose content is compared, and how long they may take.
_COMPARED_BATCHES, _COMPARED_NS = 64, 1_000_000_000
_PROBED_ELEMENTS, _PROBED_NS = 16, 150_000_000
_KEPT_BATCHES = 8
# A cached pass in a trial has so many elements, where a pass of all would take too long.
_TRIAL_BATCHES = 12


_NOTHING = object()
_RECORDED = Limits(warmup_steps=10, measured_ns=1_500_000_000, least_steps=20)


class Workbench:
    """Runs trials with one input.

    Args:
        subject: what is tuned.
        name: ``MODULE:FUNCTION`` of what makes it, or None.
    """

    def __init__(self, subject: Subject, name: str | None = None) -> None:
        self._subject = subject
        self._name = name
        self._tfdata = None
        if subject.kind is InputKind.TF_DATA:
            from pipeprof.tuning.tfdata_input import TfDataInput

            self._tfdata = TfDataInput(subject.dataset)
        self._weights = _weights_of(subject.model)
        self._verdict: Any = _NOTHING
        self._today: dict[bool, tuple[Delivered, Delivered]] = {}
        self._keeps: dict[str, bool] = {}

    def describe(self) -> Description:
        """What the input consists of."""
        return self._described

    @functools.cached_property
    def _described(self) -> Description:
        subject = self._subject
        workers = workers_of(subject.dataset) if subject.kind is InputKind.SEQUENCE else None
        return Description(
            kind=subject.kind,
            name=getattr(subject.dataset, "__name__", type(subject.dataset).__name__),
            has_model=subject.model is not None,
            places=tuple(self._places()),
            autotunes=self._tfdata.autotunes if self._tfdata else None,
            workers=workers.workers if workers else None,
            processes=workers.processes if workers else False,
            queue=workers.queue if workers else None,
            workers_of_fit=workers is not None and not loads_by_itself(subject.dataset),
            takes_shard=subject.takes_shard,
            cores=machine.core_count(),
            free_bytes=_free_bytes(),
        )

    def trial(self, edits: Sequence[Edit], limits: Limits) -> TrialSteps:
        """Consumes the input with changes.

        Raises:
            TuningRefused: the input does not take them, or gives too little to measure.
        """
        with self._feed(edits) as (feed, fresh, arguments):
            if limits.epochs and never_ends(feed):  # the cache is full behind so many batches
                steps = max(limits.warmup_steps, _TRIAL_BATCHES + 1)
                limits = replace(limits, epochs=0, warmup_steps=steps)
            if self._subject.model is None and self._subject.kind is not InputKind.SEQUENCE:
                return TrialSteps(step_ns=take_from(fresh, limits))
            model = self._subject.model or model_that_only_takes(feed)
            try:
                return TrialSteps(step_ns=train_on(feed, model, limits, **arguments))
            finally:
                _put_back(self._subject.model, self._weights)

    def ceiling(self, limits: Limits) -> TrialSteps | None:
        """Trains the model with input for free; None without a model."""
        model = self._subject.model
        if model is None:
            return None
        with self._feed(()) as (_, fresh, _):
            batches = list(first_batches(fresh(), _KEPT_BATCHES, 20 * _COMPARED_NS))
        if not batches:
            raise TuningRefused("expected an input with batches, received one without any.")
        backend = backend_of(keras_of(model))
        try:
            return TrialSteps(step_ns=train_on(repeated(batches, backend), model, limits))
        finally:
            _put_back(model, self._weights)

    def compare(self, edits: Sequence[Edit]) -> str | None:
        """What the input delivers differently with these changes, or None where nothing shows that."""
        for edit in edits:
            if isinstance(edit, AddCache) and not self._repeats(edit.node):
                return "it would keep what is random, or takes too long to see that it is not"
        shuffles = self._tfdata is not None and self._tfdata.shuffles
        return self._difference(edits) or (
            self._difference(edits, unshuffled=True) if shuffles else None
        )

    def _difference(self, edits: Sequence[Edit], *, unshuffled: bool = False) -> str | None:
        if unshuffled not in self._today:
            one, again = (self._delivered((), unshuffled=unshuffled) for _ in range(2))
            self._today[unshuffled] = one, again
        return difference(*self._today[unshuffled], self._delivered(edits, unshuffled=unshuffled))

    def _repeats(self, name: str) -> bool:
        """Whether two passes over a transformation give the same, as far as can be seen in some time."""
        assert self._tfdata is not None
        if name not in self._keeps:
            node = next(node for node in self._tfdata.nodes if node.name == name)
            probe = self._tfdata.probe(node, _COMPARED_BATCHES, _COMPARED_NS)
            self._keeps[name] = probe.repeats
        return self._keeps[name]

    def predict(self, edits: Sequence[Edit], within: Path | None = None) -> float | None:
        """The step time to expect of these changes, in nanoseconds; None where that is not known.

        Rests on a recording of today's input, which the first call makes.

        Args:
            edits: the changes.
            within: the folder for what is written for a short time, or None for the machine's own.
        """
        if self._verdict is _NOTHING:
            with tempfile.TemporaryDirectory(prefix="pipeprof-tune-", dir=within) as folder:
                self.record(Path(folder))
        if self._verdict is None:
            return None
        recorded = {cost.stage.name for cost in self._verdict.measured.costs}
        suppositions = suppositions_of(edits, self._described, recorded)
        if suppositions is None:
            return None
        try:
            return float(what_if(self._verdict, *suppositions).step_ms * 1e6)
        except PipeprofError:
            return None

    def record(self, logdir: Path) -> str | None:
        """Records today's input as a run, on which predictions rest from then on.

        Args:
            logdir: the log folder.

        Returns:
            The run's name, or None where it could not be recorded.
        """
        try:
            watched = self._to_watch()
            with profile(watched, logdir=logdir, sample_hz=0) as session:
                if watched is None:
                    self.trial((), _RECORDED)
                else:
                    take_from(lambda: session.dataset, _RECORDED)
        except PipeprofError:
            self._verdict = None
            return None
        self._verdict = main_verdict(session.result)
        return session.result.run.name

    def _to_watch(self) -> Any:
        """A generator without a model, which no probe sees unless it is handed over; else None."""
        alone = self._subject.kind is InputKind.GENERATOR and self._subject.model is None
        return self._subject.fresh() if alone else None

    def best(self, edits: Sequence[Edit]) -> Any:
        """The input with changes, to train with."""
        if self._tfdata is not None:
            return self._tfdata.edited(edits)
        if self._subject.kind is InputKind.GENERATOR:
            return edited_generator(self._subject.fresh, self._name, edits)
        load_by(self._subject.dataset, edits)
        return self._subject.dataset

    def _delivered(self, edits: Sequence[Edit], *, unshuffled: bool = False) -> Delivered:
        with self._feed(edits, whole=True, unshuffled=unshuffled) as (feed, fresh, arguments):
            if self._subject.kind is InputKind.SEQUENCE:
                loaded, whole = loaded_by_fit(feed, _COMPARED_BATCHES, _COMPARED_NS, **arguments)
                return delivered_by(loaded, self._flatten(), whole=whole)
            batches = iter(fresh())
            taken = list(first_batches(batches, _COMPARED_BATCHES, _COMPARED_NS))
            whole = next(batches, _NOTHING) is _NOTHING
        return delivered_by(taken, self._flatten(), whole=whole)

    def _flatten(self) -> Callable[[Any], list[Any]]:
        if self._tfdata is not None:
            import tensorflow as tf

            def numbers(leaf: Any) -> Any:
                return (
                    tf.sparse.to_dense(leaf) if isinstance(leaf, tf.SparseTensor) else leaf
                ).numpy()

            return lambda batch: [numbers(leaf) for leaf in tf.nest.flatten(batch)]
        return lambda batch: list(_leaves(batch))

    @contextlib.contextmanager
    def _feed(
        self, edits: Sequence[Edit], *, whole: bool = False, unshuffled: bool = False
    ) -> Iterator[tuple[Any, Callable[[], Any], dict[str, Any]]]:
        """The changed input, a function that gives its batches from the beginning, and arguments of fit."""
        subject = self._subject
        if self._tfdata is not None:
            elements = None if whole else self._trial_elements(edits)
            dataset = self._tfdata.edited(edits, elements, unshuffled=unshuffled)
            yield dataset, lambda: dataset, {}
        elif subject.kind is InputKind.SEQUENCE:
            with loaded_by(subject.dataset, edits) as arguments:
                yield subject.dataset, lambda: _items_of(subject.dataset), arguments
        else:
            running: list[Iterator[Any]] = []

            def fresh() -> Iterator[Any]:
                running.append(edited_generator(subject.fresh, self._name, edits))
                return running[-1]

            try:
                yield (fresh() if not whole else None), fresh, {}
            finally:
                for one in running:
                    # One that Keras still runs in another thread ends there.
                    with contextlib.suppress(ValueError, AttributeError):
                        one.close()  # type: ignore[attr-defined]

    def _places(self) -> Iterator[TunedTransformation]:
        if self._tfdata is None:
            return
        for node in self._tfdata.nodes:
            written = self._tfdata.written(node)
            probe = self._tfdata.probe(node, _PROBED_ELEMENTS, _PROBED_NS)
            yield TunedTransformation(
                node=node.name,
                op=node.op,
                inputs=node.inputs,
                calls=node.calls,
                function=written.function if written else None,
                file=written.file if written else None,
                line=written.line if written else None,
                opens_generator=self._tfdata.opens_generator(node),
                random=self._tfdata.is_random(node) or not probe.repeats,
                elements=probe.elements,
                element_bytes=probe.element_bytes,
            )

    def _trial_elements(self, edits: Sequence[Edit]) -> int | None:
        """How many elements a cache is filled with in a trial: some batches' worth of the place."""
        cached = [edit for edit in edits if isinstance(edit, AddCache)]
        if not cached or self._tfdata is None:
            return None
        sizes = [self._tfdata.batch_size(node) for node in self._tfdata.nodes]
        size = max((size for size in sizes if size), default=1)
        node = next(node for node in self._tfdata.nodes if node.name == cached[0].node)
        behind_batch = any(self._tfdata.batch_size(other) for other in self._tfdata.below(node))
        return _TRIAL_BATCHES if behind_batch else _TRIAL_BATCHES * size


def _free_bytes() -> int:
    """Memory that is free: of the machine's, as much as the container still gives."""
    free, left = psutil.virtual_memory().available, ControlGroups().memory_left()
    return int(free if left is None else min(free, left))


def _items_of(sequence: Any) -> Iterator[Any]:
    return (sequence[index] for index in range(len(sequence)))


def _leaves(batch: Any) -> Iterator[Any]:
    if isinstance(batch, dict):
        batch = batch.values()
    if isinstance(batch, (tuple, list)) or type(batch).__name__ == "dict_values":
        yield from itertools.chain.from_iterable(map(_leaves, batch))
    elif batch is not None:
        yield batch


def _weights_of(model: Any) -> list[Any] | None:
    return model.get_weights() if model is not None and getattr(model, "built", False) else None


def _put_back(model: Any, weights: list[Any] | None) -> None:
    if model is not None and weights is not None:
        model.set_weights(weights)
