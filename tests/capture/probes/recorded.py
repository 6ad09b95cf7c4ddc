"""What a recorder has recorded, read back for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pipeprof.capture.collector.registry import with_later_facts
from pipeprof.capture.recorder import recorder as recording
from pipeprof.capture.recorder.facts import (
    Facts,
    LoopFacts,
    LoopUpdate,
    StageFacts,
    WarningFacts,
)
from pipeprof.capture.recorder.recorder import OUTSIDE, Recorder
from pipeprof.capture.recorder.records import KIND_SHIFT, SUBJECT_MASK, Kind
from pipeprof.capture.recorder.ring import RingReader


@dataclass(frozen=True, slots=True)
class Event:
    kind: Kind
    number: int
    subject: Any
    lane: str
    start_ns: int
    end_ns: int
    inner: int
    value: int

    @property
    def name(self) -> Any:
        return getattr(self.subject, "name", None)

    @property
    def duration_ns(self) -> int:
        return self.end_ns - self.start_ns

    @property
    def own_ns(self) -> int:
        return self.duration_ns - self.inner


SPANS = (Kind.ROOT_SPAN, Kind.NESTED_SPAN)


@contextmanager
def recording_on(recorder: Recorder | None = None) -> Iterator[Recorder]:
    """Everything inside is recorded."""
    recorder = recorder or Recorder(None)
    recording.activate(recorder)
    try:
        yield recorder
    finally:
        recording.activate(None)


def events(recorder: Recorder, *kinds: Kind) -> list[Event]:
    """All events of these kinds, of each thread in the order of writing."""
    facts = facts_of(recorder)
    found = []
    for ring in recorder.rings:
        lane = ""
        for record in RingReader(ring.memory).read():
            kind = Kind(int(record["code"]) >> KIND_SHIFT)
            number = int(record["code"]) & SUBJECT_MASK
            subject = facts.get(number)
            if kind is Kind.THREAD:
                lane = getattr(subject, "name", "")
            if kind in kinds:
                numbers = (int(record[n]) for n in ("start_ns", "end_ns", "inner", "value"))
                found.append(Event(kind, number, subject, lane, *numbers))
    return found


def spans(recorder: Recorder) -> list[Event]:
    """All pieces of work of stages."""
    return events(recorder, *SPANS)


def names(recorder: Recorder) -> list[str]:
    """Names of the stages, one for each piece of work."""
    return [event.name for event in spans(recorder)]


def facts_of(recorder: Recorder) -> dict[int, Facts]:
    """What is known of each thing by its number, later facts included."""
    found: dict[int, Facts] = {}
    for number, facts in recorder.names.lines:
        known = found.get(number)
        if isinstance(facts, LoopUpdate) and isinstance(known, LoopFacts):
            facts = with_later_facts(known, facts)
        found[number] = facts
    return found


def stages_of(recorder: Recorder) -> list[StageFacts]:
    """The stages in the name log."""
    return [facts for facts in facts_of(recorder).values() if isinstance(facts, StageFacts)]


def loops_of(recorder: Recorder) -> list[LoopFacts]:
    """The loops in the name log."""
    return [facts for facts in facts_of(recorder).values() if isinstance(facts, LoopFacts)]


def warnings_of(recorder: Recorder) -> list[str]:
    """The sentences that the run would show."""
    return [each.text for each in facts_of(recorder).values() if isinstance(each, WarningFacts)]


def is_at_rest(recorder: Recorder) -> bool:
    """Whether the calling thread is in no stage and no block."""
    lane = recorder.lane()
    return lane.inner_ns == OUTSIDE and lane.block is None
