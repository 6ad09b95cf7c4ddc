"""The workers of a sequence are set for a trial, and for good where they are the best."""

import pytest

from pipeprof.errors import TuningRefused
from pipeprof.recording.pipeline_edits import AddPrefetch, Workers
from pipeprof.tuning.sequence_input import load_by, loaded_by, workers_of

FOUR = Workers(workers=4, processes=True, queue=20)


class Photos:
    """As a PyDataset of Keras 3."""

    workers = 1
    use_multiprocessing = False
    max_queue_size = 10


class OldPhotos:
    """As a Sequence of Keras 2, whose workers are arguments of `fit`."""


def test_a_trial_gives_the_workers_back() -> None:
    photos = Photos()
    before = workers_of(photos)
    with loaded_by(photos, [FOUR]) as arguments:
        assert arguments == {}
        assert workers_of(photos) == FOUR
    assert workers_of(photos) == before


def test_the_best_workers_stay() -> None:
    photos = Photos()
    assert load_by(photos, [FOUR]) == {}
    assert workers_of(photos) == FOUR


def test_in_keras_2_fit_is_given_them() -> None:
    arguments = {"workers": 4, "use_multiprocessing": True, "max_queue_size": 20}
    assert load_by(OldPhotos(), [FOUR]) == arguments
    with loaded_by(OldPhotos(), []) as nothing:
        assert nothing == {}


def test_other_changes_are_refused_and_nothing_is_set() -> None:
    photos = Photos()
    with (
        pytest.raises(TuningRefused, match="cannot be changed by prefetch"),
        loaded_by(photos, [FOUR, AddPrefetch()]),
    ):
        pass
    assert photos.workers == 1
