"""A batch is known again by its first array, or not at all."""

import threading
from collections import deque
from typing import Any

import numpy as np
import pytest

from pipeprof.capture.probes.loops.batch_origins import BatchOrigins, PendingBatches
from tests.memory import made_with_bytes


def arrays() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(3), np.ones(3)


@pytest.mark.parametrize(
    "again",
    [
        lambda x, y: (x, y),
        lambda x, y: [x, y, "weights"],
        lambda x, y: {"a": x, "b": y},
        lambda x, y: ((x,), y),
        lambda x, y: x,
    ],
)
def test_a_batch_is_known_by_its_first_array_whatever_is_around_it(again: Any) -> None:
    origins = BatchOrigins()
    x, y = arrays()
    origins.made((x, y), 7)
    assert origins.take(again(x, y)) == 7
    assert origins.take((x, y)) is None  # it was handed on already


def test_a_copy_is_another_batch() -> None:
    origins = BatchOrigins()
    x, y = arrays()
    origins.made((x, y), 7)
    assert origins.take((x.copy(), y)) is None


def test_the_order_of_keys_does_not_matter() -> None:
    origins = BatchOrigins()
    x, y = arrays()
    origins.made({"b": y, "a": x}, 7)
    assert origins.take({"a": x, "b": y}) == 7


def test_a_dictionary_of_hundreds_of_arrays_is_not_looked_through() -> None:
    asked = 0

    class Key:
        def __str__(self) -> str:
            nonlocal asked
            asked += 1
            return "key"

    origins = BatchOrigins()
    x, y = arrays()
    batch = {Key(): array for array in (x, *[y] * 300)}
    origins.made(batch, 7)
    assert origins.take(x) == 7
    assert asked == 0


def test_what_contains_itself_is_no_batch_and_ends() -> None:
    origins = BatchOrigins()
    endless: list[Any] = []
    endless.append(endless)
    origins.made(endless, 7)
    assert origins.take(endless) is None


def test_nothing_of_the_users_own_containers_is_called() -> None:
    class Lazy(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            raise AssertionError("the user's training would see this")

    origins = BatchOrigins()
    x, y = arrays()
    origins.made(Lazy(a=x, b=y), 7)
    assert origins.take(x) == 7


def test_an_array_that_several_batches_share_shows_nothing_any_more() -> None:
    origins = BatchOrigins()
    x, _ = arrays()
    origins.made(x, 1)
    origins.made(x, 2)
    assert origins.take(x) is None
    origins.made(x, 3)  # the second may still be on its way
    assert origins.take(x) is None


def test_an_array_that_is_filled_again_once_it_was_handed_on_is_a_new_batch() -> None:
    origins = BatchOrigins()
    x, _ = arrays()
    for start_ns in (1, 2):
        origins.made(x, start_ns)
        assert origins.take(x) == start_ns


def test_batches_that_nobody_took_are_forgotten_with_their_arrays() -> None:
    def make_many() -> BatchOrigins:
        origins = BatchOrigins()
        kept = []
        for number in range(1_000):
            kept.append(arrays())  # each at an address of its own
            origins.made(kept[-1], number)
        return origins

    origins, held_bytes = made_with_bytes(make_many)
    assert held_bytes < 1_000 * 64  # a dict does not get smaller
    x, _ = arrays()
    origins.made(x, 5)
    assert origins.take(x) == 5


@pytest.mark.parametrize("batch", [(), None, 3, [1.0, 2.0], {}, "text"])
def test_what_is_no_array_is_not_known(batch: Any) -> None:
    origins = BatchOrigins()
    origins.made(batch, 7)
    assert origins.take(batch) is None


def test_of_many_threads_that_share_an_array_none_is_named() -> None:
    origins = BatchOrigins()
    x, _ = arrays()
    gate = threading.Barrier(4)

    def make(number: int) -> None:
        gate.wait()
        origins.made(x, number)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert origins.take(x) is None


def test_steps_take_batches_in_the_order_in_which_they_were_handed_on() -> None:
    pending = PendingBatches()
    waiting = pending.begin()
    for start_ns in (10, None, 30, 40):
        pending.hand(waiting, start_ns)
    assert pending.take(1) == [10]
    assert pending.take(2) == [30]  # where the second came from is not known
    assert pending.take(5) == [40]


def test_what_an_epoch_left_over_is_not_taken_by_the_next() -> None:
    pending = PendingBatches()
    before = pending.begin()
    pending.hand(before, 10)
    pending.end_epoch()
    after = pending.begin()
    pending.hand(before, 20)  # it still runs
    pending.hand(after, 30)
    assert pending.take(2) == [30]


def test_an_iterator_may_go_on_over_epochs() -> None:
    pending = PendingBatches()
    waiting = pending.begin()
    pending.hand(waiting, 10)
    pending.end_epoch()
    assert pending.take(1) == [10]


def test_which_of_two_iterators_feeds_an_epoch_is_not_guessed() -> None:
    pending = PendingBatches()
    pending.begin()
    second = pending.begin()
    pending.hand(second, 10)
    assert pending.take(1) == []
    pending.end_epoch()
    pending.hand(second, 20)
    assert pending.take(1) == []
    pending.hand(pending.begin(), 30)
    assert pending.take(1) == [30]


def test_an_iterator_that_begins_while_a_step_takes_its_batch_is_no_error() -> None:
    pending = PendingBatches()

    class Waiting(deque[int | None]):
        def __len__(self) -> int:
            pending.begin()  # as another thread may at this moment
            return super().__len__()

    pending.waiting = Waiting([7])
    pending.take(1)
