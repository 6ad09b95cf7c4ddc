"""What the numbers in records stand for: stages, lanes, loops, levels, shapes of batches.

Every process numbers them for itself and tells of them in its name log. Here the same stage of two
processes becomes one, and the worker processes of a later epoch take over the lanes of those before.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from pipeprof.names import Facts
from pipeprof.nesting import is_above
from pipeprof.recorder import WORKER_PROCESS
from pipeprof.recording import LoopKind, Role, StageKind
from pipeprof.series import GaugeBins, IntArray
from pipeprof.steps import LoopSums

T = TypeVar("T")

# What identifies a stage, whichever process recorded it.
_STAGE_IDENTITY = ("name", "kind", "function", "file", "line", "place")


@dataclass
class StageSums:
    """Collects one stage but for its work, which is a row of the accumulator's ``stage_work``."""

    facts: dict[str, Any]
    parent: int | None = None
    lanes: dict[int, int] = field(default_factory=dict)


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


class Subjects:
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
        self.warnings: list[str] = []
        self.worker_slots: dict[int, int] = {}
        self._start_ns = start_ns
        self._warmup = warmup
        self._numbers: dict[int, _Numbers] = {}

    def tell(self, pid: int, lines: Iterable[tuple[int, Facts]]) -> None:
        """Takes lines of a process's name log; one that makes no sense is passed over."""
        for number, facts in lines:
            with suppress(KeyError, TypeError, ValueError):
                self._tell(pid, number, dict(facts))

    def _tell(self, pid: int, number: int, facts: dict[str, Any]) -> None:
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
            case "warning" if facts["text"] not in self.warnings:
                self.warnings.append(facts["text"])

    def forget(self, pid: int) -> None:
        """A worker process has ended: the next new one takes its lanes over."""
        self.worker_slots.pop(pid, None)
        self._numbers.pop(pid, None)

    def translate(self, pid: int, numbers: IntArray) -> IntArray:
        """For each of a process's numbers the index of what it stands for, or -1."""
        return self._numbers.setdefault(pid, _Numbers()).translate(numbers)

    def _stage(self, numbers: _Numbers, facts: dict[str, Any]) -> int:
        StageKind(facts["kind"])
        identity = stage_identity(facts)
        index = _index_of(self.stages, lambda sums: stage_identity(sums.facts) == identity)
        if index is None:
            index = len(self.stages)
            self.stages.append(StageSums(facts))
        else:
            self.stages[index].facts.update(facts)
        parent = numbers.index_of(facts.get("parent"))
        if parent is not None and not is_above([s.parent for s in self.stages], index, parent):
            self.stages[index].parent = parent
        return index

    def _lane(self, pid: int, facts: dict[str, Any]) -> int:
        name, role = facts["name"], Role(facts["role"])
        identity: tuple[Any, ...] = (pid, name, role.value, facts.get("ring"))
        if name == WORKER_PROCESS:
            slot = self._worker_slot(pid)
            identity = (name, slot)
            name = f"worker {slot + 1}"
        index = _index_of(self.lanes, lambda sums: sums.identity == identity)
        if index is None:
            index = len(self.lanes)
            self.lanes.append(LaneSums(identity, name, role, pid))
        self.lanes[index].pid = pid
        return index

    def _worker_slot(self, pid: int) -> int:
        """The number of a worker process among those that are alive at the same time."""
        if pid not in self.worker_slots:
            taken = set(self.worker_slots.values())
            self.worker_slots[pid] = next(n for n in range(len(taken) + 1) if n not in taken)
        return self.worker_slots[pid]

    def _loop(self, numbers: _Numbers, pid: int, number: int, facts: dict[str, Any]) -> int:
        LoopKind(facts["kind"])
        if (pid, number) in self.loop_ids:
            index = self.loop_ids.index((pid, number))
            self.loops[index].facts.update(facts)
            return index
        parent = numbers.index_of(facts.get("parent"))
        begin = facts.get("start_ns", self._start_ns)
        self.loops.append(LoopSums(facts, parent, begin, self._warmup))
        self.loop_ids.append((pid, number))
        return len(self.loops) - 1

    def _gauge(self, numbers: _Numbers, facts: dict[str, Any]) -> int:
        target = numbers.index_of(facts.get("of"))
        identity = (facts.get("field"), facts.get("name"), target)
        index = _index_of(
            self.gauges,
            lambda g: (g.facts.get("field"), g.facts.get("name"), g.target) == identity,
        )
        if index is None:
            index = len(self.gauges)
            self.gauges.append(GaugeBinsOf(facts, GaugeBins(self._start_ns), target))
        return index

    def _signature(self, facts: dict[str, Any]) -> int:
        index = _index_of(self.signatures, lambda count: count.facts == facts)
        if index is None:
            index = len(self.signatures)
            self.signatures.append(SignatureCount(facts))
        return index


def stage_identity(facts: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells a stage from all others, whichever process recorded it."""
    return tuple(facts.get(name) for name in _STAGE_IDENTITY)


def _index_of(things: list[T], fits: Callable[[T], bool]) -> int | None:
    return next((index for index, thing in enumerate(things) if fits(thing)), None)
