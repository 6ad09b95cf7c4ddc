"""tf.data: what AUTOTUNE counts of every running pipeline, and the waits of Keras's loops.

Every iterator passes through `tf.data.Dataset.__iter__` and every generator through
`tf.data.Dataset.from_generator`; both are public. From there on AUTOTUNE's own model is read, from
the training thread between two steps: often enough that none of its gaps is missed, seldom enough
that nobody notices (facts: a reading costs some 50 µs, and holds the last 100 gaps).
"""

import functools
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from pipeprof.capture.guard import Guard
from pipeprof.capture.patches import Patches
from pipeprof.capture.probes.loops.loop_stack import describe_input
from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.profiler.tensorflow_trace_windows import windows_on
from pipeprof.capture.probes.profiler.wait_traces import WaitTraces
from pipeprof.capture.probes.tfdata import from_generator as tfdata_generators
from pipeprof.capture.probes.tfdata.autotune_model import read_model
from pipeprof.capture.probes.tfdata.from_generator import GeneratorTime
from pipeprof.capture.probes.tfdata.gap_waits import FollowedLoop
from pipeprof.capture.probes.tfdata.iterators import TrackedIterator, rest_between_readings
from pipeprof.capture.probes.tfdata.model_snapshots import (
    GAP_WINDOW,
    ModelSnapshot,
    new_gaps,
    ready_batches,
)
from pipeprof.capture.probes.tfdata.running_stages import IteratorStages, PipelineStages
from pipeprof.capture.probes.tfdata.transformations import Pipeline
from pipeprof.capture.probes.tfdata.written_pipeline import describe_pipeline
from pipeprof.capture.recorder.records import Kind, code
from pipeprof.clock import now_ns
from pipeprof.recording.loop import InputKind, WaitSource

BATCHES_PER_READING = GAP_WINDOW // 2
EARLY_READINGS_FROM_NS = 50_000_000


