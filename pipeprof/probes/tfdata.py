"""tf.data: what AUTOTUNE counts of every running pipeline, and the waits of Keras's loops.

Every iterator passes through `tf.data.Dataset.__iter__` and every generator through
`tf.data.Dataset.from_generator`; both are public. From there on AUTOTUNE's own model is read, from
the training thread between two steps: often enough that none of its gaps is missed, seldom enough
that nobody notices (facts: a reading costs some 50 µs, and holds the last 100 gaps).
"""

import functools
import weakref
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from pipeprof import recorder as recording
from pipeprof.clock import now_ns
from pipeprof.patches import Patches
from pipeprof.probes.loops import OpenLoop, describe_input
from pipeprof.probes.stages import site_of_function, timed_generator
from pipeprof.probes.tfdata_alignment import Pipeline, StageIdentity, align
from pipeprof.probes.tfdata_functions import TIMED_BY_PIPEPROF
from pipeprof.probes.tfdata_model import read_model
from pipeprof.probes.tfdata_pipeline import describe_pipeline
from pipeprof.probes.tfdata_snapshots import (
    GAP_WINDOW,
    ModelSnapshot,
    NodeCounters,
    NodeWork,
    differences,
    lost_elements,
    new_gaps,
    ready_batches,
    with_lost_work,
)
from pipeprof.probes.watch import Watch
from pipeprof.recorder import Recorder
from pipeprof.recording import InputKind, StageKind, WaitSource
from pipeprof.records import NOT_READ, Kind, code

STEPS_PER_READING = 50
LONGEST_BETWEEN_READINGS_NS = 200_000_000
_FRAMEWORKS = ("keras.", "tf_keras.", "tensorflow.")


