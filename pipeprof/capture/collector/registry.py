"""What the numbers in records stand for: stages, lanes, loops, levels, shapes of batches.

Every process numbers them for itself and tells of them in its name log. Here the same stage of two
processes becomes one, and the worker processes of a later epoch take over the lanes of those before.
"""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeprof.capture.collector.growing_series import GaugeBins
from pipeprof.capture.collector.loop_sums import LoopSums
from pipeprof.capture.collector.nesting import is_above
from pipeprof.capture.recorder.name_log import FURTHER, MOST_OF_A_TYPE, Facts, further_warning
from pipeprof.capture.recorder.recorder import WORKER_PROCESS
from pipeprof.recording.lane import Role
from pipeprof.recording.level_names import DeviceLevel
from pipeprof.recording.loop import LoopKind
from pipeprof.recording.series import IntArray
from pipeprof.recording.stage import StageKind, no_starts

# Passes over the data whose beginnings are kept of each stage.
FIRST_STARTS = 32
LAST_STARTS = 224

# What identifies a stage, whichever process recorded it.
_STAGE_IDENTITY = ("name", "kind", "function", "file", "line", "place")


@dataclass
class StageSums:
    """Collects one stage but for its work, which is a row of the accumulator's ``stage_work``."""

    facts: dict[str, Any]
    parent: int | None = None
    lanes: dict[int, int] = field(default_factory=dict)
    lane_calls: dict[int, int] = field(default_factory=dict)
    starts: IntArray = field(default_factory=no_starts)

    def began(self, rows: IntArray) -> None:
        """Adds what it did for the first batches of passes over the data (`START_COLUMNS`)."""
        self.starts = np.concatenate([self.starts, rows])
        if len(self.starts) > FIRST_STARTS + LAST_STARTS:
            ends = (self.starts[:FIRST_STARTS], self.starts[-LAST_STARTS:])
            self.starts = np.concatenate(ends)


@dataclass
class LaneSums:
    """Collects one lane but for its times, which are rows of the accumulator's.

    ``identity`` tells it from all others.
    """

    identity: tuple[Any, ...]
    name: str
    role: Role
    pid: int
    tid: int | None = None
    gil_held: int = 0
    gil_moments: int = 0
    first_ns: int = 0
    last_ns: int = 0

    def seen(self, first_ns: int, last_ns: int) -> None:
        """Notes that it was there then."""
        self.first_ns = min(self.first_ns or first_ns, first_ns)
        self.last_ns = max(self.last_ns, last_ns)


@dataclass
class GaugeBinsOf:
    """Collects one level, and knows whose it is."""

    facts: dict[str, Any]
    bins: GaugeBins
    target: int | None


@dataclass
class SignatureCount:
    """Counts batches of one shape."""

    facts: dict[str, Any]
    batches: int = 0


@dataclass
class StackCount:
    """Counts the samples in which a stack was met."""

    facts: dict[str, Any]
    samples: int = 0


class _Numbers:
    """What the numbers of one process stand for: an index into the list of its kind of thing."""

    def __init__(self) -> None:
        self._index: dict[int, int] = {}
        self._facts: dict[int, dict[str, Any]] = {}
        self._table: IntArray | None = None

    def put(self, number: int, index: int, facts: dict[str, Any]) -> None:
        self._index[number] = index
        self._facts[number] = facts
        self._table = None

    def learn(self, number: int, facts: dict[str, Any]) -> None:
        if number in self._facts:
            self._facts[number].update(facts)

    def index_of(self, number: int | None) -> int | None:
        return None if number is None else self._index.get(number)

    def translate(self, numbers: IntArray) -> IntArray:
        if self._table is None:
            self._table = np.full(max(self._index, default=0) + 1, -1, np.int64)
            self._table[list(self._index)] = list(self._index.values())
        known = (numbers > 0) & (numbers < len(self._table))
        return np.where(known, self._table[np.where(known, numbers, 0)], -1)


