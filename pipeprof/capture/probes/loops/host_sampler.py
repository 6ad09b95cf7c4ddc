"""Samples what the training thread does where no clock shows it: the user's functions and lines.

It has a thread of its own, and samples at random times that are fixed in advance. A sampler that does other
work, or counts its rests from the end of a sample, has to wait for the GIL whenever Python code keeps it:
it would sample too seldom while such code runs.
Where no other thread has Python to run it gets the GIL at once (`ShortSwitches`).
"""

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

from pipeprof.capture.guard import Guard
from pipeprof.capture.probes.loops.feeders import Feeders
from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.probes.loops.sampling_needs import SamplingNeed
from pipeprof.capture.probes.loops.sampling_pace import SamplingPace
from pipeprof.capture.probes.loops.switch_interval import ShortSwitches
from pipeprof.capture.probes.python.running_frames import frames_by_thread
from pipeprof.capture.probes.python.thread_places import PlaceReader, ThreadPlace, rests
from pipeprof.capture.recorder.facts import PlaceFacts
from pipeprof.capture.recorder.own_thread import OwnThread
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import BETWEEN_STEPS, WEIGHT_SHIFT, Kind, code
from pipeprof.clock import Clock, now_ns
from pipeprof.recording.account import HostState
from pipeprof.recording.source_code import Location

# A look that is late by more had to wait for the GIL.
_LATE_S = 0.002
# The thread reads its own CPU time once in so many looks.
_LOOKS_A_READING = 16
# Samples that wait for the end of the step in which they were taken.
_MOST_HELD = 4096
# Who feeds is looked for so often, while the training thread is sampled waiting.
_FEEDERS_EVERY_NS = 250_000_000

_Sample = tuple[int, int, int, int]  # begin of the step, when, number of the place, value


