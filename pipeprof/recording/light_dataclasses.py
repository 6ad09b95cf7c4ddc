"""`dataclass` with the meaning that it has in the standard library, in a tenth of the time.

The standard library compiles up to six methods for each class that is defined. pipeprof defines hundreds of
classes, and that was most of the time that its modules took to be imported, before and after a training.
Here only ``__init__`` is compiled, and only when a class gets its first object.
"""

import dataclasses
import operator
import reprlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

_Class = type[Any]

# Stands for an argument that was not given, in the signature of a field with a default factory.
_NOT_GIVEN = object()


def _light_dataclass(
    cls: _Class | None = None,
    /,
    *,
    frozen: bool = False,
    slots: bool = False,
    kw_only: bool = False,
    eq: bool = True,
) -> _Class | Callable[[_Class], _Class]:
    """Makes a class a dataclass; the arguments mean what they do in the standard library.

    What differs: a class has a signature only once it had an object, it can have no `InitVar`, and
    what is derived from a frozen class is frozen too.
    """

    def define(plain: _Class) -> _Class:
        own = {name for name, value in vars(plain).items() if value is not None}
        if not plain.__doc__:  # the standard library would write the signature here
            plain.__doc__ = plain.__name__
        standard = dataclasses.dataclass(
            init=False, repr=False, eq=False, slots=slots, kw_only=kw_only
        )
        made = standard(plain)
        methods = dict(_methods(made, frozen=frozen, slots=slots, eq=eq))
        for name in methods.keys() - own:
            setattr(made, name, methods[name])
        return made

    return define if cls is None else define(cls)


def _methods(made: Any, *, frozen: bool, slots: bool, eq: bool) -> Iterator[tuple[str, Any]]:
    """Names and values of the methods that a class gets, where it has none of its own."""
    fields = dataclasses.fields(made)

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        made.__init__ = _compiled_init(made, frozen=frozen)
        made.__init__(self, *args, **kwargs)

    @reprlib.recursive_repr()
    def describe(self: Any) -> str:
        values = (f"{f.name}={getattr(self, f.name)!r}" for f in fields if f.repr)
        return f"{type(self).__qualname__}({', '.join(values)})"

    yield "__init__", init
    yield "__repr__", describe
    if eq:
        compared = _values_of([f.name for f in fields if f.compare])

        def equals(self: Any, other: Any) -> Any:
            if other.__class__ is not self.__class__:
                return NotImplemented
            return compared(self) == compared(other)

        yield "__eq__", equals
        yield "__hash__", (lambda self: hash(compared(self))) if frozen else None
    if frozen:
        yield "__setattr__", _refuse_to_set
        yield "__delattr__", _refuse_to_delete
    if frozen and slots:
        yield "__getstate__", _state
        yield "__setstate__", _set_state


def _values_of(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """A function that gives an object's values of these names."""
    match names:
        case []:
            return lambda value: ()
        case [name]:
            return lambda value: (getattr(value, name),)
        case _:
            return operator.attrgetter(*names)


def _compiled_init(made: Any, *, frozen: bool) -> Callable[..., None]:
    names: dict[str, Any] = {"_set": object.__setattr__, "_not_given": _NOT_GIVEN}
    positional, keywords = ["self"], list[str]()
    lines = ["pass"]
    for field in dataclasses.fields(made):
        name, otherwise = field.name, f"_default_{field.name}"
        parameter = given = name
        if field.default is not dataclasses.MISSING:
            names[otherwise] = field.default
            parameter = f"{name}={otherwise}"
        elif field.default_factory is not dataclasses.MISSING:
            names[otherwise] = field.default_factory
            otherwise += "()"
            parameter = f"{name}=_not_given"
            given = f"{otherwise} if {name} is _not_given else {name}"
        elif not field.init:
            continue
        if field.init:
            (keywords if field.kw_only else positional).append(parameter)
        value = given if field.init else otherwise
        lines.append(f"_set(self, {name!r}, {value})" if frozen else f"self.{name} = {value}")
    if hasattr(made, "__post_init__"):
        lines.append("self.__post_init__()")
    parameters = ", ".join([*positional, *(["*", *keywords] if keywords else [])])
    body = "\n    ".join(lines)
    exec(f"def __init__({parameters}):\n    {body}", names)
    init: Any = names["__init__"]
    init.__qualname__ = f"{made.__qualname__}.__init__"
    init.__module__ = made.__module__
    return init  # type: ignore[no-any-return]


def _refuse_to_set(self: Any, name: str, value: Any) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: Any, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    """What is pickled and copied of an object that can have no attribute set."""
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _set_state(self: Any, state: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:
    dataclass = _light_dataclass
