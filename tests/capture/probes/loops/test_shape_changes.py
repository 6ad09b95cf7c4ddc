import numpy as np

from pipeprof.capture.probes.loops.batch_shapes import leaves_of
from pipeprof.capture.probes.loops.shape_changes import describe_changes, shapes_of


def test_shapes_are_given_in_the_users_words():
    batch = {"image": np.zeros((2, 3), np.float32), "label": [np.zeros(2, np.int64), "no array"]}
    assert shapes_of(leaves_of(batch)) == ("float32 (2, 3)", "int64 (2,)")


def test_only_what_differs_is_described():
    before, now = ("float32 (2, 3)", "int64 (2,)"), ("float32 (4, 3)", "int64 (2,)")
    assert describe_changes(before, now) == "float32 (2, 3) → float32 (4, 3)"
    assert describe_changes(before, before) is None


def test_another_number_of_arrays_is_described_as_such_and_of_many_the_first():
    assert describe_changes(("a",), ("a", "b")) == "1 → 2 tensors"
    assert describe_changes(("a",) * 5, ("b",) * 5) == "; ".join(["a → b"] * 3)
