"""Times each method of each Keras callback by itself, Keras 2 and 3.

A callback stays the user's object: while a profile is on, its methods that do something are shadowed by
timed ones in its own ``__dict__``, where Keras finds them first.
"""

import functools
import threading
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.python.users_line import users_function
from pipeprof.capture.recorder.facts import HostCallFacts
from pipeprof.clock import now_ns
from pipeprof.recording.account import Part

_PHASES = ("train", "test", "predict")
METHODS = (
    *(f"on_{phase}_{when}" for phase in _PHASES for when in ("begin", "end")),
    *(f"on_{phase}_batch_{when}" for phase in _PHASES for when in ("begin", "end")),
    "on_batch_begin",
    "on_batch_end",
    "on_epoch_begin",
    "on_epoch_end",
)


class _Shadowed(NamedTuple):
    """A method that is timed, and what stood in the callback's own ``__dict__`` under its name."""

    callback: Any
    name: str
    timed: Callable[..., Any]
    own: Any | None


class CallbackCalls:
    """The callbacks of a profile whose methods are timed.

    Args:
        context: the profile's; a call belongs to the innermost loop that is open.
    """

    def __init__(self, context: ProbeContext) -> None:
        self._context = context
        self._shadowed: list[_Shadowed] = []
        self._known: dict[int, Any] = {}

    def time(self, callbacks: Iterable[Any]) -> None:
        """Times the methods of these callbacks from now on; those that are timed already stay so."""
        for callback in list(callbacks):
            if id(callback) in self._known:
                continue
            self._known[id(callback)] = callback  # held, so that its id is nobody else's
            own = getattr(callback, "__dict__", None)
            if not isinstance(own, dict):
                continue
            for name in METHODS:
                method = getattr(callback, name, None)
                if callable(method) and not getattr(method, "_is_default", False):
                    timed = self._timed(method, self._number_of(callback, name, method))
                    self._shadowed.append(_Shadowed(callback, name, timed, own.get(name)))
                    own[name] = timed

    def _number_of(self, callback: Any, name: str, method: Callable[..., Any]) -> int:
        facts = HostCallFacts(
            part=Part.CALLBACKS,
            name=f"{type(callback).__name__}.{name}",
            location=users_function(method),
        )
        return self._context.recorder.names.number(facts)

    def release(self) -> None:
        """Gives the callbacks their own methods back."""
        for callback, name, timed, own in reversed(self._shadowed):
            attributes = callback.__dict__
            if attributes.get(name) is not timed:
                continue  # the user has put something else there meanwhile
            if own is None:
                del attributes[name]
            else:
                attributes[name] = own
        self._shadowed.clear()
        self._known.clear()

    def _timed(self, method: Callable[..., Any], number: int) -> Callable[..., Any]:
        loops, thread_of = self._context.loops, threading.get_ident

        @functools.wraps(method)
        def timed(*args: Any, **kwargs: Any) -> Any:
            loop = loops.current
            # Keras on JAX and torch may call it from a thread of its own, which holds up nobody.
            if loop is None or loop.in_callback or loop.thread != thread_of():
                return method(*args, **kwargs)
            loop.in_callback = True
            start_ns = now_ns()
            try:
                return method(*args, **kwargs)
            finally:
                loop.in_callback = False
                loop.host_call(number, start_ns, now_ns())

        return timed
