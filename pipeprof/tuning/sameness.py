"""Whether two inputs deliver the same: sample by sample, or as a distribution where they are random."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# A mean that lies farther from another than so many standard errors is another one.
_STANDARD_ERRORS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The first batches of an input.

    Attributes:
        samples: a digest for each sample, in order.
        batch_sizes: samples of each batch.
        kinds: dtype and shape without the first axis, of each array of a batch.
        means: of each array that has numbers, over all samples.
        errors: standard errors of those means.
        whole: whether this is a whole pass over the data.
    """

    samples: tuple[bytes, ...]
    batch_sizes: tuple[int, ...]
    kinds: tuple[str, ...]
    means: tuple[float, ...]
    errors: tuple[float, ...]
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
    kinds: tuple[str, ...] = ()
    per_sample: list[list[float]] = []
    for batch in batches:
        arrays = [np.asarray(array) for array in flatten(batch)]
        size = next((len(array) for array in arrays if array.ndim), 1)
        kinds = tuple(f"{array.dtype} {array.shape[1:]}" for array in arrays)
        sizes.append(size)
        for index in range(size):
            parts = [array[index] if array.ndim else array for array in arrays]
            digests.append(_digest(parts))
            per_sample.append([_mean_of(part) for part in parts])
    values = np.array(per_sample, float).reshape(len(per_sample), -1)
    count = max(len(values), 1)
    return Delivered(
        samples=tuple(digests),
        batch_sizes=tuple(sizes),
        kinds=kinds,
        means=tuple(values.mean(axis=0)) if len(values) else (),
        errors=tuple(values.std(axis=0) / math.sqrt(count)) if len(values) else (),
        whole=whole,
    )


def difference(one: Delivered, again: Delivered, other: Delivered) -> str | None:
    """What another input delivers differently, or None where nothing shows that it does.

    Args:
        one: what today's input delivered.
        again: what it delivered when it began anew: equal where it is deterministic.
        other: what the other input delivered.
    """
    if other.kinds != one.kinds:
        return f"its arrays are {', '.join(other.kinds)} and not {', '.join(one.kinds)}"
    common = min(len(one.batch_sizes), len(other.batch_sizes), len(again.batch_sizes))
    if other.batch_sizes[:common] != one.batch_sizes[:common]:
        return "its batches have other sizes"
    if one.whole and other.whole and len(one.samples) != len(other.samples):
        return f"a pass has {len(other.samples)} samples and not {len(one.samples)}"
    least = min(len(one.samples), len(again.samples), len(other.samples))
    if one.samples[:least] == again.samples[:least]:
        same = other.samples[:least] == one.samples[:least]
        return None if same else _other_order(one.samples[:least], other.samples[:least])
    if one.whole and again.whole and other.whole and _equal_sets(one.samples, again.samples):
        if _equal_sets(one.samples, other.samples):
            return None
        return "a pass has other samples"
    return _other_distribution(one, again, other)


def _equal_sets(one: Sequence[bytes], other: Sequence[bytes]) -> bool:
    return Counter(one) == Counter(other)


def _other_order(one: Sequence[bytes], other: Sequence[bytes]) -> str:
    return "its samples have another order" if _equal_sets(one, other) else "it has other samples"


def _other_distribution(one: Delivered, again: Delivered, other: Delivered) -> str | None:
    for index, (mean, error) in enumerate(zip(other.means, other.errors, strict=True)):
        middle = (one.means[index] + again.means[index]) / 2
        own = math.hypot(one.errors[index], again.errors[index]) / 2
        if abs(mean - middle) > _STANDARD_ERRORS * math.hypot(own, error):
            return f"array {index + 1} has other values (mean {mean:.4g} and not {middle:.4g})"
    return None


def _digest(parts: Sequence[Any]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        array = np.ascontiguousarray(part)
        text = array.dtype.hasobject
        digest.update(repr(array.tolist()).encode() if text else array.tobytes())
    return digest.digest()


def _mean_of(part: Any) -> float:
    array = np.asarray(part)
    return float(array.mean()) if array.dtype.kind in "biuf" and array.size else 0.0
