"""Finds a careful verdict on a training that was observed from outside, from samples of its stacks.

Nothing was timed, so the verdict follows from one rule: of the maker of batches and the training, the one
that never rests is the slower. Where that cannot be seen either, the verdict is unknown.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from enum import Enum

from pipeprof.analysis.findings.findings import HotLine
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.analysis.measures.hot_lines import LEAST_SAMPLES
from pipeprof.analysis.measures.lane_use import SATURATED_FROM
from pipeprof.analysis.verdicts.attached_evidence import (
    AttachedEvidence,
    BatchAwaited,
    CompiledFit,
    GettingBatches,
    InOwnCode,
    InTrainingSteps,
    MakerAtWork,
    MakersBlocked,
    MakersQueued,
    NoCoreFree,
    NoTraining,
)
from pipeprof.analysis.verdicts.bounds import COMPUTE_BELOW, bound_by_wait
from pipeprof.analysis.verdicts.causes import BLOCKING_BELOW, CROWDED_FROM
from pipeprof.attach.observation import Observation, ObservedThread
from pipeprof.attach.thread_activity import (
    Activity,
    activity_of,
    feeds_tensorflow,
    innermost_users,
    is_of_sequence,
)
from pipeprof.recording.lane import Role
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.python_stacks import Frame, SampledStack
from pipeprof.recording.source_code import Location

# From the first ratio on, a maker of batches works without a pause; below the second it rests, because its
# buffer is full.
NO_PAUSE_FROM, RESTS_BELOW = 0.9, 0.6

# A thread trains if it spends at least this share of its time in training steps or getting batches.
_TRAINS_FROM = 0.3
_FEW_SAMPLES = 100
_MOST_LINES = 5
_LEAST_SHARE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadFinding:
    """What a thread, or several threads of one kind, did.

    Attributes:
        name: name to show to a reader.
        role: what they do in the training.
        count: how many threads; for threads that come and go, how many at once.
        cpu_ratio: CPU time over wall time, of all of them together.
        queued_ratio: time in which they were ready to run without a CPU, over wall time.
        gil_ratio: the part of the time in which they held the GIL, or None without Python.
        activities: their activities as parts of the time, the largest first; empty without Python.
    """

    name: str
    role: Role
    count: int
    cpu_ratio: float
    queued_ratio: float
    gil_ratio: float | None
    activities: tuple[tuple[Activity, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedFindings:
    """The verdict on a training that was observed from outside.

    Attributes:
        observation: what was observed.
        bound: what seems to limit the training's speed.
        confidence: 0 to 1.
        evidence: reasons for the verdict.
        threads: threads and worker processes, the most important first.
        hot_lines: lines of the user's code that make batches, with their shares of that work.
    """

    observation: Observation
    bound: Bound
    confidence: float
    evidence: tuple[AttachedEvidence, ...]
    threads: tuple[ThreadFinding, ...]
    hot_lines: tuple[HotLine, ...]


def find_attached_verdict(observation: Observation) -> AttachedFindings:
    """Judges whether an observed training seems to wait for its data, with the evidence."""
    observed = _Observed(observation)
    bound, confidence, evidence = _verdict(observed)
    certain = 1.0 if observed.samples_each >= _FEW_SAMPLES else 0.5
    return AttachedFindings(
        observation=observation,
        bound=bound,
        confidence=confidence * certain,
        evidence=(evidence, *_more_evidence(observed, bound)),
        threads=tuple(_thread_findings(observed)),
        hot_lines=_hot_lines(observed),
    )


class _Observed:
    """An observation with the activity of each thread.

    Attributes:
        observation: what was observed.
        activities: each stack with the activity of its thread.
        samples_each: how often the stack of each thread was sampled.
        trainer: number of the thread that trains.
        feeders: numbers of TensorFlow's threads in which tf.data calls Python code.
        workers: process and thread of each worker.
    """

    def __init__(self, observation: Observation) -> None:
        self.observation = observation
        self.activities = [(stack, activity_of(stack)) for stack in observation.stacks]
        by_thread: dict[int, int] = defaultdict(int)
        for stack in observation.stacks:
            by_thread[stack.tid] += stack.samples * (stack.pid == observation.pid)
        self.samples_each = max(by_thread.values(), default=0)
        self.trainer = self._find_trainer()
        self.feeders = {
            stack.tid
            for stack in observation.stacks
            if stack.pid == observation.pid
            and stack.tid != self.trainer
            and feeds_tensorflow(stack)
        }
        self.workers = self._find_workers()

    def shares(self, chosen: Callable[[SampledStack], bool]) -> dict[Activity, float]:
        """The activities of the chosen stacks, as parts of the time."""
        found: dict[Activity, float] = defaultdict(float)
        for stack, activity in self.activities:
            if chosen(stack):
                found[activity] += stack.samples / max(self.samples_each, 1)
        return found

    @property
    def training(self) -> dict[Activity, float]:
        """The activities of the thread that trains."""
        return self.shares(
            lambda each: (each.pid, each.tid) == (self.observation.pid, self.trainer)
        )

    @property
    def feeding(self) -> dict[Activity, float]:
        """The activities of the threads in which tf.data calls Python code."""
        return self.shares(
            lambda each: each.pid == self.observation.pid and each.tid in self.feeders
        )

    def _find_workers(self) -> set[tuple[int, int]]:
        """Process and thread of each thread that makes batches.

        A thread of the training's process counts only if it was seen at it in several samples: a stack
        that changes while it is read may mix earlier and later calls.
        """
        samples: dict[tuple[int, int], int] = defaultdict(int)
        for stack, activity in self.activities:
            if activity is Activity.LOADING and stack.tid not in self.feeders:
                samples[stack.pid, stack.tid] += stack.samples
        samples.pop((self.observation.pid, self.trainer), None)
        least = _LEAST_SHARE * self.samples_each
        return {
            key for key, seen in samples.items() if key[0] != self.observation.pid or seen >= least
        }

    def _find_trainer(self) -> int:
        samples: dict[int, int] = defaultdict(int)
        for stack, activity in self.activities:
            if stack.pid == self.observation.pid and activity in (
                Activity.FITTING,
                Activity.COMPUTING,
            ):
                samples[stack.tid] += stack.samples
        least = _TRAINS_FROM * self.samples_each
        best = max(samples, key=lambda tid: (samples[tid], -tid), default=self.observation.pid)
        return best if samples[best] >= least else self.observation.pid


def _verdict(observed: _Observed) -> tuple[Bound, float, AttachedEvidence]:
    training, feeding = observed.training, observed.feeding
    if training[Activity.FITTING] >= _TRAINS_FROM:
        return _verdict_of_fit(observed, feeding[Activity.LOADING] + feeding[Activity.FETCHING])
    getting = sum(share for activity, share in training.items() if activity.is_input)
    own, computing = training[Activity.OWN], training[Activity.COMPUTING]
    if computing + getting < COMPUTE_BELOW:
        return Bound.UNKNOWN, 0.0, NoTraining()
    # Between steps the script may make batches or do anything else.
    bound, confidence = bound_by_wait(own + getting), 0.6 if own > getting else 0.8
    if bound is Bound.COMPUTE:
        return bound, confidence, InTrainingSteps(ratio=computing)
    if own > getting:
        return bound, confidence, InOwnCode(ratio=own)
    return bound, confidence, GettingBatches(ratio=getting)


def _verdict_of_fit(observed: _Observed, asked: float) -> tuple[Bound, float, AttachedEvidence]:
    """The verdict on Keras's compiled ``fit``.

    Args:
        observed: the observation.
        asked: the part of the time in which batches were made or waited for.
    """
    feeders = observed.feeders
    if any(is_of_sequence(stack) and stack.tid in feeders for stack, _ in observed.activities):
        # Keras takes these batches one by one, without a buffer between them and the training.
        return bound_by_wait(asked), 0.8, BatchAwaited(ratio=asked)
    if not feeders:
        return Bound.UNKNOWN, 0.0, CompiledFit()
    bound, confidence = Bound.BALANCED, 0.5
    if asked >= NO_PAUSE_FROM:
        bound, confidence = Bound.INPUT, 0.7
    elif asked < RESTS_BELOW:
        bound, confidence = Bound.COMPUTE, 0.7
    return bound, confidence, MakerAtWork(busy_ratio=asked, bound=bound)


def _more_evidence(observed: _Observed, bound: Bound) -> Iterable[AttachedEvidence]:
    observation = observed.observation
    if bound is not Bound.COMPUTE:
        yield from _why_slow(observed)
    spent_ns = sum(process.cpu_ns for process in observation.processes)
    if spent_ns / max(observation.duration_ns, 1) >= SATURATED_FROM * observation.cores:
        yield NoCoreFree()


def _why_slow(observed: _Observed) -> Iterable[AttachedEvidence]:
    """Evidence of why the makers of batches are slow: no free core, or blocked."""
    makers = [
        row
        for row in _thread_findings(observed)
        if row.role in (Role.INPUT, Role.WORKER)
        and dict(row.activities).get(Activity.LOADING, 0.0) >= RESTS_BELOW
    ]
    for row in makers[:1]:
        at_once = row.count if row.role is Role.WORKER else 1
        on_cpu, queued = row.cpu_ratio / at_once, row.queued_ratio / at_once
        if queued >= CROWDED_FROM:
            yield MakersQueued(ratio=queued)
        elif on_cpu + queued < BLOCKING_BELOW * dict(row.activities)[Activity.LOADING]:
            yield MakersBlocked(cpu_ratio=on_cpu)


# Threads


def _thread_findings(observed: _Observed) -> Iterable[ThreadFinding]:
    names = {stack.tid: stack.thread for stack in observed.observation.stacks}
    groups: dict[_Group, list[ObservedThread]] = defaultdict(list)
    for thread in observed.observation.threads:
        groups[_group_of(thread, observed)].append(thread)
    for group in _Group:
        if threads := groups[group]:
            name = names.get(observed.trainer) if group is _Group.TRAINER else None
            yield _thread_finding(observed, group, name or group.value[0], threads)


class _Group(Enum):
    """Threads of one kind: their name for a reader, and their role."""

    TRAINER = ("main", Role.TRAINING)
    FEEDER = ("TensorFlow thread", Role.INPUT)
    WORKER_THREAD = ("worker thread", Role.WORKER)
    WORKER_PROCESS = ("worker process", Role.WORKER)
    REST = ("other threads", Role.OTHER)
    OTHER_PROCESS = ("other processes", Role.OTHER)


def _group_of(thread: ObservedThread, observed: _Observed) -> _Group:
    if thread.pid != observed.observation.pid:
        works = any(pid == thread.pid for pid, _ in observed.workers)
        return _Group.WORKER_PROCESS if works else _Group.OTHER_PROCESS
    if thread.tid == observed.trainer:
        return _Group.TRAINER
    if thread.tid in observed.feeders:
        return _Group.FEEDER
    works = (thread.pid, thread.tid) in observed.workers
    return _Group.WORKER_THREAD if works else _Group.REST


def _thread_finding(
    observed: _Observed, group: _Group, name: str, threads: list[ObservedThread]
) -> ThreadFinding:
    role = group.value[1]
    observation, keys = observed.observation, {(thread.pid, thread.tid) for thread in threads}
    # In a worker process one thread works; the others only pass its batches on.
    doers = keys & observed.workers if role is Role.WORKER else keys
    at_once = sum(t.lived_ratio for t in threads if (t.pid, t.tid) in doers)
    most = max(at_once, 1.0) if role is Role.WORKER else 1.0
    activities = observed.shares(lambda each: (each.pid, each.tid) in doers)
    held = sum(each.samples for each in observation.holders if (each.pid, each.tid) in keys)
    processes = most if group is _Group.WORKER_PROCESS else 1.0
    return ThreadFinding(
        name=name,
        role=role,
        count=max(round(at_once), 1) if role is Role.WORKER else len(threads),
        cpu_ratio=sum(thread.cpu_ns for thread in threads) / max(observation.duration_ns, 1),
        queued_ratio=sum(thread.queued_ns for thread in threads) / max(observation.duration_ns, 1),
        gil_ratio=min(held / observed.samples_each / processes, 1.0)
        if observed.samples_each
        else None,
        activities=tuple(
            (kind, min(share / most, 1.0))
            for kind, share in sorted(activities.items(), key=lambda each: -each[1])
            if share / most >= _LEAST_SHARE and role is not Role.OTHER
        ),
    )


# Lines


def _hot_lines(observed: _Observed) -> tuple[HotLine, ...]:
    """The innermost lines of the user's code where batches are made."""
    trainer = observed.observation.pid, observed.trainer
    counts: dict[Frame, int] = defaultdict(int)
    for stack, activity in observed.activities:
        makes = activity is Activity.LOADING or (
            activity is Activity.OWN and (stack.pid, stack.tid) == trainer
        )
        line = innermost_users(stack)
        if makes and line is not None:
            counts[line] += stack.samples
    total = sum(counts.values())
    if total < LEAST_SAMPLES:
        return ()
    dearest = sorted(counts.items(), key=lambda each: (-each[1], str(each[0])))
    return tuple(
        HotLine(
            location=Location(frame.file, frame.line),
            function=frame.function,
            text=observed.observation.texts.get((frame.file, frame.line), ""),
            share=samples / total,
            samples=samples,
        )
        for frame, samples in dearest[:_MOST_LINES]
        if samples >= _LEAST_SHARE * total
    )
