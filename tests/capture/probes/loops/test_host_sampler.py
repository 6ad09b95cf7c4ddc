import gc
import queue
import sys
import threading
import weakref
from types import CodeType, FrameType
from typing import cast

from pipeprof.capture.probes.loops.batch_shapes import BatchShape
from pipeprof.capture.probes.loops.host_sampler import HostSampler
from pipeprof.capture.probes.loops.loop_tracker import LoopTracker
from pipeprof.capture.probes.loops.sampling_needs import SamplingNeed, find_sampling_need
from pipeprof.capture.probes.python.running_frames import frames_by_thread
from pipeprof.capture.recorder.facts import InputFacts, PlaceFacts
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import BETWEEN_STEPS, Kind
from pipeprof.recording.account import HostState
from pipeprof.recording.loop import LoopKind, WaitSource
from tests.capture.probes.recorded import events, warnings_of

FED_BY = InputFacts()
SHAPE = BatchShape(number=0, samples=8, size_bytes=32)


class Sampled:
    """A training on a clock of its own, whose only thread is met wherever this test stands."""

    def __init__(self) -> None:
        self.now = 1000
        self.recorder = Recorder(None)
        self.loops = LoopTracker(self.recorder, lambda: self.now)
        self.frames: dict[int, FrameType] = {}
        self.sampler = HostSampler(
            self.recorder,
            lambda: find_sampling_need(self.loops),
            threading.get_ident,
            makes=self.loops.hand.makers.makes,
            frames=lambda: self.frames,
            clock=lambda: self.now,
        )

    def meet(self) -> None:
        self.now += 5
        self.frames[threading.get_ident()] = sys._getframe(1)
        self.sampler.sample()
        self.now += 5

    def train_on_batch(self, size: int = 8) -> None:
        begin = self.now
        self.now += 10
        self.loops.hand.trained_on_batch(begin, self.now, size)

    def ends(self) -> list[tuple[int, int, str]]:
        """Loop, value and function of each sample."""
        self.loops.close_all()
        self.sampler.stop()
        found = []
        for event in events(self.recorder, Kind.HOST_SAMPLE):
            assert isinstance(event.subject, PlaceFacts)
            found.append((event.inner, event.value, event.subject.function))
        return found


OWN = int(HostState.OWN_CODE)


def test_outside_of_all_loops_a_sample_is_of_no_loop() -> None:
    training = Sampled()
    training.meet()
    here = "test_outside_of_all_loops_a_sample_is_of_no_loop"
    assert training.ends() == [(0, OWN + BETWEEN_STEPS, here)]


def test_only_before_the_first_loop_a_sample_is_of_what_starts_up() -> None:
    training = Sampled()
    before = training.sampler.sample()
    training.loops.close(training.loops.open(LoopKind.FIT))
    after = training.sampler.sample()
    assert (before, after) == (SamplingNeed(starts_up=True), SamplingNeed())


def test_a_frameworks_loop_is_sampled_between_its_epochs_only() -> None:
    training = Sampled()
    loop = training.loops.open(LoopKind.FIT)
    training.meet()
    loop.begin_epoch(training.now)
    training.meet()
    loop.leave_steps()
    training.meet()
    inner = training.loops.open(LoopKind.EVALUATE)
    training.meet()
    training.loops.close(inner)
    assert [sample[:2] for sample in training.ends()] == [(loop.number, BETWEEN_STEPS)] * 2


def test_predictions_outside_of_all_loops_are_not_sampled() -> None:
    training = Sampled()
    training.loops.open(LoopKind.PREDICT)
    training.meet()
    assert training.ends() == []


def test_a_hand_written_loop_is_sampled_except_where_a_clock_measures() -> None:
    training = Sampled()
    hand = training.loops.hand
    training.train_on_batch()
    training.meet()
    hand.model_works = True
    training.meet()
    hand.model_works = False
    predict = training.loops.open(LoopKind.PREDICT)
    training.meet()
    training.loops.close(predict)
    evaluation = training.loops.open(LoopKind.EVALUATE)
    training.meet()
    training.loops.close(evaluation)
    training.train_on_batch()
    assert hand.loop is not None
    number = hand.loop.number
    assert [sample[:2] for sample in training.ends()] == [(number, OWN)] * 2