class TfDataProbe:
    """Reads the models of the iterators that loops take batches from.

    Args:
        context: the profile's.
    """

    def __init__(self, context: ProbeContext) -> None:
        self._context = context
        self._patches = Patches()
        self._iterators: list[TrackedIterator] = []
        self._followed: dict[OpenLoop, FollowedLoop] = {}
        self._generators = GeneratorTime(context)
        self._iterator_classes: set[type] = set()
        self._stages: weakref.WeakKeyDictionary[Any, dict[str, PipelineStages]] = (
            weakref.WeakKeyDictionary()
        )
        self._guard = Guard(
            context.recorder.warn,
            "tf.data could not be observed any more",
            "its waits and stages are missing from then on",
        )

    def install(self) -> None:
        """Starts to see; TensorFlow must have been imported."""
        tfdata_generators.current = self._generators
        dataset = tf.data.Dataset
        for iterable in (dataset, *_subclasses(tf.distribute.DistributedDataset)):
            if "__iter__" in vars(iterable):
                self._watch_iteration(iterable)
        from_generator = dataset.from_generator

        @functools.wraps(from_generator)
        def watched_from_generator(generator: Any, *args: Any, **kwargs: Any) -> Any:
            return from_generator(self._generators.timed(generator), *args, **kwargs)

        self._patches.replace(dataset, "from_generator", staticmethod(watched_from_generator))

    def _watch_iteration(self, iterable: Any) -> None:
        iterate = iterable.__iter__
        probe = self

        @functools.wraps(iterate)
        def __iter__(self: Any) -> Any:  # noqa: N807 - it is the method of that name
            iterator = iterate(self)
            probe._guard.run(probe._track, self, iterator)
            return iterator

        self._patches.replace(iterable, "__iter__", __iter__)

    def remove(self) -> None:
        """Reads once more, then gives everything back."""
        tfdata_generators.current = None
        for tracked in self._iterators:
            self._guard.run(self._read, tracked, now_ns())
        self._iterators.clear()
        self._followed.clear()
        self._patches.undo()

    # What Keras's loops tell (`pipeprof.capture.probes.keras.keras_steps.StepListener`).

    def loop_opened(self, loop: OpenLoop) -> None:
        """A framework's loop begins."""
        self._followed[loop] = FollowedLoop(now_ns(), self._generators.waits)

    def step_ended(self, loop: OpenLoop, now: int, batches: int, *, at_most: bool) -> None:
        """A step of it has ended."""
        followed = self._followed.get(loop)
        if followed is None:
            return
        # What the pipeline did for an epoch's first batch shows why that was waited for.
        self._generators.taken(loop, batches, now)
        begins = not followed.in_epoch
        followed.step_ended(loop.step, batches, loop.began_ns, now, loop.closed_ns)
        due = (
            begins
            or followed.batches >= BATCHES_PER_READING
            or now - followed.read_ns >= rest_between_readings(now - followed.epoch_began_ns)
            or loop.step == self._context.warmup - 1
            or at_most
        )
        if due:
            self._guard.run(self._follow, loop, followed, now, at_most=at_most)

    def epoch_ended(self, loop: OpenLoop) -> None:
        """Its steps are over for this epoch."""
        self._generators.epoch_ended(loop)
        followed = self._followed.get(loop)
        if followed is not None and followed.in_epoch:
            self._guard.run(self._follow, loop, followed, loop.ended_ns, at_most=True)
            followed.leave_epoch()

    # Iterators.

    def _track(self, dataset: Any, iterator: Any) -> None:
        if not tf.executing_eagerly():
            return
        self._watch_class(type(iterator))
        self._iterators = [t for t in self._iterators if t.iterator() is not None]
        loop = self._context.loops.current if self._context.in_framework else None
        tracked = TrackedIterator(dataset, iterator, loop)
        tracked.elsewhere = self._context.framework_elsewhere
        self._iterators.append(tracked)

    def _watch_class(self, iterator_class: type) -> None:
        """Sees batches that are taken by hand, one ``next()`` at a time."""
        if iterator_class in self._iterator_classes or not hasattr(iterator_class, "__next__"):
            return
        self._iterator_classes.add(iterator_class)
        take: Callable[[Any], Any] = iterator_class.__next__
        probe = self

        @functools.wraps(take)
        def __next__(self: Any) -> Any:  # noqa: N807 - it is the method of that name
            if not tf.executing_eagerly():
                return take(self)
            if not probe._context.by_hand():
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
        if self._context.loops.marks is not None:
            tracked = self._tracked(iterator)
            if tracked is not None:
                self._context.loops.hand.asks(tracked.source)

    def _taken_by_hand(self, iterator: Any, batch: Any, start_ns: int, end_ns: int) -> None:
        context = self._context
        tracked = self._tracked(iterator)
        if tracked is None:
            return
        shape = context.sight.look(batch)
        fed_by = describe_input(InputKind.TF_DATA, tracked.name)
        context.loops.hand.fetched(tracked.source, fed_by, start_ns, end_ns, shape)
        tracked.taken += 1
        if tracked.taken in (1, context.warmup) or tracked.is_due(end_ns):
            self._read(tracked, end_ns)

    def _taken_in_python(self, iterator: Any) -> None:
        """Someone's Python code takes it: it lies behind what a framework's loop is fed with."""
        tracked = self._tracked(iterator)
        if tracked is not None:
            tracked.taken_in_python = True

    def _exhausted(self, iterator: Any, start_ns: int) -> None:
        tracked = self._tracked(iterator)
        if tracked is not None:
            self._read(tracked, start_ns)
            self._context.loops.hand.exhausted(tracked.source, start_ns)

    def _tracked(self, iterator: Any) -> TrackedIterator | None:
        return next((t for t in self._iterators if t.iterator() is iterator), None)

    # Readings.

    def _follow(self, loop: OpenLoop, followed: FollowedLoop, now: int, *, at_most: bool) -> None:
        """Reads the iterators of a loop; the one that feeds it also tells its waits.

        Args:
            loop: the loop.
            followed: what is known of it.
            now: when.
            at_most: whether its latest step may have taken fewer batches than it said.
        """
        candidates = [
            t for t in self._iterators if t.iterator() is not None and t.loop in (loop, None)
        ]
        gaps = {tracked: self._read(tracked, now) for tracked in candidates}
        if followed.iterator not in candidates:
            followed.begin_counting(self._feeding(candidates, followed))
        feeding = followed.iterator
        if feeding is not None:
            feeding.loop = loop
            followed.elements += feeding.new_elements
            loop.waits_told_by(WaitSource.GAP_TIMES)
            followed.tell_gaps(loop, gaps[feeding], at_most=at_most)
            if followed.estimating:
                self._context.recorder.warn(
                    f"Some steps took more batches at once than tf.data remembers ({GAP_WINDOW}): "
                    "their waits are estimated from their last batches."
                )
            self._tell_queue(loop, feeding.snapshot, now)
        elif all(tracked.has_model is False for tracked in candidates):
            self._follow_without_model(loop, followed, candidates)
        followed.batches = 0
        followed.read_ns = now

    def _follow_without_model(
        self, loop: OpenLoop, followed: FollowedLoop, candidates: list[TrackedIterator]
    ) -> None:
        """Nothing is counted of what feeds a loop: something else must tell its waits."""
        kind = (loop.fed_by or {}).get("kind")
        users_own = kind == InputKind.TF_DATA.value
        if candidates and users_own:
            loop.tell(autotune=False)
        # Where nothing comes behind a generator, as where Keras makes the pipeline, it is in there
        # that the loop waits.
        bare = not users_own or any(map(self._is_generator, candidates))
        if bare and self._generators.waits > followed.waits_before:
            loop.waits_told_by(WaitSource.GENERATOR)
        elif loop.kind.trains and loop.waits_by is None and not followed.traced:
            followed.traced = True
            windows = windows_on(loop, self._context.recorder.warn)
            windows.plan_also(loop, WaitTraces(loop, warmup=self._context.warmup))

    def _is_generator(self, tracked: TrackedIterator) -> bool:
        output = self._stages_of(tracked).pipeline.output
        while output is not None and output.noop and len(output.inputs) == 1:
            output = output.inputs[0]
        # It is written as a `flat_map` over what makes the generator.
        inner = output.inner if output is not None else None
        return inner is not None and inner.name == "from_generator"

    def _feeding(
        self, candidates: list[TrackedIterator], followed: FollowedLoop
    ) -> TrackedIterator | None:
        """The iterator that gave as many batches as the loop took, or the least more."""
        # The last step of an epoch may have taken fewer batches than Keras says.
        taken = followed.batches - followed.latest_batches + 1
        return min(
            (t for t in candidates if t.has_model and t.new_elements >= taken > 0),
            key=lambda one: (one.taken_in_python, one.elsewhere, one.new_elements),
            default=None,
        )

    def _tell_queue(self, loop: OpenLoop, snapshot: ModelSnapshot | None, now: int) -> None:
        ready = ready_batches(snapshot) if snapshot is not None else None
        if ready is not None:
            recorder = self._context.recorder
            facts = {"type": "gauge", "of": loop.number, "field": "queue"}
            gauge = code(Kind.GAUGE, recorder.names.number(facts))
            recorder.lane().write(gauge, now, now, 0, ready)

    def _read(self, tracked: TrackedIterator, now: int) -> tuple[int, ...]:
        """Reads one model and records its stages' work; returns the gaps that are new."""
        iterator = tracked.iterator()
        tracked.new_elements = 0
        if iterator is None or tracked.has_model is False:
            return ()
        snapshot = read_model(iterator, tracked.snapshot)
        if snapshot is None:
            tracked.has_model = False
            return ()
        tracked.has_model = True
        before = tracked.snapshot
        root = snapshot.nodes.get(snapshot.output)
        elements = root.num_elements if root else 0
        tracked.new_elements = elements - tracked.elements
        tracked.elements = elements
        gaps = new_gaps(
            before.gap_times_us if before else (), snapshot.gap_times_us, tracked.new_elements
        )
        if tracked.new_elements:
            self._record_work(tracked, snapshot, now)
        tracked.snapshot = snapshot
        tracked.read_ns = now
        return gaps

    def _record_work(self, tracked: TrackedIterator, snapshot: ModelSnapshot, now: int) -> None:
        began_ns = tracked.made_ns if tracked.stages is None else None
        if tracked.stages is None:
            tracked.stages = IteratorStages(self._stages_of(tracked))
            early, then = tracked.early or (snapshot, now)
            if not early.nodes.keys() <= snapshot.nodes.keys():
                # Inputs that have ended since are in no later reading.
                tracked.stages.record(early, 0, tracked.read_ns, then, began_ns)
                tracked.snapshot, tracked.read_ns = early, then
            tracked.early = None
        python_ns = self._generators.take_ns()
        tracked.stages.record(snapshot, python_ns, tracked.read_ns, now, began_ns)

    def read_early(self, now: int) -> None:
        """Reads iterators whose first batch is long in coming; called from another thread."""
        for tracked in list(self._iterators):
            iterator = tracked.iterator()
            waits = tracked.snapshot is None and tracked.has_model is not False
            if iterator is not None and waits and now - tracked.made_ns >= EARLY_READINGS_FROM_NS:
                self._guard.run(self._read_early, tracked, iterator, now)

    def _read_early(self, tracked: TrackedIterator, iterator: Any, now: int) -> None:
        snapshot = read_model(iterator)
        if snapshot is None:
            tracked.has_model = False
        elif not snapshot.nodes[snapshot.output].num_elements:
            tracked.early = (snapshot, now)

    def _stages_of(self, tracked: TrackedIterator) -> PipelineStages:
        """The stages that it shares with all iterators of its dataset in the same kind of loop."""
        dataset, place = tracked.dataset(), tracked.place()
        if dataset is None:
            return PipelineStages(self._context, Pipeline(output=None), place)
        known = self._stages.setdefault(dataset, {})
        if place not in known:
            alike = next(iter(known.values()), None)
            pipeline = alike.pipeline if alike else describe_pipeline(dataset)
            stages = known[place] = PipelineStages(self._context, pipeline, place)
            fed_by = (tracked.loop.fed_by if tracked.loop is not None else None) or {}
            if stages.distributed and fed_by.get("kind") == InputKind.TF_DATA.value:
                self._context.recorder.warn(
                    "Behind a tf.distribute strategy TensorFlow tells nothing of the pipeline's "
                    "stages: only the wait for all of them together is known."
                )
        return known[place]


def _subclasses(base: Any) -> Iterator[Any]:
    for subclass in base.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)
