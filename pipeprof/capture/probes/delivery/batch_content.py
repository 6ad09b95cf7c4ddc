"""Hashes of a batch's content, for each sample and for the whole batch. Knows no framework.

XXH3 (https://github.com/Cyan4973/xxHash) hashes about as fast as memory can be read.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from pipeprof.recording.light_dataclasses import dataclass

Hashes = npt.NDArray[np.uint64]

# An odd number without a pattern in its bits (2**64 over the golden ratio).
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
# Parts of a batch lie no deeper; what contains itself has no end.
_DEEPEST = 16

_hash = xxhash.xxh3_64_intdigest


@dataclass(frozen=True, slots=True)
class BatchContent:
    """The hashes of a batch.

    Attributes:
        samples: how many samples it has, or None where its arrays have no common first axis.
        size_bytes: bytes of all arrays.
        dtypes: data type of each array.
        shapes: shape of each array.
        of_arrays: for each array the hash of each sample; of the whole array where there are no samples.
        of_samples: the hash of each sample over all arrays.
    """

    samples: int | None
    size_bytes: int
    dtypes: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    of_arrays: tuple[Hashes, ...]
    of_samples: Hashes

    @property
    def whole(self) -> int:
        """The hash of the batch."""
        return _hash(self.of_samples.tobytes()) >> 1


def hash_batch(batch: Any) -> BatchContent | None:
    """The hashes of a batch in host memory; None when it has no arrays.

    Raises:
        Exception: a user's own kind of batch may raise anything.
    """
    arrays = list(_arrays_of(batch, _DEEPEST))
    if not arrays:
        return None
    lengths = {array.shape[0] if array.ndim else None for array in arrays}
    samples = lengths.pop() if len(lengths) == 1 else None
    of_arrays = tuple(_hash_rows(array, samples) for array in arrays)
    of_samples = of_arrays[0]
    for hashes in of_arrays[1:]:
        of_samples = of_samples * _MULTIPLIER + hashes
    return BatchContent(
        samples=samples,
        size_bytes=sum(array.nbytes for array in arrays),
        dtypes=tuple(_dtype_name(array) for array in arrays),
        shapes=tuple(array.shape for array in arrays),
        of_arrays=of_arrays,
        of_samples=of_samples,
    )


def _arrays_of(data: Any, depth: int) -> Iterator[npt.NDArray[Any]]:
    """The arrays in a batch; those of a mapping in the order of its keys, as TensorFlow takes them."""
    if data is None or not depth:
        return
    if isinstance(data, (tuple, list)):
        for part in data:
            yield from _arrays_of(part, depth - 1)
    elif isinstance(data, Mapping):
        for key in sorted(data, key=str):
            yield from _arrays_of(data[key], depth - 1)
    else:
        yield _as_array(data)


def _as_array(data: Any) -> npt.NDArray[Any]:
    """An array, without a copy where that is possible."""
    if isinstance(data, np.ndarray):
        return data
    try:
        return np.asarray(memoryview(data))  # TensorFlow's own conversion copies
    except (TypeError, ValueError, BufferError, NotImplementedError):
        numpy = getattr(data, "numpy", None)
        return np.asarray(numpy() if numpy is not None else data)


def _hash_rows(array: npt.NDArray[Any], rows: int | None) -> Hashes:
    if array.dtype.hasobject:
        return _hash_objects(array, rows)
    whole = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    if rows is None:
        return np.array([_hash(whole)], np.uint64)
    width = array.itemsize * math.prod(array.shape[1:])
    if not width:
        return np.full(rows, _hash(b""), np.uint64)
    hashes = [_hash(whole[at : at + width]) for at in range(0, rows * width, width)]
    return np.array(hashes, np.uint64)


def _hash_objects(array: npt.NDArray[Any], rows: int | None) -> Hashes:
    """Hashes of texts and other objects."""
    parts = [array.reshape(-1)] if rows is None else list(array.reshape(rows, -1))
    hashes = []
    for part in parts:
        hasher = xxhash.xxh3_64()
        for each in part.tolist():
            text = each if isinstance(each, bytes) else str(each).encode()
            hasher.update(len(text).to_bytes(8, "little") + text)
        hashes.append(hasher.intdigest())
    return np.array(hashes, np.uint64)


def _dtype_name(array: npt.NDArray[Any]) -> str:
    return "string" if array.dtype.hasobject else array.dtype.name