def test_a_function_that_makes_the_next_batch_is_told_from_other_own_code() -> None:
    training = Sampled()

    def load() -> int:
        training.meet()
        return 8

    for _ in range(2):
        batch = load()
        training.train_on_batch(batch)
        load()
    training.train_on_batch()
    name = "load"
    assert [(value, function) for _, value, function in training.ends()[1:]] == [
        (OWN, name),
        (int(HostState.MAKING), name),
        (OWN, name),
    ]


def test_marked_steps_have_their_batches_made_too() -> None:
    training = Sampled()

    def load() -> int:
        training.meet()
        return 8

    for _ in range(3):
        batch = load()
        training.loops.hand.step_began(training.now)
        training.train_on_batch(batch)
        training.loops.hand.step_ended(training.now)
    states = [value & ~BETWEEN_STEPS for _, value, _ in training.ends()]
    assert states == [OWN, int(HostState.MAKING), int(HostState.MAKING)]


def test_where_a_clock_shows_the_waits_nothing_is_sampled_as_one() -> None:
    training = Sampled()

    def load() -> int:
        training.meet()
        return 8

    for _ in range(3):
        batch = load()
        training.train_on_batch(batch)
        if training.loops.hand.loop is not None:
            training.loops.hand.loop.set_waits_by(WaitSource.ITERATOR)
    assert {value & ~BETWEEN_STEPS for _, value, _ in training.ends()} == {OWN}


def test_while_a_model_works_only_what_others_do_is_sampled_and_seldom() -> None:
    training = Sampled()
    hand = training.loops.hand
    done = threading.Event()

    def parse() -> None:
        while not done.is_set():
            pass

    thread = threading.Thread(target=parse)
    thread.start()
    training.train_on_batch()
    hand.model_works = True
    for _ in range(3):  # within a moment: only one of them looks
        training.frames = {thread.ident or 0: frames_by_thread()[thread.ident or 0]}
        training.meet()
    training.now += 300_000_000
    training.meet()
    hand.model_works = False
    done.set()
    thread.join()
    training.train_on_batch()
    assert hand.loop is not None
    number, name = hand.loop.number, f"{parse.__name__}"
    assert training.ends() == [(number, int(HostState.BESIDE), name)] * 2


def test_a_loop_is_not_sampled_while_it_takes_a_batch() -> None:
    training = Sampled()
    hand = training.loops.hand
    for _ in range(3):
        hand.asks(1)
        training.meet()
        hand.fetched(1, FED_BY, training.now, training.now + 1, SHAPE)
        training.now += 1
        training.meet()
    hand.exhausted(1, training.now)
    assert hand.loop is not None
    number = hand.loop.number
    # Only the second batch shows that it is a loop.
    assert [s[0] for s in training.ends()] == [0, number, number]


def test_what_follows_on_the_last_step_is_none_of_the_loops() -> None:
    training = Sampled()
    training.train_on_batch()
    training.meet()
    training.train_on_batch()
    training.meet()
    assert training.loops.hand.loop is not None
    number = training.loops.hand.loop.number
    assert [sample[0] for sample in training.ends()] == [number, 0]


def test_between_the_epochs_of_a_hand_written_loop_it_is_in_no_step() -> None:
    training = Sampled()
    hand = training.loops.hand
    for _ in range(2):
        for _ in range(2):
            hand.asks(1)
            hand.fetched(1, FED_BY, training.now, training.now + 1, SHAPE)
            training.now += 10
        hand.asks(1)
        hand.exhausted(1, training.now)
        training.meet()
    assert hand.loop is not None
    number = hand.loop.number
    assert [s[:2] for s in training.ends()] == [(number, BETWEEN_STEPS), (0, BETWEEN_STEPS)]


