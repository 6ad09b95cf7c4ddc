"""Lets a sampler have the interpreter at once, where it disturbs nobody.

A thread that asks for the interpreter waits for Python's switch interval, 5 ms, before another one has to
hand it over. A sampler would find each stretch of Python code that much later than it looked, and those
that are shorter not at all.
"""

import os
import sys
from collections.abc import Iterable

_SHORT_S = 0.000_2
# Other threads have to be met at rest so often in a row.
_MEETINGS = 4


class ShortSwitches:
    """Keeps Python's switch interval short while no other thread than the sampled one has Python to run.

    Where threads take turns, each switch costs both, and a short interval would change how they share the
    interpreter. Where there is one, only the sampler waits for it. The user's own interval stands again
    after `end`, and so does one that the user set meanwhile.
    """

    def __init__(self) -> None:
        self._at_rest = 0
        self._before_s: float | None = None
        self._set_s = 0.0

    def met(self, others_rest: Iterable[bool]) -> None:
        """The other threads were met just now, each at rest or with Python to run."""
        self._at_rest = self._at_rest + 1 if all(others_rest) else 0
        if not self._at_rest:
            self.end()
        elif self._at_rest >= _MEETINGS and self._before_s is None:
            self._begin()

    def _begin(self) -> None:
        before_s = sys.getswitchinterval()
        if before_s > _SHORT_S:
            sys.setswitchinterval(_SHORT_S)
            self._before_s, self._set_s = before_s, sys.getswitchinterval()
            _shortened.append(self)

    def end(self) -> None:
        """Gives the former interval back."""
        before_s, self._before_s = self._before_s, None
        self._at_rest = 0
        if before_s is not None:
            _shortened.remove(self)
            if sys.getswitchinterval() == self._set_s:
                sys.setswitchinterval(before_s)


_shortened: list[ShortSwitches] = []


def _end_in_child() -> None:
    """A forked process has no sampler that would give the interval back."""
    for each in _shortened:
        each.end()


os.register_at_fork(after_in_child=_end_in_child)
