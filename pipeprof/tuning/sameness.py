"""Whether two inputs deliver the same: sample by sample, or as a distribution where they are random."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from pipeprof.recording.light_dataclasses import dataclass

# A mean that lies farther from another than so many standard errors is another one.
_STANDARD_ERRORS = 5.0

# Of as many samples, this part of today's different ones: processes that begin with one seed give fewer.
_LEAST_DISTINCT, _MANY_DISTINCT = 0.75, 16

# Of the mixing of samples: two sums with seeds of their own, and what parts neighbouring words.
_SEEDS, _STRIDE = (0x243F6A8885A308D3, 0x13198A2E03707344), 0x9E3779B97F4A7C15


@dataclass(frozen=True, slots=True)
class ArrayKind:
    """Dtype of an array of a batch, and its shape without the first axis."""

    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


_Means = Sequence[tuple[float, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The first batches of an input.

    Attributes:
        samples: a digest for each sample, in order.
        batch_sizes: samples of each batch.
        kinds: of each array of each batch.
        means: of each array of each sample; of what is no number, of numbers drawn from its content.
        whole: whether this is a whole pass over the data.
    """

    samples: tuple[bytes, ...]
    batch_sizes: tuple[int, ...]
    kinds: tuple[tuple[ArrayKind, ...], ...]
    means: tuple[tuple[float, ...], ...]
    whole: bool


def delivered_by(batches: Iterable[Any], flatten: Any, *, whole: bool = False) -> Delivered:
    """Takes batches, and keeps digests of their samples.

    Args:
        batches: the batches.
        flatten: gives the arrays of a batch.
        whole: whether they are all that a pass gives.
    """
    digests: list[bytes] = []
    sizes: list[int] = []
    kinds: list[tuple[ArrayKind, ...]] = []
    per_sample: list[tuple[float, ...]] = []
    for batch in batches:
        arrays = [np.asarray(array) for array in flatten(batch)]
        size = next((len(array) for array in arrays if array.ndim), 1)
        kinds.append(tuple(ArrayKind(str(array.dtype), array.shape[1:]) for array in arrays))
        sizes.append(size)
        digests.extend(_digests(arrays, size))
        per_sample.extend(zip(*(_means_of(array, size) for array in arrays), strict=True))
    return Delivered(
        samples=tuple(digests),
        batch_sizes=tuple(sizes),
        kinds=tuple(kinds),
        means=tuple(per_sample),
        whole=whole,
    )


def difference(one: Delivered, again: Delivered, other: Delivered) -> str | None:
    """What another input delivers differently, or None where nothing shows that it does.

    Args:
        one: what today's input delivered.
        again: what it delivered when it began anew: equal where it is deterministic.
        other: what the other input delivered.
    """
    looks = _other_batches(one, again, other)
    if looks is not None:
        return looks
    if _ends_elsewhere(one, again, other):
        return f"a pass has {_passes(other)} samples and not {_passes(one)}"
    least = min(len(one.samples), len(again.samples), len(other.samples))
    if one.samples[:least] == again.samples[:least]:
        same = other.samples[:least] == one.samples[:least]
        return None if same else _other_order(one.samples[:least], other.samples[:least])
    if one.whole and again.whole and other.whole and _equal_sets(one.samples, again.samples):
        if _equal_sets(one.samples, other.samples):
            return None
        return "a pass has other samples"
    distinct = [len(set(each.samples[:least])) for each in (one, again, other)]
    if min(distinct[:2]) >= _MANY_DISTINCT and distinct[2] < _LEAST_DISTINCT * min(distinct[:2]):
        return "its random samples are the same again and again"
    return _other_distribution(one.means[:least], again.means[:least], other.means[:least])


def _other_batches(one: Delivered, again: Delivered, other: Delivered) -> str | None:
    """What the batches look like otherwise, where today's own look the same in each pass."""
    common = min(len(one.kinds), len(again.kinds), len(other.kinds))
    if not common and (one.kinds or other.kinds):
        return "it has no batches" if one.kinds else "it has batches where today there are none"
    if one.kinds[:common] == again.kinds[:common]:
        for today, changed in zip(one.kinds[:common], other.kinds, strict=False):
            if changed != today:
                return f"its arrays are {', '.join(map(str, changed))} and not {', '.join(map(str, today))}"
    elif _types(other.kinds) - _types(one.kinds) - _types(again.kinds):
        return "its arrays have other types"
    sizes = one.batch_sizes[:common]
    if sizes == again.batch_sizes[:common] and other.batch_sizes[:common] != sizes:
        return "its batches have other sizes"
    return None


def _types(kinds: Iterable[Sequence[ArrayKind]]) -> set[tuple[str, ...]]:
    """The dtypes of the arrays of batches, whose shapes may differ."""
    return {tuple(kind.dtype for kind in arrays) for arrays in kinds}


