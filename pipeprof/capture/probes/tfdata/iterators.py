"""An iterator of a tf.data pipeline, held weakly, and how far its model has been read."""

import itertools
import weakref
from typing import Any

from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.probes.tfdata.in_graphs.distributed_stages import DistributedStages
from pipeprof.capture.probes.tfdata.running.model_snapshots import ModelSnapshot
from pipeprof.capture.probes.tfdata.running.running_stages import IteratorStages
from pipeprof.capture.probes.tfdata.service.service_follower import ServiceFollower
from pipeprof.clock import now_ns

# An `id` may be that of a dataset that is gone: numbers are never used again.
_numbers: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
_next_number = itertools.count(1)


def _number_of(dataset: Any) -> int:
    number = _numbers.get(dataset)
    if number is None:
        number = _numbers[dataset] = next(_next_number)
    return number


# The work of nodes that vanish from the model is lost with them, and estimated. So a young iterator, whose
# passes may be short, is read more often: some six times while its age doubles.
_LONGEST_REST_NS = 200_000_000
_SHORTEST_REST_NS = 10_000_000
_READINGS_AN_AGE = 8


def rest_between_readings(age_ns: int) -> int:
    """The time until the next reading of an iterator of some age."""
    return min(max(age_ns // _READINGS_AN_AGE, _SHORTEST_REST_NS), _LONGEST_REST_NS)


class TrackedIterator:
    """An iterator, held weakly, and how far it has been read."""

    def __init__(self, dataset: Any, iterator: Any, loop: OpenLoop | None) -> None:
        self.iterator = weakref.ref(iterator)
        self.dataset = weakref.ref(dataset)
        self.source = _number_of(dataset)
        self.name = type(dataset).__name__.strip("_")
        self.loop = loop
        # Without autotune there is none; to ask all the same makes TensorFlow write a warning.
        self.has_model: bool | None = None if _autotunes(dataset) else False
        self.snapshot: ModelSnapshot | None = None
        self.stages: IteratorStages | DistributedStages | None = None
        # What it takes from services, if from any.
        self.services: ServiceFollower | None = None
        # Where it feeds a device for a strategy: what the user gave to that, and to how many devices.
        self.behind: weakref.ref[Any] | None = None
        self.devices = 1
        # Where it is a strategy's: those that feed its devices.
        self.feeding: tuple[TrackedIterator, ...] = ()
        # The latest reading while its first batch was still to come, and when.
        self.early: tuple[ModelSnapshot, int] | None = None
        self.first_was_ready = False
        # The epoch whose first batch was not there yet, and when that was last seen.
        self.not_ready: tuple[int, int] | None = None
        self.elements = 0
        self.new_elements = 0
        # What all stages together worked between the latest two readings, where those lie far apart.
        self.new_work_ns = 0
        self.taken = 0
        self.taken_in_python = False
        self.elsewhere = False
        self.made_ns = self.read_ns = now_ns()

    @property
    def awaits_first(self) -> bool:
        """Whether nothing was read of it since its first batch, and it can be read."""
        return self.snapshot is None and self.has_model is not False

    def is_gone(self) -> bool:
        """Whether nobody holds it any more."""
        return self.iterator() is None

    def is_due(self, now: int) -> bool:
        """Whether it is time for another reading."""
        return now - self.read_ns >= rest_between_readings(now - self.made_ns)

    def place(self) -> str:
        """What distinguishes its stages from those of a like pipeline that feeds another kind of loop."""
        return self.loop.kind.value if self.loop is not None else "custom"


def _autotunes(dataset: Any) -> bool:
    options = getattr(dataset, "options", None)
    return options is None or options().autotune.enabled is not False


class IteratorRegistry:
    """The iterators that were made while the profile was on and are still there."""

    def __init__(self) -> None:
        self._tracked: list[TrackedIterator] = []

    def add(self, tracked: TrackedIterator) -> None:
        """Adds one, and forgets those that are gone."""
        self._tracked = [*self.alive(), tracked]

    def find(self, iterator: Any) -> TrackedIterator | None:
        """What is known of an iterator, or None where it was not seen being made."""
        return next((t for t in self._tracked if t.iterator() is iterator), None)

    def alive(self) -> list[TrackedIterator]:
        """The iterators that still exist, oldest first."""
        return [t for t in self._tracked if t.iterator() is not None]

    def clear(self) -> None:
        """Forgets all, at the end of the profile."""
        self._tracked = []
