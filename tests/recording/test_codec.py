"""Values to JSON and numbers and back, and what is refused on the way back."""

import contextlib
import dataclasses
import json
from collections.abc import Mapping
from enum import Enum
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeprof.errors import RunDamaged
from pipeprof.recording.account import HostFunction, Part
from pipeprof.recording.codec import Decoder, Encoder
from pipeprof.recording.lane import Cpu, Role
from pipeprof.recording.level_names import DeviceLevel
from pipeprof.recording.profile import Profile
from pipeprof.recording.series import IntArray
from pipeprof.recording.source_code import Location
from pipeprof.recording.span import SpanKind
from tests.builders import (
    MS,
    Span,
    device,
    evenly,
    gauge,
    lane,
    loop,
    profile,
    run_info,
    signature,
    spans,
    stage,
    step_spans,
    trace_window,
)


def full_profile() -> Profile:
    """A profile in which nothing is left out."""
    fit = loop(steps=10, epochs=2, lane=0, input_work_ns=5, input_work_in_wait_ns=2)
    queue = dataclasses.replace(fit.input, queue=gauge(0, None, 3), queue_size=4, workers=2)
    return profile(
        loops=(dataclasses.replace(fit, input=queue),),
        stages=(
            stage(
                parallelism=2,
                most_parallelism=8,
                autotuned=True,
                buffer=1,
                buffer_size=2,
                during=fit,
            ),
            stage("read", parent=0, location=None, remark="added", workers=3, during=fit, lanes={}),
        ),
        lanes=(lane(cpu_ns=5 * MS), lane("GPU", Role.DEVICE, tid=None)),
        spans=spans(
            Span(SpanKind.WORK, 0, 1, 9, inner_ns=3),
            Span(SpanKind.CALL, 0, 10, 12),
            Span(SpanKind.COMPILE, 0, 12, 15),
            *step_spans(fit),
        ),
        host_functions=(
            HostFunction(
                part=Part.CALLBACKS, name="Save.on_epoch_end", location=Location("a.py", 3)
            ),
        ),
        cpu=Cpu(cores=2, limit=1.5, used=evenly((9,), 0, 9), sampled=evenly((9,), 0, 9)),
        deliveries=(signature((32, 3), (32,)),),
        gauges={"RAM": gauge(1, 2)},
        run=run_info(error="ValueError: no", warnings=("one",), exit_code=None),
        devices=(
            device(model="NVIDIA H200", levels={DeviceLevel.POWER: gauge(120_000)}),
            device("GPU 1", steps=0),
        ),
        trace_windows=(trace_window(fit, 6, 3 * MS, 4 * MS),),
    )


def encoded(value: Any) -> tuple[Any, IntArray]:
    """As it lies in the files."""
    encoder = Encoder()
    document = json.loads(json.dumps(encoder.encode(value)))
    return document, encoder.numbers()


@pytest.mark.parametrize("made", [full_profile(), profile(), profile(loops=(), lanes=())])
def test_a_profile_comes_back_as_it_was(made: Profile):
    document, numbers = encoded(made)
    read = Decoder(numbers).decode(Profile, document)
    np.testing.assert_equal(dataclasses.asdict(read), dataclasses.asdict(made))
    assert read.check() == ()


class Colour(Enum):
    RED = "red"


@dataclasses.dataclass(frozen=True)
class Thing:
    number: int
    share: float
    flag: bool
    name: str
    colour: Colour
    pair: tuple[int, str]
    many: tuple[float, ...]
    by_number: Mapping[int, str]
    by_name: Mapping[str, Any]
    array: IntArray
    inner: "Thing | None"


