"""Whether two inputs deliver the same."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest

from pipeprof.tuning.sameness import Delivered, delivered_by, difference


def batches(samples: Sequence[float], size: int = 4) -> list[Any]:
    array = np.array(samples, np.float32)
    return [(array[start : start + size],) for start in range(0, len(array), size)]


def delivered(given: Iterable[Any], *, whole: bool = False) -> Delivered:
    return delivered_by(given, list, whole=whole)


PLAIN = delivered(batches(range(20)))
RANDOM = np.random.default_rng(7)


def test_equal_batches_are_the_same() -> None:
    assert difference(PLAIN, PLAIN, delivered(batches(range(20)))) is None


def test_fewer_batches_are_compared_as_far_as_they_go() -> None:
    assert difference(PLAIN, PLAIN, delivered(batches(range(12)))) is None


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (batches([1, 0, *range(2, 20)]), "its samples have another order"),
        (batches([99, *range(1, 20)]), "it has other samples"),
        (batches(range(20), size=5), "its batches have other sizes"),
        (
            [(batch[0].astype(np.float64),) for batch in batches(range(20))],
            "its arrays are float64",
        ),
    ],
)
def test_what_differs_is_said(other: Any, reason: str) -> None:
    found = difference(PLAIN, PLAIN, delivered(other))
    assert found is not None
    assert found.startswith(reason)


def shuffled(samples: Sequence[float]) -> list[Any]:
    return batches(RANDOM.permutation(np.array(samples)).tolist())


def test_a_shuffled_pass_has_to_have_the_same_samples() -> None:
    one, again = (delivered(shuffled(range(20)), whole=True) for _ in range(2))
    assert difference(one, again, delivered(shuffled(range(20)), whole=True)) is None
    other = delivered(shuffled([*range(19), 99]), whole=True)
    assert difference(one, again, other) == "a pass has other samples"
    shorter = delivered(shuffled(range(16)), whole=True)
    assert difference(one, again, shorter) == "a pass has 16 samples and not 20"


def test_random_samples_have_to_have_the_same_distribution() -> None:
    one, again, same = (delivered(batches(RANDOM.normal(size=400))) for _ in range(3))
    assert difference(one, again, same) is None
    shifted = delivered(batches(RANDOM.normal(size=400) + 3))
    found = difference(one, again, shifted)
    assert found is not None
    assert found.startswith("array 1 has other values")


def test_texts_and_single_numbers_have_digests_too() -> None:
    texts = [(np.array([b"a", b"b"], object), np.array([1, 2]))]
    assert difference(*(delivered(texts) for _ in range(3))) is None
    other = [(np.array([b"a", b"c"], object), np.array([1, 2]))]
    assert (
        difference(delivered(texts), delivered(texts), delivered(other)) == "it has other samples"
    )
    assert len(delivered([(np.float32(3.0),)]).samples) == 1