def _ends_elsewhere(one: Delivered, again: Delivered, other: Delivered) -> bool:
    """Whether a pass ends sooner or later than today's, whose length does not change by itself."""
    if one.whole and again.whole and len(one.samples) != len(again.samples):
        return False
    if one.whole and other.whole:
        return len(one.samples) != len(other.samples)
    if other.whole:
        return len(other.samples) < max(len(one.samples), len(again.samples))
    return one.whole and len(other.samples) > len(one.samples)


def _passes(delivered: Delivered) -> str:
    return str(len(delivered.samples)) if delivered.whole else f"{len(delivered.samples)} or more"


def _equal_sets(one: Sequence[bytes], other: Sequence[bytes]) -> bool:
    return Counter(one) == Counter(other)


def _other_order(one: Sequence[bytes], other: Sequence[bytes]) -> str:
    return "its samples have another order" if _equal_sets(one, other) else "it has other samples"


def _other_distribution(one: _Means, again: _Means, other: _Means) -> str | None:
    """Compares the means of each array, over as many samples of each input."""
    today, changed = np.array([*one, *again], float), np.array(other, float)
    if not len(changed):
        return None
    finite = np.isfinite(today).all(axis=0)
    if (finite & ~np.isfinite(changed).all(axis=0)).any():
        return "it has values that are no finite numbers"
    today, changed = today[:, finite], changed[:, finite]
    errors = np.hypot(_error_of(today), _error_of(changed))
    apart = np.abs(today.mean(axis=0) - changed.mean(axis=0)) > _STANDARD_ERRORS * errors
    if not apart.any():
        return None
    index = int(apart.argmax())
    number = int(np.flatnonzero(finite)[index]) + 1
    means = changed[:, index].mean(), today[:, index].mean()
    return f"array {number} has other values (mean {means[0]:.4g} and not {means[1]:.4g})"


def _error_of(values: Any) -> Any:
    return values.std(axis=0) / math.sqrt(len(values))


def _digests(arrays: Sequence[Any], size: int) -> list[bytes]:
    """A digest for each sample of a batch; of numbers and texts of fixed length all at once."""
    if not size:
        return []
    if any(array.dtype.hasobject for array in arrays):
        parts = [[_row(array, index, size) for array in arrays] for index in range(size)]
        return list(map(_digest, parts))
    looks = ";".join(f"{array.dtype} {array.shape[1:]}" for array in arrays).encode()
    sums = np.zeros((size, len(_SEEDS)), np.uint64)
    for number, array in enumerate(arrays):
        rows = array if _has_rows(array, size) else np.broadcast_to(array, (size, *array.shape))
        for column, seed in enumerate(_SEEDS):
            mixed = (seed + number * _STRIDE) % (1 << 64)
            sums[:, column] += _mixed_rows(rows, size, np.uint64(mixed))
    kind = hashlib.blake2b(looks, digest_size=8).digest()
    return [row.tobytes() + kind for row in sums]


def _has_rows(array: Any, size: int) -> bool:
    """Whether an array has a row for each sample; another one belongs to all of them."""
    return bool(array.ndim) and len(array) == size


def _row(array: Any, index: int, size: int) -> Any:
    return array[index] if _has_rows(array, size) else array


def _mixed_rows(rows: Any, size: int, seed: np.uint64) -> Any:
    """A number of 64 bits for each row: words of 64 bits, each mixed with its place and all added up.

    The mixing is that of SplitMix64 (Steele, Lea and Flood, 'Fast splittable pseudorandom number
    generators', 2014).
    """
    taken = np.ascontiguousarray(rows).reshape(size, -1).view(np.uint8).reshape(size, -1)
    padded = np.pad(taken, ((0, 0), (0, -taken.shape[1] % 8)))
    words = np.ascontiguousarray(padded).view(np.uint64)
    words = words + seed + np.arange(words.shape[1], dtype=np.uint64) * np.uint64(_STRIDE)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (words ^ (words >> np.uint64(31))).sum(axis=1, dtype=np.uint64)


def _digest(parts: Sequence[Any]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        _add(digest, np.asarray(part))
    return digest.digest()


def _add(digest: Any, array: Any) -> None:
    """Adds an array; its shape and type too, so that two arrays are never taken for two others."""
    digest.update(f"{array.dtype} {array.shape}".encode())
    if not array.dtype.hasobject:
        digest.update(np.ascontiguousarray(array).tobytes())
        return
    for item in array.ravel():  # texts, or the rows of a ragged array
        if isinstance(item, np.ndarray):
            _add(digest, item)
        else:
            digest.update(f"{len(repr(item))} {item!r}".encode())


def _means_of(array: Any, size: int) -> list[float]:
    """The mean of each sample of a batch."""
    if not _has_rows(array, size):
        return [_mean_of(array)] * size
    if array.dtype.kind in "biuf" and array.size:
        means: list[float] = array.reshape(size, -1).mean(axis=1, dtype=np.float64).tolist()
        return means
    return [_mean_of(array[index]) for index in range(size)]


def _mean_of(part: Any) -> float:
    array = np.asarray(part)
    if array.dtype.kind in "biuf" and array.size:
        return float(array.mean(dtype=np.float64))
    return int.from_bytes(_digest([array])[:4], "big") / (1 << 32) if array.size else 0.0
