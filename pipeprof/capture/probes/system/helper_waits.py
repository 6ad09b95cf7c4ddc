"""Records how often the threads that run stages wait for other processes of the user's, or for a pool.

Read from the outside of Python frames, a few times a second: which function of Python's own modules or of
joblib a thread stands in. A thread that reads from a pipe in C shows that only to the system.
"""

import random
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import FrameType

from pipeprof.capture.guard import Guard
from pipeprof.capture.probes.python.running_frames import frames_by_thread
from pipeprof.capture.recorder.recorder import OUTSIDE, Recorder
from pipeprof.capture.recorder.records import Kind, code

# Modules whose functions wait for another process, or for a pool of any kind: ends of their files.
_WAITING_MODULES = (
    "/multiprocessing/connection.py",
    "/multiprocessing/managers.py",
    "/multiprocessing/pool.py",
    "/multiprocessing/popen_fork.py",
    "/multiprocessing/process.py",
    "/multiprocessing/queues.py",
    "/multiprocessing/synchronize.py",
    "/concurrent/futures/_base.py",
    "/concurrent/futures/process.py",
    "/joblib/parallel.py",
    "/joblib/_parallel_backends.py",
    "/subprocess.py",
)
# A stage's own code is seldom further out than that from where it waits.
_FRAMES = 12

# In one sample at most so many threads are looked at: each look takes up to 20 µs.
_MOST_LANES = 8
# Of its own: a training must not draw other numbers because it is profiled.
_random = random.Random()

# What a thread that reads from a pipe waits in, by the names of several kernels.
_PIPE_READS = ("pipe_read", "anon_pipe_read", "pipe_wait", "pipe_wait_readable")


def _channel_of(native_id: int) -> str:
    """The kernel's function in which a thread of this process waits, or nothing where that is not shown."""
    try:
        return Path(f"/proc/self/task/{native_id}/wchan").read_text()
    except OSError:
        return ""


class HelperWaitSampler:
    """Records `Kind.IN_STAGE`.

    Args:
        recorder: where to record; its lanes are looked at.
        children: returns the ids of the training's child processes; without any there is nothing to see.
        frames: returns the frame in which each thread is; for tests.
        channel_of: returns what a thread waits in; for tests.
    """

    def __init__(
        self,
        recorder: Recorder,
        children: Callable[[], Collection[int]],
        *,
        frames: Callable[[], Mapping[int, FrameType]] = frames_by_thread,
        channel_of: Callable[[int], str] = _channel_of,
    ) -> None:
        self.recorder = recorder
        self._children = children
        self._frames = frames
        self._channel_of = channel_of
        self._guard = Guard(
            recorder.warn,
            "What stages wait for could not be sampled",
            "a stage that waits for processes of its own is reported as waiting for files or network",
        )

    def sample(self, now: int) -> None:
        """Looks at each thread that is in a stage."""
        self._guard.run(self._sample, now)

    def finish(self, now: int) -> None:
        """Records nothing more."""

    def _sample(self, now: int) -> None:
        if not self._children():
            return
        lanes = [
            (ident, lane)
            for ident, lane in list(self.recorder.lanes.items())
            if lane.inner_ns != OUTSIDE
        ]
        if not lanes:
            return
        chosen = _random.sample(lanes, min(len(lanes), _MOST_LANES))
        frames = self._frames()
        write = self.recorder.lane().write
        for ident, lane in chosen:
            frame = frames.get(ident)
            if frame is not None:
                waits = _waits(frame) or self._channel_of(lane.native_id) in _PIPE_READS
                write(code(Kind.IN_STAGE, lane.subject), now, now, 1, int(waits))


def _waits(frame: FrameType | None) -> bool:
    """Whether one of the innermost frames is in a function that waits for a process or a pool."""
    for _ in range(_FRAMES):
        if frame is None:
            return False
        if frame.f_code.co_filename.endswith(_WAITING_MODULES):
            return True
        frame = frame.f_back
    return False
