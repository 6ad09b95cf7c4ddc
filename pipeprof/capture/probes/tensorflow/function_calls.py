"""Calls of ``tf.function`` objects from Python, and which of them trace or compile.

All of them are of one class, which a public function gives: that of ``tf.function(...)``. A call that no
other surrounds is reported to the listeners when it is over. What a call does inside the graph is not seen.
"""

import functools
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import tensorflow as tf

from pipeprof.capture.guard import Guard
from pipeprof.capture.patches import Patches
from pipeprof.capture.probes.loops.shape_changes import Shapes, describe_changes, shapes_of
from pipeprof.capture.probes.tensorflow.compiled_shapes import CompiledShapes
from pipeprof.clock import now_ns
from pipeprof.recording.light_dataclasses import dataclass

# A strategy that mirrors variables runs the user's code for each replica in a thread of this class, while
# the thread that called the function waits.
_REPLICA_THREAD = "_MirroredReplicaThread"


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionTrace:
    """A call that traced its function, which runs the user's Python code, or had XLA compile it anew.

    Attributes:
        traced_ns: when the last function inside had been traced, or a gradient been taken, whichever came
            last: tracing had not ended before. 0 where there was neither.
        reason: what differs from the shapes that came before, or None the first time.
    """

    traced_ns: int
    reason: str | None


class FunctionListener(Protocol):
    """Receives calls of functions."""

    def function_called(
        self, function: Any, start_ns: int, end_ns: int, trace: FunctionTrace | None
    ) -> None:
        """A function was called from Python code that no other function surrounds."""


class DatasetCalls(Protocol):
    """Receives calls of functions that iterate a dataset; no `FunctionListener` receives these."""

    def call_begins(self, function: Any) -> None:
        """A function that is known to iterate a dataset is called."""

    def call_ended(
        self,
        function: Any,
        arguments: tuple[Any, ...],
        iterated: Any,
        span: tuple[int, int],
        trace: FunctionTrace | None,
    ) -> bool:
        """A call has ended in which a dataset was iterated; returns whether it is one to follow."""


