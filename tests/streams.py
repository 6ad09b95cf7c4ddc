"""What probes would record, built by hand: lines of a name log, and records of a ring."""

from dataclasses import replace

import numpy as np

from pipeprof.capture.collector.accumulator import Accumulator
from pipeprof.capture.collector.freezing import freeze_profile
from pipeprof.capture.probes.system.processes import WORKER
from pipeprof.capture.recorder.facts import (
    Facts,
    InputFacts,
    LaneFacts,
    LoopFacts,
    LoopGauge,
    LoopLevel,
    SignatureFacts,
    StackFacts,
    StageFacts,
)
from pipeprof.capture.recorder.records import NOT_READ, RECORD_DTYPE, Kind, Records, code
from pipeprof.recording.lane import Role
from pipeprof.recording.loop import LoopKind, WaitSource
from pipeprof.recording.profile import Profile
from pipeprof.recording.source_code import CodeLine, Location
from pipeprof.recording.stage import StageKind
from tests import builders
from tests.builders import PID, START_NS

Line = tuple[int, Facts]

# Numbers of the things that `NAMES` describes.
MAIN, INPUT, FIT, READ, DECODE, QUEUE, SHAPE, CPU_OF_OTHERS, STACK = range(1, 10)


def lane_line(
    number: int, name: str = "main", role: Role = Role.MAIN, ring: int | None = None
) -> Line:
    return number, LaneFacts(name=name, role=role, ring=ring)


def worker_line(number: int, pid: int | None = None) -> Line:
    return number, replace(WORKER, pid=pid)


def loop_line(
    number: int,
    kind: LoopKind = LoopKind.FIT,
    waits_by: WaitSource | None = WaitSource.ITERATOR,
    parent: int | None = None,
    fed_by: InputFacts | None = None,
) -> Line:
    return number, LoopFacts(
        kind=kind, start_ns=START_NS, waits_by=waits_by, parent=parent, input=fed_by
    )


def stage_line(
    number: int,
    name: str,
    kind: StageKind = StageKind.FUNCTION,
    *,
    parent: int | None = None,
    function: str | None = None,
    location: Location | None = None,
    workers: int | None = None,
) -> Line:
    return number, StageFacts(
        name=name,
        kind=kind,
        parent=parent,
        function=function,
        location=location,
        workers=workers,
    )


CODE_LINE = CodeLine(function="f", location=Location("train.py", 44), text="x = g()", blocks=(43,))

NAMES: tuple[Line, ...] = (
    lane_line(MAIN),
    lane_line(INPUT, "Thread (feed)", Role.INPUT, ring=1),
    loop_line(FIT),
    stage_line(READ, "read"),
    stage_line(DECODE, "decode", function="decode", location=Location("train.py", 41)),
    (QUEUE, LoopGauge(level=LoopLevel.QUEUE, loop=FIT)),
    (
        SHAPE,
        SignatureFacts(dtypes=("float32",), shapes=((32, 100),), samples=32, size_bytes=12_800),
    ),
    lane_line(CPU_OF_OTHERS, "tf_Compute", Role.TRAINING),
    (STACK, StackFacts(lines=(CODE_LINE,))),
)

Row = tuple[int, int, int, int, int, int]


def row(
    kind: Kind, subject: int = 0, start: int = 0, end: int = 0, inner: int = 0, value: int = 0
) -> Row:
    """A record; times are nanoseconds since `START_NS`."""
    return START_NS + start, START_NS + end, inner, value, code(kind, subject), 0


def thread(lane: int, tid: int = PID) -> Row:
    return row(Kind.THREAD, lane, inner=PID, value=tid)


def span(
    stage: int, start: int, end: int, *, inner: int = 0, cpu: int = NOT_READ, root: bool = True
) -> Row:
    kind = Kind.ROOT_SPAN if root else Kind.NESTED_SPAN
    return row(kind, stage, start, end, inner, cpu)


def wait(
    start: int, end: int, loop: int = FIT, *, signature: int = 0, samples: int = NOT_READ
) -> Row:
    return row(Kind.WAIT, loop, start, end, signature, samples)


def generator_wait(start: int, end: int, *, of_keras: bool = True) -> Row:
    return row(Kind.GENERATOR_WAIT, 0, start, end, 0, of_keras)


def step(
    ordinal: int, start: int, end: int, loop: int = FIT, *, epoch: int = 0, batches: int = 1
) -> Row:
    return row(Kind.STEP, loop, start, end, ordinal, epoch << 32 | batches)


def gap(ordinal: int, gap_ns: int, loop: int = FIT) -> Row:
    return row(Kind.GAP, loop, 0, 0, ordinal, gap_ns)


def records(*rows: Row) -> Records:
    return np.array(list(rows), RECORD_DTYPE)


def many(rows: list[Row], copies: int, every_ns: int) -> Records:
    """The same records again and again, each time so much later, and steps numbered on."""
    once = records(*rows)
    steps_in_one = int((once["code"] >> 24 == Kind.STEP).sum())
    all_of_them = np.tile(once, copies)
    copy = np.repeat(np.arange(copies), len(once))
    timed = all_of_them["code"] >> 24 != Kind.GAP
    all_of_them["start_ns"][timed] += every_ns * copy[timed]
    all_of_them["end_ns"][timed] += every_ns * copy[timed]
    numbered = np.isin(all_of_them["code"] >> 24, [Kind.STEP, Kind.GAP])
    all_of_them["inner"][numbered] += steps_in_one * copy[numbered]
    return all_of_them


def accumulator(*lines: Line, warmup: int = 0) -> Accumulator:
    """One that knows these things, or those of `NAMES`."""
    made = Accumulator.begin(start_ns=START_NS, warmup=warmup)
    made.add_names(PID, lines or NAMES)
    return made


def profile_of(collected: Accumulator) -> Profile:
    """What has been collected; it must be consistent."""
    profile = freeze_profile(
        collected.sums,
        run=builders.run_info(),
        cores=2,
        cpu_limit=None,
        overhead=builders.profile().overhead,
    )
    assert profile.check() == ()
    return profile


def collect(*rows: Row, warmup: int = 0, lines: tuple[Line, ...] = NAMES) -> Profile:
    """The profile of one ring of the main thread."""
    collected = accumulator(*lines, warmup=warmup)
    collected.add(PID, 0, records(thread(MAIN), *rows))
    collected.settle()
    return profile_of(collected)
