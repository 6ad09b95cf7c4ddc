"""Encodes frozen values as JSON and one array of numbers, and decodes them with every type checked.

A value is a tree of dataclasses, tuples, lists, mappings, enums, plain values and ``int64`` arrays.
All arrays lie end to end in one flat array beside the JSON, which refers to them by offset and shape.
Decoding never executes anything: a value that does not fit the declared types is refused.
"""

import dataclasses
import enum
import functools
import math
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np

from pipeprof.errors import RunDamaged
from pipeprof.recording.series import IntArray

T = TypeVar("T")
S_co = TypeVar("S_co", covariant=True)

_ARRAY = "$array"
_TAG = "$type"
_WIDEST = 1 << 40
_MOST = 2**63 - 1
_PLAIN = frozenset((int, float, str, bool, Any))


class Resumable(Protocol[S_co]):
    """An object that collects data and can be stored as its `state`, to continue from there later.

    `resume` makes the object from a state; it raises ValueError for a state that is not possible.
    """

    def state(self) -> S_co:
        """All that is needed to continue, as a value that does not change any more."""
        ...

    @classmethod
    def resume(cls, state: Any) -> Any:
        """The object that continues from a state."""
        ...


class Tagged:
    """A dataclass that is a member of a union; its tag is stored with it, to find the member again."""

    __slots__ = ()

    tag: ClassVar[str]


class Encoder:
    """Turns values into JSON-ready ones and collects their arrays."""

    def __init__(self) -> None:
        self._parts: list[IntArray] = []
        self._size = 0

    def encode(self, value: Any) -> Any:
        """The value with dataclasses as dicts, enums as their values and arrays as references."""
        match value:
            case np.ndarray():
                return self._put(value)
            case enum.Enum():
                return value.value
            case Mapping():
                return {str(self.encode(key)): self.encode(item) for key, item in value.items()}
            case tuple() | list():
                return [self.encode(item) for item in value]
            case _ if hasattr(value, "resume"):
                return self.encode(value.state())
            case _ if dataclasses.is_dataclass(value):
                encoded = {
                    field.name: self.encode(getattr(value, field.name))
                    for field in dataclasses.fields(value)
                    if field.init
                }
                return {_TAG: value.tag, **encoded} if isinstance(value, Tagged) else encoded
            case _:
                return value

    def numbers(self) -> IntArray:
        """All arrays of the values encoded so far, end to end."""
        return np.concatenate(self._parts) if self._parts else np.empty(0, np.int64)

    def _put(self, array: IntArray) -> dict[str, Any]:
        reference = {_ARRAY: [self._size, *array.shape]}
        self._parts.append(np.ascontiguousarray(array, np.int64).ravel())
        self._size += array.size
        return reference


def _without_alias(kind: Any) -> Any:
    """The type that an alias stands for. With Python 3.12 and NumPy 2.5 ``NDArray`` is an alias."""
    while (target := getattr(typing.get_origin(kind) or kind, "__value__", None)) is not None:
        kind = target
    return kind


@functools.cache
def _parts_of(kind: Any) -> tuple[Any, Any, tuple[Any, ...]]:
    """The type that is meant, what it is made from, and of what."""
    kind = _without_alias(kind)
    return kind, typing.get_origin(kind), typing.get_args(kind)


