"""Installs what observes tf.data: AUTOTUNE's counters of every running pipeline, and waits of loops.

Every iterator passes through `tf.data.Dataset.__iter__` and every generator through
`tf.data.Dataset.from_generator`; both are public. From then on AUTOTUNE's model of the iterator is read.
"""

import functools
import sys
import weakref
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import tensorflow as tf

from pipeprof.capture.guard import Guard
from pipeprof.capture.passed_frames import name_callers
from pipeprof.capture.patches import Patches
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.tfdata.datasets_in_graphs import DatasetsInGraphs
from pipeprof.capture.probes.tfdata.in_graphs.distributed_stages import (
    per_device_iterators,
    users_dataset,
)
from pipeprof.capture.probes.tfdata.iterator_ends import follow_end, record_end
from pipeprof.capture.probes.tfdata.iterators import IteratorRegistry, TrackedIterator
from pipeprof.capture.probes.tfdata.loop_follower import LoopFollower
from pipeprof.capture.probes.tfdata.model_reader import ModelReader
from pipeprof.capture.probes.tfdata.service.followed_services import FollowedServices
from pipeprof.capture.probes.tfdata.service.service_datasets import (
    forget_registered,
    note_registered,
    note_service,
)
from pipeprof.capture.probes.tfdata.written import from_generator as tfdata_generators
from pipeprof.capture.probes.tfdata.written.dataset_origins import note_origin
from pipeprof.capture.probes.tfdata.written.from_generator import GeneratorTime
from pipeprof.capture.recorder import recorder as recording
from pipeprof.capture.recorder.facts import InputFacts
from pipeprof.clock import now_ns
from pipeprof.recording.code_owner import CodeOwner, owner_of_module
from pipeprof.recording.loop import InputKind

EARLY_READINGS_FROM_NS = 50_000_000


