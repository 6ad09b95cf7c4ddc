"""Records what CPU time all threads of the process used in moments of a millisecond, a few times a second.

A moment is short against a step: it lies in a wait of the training or outside. What threads compute
while the training waits, they compute for its input, also where no stage runs on them: threads of
TensorFlow or of a BLAS library under a Python function.
"""

import time
from collections.abc import Callable

from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind, code
from pipeprof.clock import now_ns

# Several moments one after the other: what this thread itself does lies before the first of them.
MOMENTS = 3
MOMENT_S = 0.001


def _read() -> tuple[int, int]:
    """The time, and the CPU time of all threads but this one."""
    return now_ns(), time.process_time_ns() - time.thread_time_ns()


class MomentSampler:
    """Records `Kind.MOMENT`.

    Args:
        recorder: where to record.
        read: returns a time and the CPU time of the process until then; for tests.
        rest: waits for so many seconds; for tests.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        read: Callable[[], tuple[int, int]] = _read,
        rest: Callable[[float], None] = time.sleep,
    ) -> None:
        self.recorder = recorder
        self._read = read
        self._rest = rest

    def sample(self, now: int) -> None:
        """Records a few moments; sleeps meanwhile."""
        write = self.recorder.lane().write
        start_ns, before_ns = self._read()
        for _ in range(MOMENTS):
            self._rest(MOMENT_S)
            end_ns, used_ns = self._read()
            write(code(Kind.MOMENT, 0), start_ns, end_ns, 0, max(used_ns - before_ns, 0))
            start_ns, before_ns = end_ns, used_ns

    def finish(self, now: int) -> None:
        """Records nothing more."""
