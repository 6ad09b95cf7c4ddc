"""Finds the tf.data iterator that feeds each loop of Keras, and measures the loop's waits there.

The training thread reads the iterators' models between two steps. A reading has the last 100 gaps
between batches and takes 0.3 to 1 ms: models are read often enough to miss no gap, and for the rest within
a budget (`ReadingBudget`).
"""

import time

from pipeprof.capture.guard import Guard
from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.profiler.tensorflow_trace_windows import windows_on
from pipeprof.capture.probes.profiler.wait_traces import WaitTraces
from pipeprof.capture.probes.tfdata.gap_waits import FollowedLoop
from pipeprof.capture.probes.tfdata.iterators import (
    IteratorRegistry,
    TrackedIterator,
    rest_between_readings,
)
from pipeprof.capture.probes.tfdata.model_reader import ModelReader
from pipeprof.capture.probes.tfdata.open_shapes import has_open_shapes
from pipeprof.capture.probes.tfdata.running.model_snapshots import (
    GAP_WINDOW,
    ready_batches,
)
from pipeprof.capture.probes.tfdata.written.from_generator import GeneratorTime
from pipeprof.capture.recorder.facts import LoopGauge, LoopLevel, LoopUpdate
from pipeprof.capture.recorder.records import Kind, code
from pipeprof.clock import now_ns
from pipeprof.recording.loop import InputKind, WaitSource

# So many gaps may be new at a reading: some are kept to see where the window of the reading before ends.
MOST_NEW_GAPS = GAP_WINDOW * 9 // 10