NAMES = st.text(max_size=5)
INTEGERS = st.integers(-(2**63) + 1, 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | INTEGERS | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
ARRAYS = st.lists(INTEGERS, max_size=8).map(
    lambda numbers: np.array(numbers, np.int64).reshape((-1, 2) if len(numbers) % 2 == 0 else -1)
)
THINGS = st.builds(
    Thing,
    number=INTEGERS,
    share=FLOATS,
    flag=st.booleans(),
    name=NAMES,
    colour=st.sampled_from(Colour),
    pair=st.tuples(INTEGERS, NAMES),
    many=st.lists(FLOATS, max_size=3).map(tuple),
    by_number=st.dictionaries(st.integers(-9, 9), NAMES, max_size=3),
    by_name=st.dictionaries(NAMES, PLAIN, max_size=3),
    array=ARRAYS,
    inner=st.none(),
)


@given(THINGS, THINGS | st.none())
def test_every_kind_of_value_comes_back_as_it_was(outer: Thing, inner: Thing | None):
    made = dataclasses.replace(outer, inner=inner)
    document, numbers = encoded(made)
    read = Decoder(numbers).decode(Thing, document)
    np.testing.assert_equal(dataclasses.asdict(read), dataclasses.asdict(made))


THING = Thing(
    number=1,
    share=0.5,
    flag=True,
    name="a",
    colour=Colour.RED,
    pair=(1, "b"),
    many=(1.0,),
    by_number={1: "c"},
    by_name={},
    array=np.arange(6).reshape(2, 3),
    inner=None,
)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("number", "1"),
        ("number", 1.0),
        ("number", True),
        ("number", None),
        ("number", 2**63),
        ("number", -(2**200)),
        ("share", "0.5"),
        ("share", True),
        ("share", float("nan")),
        ("share", float("inf")),
        ("share", 10**400),
        ("flag", 1),
        ("name", 5),
        ("name", None),
        ("colour", "blue"),
        ("colour", []),
        ("colour", None),
        ("pair", [1]),
        ("pair", [1, "b", 2]),
        ("pair", ["b", 1]),
        ("pair", {"0": 1}),
        ("many", 5),
        ("many", [None]),
        ("by_number", []),
        ("by_number", {"x": "c"}),
        ("by_number", {"²": "c"}),
        ("by_number", {"1": 5}),
        ("by_name", None),
        ("array", None),
        ("array", [1, 2]),
        ("array", {}),
        ("array", {"$array": None}),
        ("array", {"$array": []}),
        ("array", {"$array": 0}),
        ("array", {"$array": "06"}),
        ("array", {"$array": [0]}),
        ("array", {"$array": [0, 7]}),
        ("array", {"$array": [1, 6]}),
        ("array", {"$array": [-1, 6]}),
        ("array", {"$array": [0, -6]}),
        ("array", {"$array": [0, -2, -3]}),
        ("array", {"$array": [0, 1, 2, 3]}),
        ("array", {"$array": [0, True]}),
        ("array", {"$array": [0, 1.0]}),
        ("array", {"$array": [0, [6]]}),
        ("array", {"$array": [0, 2**62, 2**62]}),
        ("array", {"$array": [0, 0, 2**62]}),
        ("array", {"$array": [2**62, 0]}),
        ("inner", {}),
        ("inner", []),
        ("inner", 5),
    ],
)
def test_what_is_of_another_type_is_refused(field: str, wrong: Any):
    document, numbers = encoded(THING)
    with pytest.raises(RunDamaged, match=r"^expected .{1,120}$"):
        Decoder(numbers).decode(Thing, document | {field: wrong})


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Thing)])
def test_what_is_missing_is_refused(field: str):
    document, numbers = encoded(THING)
    del document[field]
    with pytest.raises(RunDamaged, match=rf"Thing\.{field}"):
        Decoder(numbers).decode(Thing, document)


def test_what_nobody_asks_for_is_passed_over():
    document, numbers = encoded(THING)
    assert Decoder(numbers).decode(Thing, document | {"later": 5}).name == "a"


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON document."""
    if not isinstance(value, (dict, list)):
        return [path]
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return [path] + [found for key, item in inner for found in paths_of(item, (*path, key))]


DOCUMENT, NUMBERS = encoded(full_profile())
PATHS = paths_of(DOCUMENT)


@given(st.sampled_from(PATHS), PLAIN | FLOATS | st.sampled_from([-1, 10**9, 2**70]))
def test_a_profile_with_anything_changed_is_refused_or_can_be_checked(
    path: tuple[Any, ...], value: Any
):
    document = json.loads(json.dumps({"profile": DOCUMENT}))
    at, last = document, "profile"
    for key in path:
        at, last = at[last], key
    at[last] = value
    with contextlib.suppress(RunDamaged):
        read = Decoder(NUMBERS).decode(Profile, document["profile"])
        assert isinstance(read.check(), tuple)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Older:
    name: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Newer:
    """Has got fields since; one of them a file must have."""

    name: str
    note: str | None = None
    lanes: Mapping[int, int] = dataclasses.field(default_factory=dict)


def test_an_alias_stands_for_what_it_is_of():
    """Such is ``NDArray`` with Python 3.12 and NumPy 2.5."""

    class Numbers:
        __value__ = np.ndarray

    read = Decoder(np.arange(3)).decode(Numbers, {"$array": [1, 2]})
    assert read.tolist() == [1, 2]


def test_what_an_older_version_did_not_know_is_left_at_its_default():
    written, numbers = encoded(Older(name="run"))
    assert Decoder(numbers).decode(Newer, written) == Newer(name="run")
    with pytest.raises(RunDamaged, match=r"expected Newer\.name in the run's file, found none"):
        Decoder(numbers).decode(Newer, {"note": "n"})
