"""The subjects of records: stages, lanes, loops, gauges, shapes of batches, stacks.

Every process numbers its subjects and logs their facts. Here equal stages of several processes become one
stage, and the worker processes of a later epoch take over the lanes of earlier ones.
"""

from collections.abc import Hashable, Iterable
from contextlib import suppress
from dataclasses import field, fields, replace
from typing import Any, TypeVar

import numpy as np

from pipeprof.capture.collector.growing_series import GaugeBins
from pipeprof.capture.collector.loop_sums import LoopSums
from pipeprof.capture.collector.nesting import is_above
from pipeprof.capture.collector.subject_sums import (
    GaugeSums,
    LaneIdentity,
    LaneSums,
    SignatureSums,
    StackSums,
    StageSums,
)
from pipeprof.capture.recorder.facts import (
    DataWorkerFacts,
    DeliveredFacts,
    DeliveryUpdate,
    DeviceGauge,
    Facts,
    GaugeFacts,
    HostCallFacts,
    LaneFacts,
    LoopFacts,
    LoopGauge,
    LoopUpdate,
    PlaceFacts,
    ReasonFacts,
    RunGauge,
    SignalFacts,
    SignatureFacts,
    StackFacts,
    StageFacts,
    StageGauge,
    TraceWindowFacts,
    WarningFacts,
)
from pipeprof.capture.recorder.name_log import (
    FURTHER_LANES,
    FURTHER_STAGES,
    MOST_OF_A_TYPE,
    further_warning,
)
from pipeprof.recording.data_workers import WorkerWindow
from pipeprof.recording.lane import LaneKind
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.series import IntArray

AnyFacts = TypeVar("AnyFacts", StageFacts, LoopFacts)


class _Numbers:
    """Maps the numbers of one process to indices in the registry's lists."""

    def __init__(self) -> None:
        self._index: dict[int, int] = {}
        self._table: IntArray | None = None

    def put(self, number: int, index: int) -> None:
        self._index[number] = index
        self._table = None

    def index_of(self, number: int | None) -> int | None:
        return None if number is None else self._index.get(number)

    def translate(self, numbers: IntArray) -> IntArray:
        if self._table is None:
            self._table = np.full(max(self._index, default=0) + 1, -1, np.int64)
            self._table[list(self._index)] = list(self._index.values())
        known = (numbers > 0) & (numbers < len(self._table))
        return np.where(known, self._table[np.where(known, numbers, 0)], -1)