class TfDataProbe:
    """Reads the models of the iterators that loops take batches from.

    Args:
        watch: the profile's.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._patches = Patches()
        self._iterators: list[_TrackedIterator] = []
        self._followed: dict[OpenLoop, _Followed] = {}
        self._generators = _GeneratorTime(watch)
        self._iterator_classes: set[type] = set()
        self._pipelines: weakref.WeakKeyDictionary[Any, Pipeline] = weakref.WeakKeyDictionary()
        self._failed = False

    def install(self) -> None:
        """Starts to see; TensorFlow must have been imported."""
        global _generators
        _generators = self._generators
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
            probe._guarded(probe._track, self, iterator)
            return iterator

        self._patches.replace(iterable, "__iter__", __iter__)

    def remove(self) -> None:
        """Reads once more, then gives everything back."""
        global _generators
        _generators = None
        for tracked in self._iterators:
            self._guarded(self._read, tracked, now_ns())
        self._iterators.clear()
        self._followed.clear()
        self._patches.undo()

    # What Keras's loops tell (`pipeprof.probes.keras.StepListener`).

    def loop_opened(self, loop: OpenLoop) -> None:
        """A framework's loop begins."""
        self._followed[loop] = _Followed(now_ns(), self._generators.waits)

    def step_ended(self, loop: OpenLoop, now: int, batches: int, *, at_most: bool) -> None:
        """A step of it has ended."""
        followed = self._followed.get(loop)
        if followed is None:
            return
        followed.step_ended(loop.step, batches)
        due = (
            followed.steps >= STEPS_PER_READING
            or now - followed.read_ns >= LONGEST_BETWEEN_READINGS_NS
            or loop.step == self._watch.warmup - 1
            or at_most
        )
        if due:
            self._guarded(self._follow, loop, followed, now, at_most=at_most)

    def epoch_ended(self, loop: OpenLoop) -> None:
        """Its steps are over for this epoch."""
        followed = self._followed.get(loop)
        if followed is not None and followed.in_epoch:
            self._guarded(self._follow, loop, followed, loop.ended_ns, at_most=True)
            followed.leave_epoch()

    # Iterators.

    def _track(self, dataset: Any, iterator: Any) -> None:
        if not tf.executing_eagerly():
            return
        self._watch_class(type(iterator))
        self._iterators = [t for t in self._iterators if t.iterator() is not None]
        loop = self._watch.loops.current if self._watch.in_framework else None
        tracked = _TrackedIterator(dataset, iterator, loop)
        tracked.elsewhere = self._watch.framework_elsewhere
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
            if not probe._watch.by_hand():
                probe._guarded(probe._taken_in_python, self)
                return take(self)
            start_ns = now_ns()
            try:
                batch = take(self)
            except StopIteration:
                probe._guarded(probe._exhausted, self, start_ns)
                raise
            probe._guarded(probe._taken_by_hand, self, batch, start_ns, now_ns())
            return batch

        self._patches.replace(iterator_class, "__next__", __next__)

    def _taken_by_hand(self, iterator: Any, batch: Any, start_ns: int, end_ns: int) -> None:
        watch = self._watch
        tracked = self._tracked(iterator)
        if tracked is None:
            return
        shape = watch.sight.look(batch)
        fed_by = describe_input(InputKind.TF_DATA, tracked.name)
        watch.loops.hand.fetched(tracked.source, fed_by, start_ns, end_ns, shape)
        tracked.taken += 1
        if tracked.taken == watch.warmup or end_ns - tracked.read_ns > LONGEST_BETWEEN_READINGS_NS:
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
            self._watch.loops.hand.exhausted(tracked.source, start_ns)

    def _tracked(self, iterator: Any) -> "_TrackedIterator | None":
        return next((t for t in self._iterators if t.iterator() is iterator), None)

    # Readings.

    def _follow(self, loop: OpenLoop, followed: "_Followed", now: int, *, at_most: bool) -> None:
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
            self._tell_gaps(loop, followed, gaps[feeding], at_most=at_most)
            self._tell_queue(loop, feeding.snapshot, now)
        elif self._generators.waits > followed.waits_before:
            loop.waits_told_by(WaitSource.GENERATOR)
        followed.steps = followed.batches = 0
        followed.read_ns = now

    def _feeding(
        self, candidates: "list[_TrackedIterator]", followed: "_Followed"
    ) -> "_TrackedIterator | None":
        """The iterator that gave as many batches as the loop took, or the least more."""
        # The last step of an epoch may have taken fewer batches than Keras says.
        taken = followed.batches - followed.latest_batches + 1
        return min(
            (t for t in candidates if t.has_model and t.new_elements >= taken > 0),
            key=lambda one: (one.taken_in_python, one.elsewhere, one.new_elements),
            default=None,
        )

    @staticmethod
    def _tell_gaps(
        loop: OpenLoop, followed: "_Followed", gaps_us: tuple[int, ...], *, at_most: bool
    ) -> None:
        missing = followed.missing_batches() if at_most else 0
        if missing:
            loop.correct_batches(followed.latest_batches)
        # A gap ends as the next fetch begins. So the latest batch has none yet, unless the loop
        # went on and found that there is no more; then each try has added one.
        tries = (missing > 0) + loop.fetching
        batches, gaps = reversed(followed.batch_steps), reversed(gaps_us)
        for _ in range(1 - tries):
            next(batches, None)
        for _ in range(tries - 1):
            next(gaps, None)
        for step, gap_us in zip(batches, gaps, strict=False):
            followed.add_gap(step, gap_us * 1000)
        for step, gap_ns in followed.complete_gaps():
            loop.gaps(step, (gap_ns,))

    def _tell_queue(self, loop: OpenLoop, snapshot: ModelSnapshot | None, now: int) -> None:
        ready = ready_batches(snapshot) if snapshot is not None else None
        if ready is not None:
            recorder = self._watch.recorder
            facts = {"type": "gauge", "of": loop.number, "field": "queue"}
            gauge = code(Kind.GAUGE, recorder.names.number(facts))
            recorder.lane().write(gauge, now, now, 0, ready)

    def _read(self, tracked: "_TrackedIterator", now: int) -> tuple[int, ...]:
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

    def _record_work(self, tracked: "_TrackedIterator", snapshot: ModelSnapshot, now: int) -> None:
        if tracked.stages is None:
            tracked.stages = _Stages(self._watch, self._describe(tracked), tracked.place())
        work = differences(tracked.snapshot, snapshot)
        lost = lost_elements(tracked.snapshot, snapshot)
        python_ns = self._generators.take_ns()
        tracked.stages.record(snapshot, work, lost, python_ns, tracked.read_ns, now)

    def _describe(self, tracked: "_TrackedIterator") -> Pipeline:
        dataset = tracked.dataset()
        if dataset is None:
            return Pipeline(output=None)
        pipeline = self._pipelines.get(dataset)
        if pipeline is None:
            pipeline = self._pipelines[dataset] = describe_pipeline(dataset)
        return pipeline

    def _guarded(self, action: Callable[..., Any], *args: Any, **options: Any) -> None:
        """A probe that fails says so once, and is not asked again."""
        if self._failed:
            return
        try:
            action(*args, **options)
        except Exception as error:
            self._failed = True
            self._watch.recorder.warn(
                f"tf.data could not be observed any more ({type(error).__name__}: {error}); "
                "its waits and stages are missing from then on."
            )


