"""Sampling windows: py-spy samples the stacks and the GIL of the training and its workers for 2 s each.

It runs on the collector's thread and never waits for py-spy there. Each stack is reduced to the user's
code before it is recorded, and recorded with the text of its lines, because the report may be read on
another machine.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from pipeprof.capture.probes.python.source_lines import blocks_around, line_text
from pipeprof.capture.probes.stacks.py_spy import Recording
from pipeprof.capture.probes.system.processes import WORKER, describe_process
from pipeprof.capture.probes.system.threads import PythonThread, describe_thread, python_threads
from pipeprof.capture.recorder.facts import StackFacts
from pipeprof.capture.recorder.recorder import Recorder, relative_file
from pipeprof.capture.recorder.records import Kind, code
from pipeprof.errors import StacksUnavailable
from pipeprof.recording.python_stacks import Frame, SampledStack
from pipeprof.recording.source_code import CodeLine, Location

LOOK_S = 0.25

_WINDOW_S = 2
# From the end of the warm-up to the first window, and from each window to the next.
_PAUSES_S = (0, 4, 20, 60, 300)
# If no step was seen, the first window begins this long after the start.
_PATIENCE_S = 10
_MOST_LINES = 12
_MOST_STACKS = 400
_NS = 1_000_000_000

# Where TensorFlow calls Python functions from its graphs, and generators in particular.
_FUNCTIONS = "tensorflow/python/ops/script_ops.py"
_GENERATORS = "tensorflow/python/data/ops/from_generator_op.py"


class StackSampler:
    """Records the stacks of all threads, and who holds the GIL, in a few sampling windows.

    Args:
        recorder: where to record.
        steady: returns whether some loop has finished its warm-up.
        stage_files: returns the files of all stages, as stages name them. Lines in these files are kept
            too, whoever wrote them.
        workers: returns the ids of the worker processes that record.
        look: starts py-spy; for tests.
    """

    def __init__(
        self,
        recorder: Recorder,
        steady: Callable[[], bool],
        stage_files: Callable[[], Collection[str]],
        *,
        workers: Callable[[], Collection[int]] = tuple,
        look: Callable[..., Recording] = Recording,
    ) -> None:
        self.recorder = recorder
        self._steady = steady
        self._stage_files = stage_files
        self._workers = workers
        self._look = look
        self._pauses_s = list(_PAUSES_S)
        self._running: tuple[Recording, Recording] | None = None
        self._began_ns = 0
        self._due_ns: int | None = None
        self._patience_ns: int | None = None
        self._recorded: set[int] = set()
        self._lanes: dict[int, int] = {}
        self._threads: dict[int, PythonThread] = {}
        self._seen = self._given_up = False

    def sample(self, now: int) -> None:
        """Begins or ends a window if one is due."""
        if self._running is not None:
            self._note_threads()
            if all(recording.done for recording in self._running):
                self._end_window(now)
        elif self._pauses_s and self._is_due(now):
            self._begin_window(now)

    def finish(self, now: int) -> None:
        """Ends an open window early and records its samples."""
        self._pauses_s.clear()
        if self._running is not None:
            for recording in self._running:
                recording.cut_short()
            self._end_window(now)
        if not self._seen and not self._given_up:
            self.recorder.warn(
                "The training was over before py-spy had seen any stacks: train for longer."
            )

    def _is_due(self, now: int) -> bool:
        if self._due_ns is None:
            if self._patience_ns is None:
                self._patience_ns = now + _PATIENCE_S * _NS
            if not self._steady() and now < self._patience_ns:
                return False
            self._due_ns = now + self._pauses_s[0] * _NS
        return now >= self._due_ns

    def _begin_window(self, now: int) -> None:
        del self._pauses_s[0]
        self._began_ns = now
        try:
            # Both at once: one counts the samples, the other those in which a thread held the GIL.
            every = self._look(os.getpid(), seconds=_WINDOW_S, subprocesses=True)
            try:
                holding = self._look(os.getpid(), seconds=_WINDOW_S, subprocesses=True, gil=True)
            except StacksUnavailable:
                every.close()
                raise
        except StacksUnavailable as error:
            self._give_up(error)
        else:
            self._running = every, holding
            self._note_threads()

    def _end_window(self, now: int) -> None:
        assert self._running is not None
        (every, holding), self._running = self._running, None
        try:
            stacks = every.collect()
            holders = holding.collect()
        except StacksUnavailable as error:
            self._give_up(error)
            return
        finally:
            every.close()
            holding.close()
        self._seen = self._seen or bool(stacks)
        self._record_stacks(stacks, now)
        self._record_gil(stacks, holders, now)
        if self._pauses_s:
            self._due_ns = now + self._pauses_s[0] * _NS
        self._lanes.clear()
        self._threads.clear()

    def _give_up(self, error: StacksUnavailable) -> None:
        self._pauses_s.clear()
        self._given_up = True
        self.recorder.warn(
            f"The Python stacks could not be read: {error.reason}; what to do: {error.remedy}."
        )

    # Recording the samples.

    def _record_stacks(self, stacks: Iterable[SampledStack], now: int) -> None:
        files = self._stage_files()
        write = self.recorder.lane().write
        counts: dict[tuple[bool, tuple[Frame, ...]], int] = defaultdict(int)
        for stack in stacks:
            chosen = tuple(each for each in stack.frames if _is_shown(each, files))[:_MOST_LINES]
            if chosen:
                counts[_is_function_of_tfdata(stack), chosen] += stack.samples
        for (in_function, frames), samples in sorted(counts.items(), key=lambda each: -each[1]):
            lines = tuple(map(_describe, frames))
            number = self.recorder.names.number(StackFacts(lines=lines, in_function=in_function))
            self._recorded.add(number)
            write(code(Kind.STACK, number), self._began_ns, now, 0, samples)
            if len(self._recorded) >= _MOST_STACKS:
                return

    def _record_gil(
        self, stacks: Iterable[SampledStack], holders: Iterable[SampledStack], now: int
    ) -> None:
        seen, held = _by_thread(stacks), _by_thread(holders)
        taken: dict[int, int] = defaultdict(int)
        for (pid, _), samples in seen.items():
            taken[pid] = max(taken[pid], samples)
        self._note_threads()
        lanes: dict[int, tuple[int, int]] = {}
        for pid, tid in seen.keys() | held.keys():
            if taken[pid]:
                lane = (self._lanes.get(tid) if pid == os.getpid() else None) or self._lane(
                    pid, tid
                )
                before, _ = lanes.get(lane, (0, 0))
                lanes[lane] = before + held.get((pid, tid), 0), taken[pid]
        write = self.recorder.lane().write
        for lane, (samples, looked) in lanes.items():
            write(code(Kind.GIL, lane), self._began_ns, now, looked, min(samples, looked))

    def _lane(self, pid: int, tid: int) -> int:
        if pid == os.getpid():
            facts = describe_thread(tid, self._threads.get(tid))
        else:
            facts = replace(WORKER if pid in self._workers() else describe_process(pid), pid=pid)
        return self.recorder.names.number(facts)

    def _note_threads(self) -> None:
        """Keeps whose each thread id is: py-spy may write its samples after a thread has ended."""
        self._lanes.update(
            {lane.native_id: lane.subject for lane in list(self.recorder.lanes.values())}
        )
        self._threads.update(python_threads())


def _is_shown(frame: Frame, stage_files: Collection[str]) -> bool:
    return frame.is_users or relative_file(frame.file) in stage_files


def _is_function_of_tfdata(stack: SampledStack) -> bool:
    """Whether tf.data called it as a ``numpy_function`` or ``py_function``, and not as a generator."""
    files = [frame.file for frame in stack.frames]
    return any(_FUNCTIONS in file for file in files) and not any(_GENERATORS in f for f in files)


def _describe(frame: Frame) -> CodeLine:
    return CodeLine(
        function=frame.function,
        location=Location(relative_file(frame.file), frame.line),
        text=line_text(frame.file, frame.line),
        blocks=tuple(blocks_around(frame.file, frame.line)),
    )


def _by_thread(stacks: Iterable[SampledStack]) -> dict[tuple[int, int], int]:
    counts: dict[tuple[int, int], int] = defaultdict(int)
    for stack in stacks:
        counts[stack.pid, stack.tid] += stack.samples
    return counts