class HostSampler:
    """Records at which lines of the user's code the training thread is, at random times.

    Args:
        recorder: where to record.
        need: returns what a sample that is taken now belongs to, or None where none is needed.
        thread: gives the training thread, as `threading.get_ident` does.
        makes: returns whether the training thread, given its innermost frame and place, is at work on the
            next batch of a hand-written loop.
        frames: gives the innermost frame of each thread.
        clock: returns the time in ns.

    Attributes:
        cpu_ns: CPU time that its thread has used.
    """

    def __init__(
        self,
        recorder: Recorder,
        need: Callable[[], SamplingNeed | None],
        thread: Callable[[], int],
        *,
        makes: Callable[[FrameType, ThreadPlace], bool] = lambda innermost, place: False,
        frames: Callable[[], Mapping[int, FrameType]] = frames_by_thread,
        clock: Clock = now_ns,
    ) -> None:
        self.recorder = recorder
        self.cpu_ns = 0
        self._need = need
        self._thread = thread
        self._makes = makes
        self._frames = frames
        self._clock = clock
        self._places = PlaceReader()
        self._feeders = Feeders(self._places)
        self._feeders_due_ns = 0
        self._held: list[_Sample] = []
        self._held_for: OpenLoop | None = None
        self._pace = SamplingPace()
        self._awaits_look = True
        self._met: dict[int, FrameType] | None = None  # for the look that is due, where it is late
        self._switches = ShortSwitches()
        # Held until the thread is to end: to wait for a lock costs less than to wait for an event.
        self._on = threading.Lock()
        self._sampling = OwnThread(self._run, "sampler")
        self._guard = Guard(
            recorder.warn,
            "The training thread could not always be sampled",
            "some of what it did outside of steps is not named",
            retries=True,
        )

    def start(self) -> None:
        """Starts the thread."""
        self._on.acquire()
        self._sampling.start()

    def stop(self) -> None:
        """Ends the thread, and records what is still held."""
        if self._sampling.is_alive():
            self._on.release()
            self._sampling.join()
        self._awaits_look, self._met = False, None
        self._guard.run(self._settle, None)

    def _run(self) -> None:
        read_s = time.monotonic()
        self._pace.begin(read_s)
        for look in itertools.count(1):
            due_s = self._pace.next_due_s()
            self._awaits_look = True
            if self._on.acquire(timeout=max(due_s - time.monotonic(), 0)):
                break
            now_s = time.monotonic()
            if now_s - due_s > _LATE_S:
                self.held_up()
            self._pace.taken(now_s)
            need = self._guard.run(self.sample)
            self._pace.looked(needed=need is not None, seldom=need is not None and need.starts_up)
            if self._pace.is_idle:
                self._switches.end()
            if look % _LOOKS_A_READING == 0:
                now_s, cpu_ns = time.monotonic(), time.thread_time_ns()
                spent_s, self.cpu_ns = (cpu_ns - self.cpu_ns) / 1e9, cpu_ns
                self._pace.cost(spent_s, now_s - read_s, _LOOKS_A_READING)
                read_s = now_s
        self._switches.end()
        self.cpu_ns = time.thread_time_ns()

    def held_up(self) -> None:
        """Notes where the threads are, first of all, when a long call has let go of the GIL.

        The training thread wants it back, and is about to leave that call. Whichever of pipeprof's threads
        is given the GIL first calls this; the sampler may be the last.
        """
        if self._awaits_look and self._met is None and time.monotonic() > self._pace.due_s:
            self._met = self._guard.run(lambda: dict(self._frames()))

    def sample(self) -> SamplingNeed | None:
        """Takes a sample, where one is needed; returns what for."""
        met, self._met, self._awaits_look = self._met, None, False
        need = self._need()
        if need is None:
            return None
        if self._held:
            self._settle(need.loop)
        if need.is_timed and self._clock() < self._feeders_due_ns:
            return None
        frames = met or dict(self._frames())
        del met
        try:
            self._look(need, frames)
        finally:
            # This method's own frame is among them: a cycle, which would hold what all frames refer to,
            # the user's batches too, until Python's collector of cycles runs.
            frames.clear()
        return None if need.is_timed else need

    def _look(self, need: SamplingNeed, frames: Mapping[int, FrameType]) -> None:
        thread = self._thread()
        if thread not in frames:
            return
        if need.is_timed:
            self._add_feeders(need, self._clock(), frames, thread, None)
            return
        if self._sampling.is_alive():
            mine = thread, self._sampling.ident
            self._switches.met(rests(frames[each]) for each in frames if each not in mine)
        try:
            place = self._places.read(frames[thread], lambda: sleeps(thread, self.recorder))
            if place is None:
                return
            makes = need.unclocked and need.in_step and self._makes(frames[thread], place)
        except AttributeError:  # a call returned meanwhile, and its frame lost its parts
            return
        facts = PlaceFacts(
            function=place.function,
            location=place.location,
            detail=place.detail,
            calls_fit=place.calls_fit,
            calls_predict=place.calls_predict,
        )
        now = self._clock()
        state = HostState.MAKING if makes else place.state
        self._add(need, now, facts, state, self._pace.weight)
        for missed in self._pace.missed:
            self._add(need, now - int(missed.age_s * 1e9), facts, state, missed.weight)
        if place.state is HostState.WAITING and need.by_hand and now >= self._feeders_due_ns:
            self._add_feeders(need, now, frames, thread, place.location)

    def _add_feeders(
        self,
        need: SamplingNeed,
        now: int,
        frames: Mapping[int, FrameType],
        thread: int,
        waits_at: Location | None,
    ) -> None:
        """Records where others work while the training thread waits at a line, or its model works."""
        self._feeders_due_ns = now + _FEEDERS_EVERY_NS
        state = HostState.FEEDING if waits_at is not None else HostState.BESIDE
        for feeding in self._feeders.find(frames, thread, waits_at):
            self._add(need, now, feeding, state, self._pace.weight)

    def _add(
        self, need: SamplingNeed, at_ns: int, place: PlaceFacts, state: HostState, weight: int
    ) -> None:
        value = int(state) + (0 if need.in_step else BETWEEN_STEPS)
        value += (weight - 1) << WEIGHT_SHIFT
        began_ns = at_ns
        if need.by_hand and need.in_step and need.loop is not None:
            began_ns = min(need.loop.began_ns, at_ns)
        sample = began_ns, at_ns, self.recorder.names.number(place), value
        if not need.by_hand:
            self._write(sample, need.loop)
        elif len(self._held) < _MOST_HELD:
            self._held_for = need.loop
            self._held.append(sample)
        else:
            self._write(sample, need.loop)

    def _settle(self, loop: OpenLoop | None) -> None:
        """Records the samples whose loop has taken a step since; once it has ended, the rest have no loop.

        What follows on a hand-written loop's last step looks as if it were in the next one.
        """
        before = self._held_for
        if before is None:
            return
        taken = [sample for sample in self._held if sample[1] <= before.closed_ns]
        later = self._held[len(taken) :]
        for sample in taken:
            self._write(sample, before)
        if loop is before:
            self._held = later
            return
        for sample in later:
            self._write(sample, None)
        self._held, self._held_for = [], None

    def _write(self, sample: _Sample, loop: OpenLoop | None) -> None:
        began_ns, at_ns, number, value = sample
        if number:
            of = loop.number if loop is not None else 0
            self.recorder.lane().write(code(Kind.HOST_SAMPLE, number), began_ns, at_ns, of, value)


def sleeps(thread: int, recorder: Recorder) -> bool:
    """Whether the system reports that a thread does not run.

    Args:
        thread: the thread, as `threading.get_ident` gives it.
        recorder: knows the system's number of threads that record.
    """
    lane = recorder.lanes.get(thread)
    if lane is None:
        return False
    try:
        text = Path(f"/proc/self/task/{lane.native_id}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(") ")[2][:1] == "S"
