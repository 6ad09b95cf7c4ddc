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


ROWS = np.arange(24, dtype=np.float32).reshape(4, 6)


@pytest.mark.parametrize(
    ("rows", "same"),
    [
        (ROWS.copy(), 4),
        (ROWS[::-1], 0),
        (ROWS[:, ::-1], 0),
        (np.where(ROWS == 23, 24, ROWS).astype(np.float32), 3),
        (np.where(ROWS == 0, -0.0, ROWS).astype(np.float32), 3),
        (ROWS.astype(np.int32), 0),
        (ROWS.reshape(4, 2, 3), 0),
        (np.asfortranarray(ROWS), 4),
    ],
)
def test_samples_have_equal_digests_where_all_their_bytes_are(rows: Any, same: int) -> None:
    found = zip(delivered([(ROWS,)]).samples, delivered([(rows,)]).samples, strict=True)
    assert sum(one == other for one, other in found) == same


def test_no_two_of_many_samples_that_hardly_differ_have_one_digest() -> None:
    many = np.random.default_rng(1).integers(0, 2, (50_000, 3)).astype(np.float64) * 2.0**40
    many += np.arange(50_000)[:, None] * 2.0**30
    assert len(set(delivered([(many,)]).samples)) == len(np.unique(many, axis=0))


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


@pytest.mark.parametrize(
    ("today", "other", "found"),
    [
        ((range(20), False), (range(12), True), "a pass has 12 samples and not 20 or more"),
        ((range(12), True), (range(20), False), "a pass has 20 or more samples and not 12"),
        ((range(20), False), (range(20), True), None),
    ],
)
def test_a_pass_that_ends_elsewhere_is_another_one(
    today: tuple[Sequence[float], bool], other: tuple[Sequence[float], bool], found: str | None
) -> None:
    one, changed = (delivered(batches(given), whole=whole) for given, whole in (today, other))
    assert difference(one, one, changed) == found


def test_no_batches_differ_from_some() -> None:
    assert difference(PLAIN, PLAIN, delivered([])) == "it has no batches"
    assert difference(delivered([]), delivered([]), delivered([])) is None


def padded(lengths: Sequence[int]) -> list[Any]:
    return [(np.ones((4, length), np.float32),) for length in lengths]


def test_each_batch_may_have_a_length_of_its_own() -> None:
    today, fewer = delivered(padded([3, 5, 4])), delivered(padded([3, 5]))
    assert difference(today, today, fewer) is None
    found = difference(today, today, delivered(padded([3, 6, 4])))
    assert found == "its arrays are float32 (6,) and not float32 (5,)"
    random = [delivered(padded(lengths)) for lengths in ([3, 5, 4], [5, 4, 3], [4, 3, 7])]
    assert difference(*random) is None


def test_a_pass_whose_length_is_random_is_compared_by_its_values() -> None:
    one, again, same = (delivered(batches(RANDOM.normal(size=n)), whole=True) for n in (39, 42, 37))
    assert difference(one, again, same) is None


def test_random_values_that_are_no_numbers_any_more_are_said() -> None:
    one, again = (delivered(batches(RANDOM.normal(size=400))) for _ in range(2))
    broken = RANDOM.normal(size=400)
    broken[7] = np.nan
    found = difference(one, again, delivered(batches(broken.tolist())))
    assert found == "it has values that are no finite numbers"


def test_processes_that_draw_the_same_random_numbers_are_found() -> None:
    one, again = (delivered(batches(RANDOM.normal(size=400))) for _ in range(2))
    drawn = RANDOM.normal(size=200)
    twice = np.repeat(drawn.reshape(-1, 4), 2, axis=0).ravel()
    found = difference(one, again, delivered(batches(twice.tolist())))
    assert found == "its random samples are the same again and again"


def labelled(part: float) -> Delivered:
    names = np.where(RANDOM.random(400) < part, b"cat", b"dog").astype(object)
    return delivered([(names[start : start + 4],) for start in range(0, 400, 4)])


def test_labels_that_are_texts_have_a_distribution_too() -> None:
    assert difference(labelled(0.5), labelled(0.5), labelled(0.5)) is None
    found = difference(labelled(0.5), labelled(0.5), labelled(1.0))
    assert found is not None
    assert found.startswith("array 1 has other values")


def test_long_rows_of_ragged_arrays_are_compared_to_their_end() -> None:
    def rows(last: int) -> list[Any]:
        inner = np.empty(2, object)
        inner[:] = [np.arange(3000), np.array([*range(1500), last, *range(1499)])]
        outer = np.empty(1, object)
        outer[0] = inner
        return [(outer,)]

    one = delivered(rows(1))
    assert difference(one, one, delivered(rows(1))) is None
    assert difference(one, one, delivered(rows(2))) == "it has other samples"


def test_texts_and_single_numbers_have_digests_too() -> None:
    texts = [(np.array([b"a", b"b"], object), np.array([1, 2]))]
    assert difference(*(delivered(texts) for _ in range(3))) is None
    other = [(np.array([b"a", b"c"], object), np.array([1, 2]))]
    assert (
        difference(delivered(texts), delivered(texts), delivered(other)) == "it has other samples"
    )
    assert len(delivered([(np.float32(3.0),)]).samples) == 1
