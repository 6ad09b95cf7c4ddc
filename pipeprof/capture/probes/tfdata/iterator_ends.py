"""Records how long the end of an iterator takes: the pipeline behind it is destroyed, buffers and all.

TensorFlow does that in the thread that drops the last reference, for a loop of Keras's the one that trains:
calls under way are waited for, generators are closed, elements in buffers are freed one by one.
"""

import weakref
from typing import Any

from pipeprof.capture.guard import Guard
from pipeprof.capture.recorder import recorder as recording
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind, code
from pipeprof.clock import now_ns

# A shorter end is that of a small pipeline; every one of them would be a record.
_LEAST_NS = 100_000

_ATTRIBUTE = "_pipeprof_end"


class IteratorEnd:
    """Lies among the attributes of an iterator, behind the one that holds what TensorFlow has made.

    An object that goes calls its weak references first, then lets go of its attributes in their order.
    """

    __slots__ = ("_begun_ns", "_iterator", "_recorder")

    def __init__(self, iterator: Any, recorder: Recorder) -> None:
        self._begun_ns: list[int] = []
        begun_ns = self._begun_ns
        self._iterator = weakref.ref(iterator, lambda gone: begun_ns.append(now_ns()))
        self._recorder = weakref.ref(recorder)

    def __del__(self) -> None:
        recorder = self._recorder()
        if recorder is None or recorder is not recording.current or not self._begun_ns:
            return
        record_end(recorder, self._begun_ns[0], now_ns())


def record_end(recorder: Recorder, start_ns: int, end_ns: int) -> None:
    """Records the end of an iterator, or of a generator behind one, unless it was a short one."""
    if end_ns - start_ns >= _LEAST_NS:
        recorder.lane().write(code(Kind.ITERATOR_END, 0), start_ns, end_ns, 0, 0)


def follow_end(iterator: Any, recorder: Recorder, guard: Guard) -> None:
    """Has the end of an iterator recorded, while the recorder is on.

    Args:
        iterator: one that was just made.
        recorder: where to record.
        guard: catches what goes wrong.
    """
    if getattr(iterator, "__dict__", None) is not None and _ATTRIBUTE not in vars(iterator):
        guard.run(setattr, iterator, _ATTRIBUTE, IteratorEnd(iterator, recorder))
