"""Calls in which XLA compiled a ``tf.function`` for new shapes and TensorFlow traced nothing.

TensorFlow does not report what XLA compiles. But a function with ``jit_compile=True`` is compiled for each
new combination of shapes.
"""

import weakref
from collections.abc import Callable
from typing import Any

from pipeprof.capture.probes.loops.shape_changes import Shapes, describe_changes

# Where something is compiled, a call takes at least this long. Of no others are the shapes read.
_LEAST_NS = 30_000_000


class CompiledShapes:
    """The shapes for which functions have been compiled, as far as their calls were seen."""

    def __init__(self) -> None:
        self._functions: weakref.WeakKeyDictionary[Any, _Compiled] = weakref.WeakKeyDictionary()

    def traced(self, function: Any, shapes: Shapes) -> None:
        """A call traced a function, and so compiled it for these shapes."""
        if getattr(function, "_jit_compile", None):
            self._functions.setdefault(function, _Compiled()).note(shapes)

    def change(
        self, function: Any, lasted_ns: int, read_shapes: Callable[[], Shapes]
    ) -> str | None:
        """What changed in the shapes where a call that traced nothing compiled, else None.

        Args:
            function: what was called.
            lasted_ns: how long the call took.
            read_shapes: reads the shapes that it was given.
        """
        if lasted_ns < _LEAST_NS or function not in self._functions:
            return None
        return self._functions[function].note(read_shapes())


class _Compiled:
    """The shapes for which one function has been compiled."""

    def __init__(self) -> None:
        self._seen: set[Shapes] = set()
        self._latest: Shapes = ()

    def note(self, shapes: Shapes) -> str | None:
        """Notes shapes, and returns what changed if they are new."""
        if shapes in self._seen:
            return None
        self._seen.add(shapes)
        before, self._latest = self._latest, shapes
        return describe_changes(before, shapes)
