"""`keras.utils.PyDataset` and ``Sequence``: the work of ``__getitem__`` wherever it runs.

The object the user made stays the one that Keras gets. While a profile is on its class is a subclass
that times ``__getitem__``: in the main process, in worker threads, and in worker processes, whose
batches also record how long their way to the training took. It knows no framework; the objects are
recognised elsewhere.
"""

import functools
import itertools
import multiprocessing
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeprof.capture.passed_frames import pass_over
from pipeprof.capture.probes.loaders.epoch_ends import timed_epoch_end
from pipeprof.capture.probes.loaders.hand_fetches import HandFetches
from pipeprof.capture.probes.loaders.worker_queues import MOST_READY, POOL
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.python.stage_site import Begun, StageSite, site_of_function
from pipeprof.capture.probes.python.timed_subclass import (
    has_replaced_methods,
    original_class,
    replace_methods,
)
from pipeprof.capture.recorder import recorder as recording
from pipeprof.capture.recorder.facts import InputFacts, StageFacts
from pipeprof.capture.recorder.recorder import OUTSIDE, LaneWriter, Recorder
from pipeprof.capture.recorder.records import NOT_READ, Kind, code
from pipeprof.clock import now_ns
from pipeprof.errors import describe_error
from pipeprof.recording.code_owner import CodeOwner, owner_of_module
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import InputKind, InputLibrary
from pipeprof.recording.stage import StageKind


def describe_sequence(sequence: Any) -> InputFacts:
    """What is recorded of it as an input."""
    workers = getattr(sequence, "workers", None)
    processes = getattr(sequence, "use_multiprocessing", None)
    queue_size = getattr(sequence, "max_queue_size", None)
    if workers in (0, 1) and not processes:
        queue_size = None  # Keras then loads without a queue, whatever its size
    return InputFacts(
        kind=InputKind.SEQUENCE,
        name=original_class(sequence).__name__,
        workers=workers if isinstance(workers, int) else None,
        multiprocessing=processes if isinstance(processes, bool) else None,
        queue_size=queue_size if isinstance(queue_size, int) else None,
        start_method=_start_method() if processes is True else None,
        library=_library(sequence),
    )


def _library(sequence: Any) -> InputLibrary | None:
    """Whether it is a sequence of Keras's own and not a class of the user's."""
    its = owner_of_module(original_class(sequence).__module__)
    return InputLibrary.KERAS_ITERATOR if its is CodeOwner.KERAS else None


def _start_method() -> str:
    """How worker processes will be started, without deciding it."""
    chosen: str | None = multiprocessing.get_start_method(allow_none=True)
    return chosen or multiprocessing.get_all_start_methods()[0]


def observe_sequence(sequence: Any, context: ProbeContext) -> Callable[[], None]:
    """Times ``sequence[i]`` from now on.

    Returns:
        Ends this.

    Raises:
        Exception: the class does not allow it (its layout, or what it does when it is derived from).
    """
    if has_replaced_methods(sequence):
        return lambda: None
    transport = Transport(sequence, context)
    original = type(sequence)
    members = {
        "__getitem__": _timed_getitem(
            original, transport.work, transport.deliver, threading.main_thread().native_id
        ),
        POOL: transport,
    }
    if hasattr(original, "on_epoch_end"):
        members["on_epoch_end"] = timed_epoch_end(original, context, transport.ended)
    release = replace_methods(sequence, members, transport.pickled)

    def released() -> None:
        release()
        transport.known.pop(transport.token, None)

    return released


# Takes a batch that was made: recorder, batch, what `StageSite.begin` returned, when it was done, its
# index, and the name of the module that asked for it. Returns what is handed out.
_Deliver = Callable[[Recorder, Any, Begun, int, Any, str], Any]


