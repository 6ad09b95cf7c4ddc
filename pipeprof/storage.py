"""Frozen values to JSON and one array of numbers, and back with every type checked.

A value is a tree of dataclasses, tuples, mappings, enums, plain values and ``int64`` arrays. Arrays
lie end to end in one flat array beside the JSON, which refers to them by offset and shape. Reading
never executes anything: what does not fit the declared types is refused.
"""

import dataclasses
import enum
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from pipeprof.errors import RunDamaged
from pipeprof.series import IntArray

T = TypeVar("T")

_ARRAY = "$array"


class Encoder:
    """Turns values into JSON-ready ones and gathers their arrays."""

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
                return {str(key): self.encode(item) for key, item in value.items()}
            case tuple() | list():
                return [self.encode(item) for item in value]
            case _ if dataclasses.is_dataclass(value):
                return {
                    field.name: self.encode(getattr(value, field.name))
                    for field in dataclasses.fields(value)
                }
            case _:
                return value

    def numbers(self) -> IntArray:
        """All arrays of the values encoded so far, end to end."""
        return np.concatenate(self._parts) if self._parts else np.empty(0, np.int64)

    def _put(self, array: IntArray) -> dict[str, Any]:
        reference = {_ARRAY: [self._size, list(array.shape)]}
        self._parts.append(np.ascontiguousarray(array, np.int64).ravel())
        self._size += array.size
        return reference


class Decoder:
    """Turns what `Encoder` made back into values.

    Args:
        numbers: the flat array.
    """

    def __init__(self, numbers: IntArray) -> None:
        self._numbers = numbers

    def decode(self, kind: type[T], value: Any) -> T:
        """The value as an instance of ``kind``.

        Raises:
            RunDamaged: it is none.
        """
        decoded: T = self._decode(kind, value)
        return decoded

    def _decode(self, kind: Any, value: Any) -> Any:
        origin = typing.get_origin(kind)
        arguments = typing.get_args(kind)
        if kind is Any:
            return value
        if origin in (typing.Union, types.UnionType):
            return self._decode_optional(arguments, value)
        if origin is tuple:
            return self._decode_tuple(arguments, value)
        if origin in (Mapping, dict):
            return self._decode_mapping(arguments, value)
        if origin is np.ndarray or kind is np.ndarray:
            return self._array(value)
        if dataclasses.is_dataclass(kind):
            return self._decode_dataclass(kind, value)
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return _enum(kind, value)
        return _plain(kind, value)

    def _decode_optional(self, arguments: tuple[Any, ...], value: Any) -> Any:
        if value is None:
            _expect(type(None) in arguments, "a value", value)
            return None
        (kind,) = [a for a in arguments if a is not type(None)]
        return self._decode(kind, value)

    def _decode_tuple(self, arguments: tuple[Any, ...], value: Any) -> Any:
        _expect(isinstance(value, list), "a list", value)
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(self._decode(arguments[0], item) for item in value)
        _expect(len(arguments) == len(value), f"{len(arguments)} values", value)
        return tuple(self._decode(k, v) for k, v in zip(arguments, value, strict=True))

    def _decode_mapping(self, arguments: tuple[Any, ...], value: Any) -> Any:
        _expect(isinstance(value, dict), "an object", value)
        key_kind, item_kind = arguments
        if key_kind is int:
            _expect(all(key.lstrip("-").isdigit() for key in value), "numbers for keys", value)
            return {int(key): self._decode(item_kind, item) for key, item in value.items()}
        return {key: self._decode(item_kind, item) for key, item in value.items()}

    def _decode_dataclass(self, kind: Any, value: Any) -> Any:
        _expect(isinstance(value, dict), "an object", value)
        hints = typing.get_type_hints(kind)
        names = [field.name for field in dataclasses.fields(kind)]
        missing = [name for name in names if name not in value]
        if missing:
            raise RunDamaged(f"expected {kind.__name__}.{missing[0]} in the run's file, found none")
        return kind(**{name: self._decode(hints[name], value[name]) for name in names})

    def _array(self, value: Any) -> IntArray:
        _expect(isinstance(value, dict) and _ARRAY in value, "an array", value)
        try:
            offset, shape = value[_ARRAY]
            size = math.prod(shape)
        except (TypeError, ValueError):
            raise RunDamaged("expected an array's offset and shape in the run's file") from None
        whole = isinstance(offset, int) and all(isinstance(n, int) and n >= 0 for n in shape)
        if not whole or offset < 0 or offset + size > len(self._numbers):
            raise RunDamaged(
                "expected an array inside the run's numbers, found one beyond their end"
            )
        array: IntArray = self._numbers[offset : offset + size].reshape(shape)
        return array


def _enum(kind: type[enum.Enum], value: Any) -> enum.Enum:
    try:
        return kind(value)
    except ValueError:
        raise RunDamaged(
            f"expected a {kind.__name__} in the run's file, found {value!r:.40}"
        ) from None


def _plain(kind: Any, value: Any) -> Any:
    if kind is float:
        _expect(isinstance(value, (int, float)) and not isinstance(value, bool), "a number", value)
        return float(value)
    fits = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    _expect(fits, f"a value of type {kind.__name__}", value)
    return value


def _expect(fits: bool, expected: str, value: Any) -> None:
    if not fits:
        raise RunDamaged(f"expected {expected} in the run's file, found {value!r:.40}")
