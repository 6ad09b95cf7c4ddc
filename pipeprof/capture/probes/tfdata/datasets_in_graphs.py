"""Datasets that are iterated inside a ``tf.function``: what such calls wait for, and their stages.

Each function is a loop, and each of its calls a pass with one step: what happens inside the graph shows no
steps to Python. Waits and stages are those of the iterator's model where it was made outside, else they
come from short traces of TensorFlow's profiler.
"""

import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from pipeprof.capture.guard import Guard
from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.profiler.tensorflow_profiler import ProfilerSession
from pipeprof.capture.probes.python.users_line import users_line
from pipeprof.capture.probes.tensorflow.function_calls import FunctionTrace
from pipeprof.capture.probes.tfdata.in_graphs.graph_snapshots import (
    find_input,
    share_of_call,
    snapshot_of,
)
from pipeprof.capture.probes.tfdata.iterators import IteratorRegistry, TrackedIterator
from pipeprof.capture.probes.tfdata.model_reader import ModelReader
from pipeprof.capture.probes.tfdata.running.running_stages import IteratorStages, PipelineStages
from pipeprof.capture.probes.tfdata.written.dataset_internals import unwrapped
from pipeprof.capture.probes.tfdata.written.from_generator import GeneratorTime
from pipeprof.capture.probes.tfdata.written.transformations import family_of
from pipeprof.capture.probes.tfdata.written.written_pipeline import describe_pipeline
from pipeprof.capture.recorder.facts import InputFacts, LoopUpdate
from pipeprof.clock import now_ns
from pipeprof.recording.loop import InputKind, LoopKind, WaitSource
from pipeprof.xspace.graph_iterators import GraphIterators, read_graph_iterators

# Windows of one function: in its first calls, then in ever fewer.
FIRST_WINDOWS = 6
# A call takes many batches.
WARMUP_CALLS = 1
LONGEST_WINDOW_NS = 2_000_000_000
MOST_BYTES = 20_000_000


class DatasetsInGraphs:
    """Follows the functions that iterate a dataset: a `DatasetCalls`.

    Args:
        context: the profile's.
        guard: what it runs under when another thread calls.
        iterators: those that were made outside of graphs.
        reader: reads their models.
        generators: knows the time in generators.
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
        self._followed: weakref.WeakKeyDictionary[Any, _Followed] = weakref.WeakKeyDictionary()
        self._window: _Window | None = None

    def call_begins(self, function: Any) -> None:
        """A function that iterates a dataset is called."""
        followed = self._followed.get(function)
        if followed is None or not self._is_ours():
            return
        self._context.loops.reopen(followed.loop, now_ns())
        if followed.tracked is not None:
            self._reader.read(followed.tracked, now_ns())
        elif followed.wants_window():
            session = ProfilerSession.open(devices=False)
            self._window = _Window(session) if session is not None else None
        self._generators.take_ns()

    def call_ended(
        self,
        function: Any,
        arguments: tuple[Any, ...],
        iterated: Any,
        span: tuple[int, int],
        trace: FunctionTrace | None,
    ) -> bool:
        """A call has ended; returns whether it was the loop of a training that is written by hand.

        Args:
            function: the function.
            arguments: what it was given.
            iterated: the dataset or iterator that was iterated while it was traced in this call, or None.
            span: begin and end of the call.
            trace: what was traced in it, or None.
        """
        window, self._window = self._window, None
        traced = window.close() if window is not None else None
        if not self._is_ours():
            return False
        followed = self._followed.get(function)
        if followed is None:
            followed = self._follow(function, arguments, iterated, span[0])
        loop = followed.loop
        followed.calls += 1
        share = None
        if followed.tracked is not None:
            share = self._read_model(followed.tracked, span)
        elif traced is not None and window is not None:
            share = self._read_trace(followed, traced, window, span)
        step = loop.step
        if step == 0:
            loop.begin_epoch(span[0])
        loop.turn(span[0])
        loop.model_worked(*span)
        loop.end_step(span[1], batches=max(share[0], 1) if share is not None else 1)
        if trace is not None:
            loop.compiled(*span, trace.traced_ns, trace.reason)
        self._context.loops.close(loop)
        if share is not None:
            loop.gaps(step, (max(span[1] - span[0] - share[1], 0),))
        return True

    def close(self) -> None:
        """Forgets the functions, at the end of the profile; a trace that is open is given up."""
        window, self._window = self._window, None
        if window is not None:
            window.close()
        self._followed.clear()

    def _is_ours(self) -> bool:
        """Whether a call is a loop of its own, and no step of one that is followed already."""
        return self._context.by_hand() and not self._context.loops.hand.running

    def limit(self, now: int) -> None:
        """Ends a trace that has lasted long enough; called from another thread."""
        window = self._window
        if window is not None and now - window.opened_ns >= LONGEST_WINDOW_NS:
            self._guard.run(window.stop)

    def _follow(
        self, function: Any, arguments: tuple[Any, ...], iterated: Any, start_ns: int
    ) -> "_Followed":
        given = list(_datasets(arguments, iterated))
        tracked = next((t for t in map(self._iterators.find, given) if t is not None), None)
        dataset = tracked.dataset() if tracked is not None else next(iter(given), None)
        name = type(dataset).__name__.strip("_")
        loop = self._context.loops.add(
            LoopKind.CUSTOM,
            fed_by=InputFacts(kind=InputKind.TF_DATA, name=name),
            start_ns=start_ns,
            warmup=WARMUP_CALLS,
        )
        place = users_line(sys._getframe())
        loop.update(LoopUpdate(location=place))
        stages = None
        if tracked is not None:
            tracked.loop = loop
            loop.set_waits_by(WaitSource.GAP_TIMES)
        else:
            loop.set_waits_by(WaitSource.TRACE)
            stages = PipelineStages(self._context, describe_pipeline(dataset), loop.kind.value)
        called = getattr(function, "__name__", "a tf.function")
        line = f" ({place.short})" if place is not None else ""
        self._context.recorder.warn(
            f"{called}{line} iterates its dataset inside a tf.function, where single steps cannot be seen: "
            "each call is shown as one step. To see its steps, take the batches outside of the tf.function."
        )
        followed = self._followed[function] = _Followed(loop, tracked, stages)
        return followed

    def _read_model(
        self, tracked: TrackedIterator, span: tuple[int, int]
    ) -> tuple[int, int] | None:
        """Batches of a call, and how long it waited for them, from the iterator's model."""
        gaps = self._reader.read(tracked, span[1])
        batches = tracked.new_elements
        # The first gap began before the call.
        inside = gaps[1:] if len(gaps) > 1 else ()
        if not batches or not inside:
            return None
        computed_ns = sum(inside) * 1000 * batches // len(inside)
        return batches, max(span[1] - span[0] - computed_ns, 0)

    def _read_trace(
        self,
        followed: "_Followed",
        traced: GraphIterators,
        window: "_Window",
        span: tuple[int, int],
    ) -> tuple[int, int] | None:
        """The stages from a trace of the call, or of its first seconds; records the stages' work."""
        top, ahead_ns = find_input(traced), window.ahead_ns(traced)
        if top is None or ahead_ns is None or followed.stages is None:
            return None
        asked = traced.asked(top)
        share = share_of_call(asked, (window.opened_ns, window.closed_ns), span, ahead_ns)
        if not share.elements:
            return None
        snapshot = snapshot_of(traced, top, share.elements / len(asked))
        stages = IteratorStages(followed.stages)
        stages.record(snapshot, self._generators.take_ns(), *span)
        return share.elements, share.wait_ns