class TfDataProbe:
    """Reads the models of the iterators that loops take batches from.

    Args:
        context: the profile's.

    Attributes:
        loops: follows the loops of a framework that take these batches.
        in_graphs: follows the functions that iterate a dataset inside a graph.
        services: looks at the workers of tf.data services.
        iterated_in_graph: is handed each dataset or iterator that a graph iterates.
    """

    def __init__(self, context: ProbeContext) -> None:
        self._context = context
        self._patches = Patches()
        self._iterators = IteratorRegistry()
        self._generators = GeneratorTime(context)
        self.services = FollowedServices(context, context.data_workers)
        self._reader = ModelReader(context, self._generators, self.services)
        self._iterator_classes: set[type] = set()
        self._guard = Guard(
            context.recorder.warn,
            "tf.data could not be observed any more",
            "its waits and stages are missing from then on",
        )
        self._ends = Guard(
            context.recorder.warn,
            "How long iterators take to end could not be recorded",
            "what the starts of epochs wait for is not known in full",
        )
        self._making = Guard(
            context.recorder.warn,
            "Where datasets are made could not be seen any more",
            "stages have no lines of their own",
        )
        self._registering = Guard(
            context.recorder.warn,
            "What the workers of a tf.data service run could not be seen",
            "their stages have no names and lines of yours",
            retries=True,
        )
        self.loops = LoopFollower(
            context, self._guard, self._iterators, self._reader, self._generators
        )

        self.in_graphs = DatasetsInGraphs(
            context, self._guard, self._iterators, self._reader, self._generators
        )
        self.iterated_in_graph: Callable[[Any], None] = lambda dataset: None

    def install(self) -> None:
        """Starts to observe; TensorFlow must have been imported."""
        tfdata_generators.current = self._generators
        tf.get_logger().addFilter(name_callers)
        dataset = tf.data.Dataset
        for iterable in (dataset, *_subclasses(tf.distribute.DistributedDataset)):
            if "__iter__" in vars(iterable):
                self._observe_iteration(iterable)
        from_generator = dataset.from_generator

        @functools.wraps(from_generator)
        def timed_from_generator(generator: Any, *args: Any, **kwargs: Any) -> Any:
            return from_generator(self._generators.timed(generator), *args, **kwargs)

        self._patches.replace(dataset, "from_generator", staticmethod(timed_from_generator))
        self._observe_making(dataset)
        self._observe_registering()
        self._observe_reducing(dataset)
        self._ends.run(self._observe_closing, dataset)

    def _observe_closing(self, dataset: Any) -> None:
        """A generator whose dataset's iterator ends is closed where TensorFlow forgets it."""
        outstanding = dataset._GeneratorState
        forget = outstanding.iterator_completed

        @functools.wraps(forget)
        def iterator_completed(self: Any, *args: Any) -> None:
            start_ns = now_ns()
            forget(self, *args)
            if recording.current is not None:
                record_end(recording.current, start_ns, now_ns())

        self._patches.replace(outstanding, "iterator_completed", iterator_completed)

    def _observe_reducing(self, dataset: Any) -> None:
        """A ``for`` over a dataset in a graph becomes a ``reduce``."""
        reduce = dataset.reduce
        probe = self

        @functools.wraps(reduce)
        def observed_reduce(self: Any, *args: Any, **kwargs: Any) -> Any:
            if not tf.executing_eagerly():
                probe._guard.run(probe.iterated_in_graph, self)
            return reduce(self, *args, **kwargs)

        self._patches.replace(dataset, "reduce", observed_reduce)

    def _observe_making(self, dataset: Any) -> None:
        make = dataset.__init__
        guard, services = self._making, self._registering

        @functools.wraps(make)
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - the method of that name
            make(self, *args, **kwargs)
            guard.run(note_origin, self)
            services.run(note_service, self)

        self._patches.replace(dataset, "__init__", __init__)

    def _observe_registering(self) -> None:
        """A dataset may be registered with a service by itself, and then be read by its id."""
        service = getattr(tf.data.experimental, "service", None)
        register = getattr(service, "register_dataset", None)
        if register is None:
            return
        registering = self._registering

        @functools.wraps(register)
        def register_dataset(
            service: Any, dataset: Any, compression: Any = "AUTO", *args: Any, **kwargs: Any
        ) -> Any:
            dataset_id = register(service, dataset, compression, *args, **kwargs)
            registering.run(
                note_registered, service, dataset, dataset_id, compressed=compression is not None
            )
            return dataset_id

        self._patches.replace(service, "register_dataset", register_dataset)

    def _observe_iteration(self, iterable: Any) -> None:
        iterate = iterable.__iter__
        probe = self

        @functools.wraps(iterate)
        def __iter__(self: Any) -> Any:  # noqa: N807 - it is the method of that name
            iterator = iterate(self)
            probe._guard.run(probe._track, self, iterator)
            return iterator

        self._patches.replace(iterable, "__iter__", __iter__)

    def remove(self) -> None:
        """Reads the models a last time, then restores what was patched."""
        tfdata_generators.current = None
        tf.get_logger().removeFilter(name_callers)
        for tracked in self._iterators.alive():
            self._reader.read(tracked, now_ns())
        self._guard.run(self._reader.close)
        self._iterators.clear()
        self.loops.close()
        self._guard.run(self.in_graphs.close)
        forget_registered()
        self._patches.undo()

    def read_early(self, now: int) -> None:
        """Reads iterators whose first batch is long in coming; called from another thread."""
        self.in_graphs.limit(now)
        for tracked in self._iterators.alive():
            iterator = tracked.iterator()
            late = now - tracked.made_ns >= EARLY_READINGS_FROM_NS
            if iterator is not None and tracked.awaits_first and late:
                self._reader.read_early(tracked, iterator, now)

    def awaits_first_batch(self) -> bool:
        """Whether a loop of a framework may wait for the first batch of an iterator just now."""
        return any(
            tracked.loop is not None
            and tracked.awaits_first
            and not tracked.first_was_ready
            and tracked.loop.epoch_in_first_step is not None
            for tracked in self._iterators.alive()
        )

    # Iterators.

    def _track(self, dataset: Any, iterator: Any) -> None:
        if not tf.executing_eagerly():
            return
        self._observe_class(type(iterator))
        loop = self._context.loops.current if self._context.in_framework else None
        tracked = TrackedIterator(dataset, iterator, loop)
        tracked.elsewhere = self._context.framework_elsewhere
        self._iterators.add(tracked)
        follow_end(iterator, self._context.recorder, self._ends)
        self._link_to_devices(tracked, dataset, iterator)

    def _link_to_devices(self, tracked: TrackedIterator, dataset: Any, iterator: Any) -> None:
        """An iterator of a strategy has one for each device, which were made with it."""
        users = users_dataset(dataset)
        if users is None:
            return
        for of_device, devices in per_device_iterators(iterator):
            feeding = self._iterators.find(of_device)
            if feeding is not None:
                feeding.behind, feeding.devices = weakref.ref(users), devices
                tracked.feeding += (feeding,)

    def _observe_class(self, iterator_class: type) -> None:
        """Observes batches that are taken by hand, one ``next()`` at a time."""
        if iterator_class in self._iterator_classes or not hasattr(iterator_class, "__next__"):
            return
        self._iterator_classes.add(iterator_class)
        take: Callable[[Any], Any] = iterator_class.__next__
        probe = self

        @functools.wraps(take)
        def __next__(self: Any) -> Any:  # noqa: N807 - it is the method of that name
            if not tf.executing_eagerly():
                probe._guard.run(probe.iterated_in_graph, self)
                return take(self)
            if not probe._context.by_hand() or _is_kerass(sys._getframe(1)):
                probe._guard.run(probe._taken_in_python, self)
                return take(self)
            probe._guard.run(probe._asked_by_hand, self)
            start_ns = now_ns()
            try:
                batch = take(self)
            except StopIteration:
                probe._guard.run(probe._exhausted, self, start_ns)
                raise
            probe._guard.run(probe._taken_by_hand, self, batch, start_ns, now_ns())
            return batch

        self._patches.replace(iterator_class, "__next__", __next__)

    def _asked_by_hand(self, iterator: Any) -> None:
        if self._context.loops.hand.running:
            tracked = self._iterators.find(iterator)
            if tracked is not None:
                self._context.loops.hand.asks(tracked.source)

    def _taken_by_hand(self, iterator: Any, batch: Any, start_ns: int, end_ns: int) -> None:
        context = self._context
        tracked = self._iterators.find(iterator)
        if tracked is None:
            return
        shape = context.inspector.look(batch)
        fed_by = InputFacts(kind=InputKind.TF_DATA, name=tracked.name)
        context.loops.hand.fetched(tracked.source, fed_by, start_ns, end_ns, shape, tracked.is_gone)
        if context.by_hand_deliveries is not None:
            parts = tf.nest.flatten(batch, expand_composites=True)
            context.by_hand_deliveries.fetched(tracked.source, parts)
        tracked.taken += 1
        if tracked.taken in (1, context.warmup) or tracked.is_due(end_ns):
            self._reader.read(tracked, end_ns)
            self._read_feeding(tracked, end_ns)

    def _read_feeding(self, tracked: TrackedIterator, now: int) -> None:
        """Reads what feeds the devices of a strategy, once it is known for which loop."""
        loop = self._context.loops.hand.loop
        for feeding in tracked.feeding if loop is not None else ():
            feeding.loop = loop
            self._reader.read(feeding, now)
        tracked.read_ns = now

    def _taken_in_python(self, iterator: Any) -> None:
        """Notes that Python code takes from an iterator: it does not itself feed a framework's loop."""
        tracked = self._iterators.find(iterator)
        if tracked is not None:
            tracked.taken_in_python = True

    def _exhausted(self, iterator: Any, start_ns: int) -> None:
        tracked = self._iterators.find(iterator)
        if tracked is not None:
            self._reader.read(tracked, start_ns)
            self._read_feeding(tracked, start_ns)
            if self._context.by_hand_deliveries is not None:
                self._context.by_hand_deliveries.exhausted()
            self._context.loops.hand.exhausted(tracked.source, start_ns)


def _is_kerass(frame: FrameType) -> bool:
    """Whether a frame is of Keras's own code: a layer that adapts to a dataset trains nothing."""
    return owner_of_module(frame.f_globals.get("__name__")) is CodeOwner.KERAS


def _subclasses(base: Any) -> Iterator[Any]:
    for subclass in base.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)
