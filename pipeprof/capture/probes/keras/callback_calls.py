"""Times each method of each Keras callback by itself, Keras 2 and 3.

A callback stays the user's object: while a profile is on, its methods that do something are shadowed by
timed ones in its own ``__dict__``, where Keras finds them first.
"""

import functools
import operator
import threading
from collections.abc import Iterable
from typing import Any

from pipeprof.capture.guard import Guard
from pipeprof.capture.passed_frames import pass_over
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.python.users_line import users_function
from pipeprof.capture.recorder.facts import HostCallFacts
from pipeprof.capture.recorder.records import Kind, code
from pipeprof.clock import now_ns
from pipeprof.recording.account import CallbackEvent, CallbackMethod, KerasCallback, Part
from pipeprof.recording.code_owner import CodeOwner, owner_of_module

_PHASES = ("train", "test", "predict")
_WHEN = ("begin", "end")

# What Keras calls each method of a callback for.
METHODS = {
    **{f"on_{phase}_{when}": CallbackEvent.OTHER for phase in _PHASES for when in _WHEN},
    **{f"on_{phase}_batch_{when}": CallbackEvent.BATCH for phase in _PHASES for when in _WHEN},
    **{f"on_batch_{when}": CallbackEvent.BATCH for when in _WHEN},
    **{f"on_epoch_{when}": CallbackEvent.EPOCH for when in _WHEN},
}

_KNOWN = {each.value: each for each in KerasCallback}

_ABSENT = object()


class _TimedMethod(functools.partial[Any]):
    """A method of a callback that is timed. Pickled or copied with the callback, it is the user's again.

    Attributes:
        callback: whose it is.
        name: its name.
        own: what stood in the callback's own ``__dict__`` under that name, or `_ABSENT`.
    """

    callback: Any
    name: str
    own: Any

    def __reduce__(self) -> Any:
        if self.own is _ABSENT:
            return getattr, (self.callback, self.name)
        return operator.itemgetter(0), ((self.own,),)


class CallbackCalls:
    """The callbacks of a profile whose methods are timed.

    Args:
        context: the profile's; a call belongs to the innermost loop that is open.
    """

    def __init__(self, context: ProbeContext) -> None:
        self._context = context
        self._guard = Guard(
            context.recorder.warn,
            "The methods of a callback could not be timed",
            "they count as compute or as time between epochs",
            retries=True,
        )
        self._shadowed: list[_TimedMethod] = []
        self._known: dict[int, Any] = {}

    def time(self, callbacks: Iterable[Any]) -> None:
        """Times the methods of these callbacks from now on; those that are timed already stay so."""
        for callback in list(callbacks):
            if id(callback) not in self._known:
                self._known[id(callback)] = callback  # held, so that its id is nobody else's
                self._guard.run(self._shadow, callback)

    def _shadow(self, callback: Any) -> None:
        methods = {name: getattr(callback, name, None) for name in METHODS}
        ours = {name: method for name, method in methods.items() if _does_something(method)}
        attributes: Any = getattr(callback, "__dict__", None)
        if ours and not isinstance(attributes, dict):
            self._context.recorder.warn(
                f"The methods of {type(callback).__name__} could not be timed, since its objects have no "
                "__dict__: they count as compute or as time between epochs."
            )
            return
        for name, method in ours.items():
            timed: Any = self._timed(callback, name, method)
            timed.callback, timed.name = callback, name
            timed.own = attributes.get(name, _ABSENT)
            self._shadowed.append(timed)
            attributes[name] = timed

    def release(self) -> None:
        """Gives the callbacks their own methods back."""
        for timed in reversed(self._shadowed):
            attributes = timed.callback.__dict__
            if attributes.get(timed.name) is not timed:
                continue  # the user has put something else there meanwhile
            if timed.own is _ABSENT:
                del attributes[timed.name]
            else:
                attributes[timed.name] = timed.own
        self._shadowed.clear()
        self._known.clear()

    @pass_over
    def _timed(self, callback: Any, name: str, method: Any) -> Any:
        described = describe_method(callback, name)
        facts = HostCallFacts(
            part=Part.CALLBACKS,
            name=described.name,
            location=users_function(method),
            callback=described,
        )
        call = code(Kind.HOST_CALL, self._context.recorder.names.number(facts))
        loops, thread_of = self._context.loops, threading.get_ident

        def timed(*args: Any, **kwargs: Any) -> Any:
            loop = loops.current
            # Keras on JAX and torch may call it from a thread of its own, which holds up nobody.
            if loop is None or loop.in_callback or loop.thread != thread_of():
                return method(*args, **kwargs)
            loop.call_began_ns = start_ns = now_ns()
            loop.call = call
            loop.in_callback = True
            try:
                return method(*args, **kwargs)
            finally:
                end_ns = now_ns()
                loop.in_callback = False
                loop.host_call(call, start_ns, end_ns)

        return functools.update_wrapper(_TimedMethod(timed), method)


def describe_method(callback: Any, method: str) -> CallbackMethod:
    """A method of a callback, with what Keras calls it for.

    Args:
        callback: the callback; a class of the user's is none of Keras's own, whatever its name.
        method: one of `METHODS`.
    """
    kind = type(callback)
    kerass = owner_of_module(kind.__module__) is CodeOwner.KERAS
    return CallbackMethod(
        owner=kind.__name__,
        method=method,
        event=METHODS[method],
        of_keras=_KNOWN.get(kind.__name__) if kerass else None,
    )


def _does_something(method: Any) -> bool:
    """Whether a callback's method is another than the one that Keras gives all callbacks."""
    return callable(method) and not getattr(method, "_is_default", False)
