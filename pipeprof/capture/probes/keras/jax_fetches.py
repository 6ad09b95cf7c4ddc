"""Batches that Keras's JAX training step fetches itself, as it does from Keras 3.15 on."""

import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any

from pipeprof.capture.patches import Patches
from pipeprof.clock import now_ns


def time_fetches(
    backend_module: str, patches: Patches, waited: Callable[[Any, int, int], None]
) -> bool:
    """Times the waits for those batches.

    Args:
        backend_module: full name of Keras's module for its backend.
        patches: takes the change.
        waited: called with each batch and with begin and end of the wait for it, in ns.

    Returns:
        Whether the steps fetch; those of older versions and other backends do not, and their batches
        are taken between two callbacks.
    """
    trainer = sys.modules.get(f"{backend_module}.trainer")
    iterators = getattr(trainer, "JAXEpochIterator", None)
    if iterators is None or "__next__" not in vars(iterators):
        return False
    original = iterators._get_iterator

    @functools.wraps(original)
    def _get_iterator(epoch_iterator: Any) -> Iterator[Any]:
        return _timed(original(epoch_iterator), waited)

    patches.replace(iterators, "_get_iterator", _get_iterator)
    return True


def _timed(batches: Any, waited: Callable[[Any, int, int], None]) -> Iterator[Any]:
    iterator = iter(batches)
    while True:
        start_ns = now_ns()
        try:
            batch = next(iterator)
        except StopIteration:
            return
        waited(batch, start_ns, now_ns())
        yield batch
        del batch
