"""Times what runs inside `tf.data.Dataset.from_generator`."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

from pipeprof.capture.passed_frames import pass_over
from pipeprof.capture.probes.loaders.worker_queues import WorkerQueue, find_queue
from pipeprof.capture.probes.loops.batch_origins import PendingBatches
from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.python.stage_site import site_of_function
from pipeprof.capture.probes.python.timed_generators import timed_generator
from pipeprof.capture.probes.tfdata.written.mapped_functions import TIMED_BY_PIPEPROF
from pipeprof.capture.recorder import recorder as recording
from pipeprof.capture.recorder.facts import LoopGauge, LoopLevel
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind, code
from pipeprof.clock import now_ns
from pipeprof.recording.code_owner import CodeOwner, owner_of_module
from pipeprof.recording.loop import InputKind
from pipeprof.recording.stage import StageKind

_FRAMEWORKS = (CodeOwner.KERAS, CodeOwner.TENSORFLOW)


class GeneratorTime:
    """Times what runs inside `tf.data.Dataset.from_generator`.

    A user's generator becomes a stage. A generator of Keras's own does not: it only hands on batches of a
    user's generator, which is timed already, or of a queue that workers fill. But if nothing runs ahead
    of the training, the training waits in that generator, so that its waits are recorded.
    """

    def __init__(self, context: ProbeContext) -> None:
        self._context = context
        self._spent_ns = 0
        self._taken_ns = 0
        self.waits = 0
        self._gauges: dict[int, tuple[int, ...]] = {}
        self._pending: dict[OpenLoop, PendingBatches] = {}

    @property
    def spent_ns(self) -> int:
        """Time spent inside so far."""
        return self._spent_ns

    def take_ns(self) -> int:
        """Time spent inside since the last call."""
        spent_ns, self._taken_ns = self._spent_ns - self._taken_ns, self._spent_ns
        return spent_ns

    def waited(self, recorder: Recorder, start_ns: int, end_ns: int, *, of_keras: bool) -> None:
        """Records a wait for an element of a generator, which Keras (``of_keras``) or the user made."""
        self._spent_ns += end_ns - start_ns
        self.waits += 1
        recorder.lane().write(code(Kind.GENERATOR_WAIT, 0), start_ns, end_ns, 0, of_keras)

    def asked(self, recorder: Recorder, ready: int, head_of_line_ns: int, now: int) -> None:
        """The training asked the queue of its workers for a batch.

        Args:
            recorder: where to record.
            ready: how many batches lay ready.
            head_of_line_ns: how long the training waited for the next batch while a later one lay ready.
            now: when the batch had come.
        """
        loop = self._context.loops.current
        if loop is None:
            return
        write = recorder.lane().write
        for gauge, value in zip(
            self._gauges_of(recorder, loop), (ready, head_of_line_ns), strict=True
        ):
            write(gauge, now, now, 0, value)

    def asks(self, now: int) -> None:
        """A generator is asked for its first element: what TensorFlow prepares before is done."""
        loop = self._context.loops.current if self._context.in_framework else None
        if loop is not None:
            loop.asks_generator(now)

    def begin(self) -> Callable[[Any], None] | None:
        """One of Keras's own begins to hand batches to the loop that runs.

        Returns:
            Is handed each batch; None where elements are not that loop's batches.
        """
        loop = self._context.loops.current if self._context.in_framework else None
        fed_by = loop.fed_by if loop is not None else None
        if loop is None or fed_by is None or fed_by.kind is InputKind.TF_DATA:
            return None
        pending = self._pending.setdefault(loop, PendingBatches())
        waiting, origins = pending.begin(), self._context.origins
        return lambda batch: pending.hand(waiting, origins.take(batch))

    def taken(self, loop: OpenLoop, batches: int, now: int) -> None:
        """A step of a loop, which ends now, took so many batches."""
        if loop in self._pending:
            for start_ns in self._pending[loop].take(batches):
                loop.took(start_ns, now)

    def epoch_ended(self, loop: OpenLoop) -> None:
        """Ends an epoch of a loop."""
        if loop in self._pending:
            self._pending[loop].end_epoch()

    def _gauges_of(self, recorder: Recorder, loop: OpenLoop) -> tuple[int, ...]:
        gauges = self._gauges.get(loop.number)
        if gauges is None:
            gauges = self._gauges[loop.number] = tuple(
                code(
                    Kind.GAUGE,
                    recorder.names.number(LoopGauge(level=level, loop=loop.number)),
                )
                for level in (LoopLevel.QUEUE, LoopLevel.HEAD_OF_LINE)
            )
        return gauges

    @pass_over
    def timed(self, generator: Any) -> Any:
        """A timed callable for `from_generator`; what is not callable is returned as it is."""
        if not callable(generator):
            return generator
        ours = owner_of_module(getattr(generator, "__module__", None)) in _FRAMEWORKS
        known = ours or generator in self._context.timed
        site = None if known else site_of_function(generator, StageKind.GENERATOR)

        @functools.wraps(generator)
        def batches(*args: Any, **kwargs: Any) -> Any:
            source = iter(generator(*args, **kwargs))
            if site is None:
                return _waited(source, find_queue(source), to_loop=ours)
            return _waited(timed_generator(site, source), None, to_loop=False)

        if not ours:
            setattr(batches, TIMED_BY_PIPEPROF, True)
        return batches


# The one of the profile that is on: a dataset may outlive the profile that it was made in.
current: GeneratorTime | None = None


@pass_over
def _waited(source: Iterator[Any], queue: WorkerQueue | None, *, to_loop: bool) -> Iterator[Any]:
    first = True
    hand: Callable[[Any], None] | None = None
    while True:
        if recording.current is not None:
            recording.current.lane("TensorFlow thread")
        asked = queue.look() if queue is not None else None
        start_ns = now_ns()
        if first and recording.current is not None and current is not None:
            current.asks(start_ns)
        try:
            item = next(source)
        except StopIteration:
            return
        recorder, generators = recording.current, current
        if recorder is not None and generators is not None:
            end_ns = now_ns()
            if first and queue is not None:
                start_ns = queue.began(start_ns, end_ns)
            elif queue is not None and asked is not None:
                late_ns = queue.head_of_line_ns(asked, start_ns, end_ns)
                generators.asked(recorder, asked.ready, late_ns, end_ns)
            generators.waited(recorder, start_ns, end_ns, of_keras=to_loop)
            if first and to_loop:
                hand = generators.begin()
            if hand is not None:
                hand(item)
        first = False
        yield item