class _TrackedIterator:
    """An iterator, held weakly, and how far it has been read."""

    def __init__(self, dataset: Any, iterator: Any, loop: OpenLoop | None) -> None:
        self.iterator = weakref.ref(iterator)
        self.dataset = weakref.ref(dataset)
        self.source = id(dataset)
        self.name = type(dataset).__name__.strip("_")
        self.loop = loop
        # Without autotune there is none; to ask all the same makes TensorFlow write a warning.
        self.has_model: bool | None = None if _autotunes(dataset) else False
        self.snapshot: ModelSnapshot | None = None
        self.stages: _Stages | None = None
        self.elements = 0
        self.new_elements = 0
        self.taken = 0
        self.taken_in_python = False
        self.elsewhere = False
        self.read_ns = now_ns()

    def place(self) -> str:
        """What tells its stages from those of a like pipeline that feeds another kind of loop."""
        return self.loop.kind.value if self.loop is not None else "custom"


class _Followed:
    """A framework's loop, the iterator that was found to feed it, and whose batch each gap follows.

    Attributes:
        iterator: feeds the loop in this epoch, once that is known.
        in_epoch: whether steps of this epoch have been seen.
        steps: steps since the last reading.
        batches: batches that they took.
        latest_batches: batches that the latest step took.
        batch_steps: the step that took each of the latest batches; None where what follows the
            batch is no step's (the end of an epoch).
        elements: what the iterator gave in this epoch.
        waits_before: waits in generators before the loop began.
    """

    def __init__(self, now: int, waits_before: int) -> None:
        self.iterator: _TrackedIterator | None = None
        self.in_epoch = False
        self.steps = self.batches = self.latest_batches = 0
        self.batch_steps: deque[int | None] = deque(maxlen=2 * GAP_WINDOW)
        self.elements = 0
        self.read_ns = now
        self.waits_before = waits_before
        self._epoch_batches = 0
        self._gaps: dict[int, list[int]] = {}
        self._batches_of: dict[int, int] = {}

    def step_ended(self, step: int, batches: int) -> None:
        """A step took some batches."""
        self.in_epoch = True
        self.steps += 1
        self.batches += batches
        self._epoch_batches += batches
        self.latest_batches = self._batches_of[step] = batches
        self.batch_steps.extend([step] * min(batches, 2 * GAP_WINDOW))

    def begin_counting(self, iterator: "_TrackedIterator | None") -> None:
        """The iterator that feeds the loop was found, by the batches since the last reading."""
        self.iterator = iterator
        self.elements = 0
        self._epoch_batches = self.batches

    def missing_batches(self) -> int:
        """How many batches fewer than Keras said the latest step took; corrects it."""
        missing = max(self._epoch_batches - self.elements, 0)
        if missing >= self.latest_batches:
            return 0
        self.latest_batches -= missing
        self._epoch_batches -= missing
        if missing and self.batch_steps[-1] is not None:
            self._batches_of[self.batch_steps[-1]] = self.latest_batches
        for _ in range(missing):
            self.batch_steps.pop()
        return missing

    def add_gap(self, step: int | None, gap_ns: int) -> None:
        """What the loop did after one batch of a step took so long."""
        if step in self._batches_of:
            self._gaps.setdefault(step, []).append(gap_ns)

    def complete_gaps(self) -> Iterator[tuple[int, int]]:
        """Takes out the steps all of whose gaps are known, and the time of those together."""
        for step, gaps in sorted(self._gaps.items()):
            if len(gaps) == self._batches_of[step]:
                yield step, sum(gaps)
        known = [step for step, gaps in self._gaps.items() if len(gaps) == self._batches_of[step]]
        newest = max(known, default=-1)
        for step in [step for step in self._batches_of if step <= newest]:
            del self._batches_of[step]
            self._gaps.pop(step, None)

    def leave_epoch(self) -> None:
        """The epoch is over: its iterator may be too, and the last batch is followed by no step."""
        self.iterator = None
        self.in_epoch = False
        self.elements = self._epoch_batches = self.latest_batches = 0
        if self.batch_steps:
            self.batch_steps[-1] = None


