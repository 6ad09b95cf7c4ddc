"""What iterators of tf.data without a model did during a trace of TensorFlow's profiler.

TensorFlow keeps no model that could be read of those that a graph makes (``for x in dataset`` inside a
``tf.function``), and of the one behind the devices of a distribution strategy. Their events in a trace are
named by their place: ``ReduceIterator::Root::Prefetch::Scan::Map``.
"""

import re
from collections import defaultdict
from dataclasses import field
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from pipeprof.errors import RunDamaged
from pipeprof.recording.intervals import in_order
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.series import IntArray
from pipeprof.xspace.packed_space import HOST_PLANE, PackedPlane, PackedSpace
from pipeprof.xspace.trace_reader import ANCHOR

IteratorPath = tuple[str, ...]

_OF_GRAPHS = "ReduceIterator::"
_OF_STRATEGIES = "Iterator::"
# The threads of the iterator that several devices take elements from; others have iterators of their own.
_DISTRIBUTING = "tf_data_multi_device_iterator"
_PRODUCE = re.compile(r"(?:ParallelMap|MapAndBatch|ParallelInterleave\w*)Produce$")
_RUN = re.compile(r"InstantiatedCapturedFunction::RunAsync")
_WORK = "ExecutorState::Process"
# Their threads only hand on what others have made: to wait for that is no work.
_WAITING = re.compile(r"Prefetch|Parallel|MapAndBatch|Root")


@dataclass(slots=True)
class TracedIterator:
    """One place in a pipeline, all its events together.

    Attributes:
        elements: how many it gave.
        work_ns: its own work.
        spans: rows of begin and end of the times when it was asked for an element.
    """

    elements: int = 0
    work_ns: int = 0
    spans: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphIterators:
    """What was read of a trace; its times are on its own clock.

    Attributes:
        places: what was done at each place of a pipeline, by the names from the output down. Inputs that
            a stage opens for its elements have an index: ``FlatMap[]``.
        anchors: rows of begin and end of the events named `ANCHOR`.
    """

    places: dict[IteratorPath, TracedIterator]
    anchors: IntArray

    def asked(self, path: IteratorPath) -> IntArray:
        """When a place was asked for an element, rows of begin and end."""
        spans = self.places[path].spans if path in self.places else []
        return in_order(np.array(spans, np.int64).reshape(-1, 2))

    def plus(self, other: "GraphIterators") -> "GraphIterators":
        """Elements and work of both traces together; times stay those of this one."""
        places = dict(self.places)
        for path, more in other.places.items():
            known = places.get(path, TracedIterator())
            places[path] = TracedIterator(
                elements=known.elements + more.elements,
                work_ns=known.work_ns + more.work_ns,
                spans=known.spans,
            )
        return GraphIterators(places=places, anchors=self.anchors)


def read_graph_iterators(path: Path) -> GraphIterators:
    """Reads what the iterators that graphs make did, from an XSpace file.

    Raises:
        RunDamaged: it is no XSpace, or cut short.
        OSError: it cannot be read.
    """
    return _read_file(path, IteratorReader(_OF_GRAPHS))


def read_distributed_iterators(path: Path) -> GraphIterators:
    """Reads what the iterators behind the devices of a strategy did, from an XSpace file.

    Raises:
        RunDamaged: it is no XSpace, or cut short.
        OSError: it cannot be read.
    """
    return _read_file(path, IteratorReader(_OF_STRATEGIES, threads=_DISTRIBUTING))


def _read_file(path: Path, reader: "IteratorReader") -> GraphIterators:
    try:
        planes = PackedSpace(path.read_bytes()).planes
        host = next((plane for plane in planes if plane.name == HOST_PLANE), None)
        return _read(host, reader)
    except (DecodeError, IndexError, ValueError) as error:
        raise RunDamaged(f"expected a whole trace (XSpace) in {path}: {error}") from error