def test_who_feeds_is_met_while_the_training_waits_and_not_at_every_sample() -> None:
    training = Sampled()
    filled: queue.Queue[int] = queue.Queue()
    done = threading.Event()

    def load() -> None:
        while not done.is_set():
            pass

    def take() -> None:
        filled.get()

    loader, waiting = threading.Thread(target=load), threading.Thread(target=take)
    loader.start()
    waiting.start()
    training.train_on_batch()
    training.sampler = HostSampler(
        training.recorder,
        lambda: find_sampling_need(training.loops),
        lambda: waiting.ident or 0,
        frames=lambda: {
            thread.ident or 0: frames_by_thread()[thread.ident or 0] for thread in (loader, waiting)
        },
        clock=lambda: training.now,
    )
    while frames_by_thread()[waiting.ident or 0].f_code.co_name != "wait":
        pass
    for _ in range(2):
        training.meet()
    done.set()
    filled.put(0)
    loader.join()
    waiting.join()
    training.train_on_batch()
    states = [value for _, value, _ in training.ends()]
    waits, feeds = int(HostState.WAITING), int(HostState.FEEDING)
    assert (states.count(waits), states.count(feeds)) == (2, 1)


class Returned:
    """A frame of a call that has returned meanwhile."""

    @property
    def f_code(self) -> CodeType:
        raise AttributeError("f_code")


class Batch:
    """What a frame of the user's refers to."""


def test_a_sample_holds_nothing_that_a_frame_refers_to() -> None:
    sampler = HostSampler(Recorder(None), SamplingNeed, threading.get_ident)

    def meet() -> weakref.ref[Batch]:
        batch = Batch()
        sampler.sample()
        return weakref.ref(batch)

    gc.collect()
    gc.disable()  # a cycle would be found by it sooner or later, but batches may be large
    try:
        assert meet()() is None
    finally:
        gc.enable()


def test_a_sampler_that_has_stopped_holds_nothing_that_a_frame_refers_to() -> None:
    sampler = HostSampler(Recorder(None), SamplingNeed, threading.get_ident)

    def meet() -> weakref.ref[Batch]:
        batch = Batch()
        sampler.held_up()
        return weakref.ref(batch)

    before = meet()
    assert before() is not None
    sampler.stop()
    assert (before(), meet()()) == (None, None)


def test_a_frame_that_is_gone_is_passed_over() -> None:
    recorder = Recorder(None)
    frames = {7: cast(FrameType, Returned())}
    HostSampler(recorder, SamplingNeed, lambda: 7, frames=lambda: frames).sample()
    assert events(recorder, Kind.HOST_SAMPLE) == []


def test_a_look_that_waited_for_the_gil_shows_the_call_that_held_it() -> None:
    training = Sampled()

    def holds() -> FrameType:
        return sys._getframe()

    def follows() -> FrameType:
        return sys._getframe()

    training.frames[threading.get_ident()] = holds()
    training.sampler.held_up()
    training.frames[threading.get_ident()] = follows()
    training.sampler.held_up()  # another thread is let in later
    training.sampler.sample()
    training.sampler.sample()
    assert [function for _, _, function in training.ends()] == ["holds", "follows"]


def test_where_no_look_is_due_the_threads_are_not_looked_at() -> None:
    training = Sampled()
    training.sampler.sample()  # the look that was due
    training.sampler.held_up()
    training.meet()
    here = "test_where_no_look_is_due_the_threads_are_not_looked_at"
    assert [function for _, _, function in training.ends()] == [here]


def test_its_thread_goes_on_after_a_failure_that_is_warned_of_once() -> None:
    recorder = Recorder(None)
    asked = threading.Semaphore(0)

    def fails() -> SamplingNeed | None:
        asked.release()
        raise RuntimeError("no moment")

    sampler = HostSampler(recorder, fails, threading.get_ident)
    sampler.start()
    assert asked.acquire(timeout=10)
    assert asked.acquire(timeout=10)
    sampler.stop()
    assert len(warnings_of(recorder)) == 1
    assert "no moment" in warnings_of(recorder)[0]


def test_a_thread_that_is_gone_is_met_nowhere() -> None:
    recorder = Recorder(None)
    HostSampler(recorder, SamplingNeed, lambda: 0, frames=dict).sample()
    assert events(recorder, Kind.HOST_SAMPLE) == []
