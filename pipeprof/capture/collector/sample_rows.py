"""Samples of the training thread as rows of numbers: added up, weighted by time, and frozen."""

from collections.abc import Sequence

import numpy as np

from pipeprof.capture.recorder.facts import PlaceFacts
from pipeprof.recording.account import PART_CODES, PART_OF_CODE, HostSample, HostState, Part
from pipeprof.recording.intervals import time_inside
from pipeprof.recording.series import FloatArray, IntArray

# What a row is: its place, its state, its part (in steps: the number of its offset), how many samples it
# stands for, and the sum of the squares of the weights of those that were taken.
SAMPLE_COLUMNS = ("place", "state", "part", "samples", "squares")
_SAMPLES, _SQUARES = 3, 4

# Samples in steps are added up by how long after a step's begin they were taken: from these times on.
OFFSETS_NS: IntArray = np.array([0, *(int(1e6 * 1.1**power) for power in range(120))], np.int64)
# So many samples are enough to stand for the time at such a distance.
_FEWEST_SAMPLES = 8
# So many standard errors up and down hold the truth nine times in ten.
_Z = 1.645


def no_samples() -> IntArray:
    """No rows of `SAMPLE_COLUMNS`."""
    return np.empty((0, len(SAMPLE_COLUMNS)), np.int64)


def merged_samples(*tables: IntArray) -> IntArray:
    """Rows of `SAMPLE_COLUMNS`, those of one place, state and part added up."""
    rows = np.concatenate(tables)
    kinds, of = np.unique(rows[:, :_SAMPLES], axis=0, return_inverse=True)
    sums = np.zeros((len(kinds), 2), np.int64)
    np.add.at(sums, of.ravel(), rows[:, _SAMPLES:])
    return np.column_stack([kinds, sums])


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
    longest_ns = int((ends - starts).max(initial=0))
    reached = int(np.searchsorted(OFFSETS_NS, longest_ns))
    if not reached:
        return offset_ns
    begins = starts[:, None] + OFFSETS_NS[:reached]
    stops = np.minimum(
        starts[:, None] + np.append(OFFSETS_NS[1:], longest_ns)[:reached], ends[:, None]
    )
    stops = np.maximum(stops, begins)
    lasted = (
        stops - begins - time_inside(clocked, begins.ravel(), stops.ravel()).reshape(stops.shape)
    )
    sums: IntArray = offset_ns.copy()
    sums[:reached] += lasted.sum(axis=0)
    return sums


def freeze_samples(rows: IntArray, places: Sequence[PlaceFacts]) -> tuple[HostSample, ...]:
    """Rows of `SAMPLE_COLUMNS` as values, each with how far off chance may have led it."""
    return _frozen(rows, places)


def freeze_loop_samples(
    rows: IntArray, step_samples: IntArray, offset_ns: IntArray, places: Sequence[PlaceFacts]
) -> tuple[HostSample, ...]:
    """The samples of a loop as values.

    Those in steps are weighted: each place counts for as much as the time that its samples stand for.
    Steps of a loop are alike. How long after their begin a sample was taken is chance, and what it shows
    depends on that. The time at each distance is known, so that chance can be left out.

    Args:
        rows: rows of `SAMPLE_COLUMNS`: samples outside of steps.
        step_samples: rows of `SAMPLE_COLUMNS`, with the number of the offset as their part.
        offset_ns: the time of the steps at each of `OFFSETS_NS`.
        places: where the samples were taken, by their index.
    """
    counts, squares = (
        np.bincount(step_samples[:, 2], step_samples[:, column], len(OFFSETS_NS))
        for column in (_SAMPLES, _SQUARES)
    )
    group = _groups(counts**2 / np.maximum(squares, 1))
    stood, lasted = np.bincount(group, counts), np.bincount(group, offset_ns)
    weighted = step_samples.astype(np.float64)
    if lasted.sum():
        weights = lasted / lasted.sum() * counts.sum() / np.maximum(stood, 1)
        weighted[:, _SAMPLES] *= weights[group[step_samples[:, 2]]]
    weighted[:, 2] = PART_CODES[Part.OWN_CODE]
    return _frozen(np.concatenate([rows, weighted]), places)


def _with_errors(counted: FloatArray) -> FloatArray:
    """Rows of place, state, part, samples, and the standard error of these.

    It is that of so many independent samples, with a share that is not 0 where few met a place (Agresti
    and Coull). Who feeds a loop is looked for at other times than the training thread is sampled.
    """
    samples, squares = counted[:, _SAMPLES], counted[:, _SQUARES]
    feeds = np.isin(counted[:, 1], (HostState.FEEDING, HostState.BESIDE))
    kinds = 2 * counted[:, 2].astype(np.int64) + feeds
    whole, whole_squares = np.bincount(kinds, samples), np.bincount(kinds, squares)
    taken = (whole**2 / np.maximum(whole_squares, 1))[kinds]
    share = samples / np.maximum(whole, 1)[kinds]
    share = (share * taken + _Z**2 / 2) / (taken + _Z**2)
    errors = np.sqrt(share * (1 - share) / (taken + _Z**2)) * whole[kinds]
    found: FloatArray = np.column_stack([counted[:, :_SQUARES], errors])
    return found


def _frozen(rows: FloatArray | IntArray, places: Sequence[PlaceFacts]) -> tuple[HostSample, ...]:
    kinds, of = np.unique(rows[:, :_SAMPLES].astype(np.int64), axis=0, return_inverse=True)
    sums = np.zeros((len(kinds), 2))
    np.add.at(sums, of.ravel(), rows[:, _SAMPLES:])
    counted = _with_errors(np.column_stack([kinds, sums]))
    return tuple(
        HostSample(
            function=places[place].function,
            location=places[place].location,
            part=PART_OF_CODE[part],
            state=HostState(state),
            detail=places[place].detail,
            samples=max(round(samples), 1),
            error=round(error, 3),
            feeder=places[place].feeder,
            calls_fit=places[place].calls_fit,
            calls_predict=places[place].calls_predict,
        )
        for (place, state, part), (samples, error) in zip(
            kinds.tolist(), counted[:, _SAMPLES:].tolist(), strict=True
        )
    )


def _groups(taken: FloatArray) -> IntArray:
    """Numbers for neighbours in which enough samples were taken; what is left over joins the last."""
    group = np.zeros(len(taken), np.int64)
    number, held = 0, 0.0
    for index, count in enumerate(taken.tolist()):
        group[index] = number
        held += count
        if held >= _FEWEST_SAMPLES:
            number, held = number + 1, 0.0
    if held < _FEWEST_SAMPLES and number:
        group[group == number] = number - 1
    return group