class LoopFollower:
    """Follows the loops of Keras: a `pipeprof.capture.probes.keras.keras_steps.StepListener`.

    Args:
        context: the profile's.
        guard: what its methods run under.
        iterators: those that are there.
        reader: reads their models.
        generators: knows the waits in generators.
    """

    def __init__(
        self,
        context: ProbeContext,
        guard: Guard,
        iterators: IteratorRegistry,
        reader: ModelReader,
        generators: GeneratorTime,
    ) -> None:
        self._context = context
        self._guard = guard
        self._iterators = iterators
        self._reader = reader
        self._generators = generators
        self._followed: dict[OpenLoop, FollowedLoop] = {}

    def close(self) -> None:
        """Forgets the loops, at the end of the profile."""
        self._followed.clear()

    def loop_opened(self, loop: OpenLoop) -> None:
        """A framework's loop begins."""
        self._followed[loop] = FollowedLoop(
            now_ns(), self._generators.waits, self._context.inspector.new_shapes
        )

    def step_ended(self, loop: OpenLoop, now: int, batches: int, *, at_most: bool) -> None:
        """A step of it has ended."""
        followed = self._followed.get(loop)
        if followed is None:
            return
        # What the pipeline did for an epoch's first batch shows why that was waited for.
        self._generators.taken(loop, batches, now)
        begins = not followed.in_epoch
        followed.step_ended(loop.step, batches, loop.began_ns, now, loop.closed_ns)
        needed = (
            begins
            # The next step may take as many again.
            or followed.batches + batches > MOST_NEW_GAPS
            or loop.step == self._context.warmup - 1
            or at_most
        )
        rested = now - followed.read_ns >= rest_between_readings(now - followed.epoch_began_ns)
        if not needed and not (rested and followed.budget.has_room(now)):
            return
        begun_ns = time.thread_time_ns()
        self._guard.run(self._follow, loop, followed, now, at_most=at_most)
        # The first reading of an epoch, which also describes the pipeline, has to be.
        if not begins:
            followed.budget.spend(time.thread_time_ns() - begun_ns, now)

    def epoch_ended(self, loop: OpenLoop) -> None:
        """Its steps are over for this epoch."""
        self._generators.epoch_ended(loop)
        followed = self._followed.get(loop)
        if followed is not None and followed.in_epoch:
            self._guard.run(self._follow, loop, followed, loop.ended_ns, at_most=True)
            followed.leave_epoch(loop)

    def _follow(self, loop: OpenLoop, followed: FollowedLoop, now: int, *, at_most: bool) -> None:
        """Reads the iterators of a loop; the one that feeds it also measures its waits.

        Args:
            loop: the loop.
            followed: what is known of it.
            now: when.
            at_most: whether its latest step may have taken fewer batches than it reported.
        """
        candidates = [t for t in self._iterators.alive() if t.loop in (loop, None)]
        gaps = {tracked: self._reader.read(tracked, now) for tracked in candidates}
        if followed.iterator not in candidates:
            followed.begin_counting(self._feeding(candidates, followed))
            _note_shapes(loop, followed)
        feeding = followed.iterator
        if feeding is not None:
            feeding.loop = loop
            followed.elements += feeding.new_elements
            loop.set_waits_by(WaitSource.GAP_TIMES)
            ready = ready_batches(feeding.snapshot) if feeding.snapshot is not None else None
            followed.model_read(loop.step, ready or 0, feeding.new_work_ns)
            fetches = feeding.new_elements - (feeding.elements == feeding.new_elements)
            followed.record_gaps(loop, gaps[feeding], fetches, now, at_most=at_most)
            if followed.estimating:
                self._context.recorder.warn(
                    f"Some steps took more batches at once than tf.data remembers ({GAP_WINDOW}): "
                    "their waits are estimated from their last batches."
                )
            if ready is not None:
                self._record_queue(loop, ready, now)
        elif all(tracked.has_model is False for tracked in candidates):
            self._follow_without_model(loop, followed, candidates)
        followed.batches = 0
        followed.read_ns = now

    def _follow_without_model(
        self, loop: OpenLoop, followed: FollowedLoop, candidates: list[TrackedIterator]
    ) -> None:
        """Nothing is counted of what feeds a loop: something else must measure its waits."""
        users_own = loop.fed_by is not None and loop.fed_by.kind is InputKind.TF_DATA
        if candidates and users_own:
            loop.update(LoopUpdate(autotune=False))
        # Where nothing comes behind a generator, as where Keras makes the pipeline, it is in there
        # that the loop waits.
        bare = not users_own or any(map(self._is_generator, candidates))
        if bare and self._generators.waits > followed.waits_before:
            loop.set_waits_by(WaitSource.GENERATOR)
        elif loop.kind.trains and loop.waits_by is None and not followed.traced:
            followed.traced = True
            windows = windows_on(loop, self._context.recorder.warn)
            windows.plan_also(loop, WaitTraces(loop, warmup=self._context.warmup))

    def _is_generator(self, tracked: TrackedIterator) -> bool:
        output = self._reader.stages_of(tracked).pipeline.output
        while output is not None and output.noop and len(output.inputs) == 1:
            output = output.inputs[0]
        # It is written as a `flat_map` over what makes the generator.
        inner = output.inner if output is not None else None
        return inner is not None and inner.name == "from_generator"

    def _feeding(
        self, candidates: list[TrackedIterator], followed: FollowedLoop
    ) -> TrackedIterator | None:
        """The iterator that gave as many batches as the loop took, or the least more."""
        # The last step of an epoch may have taken fewer batches than Keras reports.
        taken = followed.batches - followed.latest_batches + 1
        return min(
            (t for t in candidates if t.has_model and t.new_elements >= taken > 0),
            key=lambda one: (one.taken_in_python, one.elsewhere, one.new_elements),
            default=None,
        )

    def _record_queue(self, loop: OpenLoop, ready: int, now: int) -> None:
        recorder = self._context.recorder
        facts = LoopGauge(level=LoopLevel.QUEUE, loop=loop.number)
        gauge = code(Kind.GAUGE, recorder.names.number(facts))
        recorder.lane().write(gauge, now, now, 0, ready)


def _note_shapes(loop: OpenLoop, followed: FollowedLoop) -> None:
    """Records whether XLA compiles a loop's step by the shapes of what feeds it."""
    if not loop.jit_compiled or followed.compiled_by_shape or followed.iterator is None:
        return
    iterator = followed.iterator.iterator()
    if iterator is not None and has_open_shapes(iterator.element_spec):
        followed.compiled_by_shape = True
        loop.update(LoopUpdate(compiled_by_shape=True))
