"""Describes how the shapes changed that a function was traced with. Knows no framework."""

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
    """The shapes that changed (``float32 (16, 8) → float32 (7, 8)``), or None where none did."""
    if len(before) != len(now):
        return f"{len(before)} → {len(now)} tensors"
    changed = [(old, new) for old, new in zip(before, now, strict=True) if old != new]
    return "; ".join(f"{old} → {new}" for old, new in changed[:_MOST_CHANGES]) or None
