"""Calls of functions that may train, and those that came before a loop was known. Knows no framework."""

from collections import Counter

from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.recording.light_dataclasses import dataclass

# From the third call on, a function that trains is called by a loop.
_CALLS_OF_A_LOOP = 3
# Calls outside of any loop that are remembered.
_MOST_CALLS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCall:
    """A call of a function that may train.

    Attributes:
        function: number of the function.
        start_ns: begin of the call.
        end_ns: its end.
        trains: whether the function is known to train, and not only to predict.
        compiled: whether it was traced or compiled in this call.
        traced_ns: when tracing had ended, or 0 where that is not known.
        reason: what had changed since it was traced before, or None.
    """

    function: int
    start_ns: int
    end_ns: int
    trains: bool
    compiled: bool = False
    traced_ns: int = 0
    reason: str | None = None

    def record_compiling(self, loop: OpenLoop) -> None:
        """Records for the loop that made this call that something was compiled in it, if it was."""
        if self.compiled:
            loop.compiled(self.start_ns, self.end_ns, self.traced_ns, self.reason)


class EarlyCalls:
    """The calls since the latest loop, which may turn out to be a loop's first ones.

    Attributes:
        has_trained: whether some function that trains was called.
    """

    def __init__(self) -> None:
        self.has_trained = False
        self._calls: list[TrainingCall] = []
        self._counts: Counter[int] = Counter()

    def add(self, call: TrainingCall) -> None:
        """Remembers a call."""
        self.has_trained = self.has_trained or call.trains
        self._counts[call.function] += 1
        self._calls = [*self._calls[1 - _MOST_CALLS :], call]

    def are_a_loop_of(self, call: TrainingCall) -> bool:
        """Whether the function of a call trains, and was called often enough to be a loop's."""
        return call.trains and self._counts[call.function] >= _CALLS_OF_A_LOOP

    def take(self) -> list[TrainingCall]:
        """Returns the calls from the first one that trains on, and forgets all."""
        calls = self._calls
        first = next((at for at, call in enumerate(calls) if call.trains), 0)
        self.clear()
        return calls[first:]

    def clear(self) -> None:
        """Forgets the calls."""
        self._calls = []
        self._counts.clear()
