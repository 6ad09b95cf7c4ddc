"""How long iterators take to end, seen on an object that goes like one."""

import pytest

from pipeprof.capture.guard import Guard
from pipeprof.capture.probes.tfdata.iterator_ends import follow_end
from pipeprof.capture.recorder import recorder as recording
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind
from tests.capture.probes.recorded import events

SPIN = 200_000


class Pipeline:
    """Takes a while to go."""

    def __init__(self, spin: int) -> None:
        self._spin = spin

    def __del__(self) -> None:
        for _ in range(self._spin):
            pass


class Iterator:
    """An iterator of tf.data, as far as its attributes go."""

    def __init__(self, spin: int = SPIN) -> None:
        self._dataset = object()
        self._iterator_resource = Pipeline(spin)


@pytest.fixture
def recorder() -> Recorder:
    """A recorder that is on."""
    recorder = Recorder(None)
    recording.activate(recorder)
    yield recorder
    recording.activate(None)


def test_the_end_of_an_iterator_is_recorded_from_begin_to_end(recorder: Recorder) -> None:
    iterator = Iterator()
    follow_end(iterator, recorder, Guard(recorder.warn, "x"))
    assert events(recorder, Kind.ITERATOR_END) == []
    del iterator
    [end] = events(recorder, Kind.ITERATOR_END)
    assert end.end_ns > end.start_ns


def test_a_small_pipeline_leaves_no_record(recorder: Recorder) -> None:
    iterator = Iterator(spin=0)
    follow_end(iterator, recorder, Guard(recorder.warn, "x"))
    del iterator
    assert events(recorder, Kind.ITERATOR_END) == []


def test_an_iterator_that_ends_after_the_profile_is_not_recorded(recorder: Recorder) -> None:
    iterator = Iterator()
    follow_end(iterator, recorder, Guard(recorder.warn, "x"))
    recording.activate(None)
    del iterator
    assert events(recorder, Kind.ITERATOR_END) == []


def test_an_iterator_that_takes_no_attributes_is_left_alone(recorder: Recorder) -> None:
    follow_end(iter([1]), recorder, Guard(recorder.warn, "x"))
