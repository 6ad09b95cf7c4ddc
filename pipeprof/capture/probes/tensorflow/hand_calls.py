"""Calls of ``tf.function`` objects by hand-written loops, and which of these functions train."""

import itertools
import weakref
from typing import Any

from pipeprof.capture.probes.loops.training_calls import TrainingCall
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.tensorflow.function_calls import FunctionCalls, FunctionTrace


class HandCalls:
    """Reports the calls that the training thread makes outside of any loop of a framework.

    A function trains where a gradient was taken while it was traced. Of one that had been traced before
    the profile began nobody knows; it is taken to train.

    Args:
        context: the profile's.
        calls: observes the functions.
    """

    def __init__(self, context: ProbeContext, calls: FunctionCalls) -> None:
        self._context = context
        self._calls = calls
        self._numbers: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._next = itertools.count(1)
        context.loops.hand.function_runs = self._runs

    def function_called(
        self, function: Any, start_ns: int, end_ns: int, trace: FunctionTrace | None
    ) -> None:
        """A function was called that no other function surrounds."""
        hand = self._context.loops.hand
        if not (hand.model_works or self._context.by_hand()):
            return
        number = self._numbers.get(function)
        if number is None:
            number = self._numbers[function] = next(self._next)
        hand.function_called(
            TrainingCall(
                function=number,
                start_ns=start_ns,
                end_ns=end_ns,
                trains=self._calls.trains(function),
                compiled=trace is not None,
                traced_ns=trace.traced_ns if trace is not None else 0,
                reason=trace.reason if trace is not None else None,
            )
        )

    def _runs(self) -> bool:
        """Whether a function that trains is running; asked from another thread."""
        function = self._calls.running
        return function is not None and self._calls.trains(function)