class _Stages:
    """Records the work of one pipeline's stages."""

    def __init__(self, watch: Watch, pipeline: Pipeline, place: str) -> None:
        self._recorder = watch.recorder
        self._pipeline = pipeline
        self._place = f"{place} {zlib.crc32(repr(pipeline.output).encode()):08x}"
        self._identities: Mapping[int, StageIdentity] = {}
        self._numbers: dict[str, int] = {}
        self._gauges: dict[tuple[str, str], int] = {}
        if pipeline.problem:
            self._recorder.warn(pipeline.problem)

    def record(
        self,
        snapshot: ModelSnapshot,
        work: Mapping[int, NodeWork],
        lost: Mapping[int, int],
        python_ns: int,
        start_ns: int,
        end_ns: int,
    ) -> None:
        """Records what each stage did between two readings."""
        identities = self._identities = align(self._pipeline, snapshot, self._identities)
        by_path: dict[str, list[int]] = {}
        for node_id, identity in identities.items():
            by_path.setdefault(identity.path, []).append(node_id)
        work = with_lost_work(_without_python(work, snapshot, python_ns), lost, snapshot)
        lane = self._recorder.lane()
        for path, node_ids in by_path.items():
            identity = identities[node_ids[0]]
            nodes = [snapshot.nodes[node_id] for node_id in node_ids]
            if identity.parent is None:
                continue  # Root: hands batches on, does nothing
            number = self._stage(identity, nodes[0], identities)
            done = [work[node_id] for node_id in node_ids]
            elements = sum(d.elements for d in done)
            spent_ns = sum(d.processing_time_ns for d in done)
            lane.write(code(Kind.WORK, number), start_ns, end_ns, elements, spent_ns)
            size = sum(d.bytes_produced for d in done)
            lane.write(code(Kind.BYTES, number), end_ns, end_ns, 0, size)
            for field, level in _levels(nodes):
                gauge = self._gauge(path, number, field)
                lane.write(code(Kind.GAUGE, gauge), end_ns, end_ns, 0, level)
        for name, level in (
            ("AUTOTUNE CPU budget", round(snapshot.cpu_budget)),
            ("AUTOTUNE RAM budget", round(snapshot.ram_budget)),
        ):
            gauge = self._recorder.names.number({"type": "gauge", "name": name})
            lane.write(code(Kind.GAUGE, gauge), end_ns, end_ns, 0, level)

    def _stage(
        self,
        identity: StageIdentity,
        node: NodeCounters,
        identities: Mapping[int, StageIdentity],
    ) -> int:
        number = self._numbers.get(identity.path)
        if number is not None:
            return number
        facts: dict[str, Any] = {
            "type": "stage",
            "name": identity.name,
            "kind": identity.kind.value,
            "place": f"{self._place} {identity.path}",
        }
        if identity.function:
            facts["function"] = identity.function
        if identity.location:
            facts |= {"file": identity.location.file, "line": identity.location.line}
        remark = _remark(identity)
        if remark:
            facts["remark"] = remark
        if node.parallelism is not None:
            facts |= {"autotuned": bool(node.tunable), "most_parallelism": node.most_parallelism}
        parent = next((i for i in identities.values() if i.path == identity.parent), None)
        if parent is not None and parent.parent is not None:
            facts["parent"] = self._stage(parent, node, identities)
        number = self._numbers[identity.path] = self._recorder.names.number(facts)
        return number

    def _gauge(self, path: str, stage: int, field: str) -> int:
        gauge = self._gauges.get((path, field))
        if gauge is None:
            facts = {"type": "gauge", "of": stage, "field": field}
            gauge = self._gauges[path, field] = self._recorder.names.number(facts)
        return gauge


