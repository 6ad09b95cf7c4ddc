"""Reports workers that die or hang while they make a batch, or that still run after the training.

The accumulator knows the calls that have begun and not ended. A problem is reported at once on standard
error, and in the run's warnings. pipeprof does nothing else: the training behaves as it does without it.
"""

import os
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from pipeprof.capture.collector.accumulator import Accumulator
from pipeprof.capture.collector.open_calls import OpenCall
from pipeprof.capture.probes.python.running_frames import frames_by_thread
from pipeprof.capture.probes.stacks import py_spy
from pipeprof.capture.recorder.recorder import Recorder, relative_file
from pipeprof.errors import StacksUnavailable
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.python_stacks import Frame, ThreadStack

LOOK_EVERY_S = 1.0

# A batch that takes longer most likely hangs.
PATIENCE_NS = 30_000_000_000

# Workers also end with the training: the death of one is reported only after this time.
_GRACE_NS = 2_000_000_000

# How long workers may take to end after the training.
_FAREWELL_S = 0.5

_MOST_FRAMES = 12
_PROC = Path("/proc")

Dump = Callable[[int], tuple[ThreadStack, ...]]


@dataclass(frozen=True, slots=True)
class _Death:
    """A worker process that ended with a batch unfinished."""

    pid: int
    call: OpenCall
    seen_ns: int


class WorkerFailures:
    """Observes the workers of a recording; called in the collector's thread.

    Args:
        recorder: receives the warnings.
        accumulator: has the open calls of the workers.
        show: shows lines to the user at once.
        dump: reads the Python stacks of a process.
    """

    def __init__(
        self,
        recorder: Recorder,
        accumulator: Accumulator,
        show: Callable[[str], None],
        *,
        dump: Dump = py_spy.dump,
    ) -> None:
        self._recorder = recorder
        self._accumulator = accumulator
        self._show = show
        self._dump = dump
        self._reported: set[tuple[int, int, int]] = set()
        self._deaths: list[_Death] = []

    def ended(self, pid: int, now: int) -> None:
        """Notes that a worker process has ended. Call it before the accumulator forgets the process.

        Args:
            pid: the process.
            now: when its end was noticed.
        """
        calls = self._accumulator.open_calls
        self._deaths += [_Death(pid, call, now) for key, call in calls.items() if key[0] == pid]

    def sample(self, now: int) -> None:
        """Reports workers that died a while ago in a call, and workers whose call takes too long."""
        for death in [one for one in self._deaths if now - one.seen_ns >= _GRACE_NS]:
            self._deaths.remove(death)
            self._report(
                f"Worker process {death.pid} ended while it made batch {death.call.item}: it was "
                "killed, or ran out of memory. Keras may wait for that batch without end."
            )
        for (pid, ring), call in list(self._accumulator.open_calls.items()):
            key = (pid, ring, call.since_ns)
            if now - call.since_ns >= PATIENCE_NS and key not in self._reported:
                self._reported.add(key)
                self._report_hang(pid, call, now)

    def look_for_left_behind(self, pids: Iterable[int]) -> None:
        """Reports worker processes that still run after the training, or that nobody has joined."""
        states = {pid: _state_of(pid) for pid in sorted(pids)}
        until_s = time.monotonic() + _FAREWELL_S
        while any(states.values()) and time.monotonic() < until_s:
            # A pool that was just closed is about to end, and a thread of it joins what ended.
            time.sleep(_FAREWELL_S / 10)
            states = {pid: _state_of(pid) for pid in states}
        zombies = [str(pid) for pid, state in states.items() if state == "Z"]
        if _living(states):
            self._recorder.warn(
                f"Worker processes still ran when the training was over ({', '.join(_living(states))}): "
                "Keras ends such a pool when it forgets it, or never; end them by their ids."
            )
        if zombies:
            self._recorder.warn(
                f"Ended worker processes were left behind as zombies ({', '.join(zombies)}): "
                "whoever started them has to join them."
            )

    def _report_hang(self, pid: int, call: OpenCall, now: int) -> None:
        seconds = (now - call.since_ns) // 1_000_000_000
        own = pid == self._recorder.pid
        who = f"Thread {call.tid}" if own else f"Worker process {pid}"
        problem = f"{who} has been at batch {call.item} for {seconds} s"
        try:
            frames = self._frames(pid, call.tid)
        except StacksUnavailable as error:
            self._report(f"{problem}; where it is cannot be seen: {error.reason}; {error.remedy}.")
            return
        if not frames:
            self._report(f"{problem}; it runs no Python code.")
            return
        at = next((frame for frame in frames if frame.is_users), frames[0])
        lines = [f"  {_in_words(frame)}" for frame in frames[:_MOST_FRAMES]]
        self._report(f"{problem}, at {_in_words(at)}.", *lines)

    def _frames(self, pid: int, tid: int) -> tuple[Frame, ...]:
        """The stack of a worker, innermost call first."""
        if pid == self._recorder.pid:
            return tuple(_own_frames(tid))
        threads = self._dump(pid)
        here = [thread for thread in threads if thread.tid in (tid, None)]
        return (here or list(threads) or [_NO_THREAD])[0].frames

    def _report(self, sentence: str, *further: str) -> None:
        self._recorder.warn(sentence)
        self._show("\n".join((f"pipeprof: {sentence}", *further, "")))


_NO_THREAD = ThreadStack(pid=0, tid=None, name="", active=False, owns_gil=False, frames=())


def _living(states: Mapping[int, str | None]) -> list[str]:
    return [str(pid) for pid, state in states.items() if state not in (None, "Z", "X")]


def _own_frames(tid: int) -> Iterator[Frame]:
    ident = next((one.ident for one in threading.enumerate() if one.native_id == tid), None)
    frame = frames_by_thread().get(ident or 0)
    for entry in reversed(traceback.extract_stack(frame) if frame is not None else []):
        yield Frame(function=entry.name, file=entry.filename, line=entry.lineno or 0)


def _in_words(frame: Frame) -> str:
    return f"{frame.function} ({relative_file(frame.file)}:{frame.line})"


def _state_of(pid: int) -> str | None:
    """The letter that the system has for the state of a process, or None when it is gone."""
    try:
        return (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return None


def printer_on(descriptor: int) -> Callable[[str], None]:
    """A function that writes lines to a descriptor, unbuffered, and ignores a closed one."""

    def show(lines: str) -> None:
        try:
            os.write(descriptor, lines.encode())
        except OSError:
            return

    return show