@pass_over
def _timed_getitem(
    original: Any, site: StageSite, deliver: _Deliver, main_id: int | None
) -> Callable[[Any, Any], Any]:
    """A ``__getitem__`` that is timed; ``main_id`` is the training's thread, all others are workers."""
    get = original.__getitem__

    @functools.wraps(get)
    def __getitem__(self: Any, index: Any) -> Any:  # noqa: N807 - it is the method of that name
        recorder = recording.current
        if recorder is None:
            return get(self, index)
        lane = recorder.lane()
        begun = site.begin(lane)
        if lane.native_id != main_id:
            site.called(recorder, lane, begun, index)
        try:
            batch = get(self, index)
        except BaseException as error:
            site.finish(recorder, lane, begun)
            # An interrupt of the whole training is no fault of the batch.
            if lane.native_id != main_id and isinstance(error, Exception):
                _warn_of_failure(recorder, lane, index, error)
            raise
        end_ns = site.finish(recorder, lane, begun)
        asker = sys._getframe(1).f_globals.get("__name__", "")
        return deliver(recorder, batch, begun, end_ns, index, asker)

    return __getitem__


def _warn_of_failure(recorder: Recorder, lane: LaneWriter, index: Any, error: Exception) -> None:
    own = lane.native_id == recorder.pid
    who = f"worker process {recorder.pid}" if own else f"thread {lane.native_id}"
    recorder.warn(f"Batch {index!r:.20} failed in {who}: {describe_error(error):.200}")


@dataclass(frozen=True, slots=True)
class Arrival:
    """Observes a sequence in a worker process that was not forked, where it arrives by pickle.

    Attributes:
        folder: the run folder, which the worker records into.
        token: number of the `Transport` that its batches take.
    """

    folder: Path
    token: int

    def __call__(self, sequence: Any) -> None:
        """Begins to record, unless the run is over by now."""
        if not self.folder.is_dir() or has_replaced_methods(sequence):
            return
        if recording.current is None:
            recording.activate(Recorder(self.folder, forked=True))
        original = type(sequence)
        site = _site_of(sequence)
        replace_methods(
            sequence, {"__getitem__": _timed_getitem(original, site, self._deliver, None)}
        )

    def _deliver(
        self, recorder: Recorder, batch: Any, begun: Begun, end_ns: int, index: Any, asker: str
    ) -> Any:
        return Parcel.wrap(batch, self.token, begun[-1], asker)


class Parcel:
    """A batch on its way out of a worker process: unpickles as the plain batch.

    ``__reduce__`` is called as pickling begins and `open_parcel` when the payload has been
    unpickled, so the time between is that of the transport. The batch is not copied once more.
    """

    __slots__ = ("_batch", "_start_ns", "_token")

    def __init__(self, batch: Any, token: int, start_ns: int) -> None:
        self._batch = batch
        self._token = token
        self._start_ns = start_ns

    def __reduce__(self) -> Any:
        return open_parcel, (self._batch, self._token, self._start_ns, now_ns())

    @classmethod
    def wrap(cls, batch: Any, token: int, start_ns: int, asker: str) -> Any:
        """A parcel for Keras, which only pickles it; whoever else asks gets the batch."""
        if owner_of_module(asker) is CodeOwner.KERAS:
            return cls(batch, token, start_ns)
        return batch

    def __repr__(self) -> str:
        return repr(self._batch)


def open_parcel(batch: Any, token: int, start_ns: int, sent_ns: int) -> Any:
    """Unpickles a `Parcel`: records its way and gives the batch that was in it."""
    transport = Transport.known.get(token)
    recorder = recording.current
    if transport is not None and recorder is not None and transport.context.on:
        transport.context.origins.made(batch, start_ns)
        transport.arrived(recorder, batch, sent_ns)
    return batch


