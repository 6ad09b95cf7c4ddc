"""An iterator of a tf.data pipeline, held weakly, and how far its model has been read."""

import itertools
import weakref
from typing import Any

from pipeprof.clock import now_ns
from pipeprof.probes.loops import OpenLoop
from pipeprof.probes.tfdata_snapshots import ModelSnapshot
from pipeprof.probes.tfdata_stages import PipelineStages

# An `id` may be that of a dataset that is gone: numbers are never used again.
_numbers: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
_next_number = itertools.count(1)


def _number_of(dataset: Any) -> int:
    number = _numbers.get(dataset)
    if number is None:
        number = _numbers[dataset] = next(_next_number)
    return number


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
        self.stages: PipelineStages | None = None
        # The latest reading while its first batch was still to come, and when.
        self.early: tuple[ModelSnapshot, int] | None = None
        self.elements = 0
        self.new_elements = 0
        self.taken = 0
        self.taken_in_python = False
        self.elsewhere = False
        self.made_ns = self.read_ns = now_ns()

    def place(self) -> str:
        """What tells its stages from those of a like pipeline that feeds another kind of loop."""
        return self.loop.kind.value if self.loop is not None else "custom"


def _autotunes(dataset: Any) -> bool:
    options = getattr(dataset, "options", None)
    return options is None or options().autotune.enabled is not False