def _read(host: PackedPlane | None, reader: "IteratorReader") -> GraphIterators:
    if host is not None:
        names = host.kind_names
        ids = host.stats("id")
        for line in host.lines(lambda _: True):
            reader.read_line(line, names, ids)
    reader.add_work_of_calls()
    return GraphIterators(
        places=dict(reader.places),
        anchors=np.array(reader.anchors, np.int64).reshape(-1, 2),
    )


@dataclass(slots=True)
class _Open:
    """An event that others lie in: its end, the place that it belongs to, and the time of its children."""

    start_ns: int
    end_ns: int
    name: str
    path: IteratorPath | None
    inside_ns: int = 0


class IteratorReader:
    """Reads the threads of a trace.

    Args:
        prefix: how the names of the iterators' events begin.
        threads: how the names of the threads begin that have such events.
    """

    def __init__(self, prefix: str, threads: str = "") -> None:
        self._prefix = prefix
        self._threads = threads
        self.places: defaultdict[IteratorPath, TracedIterator] = defaultdict(TracedIterator)
        self.anchors: list[tuple[int, int]] = []
        self._place_of_call: dict[int, IteratorPath] = {}
        self._work_of_call: defaultdict[int, int] = defaultdict(int)

    def read_line(self, line: Any, names: dict[int, str], ids: set[int]) -> None:
        """Reads the events of one thread; those that lie in one another are ordered by their times."""
        base_ns = line.timestamp_ns
        opened: list[_Open] = []
        iterates = line.name.startswith(self._threads)
        events = sorted(line.events, key=lambda event: (event.offset_ps, -event.duration_ps))
        for event in events:
            name = names.get(event.metadata_id, "")
            start_ns = base_ns + event.offset_ps // 1000
            end_ns = start_ns + event.duration_ps // 1000
            while opened and opened[-1].end_ns <= start_ns:
                self._close(opened)
            if name == ANCHOR:
                self.anchors.append((start_ns, end_ns))
            elif name == _WORK:
                self._work_of_call[_id_of(event, ids)] += end_ns - start_ns
            elif not iterates:
                continue
            elif name.startswith(self._prefix):
                path = self.path_of(event, name)
                self._note_input(opened, path)
                opened.append(_Open(start_ns, end_ns, name, path))
            elif _PRODUCE.search(name):
                opened.append(_Open(start_ns, end_ns, name, None))
            elif _RUN.match(name) and opened and opened[-1].path is not None:
                self._place_of_call[_id_of(event, ids)] = opened[-1].path
        while opened:
            self._close(opened)

    def path_of(self, event: Any, name: str) -> IteratorPath:
        """The place that the event of an iterator belongs to."""
        return tuple(re.sub(r"\[\d+\]", "[]", name).split("::")[1:])

    def _note_input(self, opened: list[_Open], path: IteratorPath) -> None:
        """The stage above an iterator is the one that asks it: that is how a thread's own is known."""
        above = path[:-1]
        for each in reversed(opened):
            if each.path is None and above:
                each.path = (*above[:-1], above[-1].removesuffix("[]"))
                return

    def _close(self, opened: list[_Open]) -> None:
        ended = opened.pop()
        length_ns = ended.end_ns - ended.start_ns
        if opened:
            opened[-1].inside_ns += length_ns
        if ended.path is None or not ended.name.startswith(self._prefix):
            return
        place = self.places[ended.path]
        place.elements += 1
        place.spans.append((ended.start_ns, ended.end_ns))
        if not _WAITING.match(ended.path[-1]):
            place.work_ns += max(length_ns - ended.inside_ns, 0)

    def add_work_of_calls(self) -> None:
        """Adds what was done in other threads, for the stages that began it."""
        for call, path in self._place_of_call.items():
            if path in self.places:
                self.places[path].work_ns += self._work_of_call.get(call, 0)


def _id_of(event: Any, ids: set[int]) -> int:
    for stat in event.stats:
        if stat.metadata_id in ids:
            return int(stat.int64_value or stat.uint64_value)
    return 0