class Registry:
    """Everything that a run's records are about.

    Args:
        start_ns: begin of the recording.
        warmup: steps of each loop that count as warm-up.

    Attributes:
        loop_ids: process and number of each loop.
        worker_slots: which of the lanes for worker processes each of them has, by process id.
    """

    def __init__(self, start_ns: int, warmup: int) -> None:
        self.stages: list[StageSums] = []
        self.lanes: list[LaneSums] = []
        self.loops: list[LoopSums] = []
        self.loop_ids: list[tuple[int, int]] = []
        self.gauges: list[GaugeBinsOf] = []
        self.signatures: list[SignatureCount] = []
        self.stacks: list[StackCount] = []
        self.warnings: list[str] = []
        self.worker_slots: dict[int, int] = {}
        self._start_ns = start_ns
        self._warmup = warmup
        self._numbers: dict[int, _Numbers] = {}
        self._index: dict[tuple[Any, ...], int] = {}

    def take_up(
        self,
        *,
        stages: Sequence[StageSums],
        lanes: Sequence[LaneSums],
        loops: Sequence[tuple[tuple[int, int], LoopSums]],
        gauges: Sequence[GaugeBinsOf],
        signatures: Sequence[SignatureCount],
        stacks: Sequence[StackCount],
    ) -> None:
        """Goes on with what was known at a checkpoint; loops come with their process and number.

        Raises:
            TypeError: what should identify one of them cannot.
        """
        self.stages, self.lanes = list(stages), list(lanes)
        self.loops, self.loop_ids = [loop for _, loop in loops], [ids for ids, _ in loops]
        self.gauges, self.signatures = list(gauges), list(signatures)
        self.stacks = list(stacks)
        keys = (
            [_stage_key(sums.facts) for sums in stages],
            [_lane_key(sums.identity) for sums in lanes],
            [_loop_key(*ids) for ids, _ in loops],
            [_gauge_key(sums.facts, sums.target) for sums in gauges],
            [_signature_key(count.facts) for count in signatures],
            [_stack_key(count.facts) for count in stacks],
        )
        self._index = {key: index for each in keys for index, key in enumerate(each)}

    def add_names(self, pid: int, lines: Iterable[tuple[int, Facts]]) -> None:
        """Takes lines of a process's name log; one that makes no sense is passed over."""
        for number, facts in lines:
            with suppress(KeyError, TypeError, ValueError):
                self._add_name(pid, number, dict(facts))

    def _add_name(self, pid: int, number: int, facts: dict[str, Any]) -> None:
        numbers = self._numbers.setdefault(pid, _Numbers())
        match facts.get("type"):
            case None:
                numbers.learn(number, facts)
            case "stage":
                index = self._stage(numbers, facts)
                numbers.put(number, index, self.stages[index].facts)
            case "lane":
                numbers.put(number, self._lane(facts.get("pid", pid), facts), facts)
            case "loop":
                index = self._loop(numbers, pid, number, facts)
                numbers.put(number, index, self.loops[index].facts)
            case "gauge":
                numbers.put(number, self._gauge(numbers, facts), facts)
            case "signature":
                numbers.put(number, self._signature(facts), facts)
            case "stack":
                numbers.put(number, self._stack(facts), facts)
            case "warning":
                self._warn(facts["text"])

    def forget(self, pid: int) -> None:
        """A worker process has ended: the next new one takes its lanes over."""
        self.worker_slots.pop(pid, None)
        self._numbers.pop(pid, None)

    def translate(self, pid: int, numbers: IntArray) -> IntArray:
        """For each of a process's numbers the index of what it stands for, or -1."""
        return self._numbers.setdefault(pid, _Numbers()).translate(numbers)

    def _stage(self, numbers: _Numbers, facts: dict[str, Any]) -> int:
        StageKind(facts["kind"])
        key = _stage_key(facts)
        index = self._index.get(key)
        if index is None and len(self.stages) >= MOST_OF_A_TYPE and not _is_further(facts):
            return self._further_stage(numbers)
        if index is None:
            index = self._index[key] = len(self.stages)
            self.stages.append(StageSums(facts))
        else:
            self.stages[index].facts.update(facts)
        parent = numbers.index_of(facts.get("parent"))
        if parent is not None and not is_above([s.parent for s in self.stages], index, parent):
            self.stages[index].parent = parent
        return index

    def _further_stage(self, numbers: _Numbers) -> int:
        self._warn(further_warning("stage")["text"])
        return self._stage(numbers, dict(FURTHER["stage"]))

    def _lane(self, pid: int, facts: dict[str, Any]) -> int:
        name, role = facts["name"], Role(facts["role"])
        identity: tuple[Any, ...] = (pid, name, role.value, facts.get("ring"))
        if name == WORKER_PROCESS:
            slot = self._worker_slot(pid)
            identity = (name, slot)
            name = f"worker {slot + 1}"
        elif _is_further(facts):
            identity = (name,)
        elif "pid" in facts:  # another program: it may be called again and again
            identity = (name, role.value)
        key = _lane_key(identity)
        index = self._index.get(key)
        if index is None and len(self.lanes) >= MOST_OF_A_TYPE and not _is_further(facts):
            return self._further_lane(pid)
        if index is None:
            index = self._index[key] = len(self.lanes)
            self.lanes.append(LaneSums(identity, name, role, pid))
        self.lanes[index].pid = pid
        return index

    def _further_lane(self, pid: int) -> int:
        self._warn(further_warning("lane")["text"])
        return self._lane(pid, dict(FURTHER["lane"]))

    def _worker_slot(self, pid: int) -> int:
        """The number of a worker process among those that are alive at the same time."""
        if pid not in self.worker_slots:
            taken = set(self.worker_slots.values())
            self.worker_slots[pid] = next(n for n in range(len(taken) + 1) if n not in taken)
        return self.worker_slots[pid]

    def _loop(self, numbers: _Numbers, pid: int, number: int, facts: dict[str, Any]) -> int:
        LoopKind(facts["kind"])
        key = _loop_key(pid, number)
        index = self._index.get(key)
        if index is not None:
            self.loops[index].facts.update(facts)
            return index
        _require_room(self.loops)
        parent = numbers.index_of(facts.get("parent"))
        begin = facts.get("start_ns", self._start_ns)
        self._index[key] = len(self.loops)
        self.loops.append(LoopSums(facts, parent, begin, self._warmup))
        self.loop_ids.append((pid, number))
        return len(self.loops) - 1

    def _gauge(self, numbers: _Numbers, facts: dict[str, Any]) -> int:
        target = numbers.index_of(facts.get("of"))
        if "device" in facts:
            DeviceLevel(facts["field"])
        key = _gauge_key(facts, target)
        index = self._index.get(key)
        if index is None:
            _require_room(self.gauges)
            index = self._index[key] = len(self.gauges)
            self.gauges.append(GaugeBinsOf(facts, GaugeBins(self._start_ns), target))
        return index

    def _signature(self, facts: dict[str, Any]) -> int:
        key = _signature_key(facts)
        index = self._index.get(key)
        if index is None:
            _require_room(self.signatures)
            index = self._index[key] = len(self.signatures)
            self.signatures.append(SignatureCount(facts))
        return index

    def _stack(self, facts: dict[str, Any]) -> int:
        if not facts["lines"]:
            raise ValueError("expected a stack with lines, received an empty one")
        key = _stack_key(facts)
        index = self._index.get(key)
        if index is None:
            _require_room(self.stacks)
            index = self._index[key] = len(self.stacks)
            self.stacks.append(StackCount(facts))
        return index

    def _warn(self, text: str) -> None:
        if text not in self.warnings and len(self.warnings) < MOST_OF_A_TYPE:
            self.warnings.append(text)


def _require_room(things: Sequence[Any]) -> None:
    if len(things) >= MOST_OF_A_TYPE:
        raise ValueError("more things of a type than are told apart")


def _is_further(facts: Facts) -> bool:
    further = FURTHER.get(facts["type"])
    return further is not None and further["name"] == facts["name"]


def _stage_key(facts: Facts) -> tuple[Any, ...]:
    """What tells a stage from all others, whichever process recorded it."""
    return ("stage", *(facts.get(name) for name in _STAGE_IDENTITY))


def _lane_key(identity: tuple[Any, ...]) -> tuple[Any, ...]:
    return ("lane", *identity)


def _loop_key(pid: int, number: int) -> tuple[Any, ...]:
    return ("loop", pid, number)


def _gauge_key(facts: Facts, target: int | None) -> tuple[Any, ...]:
    return ("gauge", facts.get("field"), facts.get("name"), facts.get("device"), target)


def _stack_key(facts: Facts) -> tuple[Any, ...]:
    return ("stack", json.dumps(facts, sort_keys=True))


def _signature_key(facts: Facts) -> tuple[Any, ...]:
    return ("signature", json.dumps(facts, sort_keys=True))
