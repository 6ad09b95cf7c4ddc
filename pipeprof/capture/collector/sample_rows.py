"""Samples of the training thread as rows of numbers: added up, weighted by time, and frozen."""

from collections.abc import Sequence

import numpy as np

from pipeprof.capture.recorder.facts import PlaceFacts
from pipeprof.recording.account import PART_CODES, PART_OF_CODE, HostSample, HostState, Part
from pipeprof.recording.intervals import time_inside
from pipeprof.recording.series import IntArray

# Samples in steps are added up by how long after a step's begin they were taken: from these times on.
OFFSETS_NS: IntArray = np.array([0, *(int(1e6 * 1.25**power) for power in range(50))], np.int64)
# So many samples are enough to stand for the time at such a distance.
_FEWEST_SAMPLES = 8


def no_samples() -> IntArray:
    """No rows of place, state, part and samples."""
    return np.empty((0, 4), np.int64)


def merged_samples(*tables: IntArray) -> IntArray:
    """Rows of place, state, part and samples, those of one place, state and part added up."""
    rows = np.concatenate(tables)
    kinds, of = np.unique(rows[:, :3], axis=0, return_inverse=True)
    counts = np.zeros(len(kinds), np.int64)
    np.add.at(counts, of.ravel(), rows[:, 3])
    return np.column_stack([kinds, counts])


def with_offsets(
    offset_ns: IntArray, starts: IntArray, ends: IntArray, clocked: IntArray
) -> IntArray:
    """The sums with the time of further steps that no clock divides up, by its distance from their begin.

    Args:
        offset_ns: the sums so far, one for each of `OFFSETS_NS`; they stay as they are.
        starts: begins of the steps.
        ends: their ends.
        clocked: intervals in them that clocks know.
    """
    sums: IntArray = offset_ns.copy()
    for index, after_ns in enumerate(OFFSETS_NS.tolist()):
        long = ends - starts > after_ns
        if not long.any():
            break
        begin = starts[long] + after_ns
        end = ends[long]
        if index + 1 < len(OFFSETS_NS):
            end = np.minimum(end, starts[long] + OFFSETS_NS[index + 1])
        sums[index] += int((end - begin - time_inside(clocked, begin, end)).sum())
    return sums


def weighted_samples(step_samples: IntArray, offset_ns: IntArray) -> IntArray:
    """The samples in steps: each place counts for as much as the time that its samples stand for.

    Steps of a loop are alike. How long after their begin a sample was taken is chance, and what it shows
    depends on that. The time at each distance is known, so that chance can be left out.

    Args:
        step_samples: rows of place, state, number of the offset and count.
        offset_ns: the time of the steps at each of `OFFSETS_NS`.
    """
    rows: IntArray = step_samples.copy()
    counts: IntArray = np.zeros(len(OFFSETS_NS), np.int64)
    np.add.at(counts, rows[:, 2], rows[:, 3])
    group = _groups(counts)
    stood, lasted = np.bincount(group, counts), np.bincount(group, offset_ns)
    if len(rows) and lasted.sum():
        each = lasted / lasted.sum() * counts.sum() / np.maximum(stood, 1)
        weighted = rows[:, 3] * each[group[rows[:, 2]]]
        kinds, of = np.unique(rows[:, :2], axis=0, return_inverse=True)
        sums = np.bincount(of.ravel(), weighted, len(kinds))
        rows = np.column_stack([kinds, 0 * kinds[:, 0], np.maximum(np.rint(sums), 1)])
        rows = rows.astype(np.int64)
    rows[:, 2] = PART_CODES[Part.OWN_CODE]
    return rows


def freeze_samples(rows: IntArray, places: Sequence[PlaceFacts]) -> tuple[HostSample, ...]:
    """Rows of place, state, part and samples as values."""
    return tuple(
        HostSample(
            function=places[place].function,
            location=places[place].location,
            part=PART_OF_CODE[part],
            state=HostState(state),
            detail=places[place].detail,
            samples=samples,
            feeder=places[place].feeder,
            calls_fit=places[place].calls_fit,
        )
        for place, state, part, samples in rows.tolist()
    )


def _groups(counts: IntArray) -> IntArray:
    """Numbers for neighbours that together have enough samples; what is left over joins the last."""
    group = np.zeros(len(counts), np.int64)
    number, held = 0, 0
    for index, count in enumerate(counts.tolist()):
        group[index] = number
        held += count
        if held >= _FEWEST_SAMPLES:
            number, held = number + 1, 0
    if held < _FEWEST_SAMPLES and number:
        group[group == number] = number - 1
    return group
