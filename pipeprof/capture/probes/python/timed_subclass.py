"""Replaces methods of one object for a while, by giving it a subclass of its class.

Identity, attributes, ``isinstance`` and pickling of the object stay as they were. This module does not know
what the methods do.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

_ORIGINAL = "_pipeprof_original"

# Called with an unpickled object, in the process that it was sent to.
Arrival = Callable[[Any], None]

# Sets the real class of an object, also where its ``__class__`` is overridden.
_set_class = vars(object)["__class__"].__set__


def original_class(thing: Any) -> type:
    """The user's class of an object, also where its methods are replaced."""
    original: type = getattr(type(thing), _ORIGINAL, type(thing))
    return original


def replace_methods(
    thing: Any,
    methods: Mapping[str, Any],
    pickled: Callable[[], Arrival | None] = lambda: None,
) -> Callable[[], None]:
    """Replaces methods of one object.

    Args:
        thing: the object.
        methods: new methods and other members of its class, by name.
        pickled: called before the object is pickled or copied. Its result, which must be picklable, is
            called with the unpickled object; None for nothing.

    Returns:
        A function that restores the object's class.

    Raises:
        TypeError: the layout of the class does not allow it (classes not written in Python).
    """
    original = type(thing)
    derived: type

    def release() -> None:
        if type(thing) is derived:
            _set_class(thing, original)

    def __reduce_ex__(self: Any, protocol: Any) -> Any:  # noqa: N807 - it is the method of that name
        # It is pickled with the user's class: pipeprof may be missing or off where it is unpickled.
        if type(self) is not derived:
            return self.__reduce_ex__(protocol)
        arrival = pickled()
        _set_class(self, original)
        try:
            reduced = self.__reduce_ex__(protocol)
        finally:
            _set_class(self, derived)
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
    derived = type(original.__name__, (original,), members)
    _set_class(thing, derived)
    return release


def has_replaced_methods(thing: Any) -> bool:
    """Whether methods of an object are replaced."""
    return hasattr(type(thing), _ORIGINAL)


def _with_arrival(reduced: Any, arrival: Arrival) -> Any:
    """The result of ``__reduce_ex__``, extended by a call of ``arrival`` with the complete object."""
    if not isinstance(reduced, tuple):
        return reduced
    parts: list[Any] = [*reduced, None, None, None, None]
    make, arguments, state, items, pairs, set_state = parts[:6]
    return make, arguments, (state, set_state, arrival), items, pairs, _arrive


def _arrive(thing: Any, sent: tuple[Any, Any, Arrival]) -> None:
    state, set_state, arrival = sent
    if state is not None:
        (set_state or _set_state)(thing, state)
    # A failure must not keep the object from arriving.
    with suppress(Exception):
        arrival(thing)


def _set_state(thing: Any, state: Any) -> None:
    """Sets an object's state as ``pickle`` does."""
    own_way = getattr(thing, "__setstate__", None)
    if own_way is not None:
        own_way(state)
        return
    attributes, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
    if attributes:
        vars(thing).update(attributes)
    for name, value in (slots or {}).items():
        setattr(thing, name, value)
