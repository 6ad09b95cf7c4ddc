"""`keras.utils.PyDataset` and ``Sequence``: the work of ``__getitem__`` wherever it runs.

The object the user made stays the one that Keras gets. While a profile is on its class is a subclass
that times ``__getitem__``: in the main process, in worker threads, and in worker processes, whose
batches also tell how long their way to the training took. It knows no framework; the objects are
recognised elsewhere.
"""

import itertools
from collections.abc import Callable
from typing import Any, cast

from pipeprof import recorder as recording
from pipeprof.clock import now_ns
from pipeprof.probes.loops import describe_input
from pipeprof.probes.stages import StageSite, site_of_function
from pipeprof.probes.watch import Watch
from pipeprof.recorder import Recorder
from pipeprof.recording import InputKind, StageKind
from pipeprof.records import NOT_READ, Kind, code

_ORIGINAL = "_pipeprof_original"


def describe_sequence(sequence: Any) -> dict[str, Any]:
    """What is recorded of it as an input."""
    workers = getattr(sequence, "workers", None)
    processes = getattr(sequence, "use_multiprocessing", None)
    queue_size = getattr(sequence, "max_queue_size", None)
    return describe_input(
        InputKind.SEQUENCE,
        original_class(sequence).__name__,
        workers=workers if isinstance(workers, int) else None,
        multiprocessing=processes if isinstance(processes, bool) else None,
        queue_size=queue_size if isinstance(queue_size, int) else None,
    )


def original_class(sequence: Any) -> type:
    """The user's class, also while the object is being watched."""
    original: type = getattr(type(sequence), _ORIGINAL, type(sequence))
    return original


def watch_sequence(sequence: Any, watch: Watch) -> Callable[[], None]:
    """Times ``sequence[i]`` from now on.

    Returns:
        Gives the object its own class back.

    Raises:
        TypeError: the class's layout does not allow it (some classes with ``__slots__``).
    """
    original = type(sequence)
    if hasattr(original, _ORIGINAL):
        return lambda: None
    workers = getattr(sequence, "workers", None)
    sequence.__class__ = _timed_class(original, watch, workers if isinstance(workers, int) else 1)

    def release() -> None:
        if type(sequence) is not original:
            sequence.__class__ = original

    return release


def _timed_class(original: type, watch: Watch, workers: int) -> type:
    get = cast(Any, original).__getitem__
    name = f"{original.__name__}.__getitem__"
    site = site_of_function(get, StageKind.SEQUENCE, name)
    site.workers = max(workers, 1)
    main_pid = watch.recorder.pid
    transport = Transport(name, site, watch)

    def __getitem__(self: Any, index: Any) -> Any:  # noqa: N807 - it is the method of that name
        recorder = recording.current
        if recorder is None:
            return get(self, index)
        lane = recorder.lane()
        begun = site.begin(lane)
        try:
            batch = get(self, index)
        finally:
            site.finish(recorder, lane, begun)
        if recorder.pid != main_pid:
            return Parcel(batch, transport.token)
        watch.sight.note(batch)
        return batch

    def __reduce_ex__(self: Any, protocol: Any) -> Any:  # noqa: N807 - it is the method of that name
        timed = type(self)
        self.__class__ = original
        try:
            return self.__reduce_ex__(protocol)
        finally:
            self.__class__ = timed

    members = {
        "__getitem__": __getitem__,
        "__reduce_ex__": __reduce_ex__,
        "__module__": original.__module__,
        "__qualname__": original.__qualname__,
        "__doc__": original.__doc__,
        _ORIGINAL: original,
    }
    return type(original.__name__, (original,), members)


class Parcel:
    """A batch on its way out of a worker process: unpickles as the plain batch.

    ``__reduce__`` is called as pickling begins and `open_parcel` when the payload has been
    unpickled, so the time between is that of the transport. The batch is not copied once more.
    """

    __slots__ = ("_batch", "_token")

    def __init__(self, batch: Any, token: int) -> None:
        self._batch = batch
        self._token = token

    def __reduce__(self) -> Any:
        return open_parcel, (self._batch, self._token, now_ns())

    def __repr__(self) -> str:
        return repr(self._batch)


def open_parcel(batch: Any, token: int, sent_ns: int) -> Any:
    """Unpickles a `Parcel`: records its way and gives the batch that was in it."""
    transport = Transport.known.get(token)
    recorder = recording.current
    if transport is not None and recorder is not None:
        transport.arrived(recorder, batch, sent_ns)
    return batch


class Transport:
    """The way of a sequence's batches from its worker processes into the training's process."""

    known: dict[int, "Transport"] = {}  # noqa: RUF012 - one registry for all processes forked from here
    _tokens = itertools.count()

    def __init__(self, name: str, work: StageSite, watch: Watch) -> None:
        self.token = next(self._tokens)
        self._name = name
        self._work = work
        self._watch = watch
        self._last_ns = 0
        self._numbers: dict[Recorder, int] = {}
        self.known[self.token] = self

    def arrived(self, recorder: Recorder, batch: Any, sent_ns: int) -> None:
        """Records the way of one batch, as far as it was not the way of the batch before."""
        now = now_ns()
        number = self._number(recorder)
        start_ns = min(max(sent_ns, self._last_ns), now)
        self._last_ns = now
        lane = recorder.lane()
        lane.write(code(Kind.ROOT_SPAN, number), start_ns, now, 0, NOT_READ)
        shape = self._watch.sight.note(batch)
        if shape is not None:
            lane.write(code(Kind.BYTES, number), now, now, 0, shape.size_bytes)

    def _number(self, recorder: Recorder) -> int:
        number = self._numbers.get(recorder)
        if number is None:
            facts = {
                "type": "stage",
                "name": "transport",
                "kind": StageKind.TRANSPORT.value,
                "function": self._name,
                "remark": "pickling, pipe and unpickling between worker processes and training",
            }
            number = self._numbers[recorder] = recorder.names.number(facts)
            recorder.names.number({**self._work.facts(), "parent": number})
        return number