class FunctionCalls:
    """Observes the calls of all ``tf.function`` objects of the process.

    Args:
        warn: adds a sentence to the run's warnings.

    Attributes:
        listeners: are called, in order, by the thread that called the function.
        datasets: follows the functions that iterate a dataset, or None.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self.listeners: list[FunctionListener] = []
        self._predicts: weakref.WeakSet[Any] = weakref.WeakSet()
        self.datasets: DatasetCalls | None = None
        self._iterating: weakref.WeakSet[Any] = weakref.WeakSet()
        self._patches = Patches()
        self._inside = threading.local()
        self._open: _OuterCall | None = (
            None  # the one that began last and runs, in whichever thread
        )
        self._guard = Guard(
            warn, "Calls of tf.function could not be followed any more", "compiling is not known"
        )
        self._shapes: weakref.WeakKeyDictionary[Any, Shapes] = weakref.WeakKeyDictionary()
        self._compiled = CompiledShapes()

    def install(self) -> None:
        """Starts to observe."""
        function = type(tf.function(lambda: None))
        call: Callable[..., Any] = function.__call__
        inside, calls = self._inside, self

        @functools.wraps(call)
        def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N807 - the method of that name
            outer = getattr(inside, "call", None) or calls._around_replica()
            if outer is not None:
                try:
                    return call(self, *args, **kwargs)
                finally:
                    calls._guard.run(outer.inner_ended, self, args, kwargs)
            mine = _OuterCall(self, self.experimental_get_tracing_count())
            inside.call = calls._open = mine
            if calls.datasets is not None and self in calls._iterating:
                calls._guard.run(calls.datasets.call_begins, self)
            start_ns = now_ns()
            try:
                return call(self, *args, **kwargs)
            finally:
                end_ns = now_ns()
                inside.call = calls._open = None
                calls._guard.run(calls._ended, self, args, kwargs, mine, start_ns, end_ns)

        self._patches.replace(function, "__call__", __call__)
        gradient = tf.GradientTape.gradient

        @functools.wraps(gradient)
        def timed_gradient(*args: Any, **kwargs: Any) -> Any:
            outer = getattr(inside, "call", None) or calls._around_replica()
            try:
                return gradient(*args, **kwargs)
            finally:
                if outer is not None:
                    outer.takes_gradients = True
                    outer.traced_ns = now_ns()

        self._patches.replace(tf.GradientTape, "gradient", timed_gradient)

    @property
    def running(self) -> Any:
        """The function that runs, of those called the one that was called last; None without one."""
        outer = self._open
        return None if outer is None else outer.function

    def trains(self, function: Any) -> bool:
        """Whether a function may train: in each of its traces a gradient was taken."""
        return function not in self._predicts

    def remove(self) -> None:
        """Gives everything back."""
        self._patches.undo()
        self.listeners.clear()
        self.datasets = None

    def _ended(
        self,
        function: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        call: "_OuterCall",
        start_ns: int,
        end_ns: int,
    ) -> None:
        trace = None
        if function.experimental_get_tracing_count() != call.traced_before:
            call.note(function, args, kwargs)
            if call.traced_before == 0 and not call.takes_gradients:
                self._predicts.add(function)
            self._compiled.traced(function, call.shapes[function])
            trace = FunctionTrace(traced_ns=call.traced_ns, reason=self._reason(call.shapes))
        else:
            change = self._compiled.change(
                function, end_ns - start_ns, lambda: shapes_of(_arrays_in((args, kwargs)))
            )
            if change is not None:
                trace = FunctionTrace(traced_ns=0, reason=change)
        if self.datasets is not None and (call.iterated is not None or function in self._iterating):
            arguments = (*args, *kwargs.values())
            span = (start_ns, end_ns)
            if self.datasets.call_ended(function, arguments, call.iterated, span, trace):
                self._iterating.add(function)
                return
        for listener in self.listeners:
            listener.function_called(function, start_ns, end_ns, trace)

    def iterates(self, dataset: Any) -> None:
        """A graph that is being traced iterates a dataset, or an iterator that was made outside."""
        outer = getattr(self._inside, "call", None)
        if outer is not None:
            outer.iterated = dataset

    def _around_replica(self) -> "_OuterCall | None":
        """The call for which the calling thread runs a replica; None in any other thread."""
        if self._open is None or type(threading.current_thread()).__name__ != _REPLICA_THREAD:
            return None
        return self._open

    def _reason(self, shapes: dict[Any, Shapes]) -> str | None:
        """Finds what changed in the shapes that functions were traced with, by function."""
        reason = None
        for function, now in shapes.items():
            before = self._shapes.get(function)
            self._shapes[function] = now
            if before is not None and reason is None:
                reason = describe_changes(before, now)
        return reason


class _OuterCall:
    """A call that no other surrounds, and what was traced inside it."""

    __slots__ = ("function", "iterated", "shapes", "takes_gradients", "traced_before", "traced_ns")

    def __init__(self, function: Any, traced_before: int) -> None:
        self.function = function
        self.traced_before = traced_before
        self.traced_ns = 0
        self.takes_gradients = False
        self.iterated: Any = None
        self.shapes: dict[Any, Shapes] = {}

    def inner_ended(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A function inside has returned: it is called from Python only where the outer one traces."""
        self.traced_ns = now_ns()
        self.note(function, args, kwargs)

    def note(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Remembers the shapes that a function was given."""
        self.shapes[function] = shapes_of(_arrays_in((args, kwargs)))


def _arrays_in(values: Any) -> Iterator[tuple[Any, Any]]:
    for value in tf.nest.flatten(values):
        shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
        if shape is not None and dtype is not None:
            yield dtype, shape
