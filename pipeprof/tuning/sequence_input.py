"""A Sequence or PyDataset that is tuned: by the workers that load it."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from pipeprof.errors import TuningRefused
from pipeprof.recording.pipeline_edits import Edit, Workers

_SETTINGS = ("workers", "use_multiprocessing", "max_queue_size")


def loads_by_itself(sequence: Any) -> bool:
    """Whether the object itself says how it is loaded, as in Keras 3; in Keras 2 ``fit`` does."""
    return hasattr(sequence, "use_multiprocessing")


def workers_of(sequence: Any) -> Workers:
    """How the sequence is loaded today."""
    if not loads_by_itself(sequence):
        return Workers(workers=1, processes=False)
    return Workers(
        workers=sequence.workers,
        processes=bool(sequence.use_multiprocessing),
        queue=sequence.max_queue_size,
    )


def load_by(sequence: Any, edits: Sequence[Edit]) -> dict[str, Any]:
    """Sets the workers of a sequence; returns the arguments for ``fit``.

    Raises:
        TuningRefused: an edit is not one of a sequence.
    """
    chosen = workers_of(sequence)
    for edit in edits:
        if not isinstance(edit, Workers):
            raise TuningRefused(f"a Sequence cannot be changed by {edit.tag}.")
        chosen = edit
    values = dict(zip(_SETTINGS, (chosen.workers, chosen.processes, chosen.queue), strict=True))
    if not loads_by_itself(sequence):
        return values if edits else {}
    for name, value in values.items():
        setattr(sequence, name, value)
    return {}


@contextlib.contextmanager
def loaded_by(sequence: Any, edits: Sequence[Edit]) -> Iterator[dict[str, Any]]:
    """As `load_by`, for a while: then the sequence has the workers that it had.

    Raises:
        TuningRefused: an edit is not one of a sequence.
    """
    before = workers_of(sequence)
    try:
        yield load_by(sequence, edits)
    finally:
        if loads_by_itself(sequence):
            load_by(sequence, (before,))
