"""What is read of the outside of batches, whatever they are."""

from typing import Any

import numpy as np
import pytest

from pipeprof.capture.probes.loops.batch_shapes import BatchInspector
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind
from tests.capture.probes.recorded import events, facts_of, warnings_of

X = np.zeros((4, 2), np.float32)


class Ragged:
    """A tensor whose rows have lengths of their own."""

    dtype = np.dtype(np.int32)

    def __init__(self, *shape: int | None) -> None:
        self.shape = shape


def test_a_batch_is_known_by_its_shapes_wherever_they_lie() -> None:
    recorder = Recorder(None)
    inspector = BatchInspector(recorder)
    shape = inspector.look(({"a": X, "b": [X, X]}, X[:, 0]))
    assert shape is not None
    assert (shape.samples, shape.size_bytes) == (4, 4 * 7 * 4)
    assert inspector.look(({"a": X + 1, "b": [X, X]}, X[:, 1])) is shape
    assert inspector.look(3) is None


@pytest.mark.parametrize(
    ("batch", "samples"), [((Ragged(4, None), X), 4), (Ragged(None, None), None)]
)
def test_of_a_ragged_batch_the_samples_are_known_at_the_most(
    batch: Any, samples: int | None
) -> None:
    recorder = Recorder(None)
    inspector = BatchInspector(recorder)
    shape = inspector.note(batch)
    assert shape is not None
    assert (shape.number, shape.samples, shape.size_bytes) == (0, samples, 0)
    assert inspector.look(X) is not None
    assert warnings_of(recorder) == []


def test_a_batch_that_cannot_be_looked_at_is_said_once() -> None:
    class Broken:
        dtype = "float32"

        @property
        def shape(self) -> Any:
            raise RuntimeError("lost")

    recorder = Recorder(None)
    inspector = BatchInspector(recorder)
    assert [inspector.look(batch) for batch in (Broken(), Broken(), X)] == [None] * 3
    (warning,) = warnings_of(recorder)
    assert "RuntimeError: lost" in warning


def test_batches_of_the_validation_are_distinguished_from_those_of_the_training() -> None:
    recorder = Recorder(None)
    inspector = BatchInspector(recorder)
    for validation in (False, True, True):
        inspector.note(X, validation=validation)
    facts = facts_of(recorder)
    noted = [facts[event.number].validation for event in events(recorder, Kind.BATCH)]
    assert noted == [False, True, True]


def test_shapes_without_end_are_counted_no_more() -> None:
    recorder = Recorder(None)
    inspector = BatchInspector(recorder)
    shapes = [
        inspector.look(np.zeros((4, n), np.int8)) for n in range(BatchInspector.MOST_SHAPES + 5)
    ]
    numbers = [shape.number for shape in shapes if shape is not None]
    assert numbers[-5:] == [0] * 5
    assert 0 not in numbers[:-5]
    assert [shape.size_bytes for shape in shapes[-2:] if shape] == [1036, 1040]


@pytest.mark.parametrize(
    ("first", "others"),
    [
        (X, [X + 1, X[:2], X.astype(np.float64), X[:, :1], (X,), [X], 3, None]),
        ((X, X[:, 0]), [(X, X[:1, 0]), (X[:1], X[:, 0]), [X, X[:, 0]], (X,), (X, 1), X, (X, X, X)]),
        ([X], [[X], [X, X], (X,), [X.astype(np.int8)]]),
        (5, [6, "text", X, None]),
        ({"a": X}, [{"a": X}, {"a": X[:1]}, {"b": X}]),
        ((X, {"y": X}), [(X, {"y": X[:1]}), (X, X)]),
    ],
    ids=repr,
)
def test_a_quick_look_sees_what_any_look_does(first: Any, others: list[Any]) -> None:
    inspector = BatchInspector(Recorder(None))
    look = inspector.look_like(first)
    for batch in [first, *others, first]:
        assert look(batch) == inspector.look(batch)