class Transport:
    """The way of a sequence's batches from its worker processes into the training's process."""

    known: dict[int, "Transport"] = {}  # noqa: RUF012 - one registry for all processes forked from here
    _tokens = itertools.count()

    def __init__(self, sequence: Any, context: ProbeContext) -> None:
        self.work = _site_of(sequence)
        self.context = context
        self.fetches = HandFetches(context, describe_sequence(sequence))
        self.token = next(self._tokens)
        self.ready_ns: deque[int] = deque(maxlen=MOST_READY)
        self._main_pid = context.recorder.pid
        self._last_ns = 0
        self._number: int | None = None
        self._restarts = 0
        self.known[self.token] = self

    def pickled(self) -> Arrival | None:
        """The sequence itself is pickled: for a worker process it is observed where it arrives."""
        starting: Any = sys.modules.get("multiprocessing.context")
        if not self.context.on or starting is None or starting.get_spawning_popen() is None:
            return None
        recorder = self.context.recorder
        folder = recorder.folder_for_workers()
        if folder is None:
            recorder.warn(
                f"{self.work.name} ran in worker processes that were not forked; what they do is seen "
                "only where the run can be written to a folder."
            )
            return None
        return Arrival(folder, self.token)

    def deliver(
        self, recorder: Recorder, batch: Any, begun: Begun, end_ns: int, index: Any, asker: str
    ) -> Any:
        """A batch was made, in the training's process or in one forked from it."""
        if recorder.pid != self._main_pid:
            return Parcel.wrap(batch, self.token, begun[-1], asker)
        self.ready_ns.append(end_ns)
        outer_ns, start_ns = begun[0], begun[-1]
        if self.context.on and outer_ns == OUTSIDE:  # not a part of another batch
            if index == 0:
                self.fetches.exhausted(start_ns)
            self.fetches.fetched(batch, start_ns, end_ns)
        return batch

    def began(self, start_ns: int, end_ns: int) -> int:
        """A pass has given its first batch: the pool of workers was made for it."""
        loop = self.context.loops.current
        if loop is not None and 0 < loop.epoch_began_ns < start_ns and loop.step:
            start_ns = loop.epoch_began_ns
        self._record_restart(1, start_ns, end_ns)
        return start_ns

    def ended(self) -> None:
        """A pass is over, and Keras has taken its pool of workers down, if it had one."""
        now = now_ns()
        loop = self.context.loops.current
        if (
            not self._restarts
            or not self.context.on
            or not self.context.in_framework
            or loop is None
        ):
            return
        # Keras 2 takes it down after the epoch's callbacks, Keras 3 before.
        start_ns = min(max(loop.ended_ns, loop.called_ns), now)
        self._record_restart(0, start_ns, now)
        loop.pool_ended(start_ns, now)

    def _record_restart(self, calls: int, start_ns: int, end_ns: int) -> None:
        recorder = self.context.recorder
        if not self._restarts:
            facts = StageFacts(
                name=StageKind.EPOCH_START.value,
                kind=StageKind.EPOCH_START,
                function=self.work.name,
                workers=self.work.workers,
                remark="workers ended and started anew",
            )
            self._restarts = code(Kind.WORK, recorder.names.number(facts))
        recorder.lane().write(self._restarts, start_ns, end_ns, calls, end_ns - start_ns)

    def arrived(self, recorder: Recorder, batch: Any, sent_ns: int) -> None:
        """Records how long a batch was on its way, from the time on when the batch before it had come."""
        now = now_ns()
        self.ready_ns.append(now)
        number = self._take_number(recorder)
        start_ns = min(max(sent_ns, self._last_ns), now)
        self._last_ns = now
        lane = recorder.lane()
        lane.write(code(Kind.ROOT_SPAN, number), start_ns, now, 0, NOT_READ)
        shape = self.fetches.note(batch)
        if shape is not None:
            lane.write(code(Kind.BYTES, number), now, now, 0, shape.size_bytes)

    def _take_number(self, recorder: Recorder) -> int:
        if self._number is None:
            facts = StageFacts(
                name="transport",
                kind=StageKind.TRANSPORT,
                function=self.work.name,
                remark="pickling, pipe and unpickling between worker processes and training",
            )
            self._number = recorder.names.number(facts)
            recorder.names.number(replace(self.work.facts(), parent=self._number))
        return self._number


def _site_of(sequence: Any) -> StageSite:
    original: Any = original_class(sequence)
    name = f"{original.__name__}.__getitem__"
    site = site_of_function(original.__getitem__, StageKind.SEQUENCE, name)
    workers = getattr(sequence, "workers", None)
    site.workers = max(workers, 1) if isinstance(workers, int) else 1
    return site
