"""Each case is defined with the standard library's `dataclass` and with pipeprof's, and behaves alike."""

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, field, fields, replace

import pytest

from pipeprof.recording import light_dataclasses

DATACLASSES = pytest.mark.parametrize(
    "dataclass", [dataclasses.dataclass, light_dataclasses.dataclass], ids=["standard", "light"]
)


@light_dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Stands in the module, where pickle finds it."""

    level: int
    name: str = "queue"


def reading(dataclass):
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Reading:
        """A level."""

        level: int
        name: str = "queue"
        parts: tuple = field(default_factory=tuple)

    return Reading


@DATACLASSES
def test_an_object_has_what_it_is_given_and_defaults_for_the_rest(dataclass):
    first = reading(dataclass)(level=3)
    second = reading(dataclass)(level=3, name="buffer", parts=(1,))
    assert (first.level, first.name, first.parts) == (3, "queue", ())
    assert (second.level, second.name, second.parts) == (3, "buffer", (1,))


@DATACLASSES
@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({}, r"Reading\.__init__\(\) missing 1 required keyword-only argument: 'level'"),
        (
            {"level": 1, "size": 2},
            r"Reading\.__init__\(\) got an unexpected keyword argument 'size'",
        ),
    ],
)
def test_wrong_arguments_are_refused_with_the_name_of_the_class(dataclass, given, complaint):
    with pytest.raises(TypeError, match=complaint):
        reading(dataclass)(**given)


@DATACLASSES
def test_arguments_without_names_are_taken_only_where_the_class_allows_it(dataclass):
    @dataclass(frozen=True, slots=True)
    class Pair:
        first: int
        second: int = 2
        third: int = field(default=5, kw_only=True)

    assert Pair(1) == Pair(1, 2, third=5)
    match Pair(7, 8):
        case Pair(first, second):
            assert (first, second) == (7, 8)
    with pytest.raises(TypeError):
        Pair(1, 2, 3)
    with pytest.raises(TypeError):
        reading(dataclass)(3)


@DATACLASSES
def test_a_default_factory_makes_a_new_value_for_each_object(dataclass):
    @dataclass(slots=True)
    class Sums:
        lanes: list = field(default_factory=list)

    first, second = Sums(), Sums()
    first.lanes.append(1)
    assert (first.lanes, second.lanes) == ([1], [])
    assert Sums(lanes=None).lanes is None


@DATACLASSES
def test_a_field_that_is_no_argument_gets_its_default(dataclass):
    @dataclass(slots=True)
    class Sums:
        count: int = field(default=4, init=False)
        lanes: list = field(default_factory=lambda: [1], init=False)
        unset: int = field(init=False)

    assert (Sums().count, Sums().lanes) == (4, [1])
    assert not hasattr(Sums(), "unset")
    with pytest.raises(TypeError):
        Sums(count=3)


@DATACLASSES
def test_objects_of_one_class_with_equal_values_are_equal(dataclass):
    level, other = reading(dataclass), reading(dataclass)
    assert level(level=1) == level(level=1)
    assert level(level=1) != level(level=2)
    assert level(level=1) != other(level=1)
    assert hash(level(level=1)) == hash(level(level=1))
    assert len({level(level=1), level(level=1), level(level=2)}) == 2


@DATACLASSES
def test_a_class_that_changes_has_no_hash_and_one_without_eq_that_of_its_identity(dataclass):
    @dataclass(slots=True)
    class Changing:
        level: int

    @dataclass(frozen=True, slots=True, eq=False)
    class Itself:
        level: int

    with pytest.raises(TypeError, match="unhashable"):
        hash(Changing(1))
    assert Itself(1) != Itself(1)
    assert len({Itself(1), Itself(1)}) == 2


@DATACLASSES
def test_fields_can_be_left_out_of_comparing_and_of_the_description(dataclass):
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Part:
        name: str
        seen: int = field(default=0, compare=False)
        secret: int = field(default=0, repr=False)

    assert Part(name="a", seen=1) == Part(name="a", seen=2)
    assert hash(Part(name="a", seen=1)) == hash(Part(name="a", seen=2))
    assert Part(name="a", secret=1) != Part(name="a", secret=2)
    name = Part.__qualname__
    assert repr(Part(name="a")) == f"{name}(name='a', seen=0)"


@DATACLASSES
def test_an_object_that_holds_itself_can_be_described(dataclass):
    @dataclass
    class Node:
        next: object = None

    node = Node()
    node.next = node
    assert repr(node) == f"{Node.__qualname__}(next=...)"


@DATACLASSES
def test_methods_of_the_class_itself_stay(dataclass):
    @dataclass(frozen=True, slots=True)
    class Own:
        level: int

        def __repr__(self):
            return "mine"

        def __eq__(self, other):
            return True

        def __hash__(self):
            return 3

    @dataclass(frozen=True, slots=True)
    class OwnEq:
        level: int

        def __eq__(self, other):
            return True

    assert repr(Own(1)) == "mine"
    assert Own(1) == Own(2)
    assert hash(Own(1)) == 3
    assert hash(OwnEq(1)) == hash(OwnEq(1)) != hash(OwnEq(2))


@DATACLASSES
def test_what_is_checked_after_init_is_checked(dataclass):
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Checked:
        level: int

        def __post_init__(self):
            if self.level < 0:
                raise ValueError("negative")

    assert Checked(level=0).level == 0
    with pytest.raises(ValueError, match="negative"):
        Checked(level=-1)


@DATACLASSES
def test_a_derived_class_has_the_fields_of_both(dataclass):
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Base:
        """A base."""

        level: int
        name: str = "queue"

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Derived(Base):
        """A derived one."""

        size: int
        name: str = "buffer"

    made = Derived(size=2, level=1)
    assert [f.name for f in fields(Derived)] == ["level", "name", "size"]
    assert (made.level, made.name, made.size) == (1, "buffer", 2)
    assert made != Base(level=1, name="buffer")
    assert Base(level=1).name == "queue"


@DATACLASSES
def test_a_frozen_object_is_changed_only_by_a_copy(dataclass):
    value = reading(dataclass)(level=1)
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'level'"):
        value.level = 2
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'level'"):
        del value.level
    assert replace(value, level=2) == reading_with(value, level=2)
    assert copy.copy(value) == copy.deepcopy(value) == value
    assert not hasattr(value, "__dict__")


def reading_with(value, level):
    return type(value)(level=level, name=value.name, parts=value.parts)


@DATACLASSES
def test_an_object_that_is_not_frozen_is_changed_and_copied(dataclass):
    @dataclass(slots=True)
    class Sums:
        count: int = 0

    sums = Sums()
    sums.count += 2
    assert copy.deepcopy(sums) == Sums(count=2)


def test_frozen_objects_are_pickled():
    assert pickle.loads(pickle.dumps(Reading(level=4))) == Reading(level=4)


def test_a_class_that_had_an_object_shows_its_signature():
    light, standard = reading(light_dataclasses.dataclass), reading(dataclasses.dataclass)
    light(level=1)
    ours, theirs = inspect.signature(light), inspect.signature(standard)
    assert list(ours.parameters) == list(theirs.parameters)
    assert [p.kind for p in ours.parameters.values()] == [
        p.kind for p in theirs.parameters.values()
    ]


def test_defining_a_class_compiles_none_of_its_methods():
    program = (
        "import dataclasses, sys\n"
        "from pipeprof.recording import light_dataclasses\n"
        "compiled = []\n"
        "def note(event, arguments):\n"
        "    if event == 'compile':\n"
        "        compiled.append(str(arguments[0]).count('self'))\n"
        "sys.addaudithook(note)\n"
        "def define(dataclass):\n"
        "    class Level:\n"
        "        value: int\n"
        "    compiled.clear()\n"
        "    made = dataclass(frozen=True, slots=True, kw_only=True)(Level)\n"
        "    at_definition = sum(compiled)\n"
        "    compiled.clear()\n"
        "    for value in range(3):\n"
        "        made(value=value) == made(value=2)\n"
        "    return at_definition, len(compiled)\n"
        "print(*define(light_dataclasses.dataclass), define(dataclasses.dataclass)[0] > 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["0", "1", "True"]