class _Followed:
    """A function that iterates a dataset, and its loop."""

    def __init__(
        self, loop: OpenLoop, tracked: TrackedIterator | None, stages: PipelineStages | None
    ) -> None:
        self.loop = loop
        self.tracked = tracked
        self.stages = stages
        self.calls = 0

    def wants_window(self) -> bool:
        """Whether the call that begins is to be traced: the first ones, then each power of two."""
        return self.calls <= FIRST_WINDOWS or self.calls & (self.calls - 1) == 0


class _Window:
    """TensorFlow's profiler while it is on for a call."""

    def __init__(self, session: ProfilerSession) -> None:
        self.opened_ns = session.opened_ns
        self.closed_ns = 0
        self._session = session
        self._trace: Path | None = None
        self._stopping = threading.Lock()

    def stop(self) -> None:
        """Turns the profiler off, once; may be called from any thread."""
        with self._stopping:
            if not self.closed_ns:
                self.closed_ns = now_ns()
                self._trace = self._session.close()

    def close(self) -> GraphIterators | None:
        """Turns the profiler off and reads its trace; None where others have taken the profiler over."""
        self.stop()
        try:
            trace = self._trace
            if trace is None or trace.stat().st_size > MOST_BYTES:
                return None
            return read_graph_iterators(trace)
        finally:
            self._session.forget()

    def ahead_ns(self, traced: GraphIterators) -> int | None:
        """How far our clock is ahead of the trace's, or None where that cannot be known."""
        ours = self._session.anchors
        if not ours or len(ours) != len(traced.anchors):
            return None
        mark, (start_ns, end_ns) = min(
            zip(traced.anchors, ours, strict=True), key=lambda pair: pair[1][1] - pair[1][0]
        )
        return (start_ns + end_ns) // 2 - int(mark.sum()) // 2


def _datasets(arguments: tuple[Any, ...], iterated: Any) -> Iterator[Any]:
    """The datasets and iterators that a call may iterate: those that it was given, and the traced one."""
    kinds = (tf.data.Dataset, tf.data.Iterator)
    yield from (one for one in arguments if isinstance(one, kinds))
    if isinstance(iterated, tf.data.Dataset):
        while family_of(type(unwrapped(iterated)).__name__) in ("scan", "takewhile"):
            (iterated,) = unwrapped(iterated)._inputs()
    yield iterated
