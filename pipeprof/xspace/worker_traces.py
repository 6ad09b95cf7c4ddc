"""What the pipelines of a tf.data service's worker did during a trace of that worker.

A worker runs a pipeline for each of its tasks. The events of a pipeline's iterators are named by their
place in it, and each has the number of the iterator above it, so that equal pipelines are not mixed up.
"""

from collections import defaultdict
from typing import Any

from google.protobuf.message import DecodeError

from pipeprof.errors import RunDamaged
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.xspace.graph_iterators import IteratorPath, IteratorReader, TracedIterator
from pipeprof.xspace.packed_space import HOST_PLANE, PackedPlane, PackedSpace

_PREFIX = "Iterator::"
_ROOT = "Root"
_ENVIRONMENT = "Task Environment"

# A pipeline with this iterator takes its elements from a service: it is no worker's.
_SERVICE = "DataService"

# From so many calls on, the time from the first to the last of them stands for the whole.
_ENOUGH_CALLS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPipeline:
    """One task of a worker.

    Attributes:
        places: what was done at each place, by the names from the output down.
        asked_ratio: the part of the time in which the service waited for the pipeline's next element; the
            rest of the time it had enough of them.
        parallelism: how many calls may run at once, by place; a place without it makes one at a time.
        autotuned: places whose parallelism AUTOTUNE chooses.
        labels: what tf.data calls what runs at a place: the user's name for it, or one of its own.
    """

    places: dict[IteratorPath, TracedIterator]
    asked_ratio: float
    parallelism: dict[IteratorPath, int]
    autotuned: frozenset[IteratorPath]
    labels: dict[IteratorPath, str]

    @property
    def elements(self) -> int:
        """How many elements it gave."""
        return self.places[(_ROOT,)].elements if (_ROOT,) in self.places else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerTrace:
    """What was read of a trace.

    Attributes:
        lasted_ns: how long the trace lasted.
        cores: processors that the worker's AUTOTUNE counts on, or None where no event has it.
        pipelines: its tasks, the one with the most elements first.
    """

    lasted_ns: int
    cores: int | None
    pipelines: tuple[WorkerPipeline, ...]


def read_worker_trace(data: bytes) -> WorkerTrace:
    """Reads a serialised XSpace that a worker sent.

    Raises:
        RunDamaged: it is no XSpace, or cut short.
    """
    try:
        planes = PackedSpace(data).planes
        host = next((plane for plane in planes if plane.name == HOST_PLANE), None)
        reader = _WorkerReader(host)
        lasted_ns = _lasted_ns(planes) or reader.lasted_ns
        return WorkerTrace(
            lasted_ns=lasted_ns, cores=reader.cores, pipelines=reader.pipelines(lasted_ns)
        )
    except (DecodeError, IndexError, ValueError) as error:
        raise RunDamaged(f"expected a whole trace (XSpace) from a worker: {error}") from error


def _lasted_ns(planes: list[PackedPlane]) -> int:
    for plane in planes:
        if plane.name == _ENVIRONMENT:
            values = plane.own_stats()
            start, stop = values.get("profile_start_time"), values.get("profile_stop_time")
            if start and stop and stop > start:
                return stop - start
    return 0


class _WorkerReader(IteratorReader):
    """Reads the iterators of a worker's trace, each pipeline by itself.

    Args:
        host: the plane with the threads of the worker, or None where the trace has none.
    """

    def __init__(self, host: PackedPlane | None) -> None:
        super().__init__(_PREFIX)
        self.cores: int | None = None
        self.lasted_ns = 0
        self._above: dict[int, int] = {}
        self._parallelism: dict[IteratorPath, int] = {}
        self._autotuned: set[IteratorPath] = set()
        self._labels: dict[IteratorPath, str] = {}
        if host is None:
            return
        self._names = host.kind_names
        self._stats = host.stat_names
        ids = host.stats("id")
        for line in host.lines(lambda _: True):
            self._note_parents(line)
        for line in host.lines(lambda _: True):
            self.read_line(line, self._names, ids)
        self.add_work_of_calls()

    def _note_parents(self, line: Any) -> None:
        for event in line.events:
            end_ns = (event.offset_ps + event.duration_ps) // 1000
            self.lasted_ns = max(self.lasted_ns, end_ns)
            if self._names.get(event.metadata_id, "").startswith(_PREFIX):
                values = self._values(event)
                if "id" in values and "parent_id" in values:
                    self._above[values["id"]] = values["parent_id"]

    def _values(self, event: Any) -> dict[str, int]:
        """The whole numbers among the stats of an event; of texts ``true`` is 1, all others 0."""
        found = {}
        for stat in event.stats:
            name = self._stats.get(stat.metadata_id, "")
            text = stat.str_value or self._stats.get(stat.ref_value, "")
            found[name] = int(stat.int64_value or stat.uint64_value or (text == "true"))
        return found

    def _text(self, event: Any, name: str) -> str:
        """The text of a stat of an event, empty without it."""
        for stat in event.stats:
            if self._stats.get(stat.metadata_id) == name:
                return stat.str_value or self._stats.get(stat.ref_value, "")
        return ""

    def path_of(self, event: Any, name: str) -> IteratorPath:
        """The place, below the number of its pipeline."""
        values = self._values(event)
        top = values.get("id", 0)
        for _ in range(len(self._above) + 1):
            if top not in self._above:
                break
            top = self._above[top]
        path = (str(top), *super().path_of(event, name))
        if path not in self._labels:
            self._labels[path] = self._text(event, "name")
        if values.get("parallelism"):
            self._parallelism[path] = values["parallelism"]
            if values.get("autotune"):
                self._autotuned.add(path)
        if values.get("cpu_budget"):
            self.cores = values["cpu_budget"]
        return path

    def pipelines(self, lasted_ns: int) -> tuple[WorkerPipeline, ...]:
        """What was read, a pipeline each."""
        by_top: dict[str, dict[IteratorPath, TracedIterator]] = defaultdict(dict)
        for (top, *path), place in self.places.items():
            by_top[top][tuple(path)] = place
        found = [
            WorkerPipeline(
                places=places,
                asked_ratio=_asked_ratio(places, lasted_ns),
                parallelism={
                    tuple(path): number
                    for (of, *path), number in self._parallelism.items()
                    if of == top
                },
                autotuned=frozenset(tuple(path) for of, *path in self._autotuned if of == top),
                labels={
                    tuple(path): label for (of, *path), label in self._labels.items() if of == top
                },
            )
            for top, places in by_top.items()
            if not any(part.startswith(_SERVICE) for path in places for part in path)
        ]
        return tuple(sorted(found, key=lambda pipeline: -pipeline.elements))


def _asked_ratio(places: dict[IteratorPath, TracedIterator], lasted_ns: int) -> float:
    spans = places[(_ROOT,)].spans if (_ROOT,) in places else []
    if len(spans) >= _ENOUGH_CALLS:
        # Calls that had begun before the trace, or ended after it, are not in it.
        lasted_ns = max(end for _, end in spans) - min(start for start, _ in spans)
    asked_ns = sum(end - start for start, end in spans)
    return min(asked_ns / lasted_ns, 1.0) if lasted_ns > 0 else 0.0
