"""In what the shapes differ that a function was traced with, in the user's words. Knows no framework."""

from collections.abc import Iterable
from itertools import islice
from typing import Any

# So many arguments of two calls are compared, and so many of their differences described.
_MOST_SHAPES = 64
_MOST_CHANGES = 3

Shapes = tuple[str, ...]


def shapes_of(arrays: Iterable[tuple[Any, Any]]) -> Shapes:
    """``float32 (16, 8)`` for each of some arrays, given by their types and shapes."""
    named = (f"{getattr(dtype, 'name', dtype)} {shape}" for dtype, shape in arrays)
    return tuple(islice(named, _MOST_SHAPES))


def describe_changes(before: Shapes, now: Shapes) -> str | None:
    """What is different now, or None where nothing is."""
    if len(before) != len(now):
        return f"{len(before)} → {len(now)} tensors"
    changed = [(old, new) for old, new in zip(before, now, strict=True) if old != new]
    return "; ".join(f"{old} → {new}" for old, new in changed[:_MOST_CHANGES]) or None
