"""Moments: what all threads of the process use of the CPU in a millisecond."""

import threading
import time

from pipeprof.capture.probes.system.moments import MOMENTS, MomentSampler
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind
from tests.capture.probes.recorded import events

BUSY_S = 0.02


class Machine:
    """A process whose threads use a core and a half, and a clock that only rests move."""

    def __init__(self) -> None:
        self.now_ns, self.cpu_ns = 1_000, 50

    def read(self) -> tuple[int, int]:
        return self.now_ns, self.cpu_ns

    def rest(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)
        self.cpu_ns += round(seconds * 1.5e9)


def test_moments_follow_one_another_with_their_cpu_time() -> None:
    machine = Machine()
    sampler = MomentSampler(Recorder(None), read=machine.read, rest=machine.rest)
    sampler.sample(0)
    found = events(sampler.recorder, Kind.MOMENT)
    assert len(found) == MOMENTS
    assert [(m.start_ns, m.end_ns) for m in found[:2]] == [
        (1_000, 1_001_000),
        (1_001_000, 2_001_000),
    ]
    assert {m.value for m in found} == {1_500_000}


def compute() -> None:
    until = time.thread_time() + BUSY_S
    while time.thread_time() < until:
        pass


def in_another_thread() -> None:
    thread = threading.Thread(target=compute)
    thread.start()
    thread.join()


def test_the_cpu_time_of_other_threads_counts() -> None:
    sampler = MomentSampler(Recorder(None), rest=lambda seconds: in_another_thread())
    sampler.sample(0)
    assert all(m.value >= 0.9e9 * BUSY_S for m in events(sampler.recorder, Kind.MOMENT))


def test_the_samplers_own_cpu_time_does_not_count() -> None:
    sampler = MomentSampler(Recorder(None), rest=lambda seconds: compute())
    sampler.sample(0)
    assert all(m.value < 0.5e9 * BUSY_S for m in events(sampler.recorder, Kind.MOMENT))
