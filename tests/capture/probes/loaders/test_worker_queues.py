"""Keras's queue of batches, looked at from outside; both versions of Keras are stood in for."""

import queue
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from pipeprof.capture.probes.loaders.worker_queues import POOL, Asked, WorkerQueue, find_queue


class Result:
    """Stands for what a pool gives at once."""

    def __init__(self, ready: bool) -> None:
        self._ready = ready

    def ready(self) -> bool:
        return self._ready


class Workers:
    """Stands for what a watched sequence knows of its workers."""

    def __init__(self, *ready_ns: int) -> None:
        self.ready_ns = deque(ready_ns)

    def began(self, start_ns: int, end_ns: int) -> int:
        return start_ns - 1


class Sequence:
    pass


def watched(*ready_ns: int) -> Any:
    return type("Sequence", (Sequence,), {POOL: Workers(*ready_ns)})()


class Keras3:
    """An adapter and its enqueuer, with results that are ready or not and batches left over."""

    def __init__(self, sequence: Any, *results: bool, left_over: int = 0) -> None:
        self.py_dataset = sequence
        self.future_queue: queue.Queue[Any] = queue.Queue()
        self.ready_queue: queue.Queue[Any] = queue.Queue()
        self.put(*results)
        for _ in range(left_over):
            self.ready_queue.put("batch")
        self.enqueuer = self

    def put(self, *results: bool) -> None:
        for ready in results:
            self.future_queue.put(Result(ready))

    def batches(self) -> Iterator[int]:
        yield 1


class Keras2:
    """An enqueuer of ``tf_keras``, whose queue is there once it was started."""

    def __init__(self, sequence: Any) -> None:
        self.sequence = sequence

    def start(self) -> None:
        self.queue: queue.Queue[Any] = queue.Queue()
        self.queue.put(Result(True))

    def get(self) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize(
    ("results", "left_over", "asked"),
    [
        ((), 0, Asked(0, False)),
        ((True, True, False), 0, Asked(2, True)),
        ((False, True, True), 0, Asked(2, False)),
        ((False,), 2, Asked(2, True)),
    ],
)
def test_what_lies_ready_and_whether_the_next_in_order_does(
    results: tuple[bool, ...], left_over: int, asked: Asked
) -> None:
    found = find_queue(Keras3(watched(), *results, left_over=left_over).batches())
    assert found is not None
    assert found.look() == asked


def test_the_queue_of_keras_2_is_there_once_it_has_started() -> None:
    enqueuer = Keras2(watched())
    found = find_queue(enqueuer.get())
    assert found is not None
    assert found.look() is None
    enqueuer.start()
    assert found.look() == Asked(1, True)


def generator(self: Any) -> Iterator[int]:
    yield 1


class WithoutWorkers:
    """An adapter of Keras 3 for a sequence that is to be loaded without workers."""

    def __init__(self, sequence: Any) -> None:
        self.py_dataset = sequence
        self.enqueuer = None


@pytest.mark.parametrize(
    "source",
    [
        iter([1]),
        generator(None),
        generator(Keras3(Sequence())),
        generator(WithoutWorkers(watched())),
        Keras2(Sequence()).get(),
        (n for n in range(3)),
    ],
)
def test_other_sources_have_none(source: Iterator[int]) -> None:
    assert find_queue(source) is None


def test_a_generator_that_is_over_has_none() -> None:
    over = Keras3(watched()).batches()
    list(over)
    assert find_queue(over) is None


@pytest.mark.parametrize(
    ("asked", "later_ready", "late_ns"),
    [
        (Asked(3, True), (True,), 0),  # it lay there
        (Asked(3, False), (), 100),  # others lay there all along
        (Asked(0, False), (), 0),  # nothing was made that could not be taken
        (Asked(0, False), (True, True), 70),  # since the first that was made meanwhile
    ],
)
def test_waiting_for_the_next_in_order_counts_while_a_later_one_lies_ready(
    asked: Asked, later_ready: tuple[bool, ...], late_ns: int
) -> None:
    pool = Workers(980, 1030, 1050)
    found = WorkerQueue(Keras3(None, *later_ready), pool)
    assert found.head_of_line_ns(asked, 1000, 1100) == late_ns
