"""A generator that is tuned: run ahead in a thread, or in processes of which each makes a part."""

import contextlib
import multiprocessing
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pipeprof.errors import TuningRefused
from pipeprof.recording.pipeline_edits import BackgroundThread, Edit, ShardedProcesses

_END = None
_AHEAD_OF_EACH = 4
_LOOK_S = 0.1


def edited_generator(
    fresh: Callable[..., Iterator[Any]], name: str | None, edits: Sequence[Edit]
) -> Iterator[Any]:
    """The generator, run as the edits say.

    Args:
        fresh: makes the generator.
        name: ``MODULE:FUNCTION`` of what makes it, or None where no other process can import that.
        edits: how it is run.

    Raises:
        TuningRefused: the generator cannot be run so.
    """
    made: Iterator[Any] | None = None
    for edit in edits:
        match edit:
            case ShardedProcesses():
                if name is None:
                    raise TuningRefused("other processes cannot import the function.")
                made = sharded(name, edit.processes)
            case BackgroundThread():
                made = ahead(made or fresh(), edit.ahead)
            case _:
                raise TuningRefused(f"a generator cannot be changed by {edit.tag}.")
    return made or fresh()


def ahead(batches: Iterator[Any], most: int) -> Iterator[Any]:
    """Runs an iterator in a thread of its own, at most so many batches ahead."""
    ready: queue.Queue[Any] = queue.Queue(most)
    ended = threading.Event()

    def put(item: Any) -> bool:
        while not ended.is_set():
            try:
                ready.put(item, timeout=_LOOK_S)
            except queue.Full:
                continue
            return True
        return False

    def run() -> None:
        try:
            for batch in batches:
                if not put((batch, None)):
                    return
            put(_END)
        except BaseException as error:  # raised where the batch is taken
            put((None, error))

    thread = threading.Thread(target=run, name="batches ahead", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not _END:
            batch, error = item
            if error is not None:
                raise error
            yield batch
    finally:
        ended.set()
        thread.join()


def sharded(name: str, processes: int) -> Iterator[Any]:
    """Takes batches in turn from processes that each make a part of them."""
    context = multiprocessing.get_context("spawn")
    queues = [context.Queue(_AHEAD_OF_EACH) for _ in range(processes)]
    workers = [
        context.Process(target=_make_shard, args=(name, (index, processes), own), daemon=True)
        for index, own in enumerate(queues)
    ]
    for worker in workers:
        worker.start()
    try:
        going = list(zip(workers, queues, strict=True))
        while going:
            for worker, own in list(going):
                item = _next_of(worker, own)
                if item is _END:
                    going.remove((worker, own))
                else:
                    yield item
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()
        for own in queues:
            own.cancel_join_thread()
            own.close()


def _next_of(worker: Any, own: Any) -> Any:
    while worker.is_alive() or not own.empty():
        with contextlib.suppress(queue.Empty):
            return own.get(timeout=_LOOK_S)
    raise TuningRefused(
        f"a process that makes a part of the batches ended with exit code {worker.exitcode}."
    )


def _make_shard(name: str, shard: tuple[int, int], own: Any) -> None:
    from pipeprof.tuning.subject import find_function

    made = find_function(name)(shard=shard)
    for batch in made[1] if isinstance(made, tuple) and hasattr(made[0], "fit") else made:
        own.put(batch)
    own.put(_END)
