"""The stages of a dataset that a distribution strategy hands to its devices.

tf.data counts nothing of them in a model that can be read. Short traces show what an element costs at each
stage, and the model of the iterator before the first device how many elements were taken: their product is
recorded, as an estimate.
"""

from collections.abc import Callable, Iterator
from typing import Any

from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.probes.tfdata.in_graphs.graph_snapshots import ROOT, snapshot_of
from pipeprof.capture.probes.tfdata.running.model_snapshots import ModelSnapshot
from pipeprof.capture.probes.tfdata.running.running_stages import IteratorStages, PipelineStages
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.xspace.graph_iterators import GraphIterators

# Traces whose costs are joined.
MOST_TRACES = 2
# So many readings wait for the first trace; without one by then only the whole pipeline is recorded.
MOST_WAITING = 300


def users_dataset(distributed: Any) -> Any:
    """The dataset that the user gave to a strategy, or its function made, or None where that is not known.

    Args:
        distributed: what ``experimental_distribute_dataset`` or ``distribute_datasets_from_function``
            returned.
    """
    original = getattr(distributed, "_original_dataset", None)
    if original is not None:
        return original
    made = getattr(distributed, "_datasets", None) or getattr(distributed, "_cloned_datasets", None)
    return made[0] if made else None


def per_device_iterators(distributed: Any) -> Iterator[tuple[Any, int]]:
    """The iterators that hand elements to devices, each with how many share its source.

    Args:
        distributed: an iterator; one that is not of a distributed dataset has none.
    """
    for worker in getattr(distributed, "_iterators", ()):
        of_worker = getattr(worker, "_iterator", None)
        of_devices = getattr(of_worker, "_device_iterators", ())
        for of_device in of_devices:
            yield of_device, len(of_devices)


@dataclass(frozen=True, slots=True)
class _Reading:
    of_device: IteratorStages
    snapshot: ModelSnapshot
    elements: int
    python_ns: int
    start_ns: int
    end_ns: int
    began_ns: int | None


class DistributedPipeline:
    """The user's pipeline behind a strategy, as one kind of loop uses it.

    Args:
        stages: those of the user's dataset.
        devices: how many devices of this process take its elements in turns.
        unknown: is called when it turns out that no trace shows what the stages cost.
    """

    def __init__(self, stages: PipelineStages, devices: int, unknown: Callable[[], None]) -> None:
        self._stages = stages
        self._devices = devices
        self._unknown = unknown
        self._waiting: list[_Reading] = []
        self._traced: GraphIterators | None = None
        self._python_ns = 0
        self._given_up = False
        self._traces = 0
        self._planned_for: OpenLoop | None = None

    @property
    def wants_traces(self) -> bool:
        """Whether another trace shows more of it."""
        return self._traces < MOST_TRACES and not self._given_up

    def plan_for(self, loop: OpenLoop) -> bool:
        """Whether windows are to be planned on a loop; true once for successive calls with it."""
        planned, self._planned_for = self._planned_for, loop
        return planned is not loop and self.wants_traces

    def add_trace(self, traced: GraphIterators, python_ns: int) -> None:
        """Adds what a trace shows.

        Args:
            traced: the trace.
            python_ns: time in generators during it, which have stages of their own.
        """
        if self._given_up or _top(traced) is None:
            return
        self._traces += 1
        self._traced = traced if self._traced is None else self._traced.plus(traced)
        self._python_ns += python_ns
        waiting, self._waiting = self._waiting, []
        for reading in waiting:
            self.took(reading)

    def took(self, reading: _Reading) -> None:
        """An iterator of it gave elements to the first device."""
        if self._given_up:
            self._record_whole(reading)
        elif self._traced is not None:
            self._record(self._traced, reading)
        else:
            self._waiting.append(reading)
            if len(self._waiting) > MOST_WAITING:
                self.give_up()

    def give_up(self) -> None:
        """No trace shows what its stages cost: the pipeline is recorded as a whole."""
        if self._given_up or self._traced is not None:
            return
        self._given_up = True
        waiting, self._waiting = self._waiting, []
        for reading in waiting:
            self._record_whole(reading)
        if waiting:
            self._unknown()

    def _record(self, traced: GraphIterators, reading: _Reading) -> None:
        top = _top(traced)
        assert top is not None
        scale = reading.elements * self._devices / traced.places[top].elements
        snapshot = snapshot_of(traced, top, scale)
        IteratorStages(self._stages).record(
            snapshot,
            round(self._python_ns * scale),
            reading.start_ns,
            reading.end_ns,
            estimated=True,
        )

    def _record_whole(self, reading: _Reading) -> None:
        reading.of_device.record(
            reading.snapshot,
            reading.python_ns,
            reading.start_ns,
            reading.end_ns,
            reading.began_ns,
        )


class DistributedStages:
    """Records the work behind one iterator before the first device, as `IteratorStages` does for others.

    Args:
        pipeline: what that iterator takes its elements from.
        of_device: records them as one stage, where nothing is known of what they are made by.
    """

    def __init__(self, pipeline: DistributedPipeline, of_device: IteratorStages) -> None:
        self._pipeline = pipeline
        self._of_device = of_device
        self._elements = 0

    def record(
        self,
        snapshot: ModelSnapshot,
        python_ns: int,
        start_ns: int,
        end_ns: int,
        began_ns: int | None = None,
    ) -> None:
        """Records what was done since the reading before; arguments as in `IteratorStages.record`."""
        elements = snapshot.nodes[snapshot.output].num_elements
        new, self._elements = elements - self._elements, elements
        self._pipeline.took(
            _Reading(self._of_device, snapshot, new, python_ns, start_ns, end_ns, began_ns)
        )


def _top(traced: GraphIterators) -> tuple[str, ...] | None:
    """The place that hands elements to the devices, or None where none did."""
    tops = (path for path in traced.places if len(path) == 2 and path[0] == ROOT)
    return next((path for path in tops if traced.places[path].elements), None)
