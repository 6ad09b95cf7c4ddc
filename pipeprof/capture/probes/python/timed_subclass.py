"""Gives an object a subclass of its own class for a while: it stays the object that the user made.

Identity, attributes, ``isinstance`` and pickling stay as they were; only the methods that are asked
for are others. It knows nothing of what they do.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

_ORIGINAL = "_pipeprof_original"

# Is called, where an object was sent to, with the object that arrived.
Arrival = Callable[[Any], None]

# Sets the class that an object really has, also where ``__class__`` says something else.
_set_class = vars(object)["__class__"].__set__


def original_class(thing: Any) -> type:
    """The user's class, also of an object in disguise."""
    original: type = getattr(type(thing), _ORIGINAL, type(thing))
    return original


def disguise(
    thing: Any,
    methods: Mapping[str, Any],
    pickled: Callable[[], Arrival | None] = lambda: None,
) -> Callable[[], None]:
    """Replaces methods of one object by others.

    Args:
        thing: the object.
        methods: by name, with whatever else its class is to hold.
        pickled: called when the object is about to be pickled, or copied; what it returns, which can
            be pickled itself, is called with the object that is unpickled.

    Returns:
        Takes them away again.

    Raises:
        TypeError: the class's layout does not allow it (classes not written in Python).
    """
    original = type(thing)
    disguised: type

    def release() -> None:
        if type(thing) is disguised:
            _set_class(thing, original)

    def __reduce_ex__(self: Any, protocol: Any) -> Any:  # noqa: N807 - it is the method of that name
        # Pickled, it is the user's again: who unpickles it may not have pipeprof, or have it off.
        if type(self) is not disguised:
            return self.__reduce_ex__(protocol)
        arrival = pickled()
        _set_class(self, original)
        try:
            reduced = self.__reduce_ex__(protocol)
        finally:
            _set_class(self, disguised)
        return reduced if arrival is None else _with_arrival(reduced, arrival)

    members = {
        "__slots__": (),
        "__module__": original.__module__,
        "__qualname__": original.__qualname__,
        "__doc__": original.__doc__,
        "__class__": property(lambda _: original),  # pickle compares it, and users do
        "__reduce_ex__": __reduce_ex__,
        _ORIGINAL: original,
        **methods,
    }
    disguised = type(original.__name__, (original,), members)
    _set_class(thing, disguised)
    return release


def is_disguised(thing: Any) -> bool:
    """Whether methods of an object are replaced."""
    return hasattr(type(thing), _ORIGINAL)


def _with_arrival(reduced: Any, arrival: Arrival) -> Any:
    """What ``__reduce_ex__`` returned, with something to be called once the object is whole again."""
    if not isinstance(reduced, tuple):
        return reduced
    parts: list[Any] = [*reduced, None, None, None, None]
    make, arguments, state, items, pairs, set_state = parts[:6]
    return make, arguments, (state, set_state, arrival), items, pairs, _arrive


def _arrive(thing: Any, told: tuple[Any, Any, Arrival]) -> None:
    state, set_state, arrival = told
    if state is not None:
        (set_state or _set_state)(thing, state)
    # Whatever goes wrong, the object itself has arrived.
    with suppress(Exception):
        arrival(thing)


def _set_state(thing: Any, state: Any) -> None:
    """Does what ``pickle`` does with the state of an object that has no way of its own."""
    own_way = getattr(thing, "__setstate__", None)
    if own_way is not None:
        own_way(state)
        return
    attributes, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
    if attributes:
        vars(thing).update(attributes)
    for name, value in (slots or {}).items():
        setattr(thing, name, value)
