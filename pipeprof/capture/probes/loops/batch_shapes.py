"""The shapes, samples and bytes of batches.

Only shapes and types of the arrays are read, so the cost does not grow with the data.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from pipeprof.capture.guard import Guard
from pipeprof.capture.probes.loops.new_shapes import NewShapes
from pipeprof.capture.probes.loops.shape_changes import shapes_of
from pipeprof.capture.recorder.facts import SignatureFacts
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind, code
from pipeprof.clock import now_ns
from pipeprof.recording.light_dataclasses import dataclass

_WITHOUT_ARRAYS = (int, float, str, bytes, bool, type(None))


@dataclass(frozen=True, slots=True)
class BatchShape:
    """The shapes of a batch, as one record names them.

    Attributes:
        number: its number in the recorder's names.
        samples: length of the first array's first axis, or None without one.
        size_bytes: bytes of all arrays together, 0 where a shape is not known.
    """

    number: int
    samples: int | None
    size_bytes: int


# Looks at a batch.
_Look: TypeAlias = "Callable[[Any], BatchShape | None]"


class BatchInspector:
    """Reads the shapes of batches and records each new combination of shapes once.

    Attributes:
        new_shapes: those of training batches that no step is known to have taken.
    """

    MOST_SHAPES = 256

    def __init__(self, recorder: Recorder) -> None:
        self.new_shapes = NewShapes()
        self._recorder = recorder
        self._known: dict[tuple[Any, ...], BatchShape] = {}
        self._guard = Guard(  # a user's own kind of batch may raise anything when it is looked at
            recorder.warn,
            "The shapes of batches could not be read",
            "samples and bytes are missing",
        )

    def note(self, batch: Any, *, validation: bool = False) -> BatchShape | None:
        """The shape of a batch, which is recorded as delivered; None when it has no arrays."""
        shape = self.look(batch, validation=validation)
        if not validation:
            self.new_shapes.made += 1
        if shape is not None and shape.number:
            now = now_ns()
            self._recorder.lane().write(code(Kind.BATCH, shape.number), now, now, 0, 0)
        return shape

    def look(self, batch: Any, *, validation: bool = False) -> BatchShape | None:
        """The shape of a batch; None when it has no arrays.

        Args:
            batch: what was taken.
            validation: whether it was taken for an evaluation and not for training.
        """
        return self._guard.run(self._look, batch, validation)

    def look_like(self, batch: Any) -> _Look:
        """A `look` that is quick for training batches that are built like this one."""
        shape, kind, look = self.look(batch), type(batch), self.look
        if kind in _WITHOUT_ARRAYS:
            return lambda other: None if type(other) is kind else look(other)
        if kind is np.ndarray:
            return _look_at_array(batch, shape, look)
        if kind in (tuple, list) and all(type(part) is np.ndarray for part in batch):
            return _look_at_arrays(batch, shape, look)
        return look

    def _look(self, batch: Any, validation: bool) -> BatchShape | None:
        leaves = leaves_of(batch)
        if not leaves:
            return None
        key = (validation, *leaves)
        shape = self._known.get(key)
        if shape is None:
            if len(self._known) >= self.MOST_SHAPES or not _has_known_size(leaves):
                return self._measure(0, leaves)
            shape = self._known[key] = self._name(leaves, validation)
            if not validation:
                self.new_shapes.came(shapes_of(leaves))
        return shape

    def _name(self, leaves: list[tuple[Any, Any]], validation: bool) -> BatchShape:
        unnamed = self._measure(0, leaves)
        facts = SignatureFacts(
            dtypes=tuple(_dtype_name(dtype) for dtype, _ in leaves),
            shapes=tuple(tuple(int(n) for n in shape) for _, shape in leaves),
            samples=unnamed.samples,
            size_bytes=unnamed.size_bytes,
            validation=validation,
        )
        return self._measure(self._recorder.names.number(facts), leaves)

    @staticmethod
    def _measure(number: int, leaves: list[tuple[Any, Any]]) -> BatchShape:
        size = 0
        if _has_known_size(leaves):
            size = int(sum(math.prod(shape) * _item_bytes(dtype) for dtype, shape in leaves))
        first = leaves[0][1]
        samples = int(first[0]) if first and first[0] is not None else None
        return BatchShape(number, samples, size)


def _look_at_array(array: Any, shape: BatchShape | None, look: _Look) -> _Look:
    its_shape, its_type = array.shape, array.dtype

    def quick(other: Any) -> BatchShape | None:
        if type(other) is np.ndarray and other.shape == its_shape and other.dtype is its_type:
            return shape
        return look(other)

    return quick


def _look_at_arrays(arrays: Any, shape: BatchShape | None, look: _Look) -> _Look:
    kind, count = type(arrays), len(arrays)
    shapes = [part.shape for part in arrays]
    types = [part.dtype for part in arrays]

    def quick(other: Any) -> BatchShape | None:
        if type(other) is not kind or len(other) != count:
            return look(other)
        for part, its_shape, its_type in zip(other, shapes, types, strict=True):
            if type(part) is not np.ndarray or part.shape != its_shape:
                return look(other)
            if part.dtype is not its_type:
                return look(other)
        return shape

    return quick


def _has_known_size(leaves: list[tuple[Any, Any]]) -> bool:
    # A ragged tensor has axes whose length differs from row to row.
    return all(length is not None for _, shape in leaves for length in shape)


def count_samples(data: Any) -> int | None:
    """Length of the first axis of the first array in some data, or None without one."""
    try:
        return int(leaves_of(data)[0][1][0])
    except Exception:
        return None


def size_of(data: Any) -> int:
    """Bytes of all arrays in some data, 0 where a shape is not known."""
    try:
        return int(sum(math.prod(shape) * _item_bytes(dtype) for dtype, shape in leaves_of(data)))
    except Exception:
        return 0


def leaves_of(batch: Any) -> list[tuple[Any, Any]]:
    """Type and shape of each array in a batch, whatever it is made of.

    Raises:
        Exception: a user's own kind of batch may raise anything.
    """
    leaves: list[tuple[Any, Any]] = []
    _gather(batch, leaves)
    return leaves


def _gather(batch: Any, leaves: list[tuple[Any, Any]]) -> None:
    if type(batch) is np.ndarray:  # far the most frequent, and a mapping's check is slow
        leaves.append((batch.dtype, batch.shape))
    elif isinstance(batch, (tuple, list)):
        for part in batch:
            _gather(part, leaves)
    elif isinstance(batch, Mapping):
        for part in batch.values():
            _gather(part, leaves)
    else:
        shape = getattr(batch, "shape", None)
        dtype = getattr(batch, "dtype", None)
        if shape is not None and dtype is not None:
            leaves.append((dtype, tuple(shape)))


def _dtype_name(dtype: Any) -> str:
    return str(getattr(dtype, "name", dtype))


def _item_bytes(dtype: Any) -> int:
    size = getattr(dtype, "itemsize", None) or getattr(dtype, "size", None)
    return size if isinstance(size, int) else 0
