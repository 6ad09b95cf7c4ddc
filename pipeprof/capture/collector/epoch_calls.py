"""Adds up the host's calls of each epoch by what was called, in bounded memory."""

from collections.abc import Mapping

import numpy as np

from pipeprof.recording.series import IntArray

# So many rows are kept of the first epochs, and as many of the last.
EPOCH_CALLS_KEPT = 2048


def with_epoch_calls(sums: IntArray, table: IntArray) -> IntArray:
    """The sums with further calls.

    Args:
        sums: rows of `EPOCH_CALL_COLUMNS`, ordered by epoch, with indices of the registry's calls; they
            stay as they are.
        table: rows of begin, end, index of what was called, epoch (-1 outside of epochs), and more.
    """
    table = table[table[:, 3] >= 0]
    if not len(table):
        return sums
    new = np.column_stack(
        [table[:, 3], table[:, 2], np.ones(len(table), np.int64), table[:, 1] - table[:, 0]]
    )
    settled = int(np.searchsorted(sums[:, 0], new[:, 0].min()))
    rows = np.concatenate([sums[settled:], new])
    kinds, of = np.unique(rows[:, :2], axis=0, return_inverse=True)
    added = np.zeros((len(kinds), 2), np.int64)
    np.add.at(added, of.ravel(), rows[:, 2:])
    merged = np.concatenate([sums[:settled], np.column_stack([kinds, added])])
    if len(merged) <= 2 * EPOCH_CALLS_KEPT:
        return merged
    return np.concatenate([merged[:EPOCH_CALLS_KEPT], merged[-EPOCH_CALLS_KEPT:]])


def renumbered(sums: IntArray, places: Mapping[int, int]) -> IntArray:
    """The sums with the places of calls in a loop's own list.

    Args:
        sums: rows of `EPOCH_CALL_COLUMNS`.
        places: the place of each call by its index in the registry.
    """
    mine: IntArray = sums.copy()
    mine[:, 1] = [places[index] for index in sums[:, 1].tolist()]
    return mine