@dataclass(kw_only=True)
class Registry:
    """The subjects of a run's records.

    Attributes:
        start_ns: begin of the recording.
        warmup: steps of each loop that count as warm-up.
        worker_slots: number of the worker lane that each live worker process has, by process id.
        ended_by: name of the signal that ended the recording process, or None.
    """

    start_ns: int
    warmup: int
    stages: list[StageSums] = field(default_factory=list)
    lanes: list[LaneSums] = field(default_factory=list)
    loops: list[LoopSums] = field(default_factory=list)
    gauges: list[GaugeSums] = field(default_factory=list)
    signatures: list[SignatureSums] = field(default_factory=list)
    stacks: list[StackSums] = field(default_factory=list)
    trace_windows: list[TraceWindowFacts] = field(default_factory=list)
    data_workers: list[DataWorkerFacts] = field(default_factory=list)
    host_calls: list[HostCallFacts] = field(default_factory=list)
    places: list[PlaceFacts] = field(default_factory=list)
    reasons: list[ReasonFacts] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    worker_slots: dict[int, int] = field(default_factory=dict)
    ended_by: str | None = None

    def __post_init__(self) -> None:
        self._numbers: dict[int, _Numbers] = {}
        keys: tuple[list[Hashable], ...] = (
            [_stage_key(stage.facts) for stage in self.stages],
            [lane.identity for lane in self.lanes],
            [_loop_key(loop.pid, loop.number) for loop in self.loops],
            [gauge.facts for gauge in self.gauges],
            [signature.facts for signature in self.signatures],
            [stack.facts for stack in self.stacks],
            list(self.trace_windows),
            list(self.data_workers),
            [*self.host_calls],
            [*self.places],
            [*self.reasons],
        )
        self._index = {key: index for each in keys for index, key in enumerate(each)}

    def add_names(self, pid: int, lines: Iterable[tuple[int, Facts]]) -> None:
        """Adds lines of a process's name log; a line that refers to an unknown subject is skipped."""
        for number, facts in lines:
            with suppress(_UnfitError):
                self._add_name(pid, number, facts)

    def _add_name(self, pid: int, number: int, facts: Facts) -> None:
        numbers = self._numbers.setdefault(pid, _Numbers())
        match facts:
            case StageFacts():
                numbers.put(number, self._stage(numbers, facts))
            case LaneFacts():
                numbers.put(number, self._lane(pid if facts.pid is None else facts.pid, facts))
            case LoopFacts():
                numbers.put(number, self._loop(numbers, pid, number, facts))
            case LoopUpdate():
                self._update_loop(pid, number, facts)
            case StageGauge() | LoopGauge() | RunGauge() | DeviceGauge():
                numbers.put(number, self._gauge(numbers, facts))
            case SignatureFacts() | StackFacts():
                numbers.put(number, self._counted(facts))
            case TraceWindowFacts() | DataWorkerFacts():
                self._traced(numbers, facts)
            case HostCallFacts() | PlaceFacts() | ReasonFacts():
                numbers.put(number, self._of_host(facts))
            case WarningFacts() | SignalFacts() | DeliveredFacts() | DeliveryUpdate():
                self._learn(numbers, facts)

    def forget(self, pid: int) -> None:
        """Forgets a worker process that has ended; the next new one takes its lanes over."""
        self.worker_slots.pop(pid, None)
        self._numbers.pop(pid, None)

    def translate(self, pid: int, numbers: IntArray) -> IntArray:
        """The index of the subject for each number of a process, or -1."""
        return self._numbers.setdefault(pid, _Numbers()).translate(numbers)

    def _learn(
        self,
        numbers: _Numbers,
        facts: WarningFacts | SignalFacts | DeliveredFacts | DeliveryUpdate,
    ) -> None:
        """Adds facts that are no subject of records."""
        match facts:
            case SignalFacts():
                self.ended_by = facts.name
            case WarningFacts():
                self._warn(facts.text)
            case DeliveredFacts() | DeliveryUpdate():
                self.loops[_known(numbers.index_of(facts.loop))].delivery.learn(facts)

    def _stage(self, numbers: _Numbers, facts: StageFacts) -> int:
        key = _stage_key(facts)
        index = self._index.get(key)
        if index is None and len(self.stages) >= MOST_OF_A_TYPE and facts != FURTHER_STAGES:
            self._warn(further_warning(FURTHER_STAGES).text)
            return self._stage(numbers, FURTHER_STAGES)
        if index is None:
            index = self._index[key] = len(self.stages)
            self.stages.append(StageSums(facts))
        else:
            self.stages[index].facts = with_later_facts(self.stages[index].facts, facts)
        parent = numbers.index_of(facts.parent)
        if parent is not None and not is_above([s.parent for s in self.stages], index, parent):
            self.stages[index].parent = parent
        return index

    def _lane(self, pid: int, facts: LaneFacts) -> int:
        name = facts.name
        match facts.kind:
            case LaneKind.WORKER_PROCESS:
                slot = self._worker_slot(pid)
                identity = LaneIdentity(kind=facts.kind, slot=slot)
                name = f"worker {slot + 1}"
            case LaneKind.FURTHER:
                identity = LaneIdentity(kind=facts.kind)
            case LaneKind.PROGRAM:  # it may be called again and again
                identity = LaneIdentity(kind=facts.kind, name=name, role=facts.role)
            case (
                LaneKind.THREAD
                | LaneKind.NATIVE
                | LaneKind.LIBRARY
                | LaneKind.TF_DATA_POOL
                | LaneKind.PIPEPROF
                | LaneKind.DEVICE
            ):
                identity = LaneIdentity(
                    kind=facts.kind, name=name, role=facts.role, pid=pid, ring=facts.ring
                )
        index = self._index.get(identity)
        if index is None and len(self.lanes) >= MOST_OF_A_TYPE and facts != FURTHER_LANES:
            self._warn(further_warning(FURTHER_LANES).text)
            return self._lane(pid, FURTHER_LANES)
        if index is None:
            index = self._index[identity] = len(self.lanes)
            self.lanes.append(LaneSums(identity, name, facts.role, pid, named=facts.named))
        self.lanes[index].pid = pid
        return index

    def _worker_slot(self, pid: int) -> int:
        """The lowest number that no other live worker process has."""
        if pid not in self.worker_slots:
            taken = set(self.worker_slots.values())
            self.worker_slots[pid] = next(n for n in range(len(taken) + 1) if n not in taken)
        return self.worker_slots[pid]

    def _loop(self, numbers: _Numbers, pid: int, number: int, facts: LoopFacts) -> int:
        key = _loop_key(pid, number)
        index = self._index.get(key)
        if index is not None:
            self.loops[index].facts = with_later_facts(self.loops[index].facts, facts)
            return index
        parent = numbers.index_of(facts.parent)
        usual = self.warmup if facts.warmup is None else facts.warmup
        warmup = 0 if self._has_trained(facts.model) else usual
        made = LoopSums.begin(facts, pid=pid, number=number, parent=parent, warmup=warmup)
        return self._put(key, self.loops, made)

    def _has_trained(self, model: int | None) -> bool:
        """Whether an earlier loop has trained this model, so that it needs no warm-up."""
        return model is not None and any(
            loop.facts.model == model and loop.facts.kind.trains for loop in self.loops
        )

    def _update_loop(self, pid: int, number: int, update: LoopUpdate) -> None:
        index = self._index.get(_loop_key(pid, number))
        if index is not None:
            self.loops[index].facts = with_later_facts(self.loops[index].facts, update)

    def _gauge(self, numbers: _Numbers, facts: GaugeFacts) -> int:
        match facts:
            case StageGauge():
                facts = replace(facts, stage=_known(numbers.index_of(facts.stage)))
            case LoopGauge():
                facts = replace(facts, loop=_known(numbers.index_of(facts.loop)))
            case RunGauge() | DeviceGauge():
                pass
        index = self._index.get(facts)
        if index is None:
            index = self._put(facts, self.gauges, GaugeSums(facts, GaugeBins(self.start_ns)))
        return index

    def _counted(self, facts: SignatureFacts | StackFacts) -> int:
        index = self._index.get(facts)
        if index is not None:
            return index
        match facts:
            case SignatureFacts():
                return self._put(facts, self.signatures, SignatureSums(facts))
            case StackFacts():
                return self._put(facts, self.stacks, StackSums(facts))

    def _traced(self, numbers: _Numbers, facts: TraceWindowFacts | DataWorkerFacts) -> None:
        match facts:
            case TraceWindowFacts():
                known: list[Any] = self.trace_windows
                facts = replace(facts, loop=_known(numbers.index_of(facts.loop)))
            case DataWorkerFacts():
                known = self.data_workers
                facts = replace(facts, window=_with_indices(numbers, facts.window))
        if facts not in self._index:
            self._put(facts, known, facts)

    def _of_host(self, facts: HostCallFacts | PlaceFacts | ReasonFacts) -> int:
        match facts:
            case HostCallFacts():
                known: list[Any] = self.host_calls
            case PlaceFacts():
                known = self.places
            case ReasonFacts():
                known = self.reasons
        index = self._index.get(facts)
        return self._put(facts, known, facts) if index is None else index

    def _put(self, key: Hashable, things: list[Any], made: Any) -> int:
        if len(things) >= MOST_OF_A_TYPE:
            raise _UnfitError
        things.append(made)
        self._index[key] = len(things) - 1
        return len(things) - 1

    def _warn(self, text: str) -> None:
        if text not in self.warnings and len(self.warnings) < MOST_OF_A_TYPE:
            self.warnings.append(text)


class _UnfitError(Exception):
    """Facts that refer to an unknown subject, or for which there is no room any more."""


def _with_indices(numbers: _Numbers, window: WorkerWindow | None) -> WorkerWindow | None:
    """A trace of a data worker with indices in place of its stages' numbers."""
    if window is None:
        return None
    stages = (replace(each, stage=_known(numbers.index_of(each.stage))) for each in window.stages)
    return replace(window, stages=tuple(stages))


def _known(index: int | None) -> int:
    if index is None:
        raise _UnfitError
    return index


def with_later_facts(known: AnyFacts, later: AnyFacts | LoopUpdate) -> AnyFacts:
    """The facts about a subject, updated by later ones; None in the later ones keeps the known value."""
    values = {each.name: getattr(later, each.name) for each in fields(later)}
    return replace(known, **{name: value for name, value in values.items() if value is not None})


def _stage_key(facts: StageFacts) -> Hashable:
    """Identifies a stage, independent of the process that recorded it."""
    return (facts.tag, facts.name, facts.kind, facts.function, facts.location, facts.place)


def _loop_key(pid: int, number: int) -> Hashable:
    return (LoopFacts.tag, pid, number)
