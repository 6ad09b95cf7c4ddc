from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeprof.capture.probes.delivery.batch_content import hash_batch

X = np.arange(12, dtype=np.float32).reshape(4, 3)
Y = np.array([0, 1, 0, 1])


def test_equal_samples_have_equal_hashes_wherever_they_are() -> None:
    first, second = hash_batch((X, Y)), hash_batch([X[::-1], Y[::-1].copy()])
    assert first is not None
    assert second is not None
    assert first.samples == 4
    assert first.of_samples.tolist() == second.of_samples[::-1].tolist()
    assert first.whole != second.whole


@pytest.mark.parametrize(
    "changed",
    [
        lambda: (X + np.float32(1e-3) * (X == 4), Y),
        lambda: (X, 1 - Y),
        lambda: (X, Y, np.ones(4)),
    ],
)
def test_other_content_has_other_hashes(changed: Callable[[], Any]) -> None:
    before, after = hash_batch((X, Y)), hash_batch(changed())
    assert before is not None
    assert after is not None
    assert before.of_samples[1] != after.of_samples[1]


def test_the_parts_of_a_mapping_are_hashed_in_the_order_of_their_keys() -> None:
    one, swapped, other = map(hash_batch, ({"b": X, "a": Y}, {"a": Y, "b": X}, {"a": X, "b": Y}))
    assert swapped is not None
    assert one is not None
    assert other is not None
    assert one.of_samples.tolist() == swapped.of_samples.tolist()
    assert one.of_samples.tolist() != other.of_samples.tolist()
    assert one.dtypes == ("int64", "float32")
    assert one.shapes == ((4,), (4, 3))
    assert one.size_bytes == X.nbytes + Y.nbytes


def test_texts_are_hashed_as_such() -> None:
    found = hash_batch(np.array([b"cat", b"dog", b"cat"], object))
    assert found is not None
    first, second, third = found.of_samples.tolist()
    assert first == third != second
    assert found.dtypes == ("string",)


def test_arrays_without_a_common_axis_have_no_samples() -> None:
    found = hash_batch((X, Y[:2]))
    assert found is not None
    assert found.samples is None
    assert len(found.of_samples) == 1


def test_nothing_has_no_content() -> None:
    assert hash_batch((None, {})) is None


def test_a_container_that_contains_itself_ends() -> None:
    endless: list[Any] = [X]
    endless.append(endless)
    found = hash_batch(endless)
    assert found is not None
    assert set(found.shapes) == {X.shape}


def test_rows_without_bytes_are_equal() -> None:
    found = hash_batch(np.empty((3, 0)))
    assert found is not None
    assert len(set(found.of_samples.tolist())) == 1