def _subclasses(base: Any) -> Iterator[Any]:
    for subclass in base.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _autotunes(dataset: Any) -> bool:
    options = getattr(dataset, "options", None)
    return options is None or options().autotune.enabled is not False


def _levels(nodes: list[NodeCounters]) -> Iterator[tuple[str, int]]:
    first = nodes[0]
    if first.parallelism is not None:
        yield "parallelism", first.parallelism
    if first.buffer_size is not None:
        yield "buffer", sum(node.buffered_elements for node in nodes)
        yield "buffer_size", first.buffer_size


def _remark(identity: StageIdentity) -> str | None:
    runs_as = identity.running if identity.written and " → " in identity.written else None
    parts = [identity.remark, f"{identity.written} runs as {runs_as}" if runs_as else None]
    return "; ".join(part for part in parts if part) or None


def _without_python(
    work: Mapping[int, NodeWork], snapshot: ModelSnapshot, python_ns: int
) -> Mapping[int, NodeWork]:
    """Takes the time inside Python generators, which have stages of their own, off their nodes."""
    generators = [i for i, node in snapshot.nodes.items() if node.name.startswith("Generator")]
    total = sum(work[i].processing_time_ns for i in generators)
    if not total or not python_ns:
        return work
    left = max(total - python_ns, 0) / total
    own = {
        i: work[i]._replace(processing_time_ns=round(work[i].processing_time_ns * left))
        for i in generators
    }
    return {**work, **own}


class _GeneratorTime:
    """Times what runs inside `tf.data.Dataset.from_generator`.

    A user's generator becomes a stage. One of Keras's own, around a user's that is timed already or
    around a queue that workers fill, is not; but where nothing runs ahead of the training it is
    there that the training waits.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._spent_ns = 0
        self._taken_ns = 0
        self.waits = 0

    def take_ns(self) -> int:
        """Time spent inside since the last call."""
        spent_ns, self._taken_ns = self._spent_ns - self._taken_ns, self._spent_ns
        return spent_ns

    def waited(self, recorder: Recorder, start_ns: int, end_ns: int) -> None:
        """Someone was blocked for an element."""
        self._spent_ns += end_ns - start_ns
        self.waits += 1
        recorder.lane().write(code(Kind.WAIT, 0), start_ns, end_ns, 0, NOT_READ)

    def timed(self, generator: Any) -> Any:
        """The callable that `from_generator` gets instead; anything that is none goes through."""
        if not callable(generator):
            return generator
        ours = str(getattr(generator, "__module__", "")).startswith(_FRAMEWORKS)
        known = ours or generator in self._watch.timed
        site = None if known else site_of_function(generator, StageKind.GENERATOR)

        @functools.wraps(generator)
        def batches(*args: Any, **kwargs: Any) -> Any:
            source = iter(generator(*args, **kwargs))
            return _waited(source if site is None else timed_generator(site, source))

        if not ours:
            setattr(batches, TIMED_BY_PIPEPROF, True)
        return batches


# The one of the profile that is on: a dataset may outlive the profile that it was made in.
_generators: _GeneratorTime | None = None


def _waited(source: Iterator[Any]) -> Iterator[Any]:
    while True:
        if recording.current is not None:
            recording.current.lane("TensorFlow thread")
        start_ns = now_ns()
        try:
            item = next(source)
        except StopIteration:
            return
        recorder, generators = recording.current, _generators
        if recorder is not None and generators is not None:
            generators.waited(recorder, start_ns, now_ns())
        yield item
