"""A careful verdict on a training that was watched from outside, from samples of its stacks.

Nothing was timed there, so it rests on one thought: of two that hand batches over, the one that never
rests is the slower. Where even that cannot be seen, the verdict is unknown.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from pipeprof.analysis.bounds import COMPUTE_BELOW, bound_by_wait, wait_percent
from pipeprof.analysis.causes import BLOCKING_BELOW, CROWDED_FROM
from pipeprof.analysis.evidence import percent
from pipeprof.analysis.findings import HotLine
from pipeprof.analysis.hot_lines import LEAST_SAMPLES
from pipeprof.analysis.lane_use import SATURATED_FROM
from pipeprof.analysis.verdict_kinds import Bound
from pipeprof.attach.observation import Glimpse, ThreadSeen
from pipeprof.attach.thread_activity import (
    Doing,
    doing_of,
    feeds_tensorflow,
    innermost_users,
    is_of_sequence,
)
from pipeprof.recording.lane import Role
from pipeprof.recording.python_stacks import Frame, SampledStack
from pipeprof.recording.source_code import Location

# What makes batches ahead of a training works without a pause from here on; below the other border it
# rests, because its buffer is full.
NO_PAUSE_FROM, RESTS_BELOW = 0.9, 0.6

# Under this share of its time in a training step or in getting a batch, a thread does not train.
_TRAINS_FROM = 0.3
_FEW_MOMENTS = 100
_MOST_LINES = 5
_LEAST_SHARE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadFinding:
    """What a thread, or several of one kind, did.

    Attributes:
        name: a person's name for it.
        role: what it is there for.
        count: how many these are, or were at once where they come and go.
        cpu_ratio: CPU time over wall time, all of them together.
        queued_ratio: the time in which they stood ready without a CPU, over wall time.
        gil_ratio: the part of the time in which they held the GIL, or None without Python.
        doing: what they did, as parts of the time, the largest first; empty without Python.
    """

    name: str
    role: Role
    count: int
    cpu_ratio: float
    queued_ratio: float
    gil_ratio: float | None
    doing: tuple[tuple[Doing, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GlimpseFindings:
    """What is said of a training that was watched from outside.

    Attributes:
        glimpse: what was seen.
        bound: what its speed seems to hang on.
        confidence: 0 to 1.
        evidence: what speaks for it, one sentence each.
        threads: threads and worker processes, what matters most first.
        hot_lines: lines of the user's code that make batches, as parts of that work.
    """

    glimpse: Glimpse
    bound: Bound
    confidence: float
    evidence: tuple[str, ...]
    threads: tuple[ThreadFinding, ...]
    hot_lines: tuple[HotLine, ...]


def judge_glimpse(glimpse: Glimpse) -> GlimpseFindings:
    """Says of a training that was watched whether it seems to wait for its data."""
    watched = _Watched(glimpse)
    bound, confidence, sentence = _verdict(watched)
    certain = 1.0 if watched.moments >= _FEW_MOMENTS else 0.5
    return GlimpseFindings(
        glimpse=glimpse,
        bound=bound,
        confidence=confidence * certain,
        evidence=(sentence, *_more_evidence(watched, bound)),
        threads=tuple(_thread_findings(watched)),
        hot_lines=_hot_lines(watched),
    )


class _Watched:
    """A glimpse with each stack told what it was doing.

    Attributes:
        glimpse: what was seen.
        told: each stack with what was being done.
        moments: how often the process was looked at.
        trainer: the thread that trains.
        feeders: threads of TensorFlow from which tf.data calls Python code.
        workers: process and thread of each worker.
    """

    def __init__(self, glimpse: Glimpse) -> None:
        self.glimpse = glimpse
        self.told = [(stack, doing_of(stack)) for stack in glimpse.stacks]
        by_thread: dict[int, int] = defaultdict(int)
        for stack in glimpse.stacks:
            by_thread[stack.tid] += stack.samples * (stack.pid == glimpse.pid)
        self.moments = max(by_thread.values(), default=0)
        self.trainer = self._find_trainer()
        self.feeders = {
            stack.tid
            for stack in glimpse.stacks
            if stack.pid == glimpse.pid and stack.tid != self.trainer and feeds_tensorflow(stack)
        }
        self.workers = self._find_workers()

    def shares(self, chosen: Callable[[SampledStack], bool]) -> dict[Doing, float]:
        """What the chosen stacks of a process did, as parts of the time."""
        found: dict[Doing, float] = defaultdict(float)
        for stack, doing in self.told:
            if chosen(stack):
                found[doing] += stack.samples / max(self.moments, 1)
        return found

    @property
    def training(self) -> dict[Doing, float]:
        """What the thread that trains did."""
        return self.shares(lambda each: (each.pid, each.tid) == (self.glimpse.pid, self.trainer))

    @property
    def feeding(self) -> dict[Doing, float]:
        """What the threads did that tf.data calls Python code from."""
        return self.shares(lambda each: each.pid == self.glimpse.pid and each.tid in self.feeders)

    def _find_workers(self) -> set[tuple[int, int]]:
        """Threads that make batches; one of the training itself must have been seen at it repeatedly.

        A stack that changes while it is read may mix what was called before with what is called now.
        """
        samples: dict[tuple[int, int], int] = defaultdict(int)
        for stack, doing in self.told:
            if doing is Doing.LOADING and stack.tid not in self.feeders:
                samples[stack.pid, stack.tid] += stack.samples
        samples.pop((self.glimpse.pid, self.trainer), None)
        least = _LEAST_SHARE * self.moments
        return {key for key, seen in samples.items() if key[0] != self.glimpse.pid or seen >= least}

    def _find_trainer(self) -> int:
        samples: dict[int, int] = defaultdict(int)
        for stack, doing in self.told:
            if stack.pid == self.glimpse.pid and doing in (Doing.FITTING, Doing.COMPUTING):
                samples[stack.tid] += stack.samples
        least = _TRAINS_FROM * self.moments
        best = max(samples, key=lambda tid: (samples[tid], -tid), default=self.glimpse.pid)
        return best if samples[best] >= least else self.glimpse.pid


def _verdict(watched: _Watched) -> tuple[Bound, float, str]:
    training, feeding = watched.training, watched.feeding
    if training[Doing.FITTING] >= _TRAINS_FROM:
        asked = feeding[Doing.LOADING] + feeding[Doing.FETCHING]
        if any(is_of_sequence(stack) and stack.tid in watched.feeders for stack, _ in watched.told):
            # Keras takes these batches one by one, without a buffer between them and the training.
            return (
                bound_by_wait(asked),
                0.8,
                f"A batch was being waited for {wait_percent(asked)} of the time.",
            )
        if watched.feeders:
            return _by_rest(asked)
        return (
            Bound.UNKNOWN,
            0.0,
            "Keras waits and computes in one compiled function, and no Python code makes the batches: "
            "from outside the two cannot be told apart.",
        )
    getting = sum(share for doing, share in training.items() if doing.is_input)
    own, computing = training[Doing.OWN], training[Doing.COMPUTING]
    if computing + getting < COMPUTE_BELOW:
        return Bound.UNKNOWN, 0.0, "No thread was seen training: it may be starting, or at its end."
    # What the script does between steps may be the making of batches, or anything else.
    bound, confidence = bound_by_wait(own + getting), 0.6 if own > getting else 0.8
    if bound is Bound.COMPUTE:
        sentence = (
            f"The thread that trains spent {percent(computing)} of the time in training steps."
        )
    elif own > getting:
        sentence = (
            f"The thread that trains spent {percent(own)} of the time in the script's own code, outside "
            "any training step; if that makes the batches, training waits for it."
        )
    else:
        sentence = (
            f"The thread that trains spent {wait_percent(getting)} of the time getting batches."
        )
    return bound, confidence, sentence


def _by_rest(busy: float) -> tuple[Bound, float, str]:
    worked = f"The Python code that makes the batches worked {percent(min(busy, 1.0))} of the time"
    if busy >= NO_PAUSE_FROM:
        return Bound.INPUT, 0.7, f"{worked}, without a pause: no batch lay ready."
    if busy < RESTS_BELOW:
        return Bound.COMPUTE, 0.7, f"{worked} and rested otherwise: batches lay ready."
    return Bound.BALANCED, 0.5, f"{worked}: it keeps up, but only just."


def _more_evidence(watched: _Watched, bound: Bound) -> Iterable[str]:
    glimpse = watched.glimpse
    if bound is not Bound.COMPUTE:
        yield from _why_slow(watched)
    used = sum(process.cpu_ns for process in glimpse.processes) / max(glimpse.duration_ns, 1)
    if used >= SATURATED_FROM * glimpse.cores:
        yield "No core was left: more workers would not help."


def _why_slow(watched: _Watched) -> Iterable[str]:
    """What keeps those that make batches off the CPU."""
    makers = [
        row
        for row in _thread_findings(watched)
        if row.role in (Role.INPUT, Role.WORKER)
        and dict(row.doing).get(Doing.LOADING, 0.0) >= RESTS_BELOW
    ]
    for row in makers[:1]:
        at_once = row.count if row.role is Role.WORKER else 1
        on_cpu, queued = row.cpu_ratio / at_once, row.queued_ratio / at_once
        if queued >= CROWDED_FROM:
            yield (
                f"What makes the batches stood {percent(queued)} of the time in the queue for a CPU, "
                "all of which were taken."
            )
        elif on_cpu + queued < BLOCKING_BELOW * dict(row.doing)[Doing.LOADING]:
            yield (
                f"What makes the batches used the CPU only {percent(on_cpu)} of the time: it rather "
                "waits for files, network, sleep, or its turn."
            )


# Threads


def _thread_findings(watched: _Watched) -> Iterable[ThreadFinding]:
    names = {stack.tid: stack.thread for stack in watched.glimpse.stacks}
    groups: dict[_Group, list[ThreadSeen]] = defaultdict(list)
    for thread in watched.glimpse.threads:
        groups[_group_of(thread, watched)].append(thread)
    for group in _Group:
        if threads := groups[group]:
            name = names.get(watched.trainer) if group is _Group.TRAINER else None
            yield _thread_finding(watched, group, name or group.value[0], threads)


class _Group(Enum):
    """Threads of one kind: what to call them, and what they are there for."""

    TRAINER = ("main", Role.TRAINING)
    FEEDER = ("TensorFlow thread", Role.INPUT)
    WORKER_THREAD = ("worker thread", Role.WORKER)
    WORKER_PROCESS = ("worker process", Role.WORKER)
    REST = ("other threads", Role.OTHER)
    OTHER_PROCESS = ("other processes", Role.OTHER)


def _group_of(thread: ThreadSeen, watched: _Watched) -> _Group:
    if thread.pid != watched.glimpse.pid:
        works = any(pid == thread.pid for pid, _ in watched.workers)
        return _Group.WORKER_PROCESS if works else _Group.OTHER_PROCESS
    if thread.tid == watched.trainer:
        return _Group.TRAINER
    if thread.tid in watched.feeders:
        return _Group.FEEDER
    works = (thread.pid, thread.tid) in watched.workers
    return _Group.WORKER_THREAD if works else _Group.REST


def _thread_finding(
    watched: _Watched, group: _Group, name: str, threads: list[ThreadSeen]
) -> ThreadFinding:
    role = group.value[1]
    glimpse, keys = watched.glimpse, {(thread.pid, thread.tid) for thread in threads}
    # In a worker process one thread works; the others only pass its batches on.
    doers = keys & watched.workers if role is Role.WORKER else keys
    at_once = sum(t.lived_ratio for t in threads if (t.pid, t.tid) in doers)
    most = max(at_once, 1.0) if role is Role.WORKER else 1.0
    doing = watched.shares(lambda each: (each.pid, each.tid) in doers)
    held = sum(each.samples for each in glimpse.holders if (each.pid, each.tid) in keys)
    processes = most if group is _Group.WORKER_PROCESS else 1.0
    return ThreadFinding(
        name=name,
        role=role,
        count=max(round(at_once), 1) if role is Role.WORKER else len(threads),
        cpu_ratio=sum(thread.cpu_ns for thread in threads) / max(glimpse.duration_ns, 1),
        queued_ratio=sum(thread.queued_ns for thread in threads) / max(glimpse.duration_ns, 1),
        gil_ratio=min(held / watched.moments / processes, 1.0) if watched.moments else None,
        doing=tuple(
            (kind, min(share / most, 1.0))
            for kind, share in sorted(doing.items(), key=lambda each: -each[1])
            if share / most >= _LEAST_SHARE and role is not Role.OTHER
        ),
    )


# Lines


def _hot_lines(watched: _Watched) -> tuple[HotLine, ...]:
    """The innermost lines of the user's code where batches are made."""
    trainer = watched.glimpse.pid, watched.trainer
    counts: dict[Frame, int] = defaultdict(int)
    for stack, doing in watched.told:
        makes = doing is Doing.LOADING or (doing is Doing.OWN and (stack.pid, stack.tid) == trainer)
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
            text=watched.glimpse.texts.get((frame.file, frame.line), ""),
            share=samples / total,
            samples=samples,
        )
        for frame, samples in dearest[:_MOST_LINES]
        if samples >= _LEAST_SHARE * total
    )