class Decoder:
    """Turns what an `Encoder` made back into values.

    Args:
        numbers: the flat array that `Encoder.numbers` returned.
    """

    def __init__(self, numbers: IntArray) -> None:
        self._numbers = numbers

    def decode(self, kind: type[T], value: Any) -> T:
        """The value as an instance of ``kind``.

        Raises:
            RunDamaged: the value does not fit that type.
        """
        decoded: T = self._decode(kind, value)
        return decoded

    def _decode(self, kind: Any, value: Any) -> Any:
        kind, origin, arguments = _parts_of(kind)
        if kind in _PLAIN:
            return _plain(kind, value)
        if origin in (typing.Union, types.UnionType):
            return self._decode_union(arguments, value)
        if origin is tuple:
            return self._decode_tuple(arguments, value)
        if origin is list:
            return list(self._decode_tuple((arguments[0], Ellipsis), value))
        if origin in (Mapping, dict):
            return self._decode_mapping(arguments, value)
        if origin is np.ndarray or kind is np.ndarray:
            return self._array(value)
        if hasattr(kind, "resume"):
            return self._resume(kind, value)
        if dataclasses.is_dataclass(kind):
            return self._decode_dataclass(kind, value)
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return _enum(kind, value)
        return _plain(kind, value)

    def _decode_union(self, arguments: tuple[Any, ...], value: Any) -> Any:
        if value is None:
            _expect(type(None) in arguments, "a value", value)
            return None
        kinds = [a for a in arguments if a is not type(None)]
        if len(kinds) > 1:
            tag = value.get(_TAG) if isinstance(value, dict) else None
            kinds = [kind for kind in kinds if kind.tag == tag]
            _expect(len(kinds) == 1, "an object with a known type", value)
        return self._decode(kinds[0], value)

    def _resume(self, kind: Any, value: Any) -> Any:
        state = self._decode(_return_type(kind.state), value)
        return _made(kind, lambda: kind.resume(state))

    def _decode_tuple(self, arguments: tuple[Any, ...], value: Any) -> Any:
        _expect(isinstance(value, list), "a list", value)
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(self._decode(arguments[0], item) for item in value)
        _expect(len(arguments) == len(value), f"{len(arguments)} values", value)
        return tuple(self._decode(k, v) for k, v in zip(arguments, value, strict=True))

    def _decode_mapping(self, arguments: tuple[Any, ...], value: Any) -> Any:
        _expect(isinstance(value, dict), "an object", value)
        key_kind, item_kind = arguments
        items = {key: self._decode(item_kind, item) for key, item in value.items()}
        if isinstance(key_kind, type) and issubclass(key_kind, enum.Enum):
            return {_enum(key_kind, key): item for key, item in items.items()}
        if key_kind is not int:
            return items
        try:
            return {int(key): item for key, item in items.items()}
        except ValueError:
            raise RunDamaged("expected numbers for keys in the run's file, found others") from None

    def _decode_dataclass(self, kind: Any, value: Any) -> Any:
        _expect(isinstance(value, dict), "an object", value)
        hints = _field_types(kind)
        # A field that a later version added has a default: older files do not have it.
        missing = [name for name in _needed(kind) if name not in value]
        if missing:
            raise RunDamaged(f"expected {kind.__name__}.{missing[0]} in the run's file, found none")
        parts = {
            name: self._decode(hint, value[name]) for name, hint in hints.items() if name in value
        }
        return _made(kind, lambda: kind(**parts))

    def _array(self, value: Any) -> IntArray:
        _expect(isinstance(value, dict) and _ARRAY in value, "an array", value)
        offset, *shape = self._decode(tuple[int, ...], value[_ARRAY]) or (-1,)
        size = math.prod(shape)
        whole = min(offset, *shape, 0) == 0 and offset + size <= len(self._numbers)
        if not whole or not 1 <= len(shape) <= 2 or max(shape) > _WIDEST:
            raise RunDamaged(
                "expected an array inside the run's numbers, found one beyond their end"
            )
        array: IntArray = self._numbers[offset : offset + size].reshape(shape)
        return array


def _made(kind: Any, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except ValueError as error:
        raise RunDamaged(
            f"expected a {kind.__name__} in the run's file, found parts that make none ({error})"
        ) from None


def _enum(kind: type[enum.Enum], value: Any) -> enum.Enum:
    try:
        return kind(value)
    except ValueError:
        raise RunDamaged(
            f"expected a {kind.__name__} in the run's file, found {value!r:.40}"
        ) from None


def _plain(kind: Any, value: Any) -> Any:
    if kind is Any:
        return value
    if kind is float:
        _expect(type(value) in (int, float) and _is_finite(value), "a number", value)
        return float(value)
    fits = type(value) is kind and (kind is not int or abs(value) <= _MOST)
    _expect(fits, f"a value of type {kind.__name__}", value)
    return value


def _is_finite(value: float) -> bool:
    return -sys.float_info.max <= value <= sys.float_info.max  # an int may be greater


@functools.cache
def _field_types(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.init}


@functools.cache
def _return_type(function: Any) -> Any:
    return typing.get_type_hints(function)["return"]


@functools.cache
def _needed(kind: Any) -> tuple[str, ...]:
    return tuple(
        field.name
        for field in dataclasses.fields(kind)
        if field.init
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    )


def _expect(fits: bool, expected: str, value: Any) -> None:
    if not fits:
        raise RunDamaged(f"expected {expected} in the run's file, found {value!r:.40}")
