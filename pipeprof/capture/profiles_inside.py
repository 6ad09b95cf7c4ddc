"""Profiles that a script turns on itself while its training is measured with input for free.

They record nothing; their dataset is fed from memory once its first batches were taken.
"""

import functools
import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from pipeprof.capture.free_input import CeilingReached, FreeInput
from pipeprof.capture.patches import Patches
from pipeprof.capture.probes.loaders.datasets import recognise
from pipeprof.capture.probes.loops.batch_shapes import size_of
from pipeprof.capture.session import Session
from pipeprof.errors import UsageError
from pipeprof.recording.loop import InputKind

# What `fit` and TensorFlow's own loops take, and what so is fed from memory there.
_FED_ELSEWHERE = (InputKind.TF_DATA, InputKind.SEQUENCE, InputKind.ARRAYS)


class ProfileInside:
    """What a script gets from ``with pipeprof.profile(…) as prof`` in place of a session.

    Attributes:
        dataset: the dataset to train on; a loop over it ends by `CeilingReached`.
    """

    def __init__(self, dataset: Any, free: FreeInput, measuring: Session) -> None:
        self._given = dataset
        self._free = free
        self._measuring = measuring

    @property
    def dataset(self) -> Any:
        """The dataset to train on: batches that are kept are fed again and again.

        Raises:
            UsageError: no dataset was given.
        """
        given = self._given
        if given is None:
            raise UsageError(
                "expected a dataset to have been given to pipeprof.profile(dataset), received none."
            )
        if recognise(given) in _FED_ELSEWHERE:
            return given
        return functools.partial(self._batches, given) if callable(given) else self._batches(given)

    def step(self) -> AbstractContextManager[None]:
        """Marks nothing: the steps of its dataset's loop are marked as they begin."""
        return nullcontext()

    def _batches(self, given: Any) -> Iterator[Any]:
        kept: list[Any] = []
        batches = iter(given() if callable(given) else given)
        for batch in itertools.islice(batches, self._free.most_batches):
            yield batch
            kept.append(batch)
            if sum(map(size_of, kept)) >= self._free.most_bytes:
                break
        del batches
        if self._free.kept or not kept:
            return
        self._free.kept = len(kept)
        for batch in itertools.islice(itertools.cycle(kept), self._free.steps):
            with self._measuring.step():
                yield batch
        raise CeilingReached


def feed_profiles(free: FreeInput, measuring: Session) -> Callable[[], None]:
    """Lets profiles that begin from now on feed their dataset from memory; returns what ends that.

    Args:
        free: replaces the input.
        measuring: the session that measures the steps.
    """
    patches = Patches()

    def __enter__(session: Session) -> ProfileInside:  # noqa: N807 - it is the method of that name
        return ProfileInside(session.given, free, measuring)

    def __exit__(session: Session, *raised: object) -> None:  # noqa: N807
        """Nothing was recorded."""

    patches.replace(Session, "__enter__", __enter__)
    patches.replace(Session, "__exit__", __exit__)
    return patches.undo
