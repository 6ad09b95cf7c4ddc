"""The name log: numbers for things, kept where another process can read them."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeprof.capture.recorder.facts import (
    DeviceGauge,
    Facts,
    HostCallFacts,
    InputFacts,
    LaneFacts,
    LoopFacts,
    LoopGauge,
    LoopLevel,
    LoopUpdate,
    PlaceFacts,
    RunGauge,
    SignatureFacts,
    StackFacts,
    StageFacts,
    StageGauge,
    StageLevel,
    WarningFacts,
)
from pipeprof.capture.recorder.name_log import MOST_OF_A_TYPE, NameLog, NameLogReader
from pipeprof.recording.account import (
    CallbackEvent,
    CallbackMethod,
    FeederKind,
    FeedingLane,
    KerasCallback,
    Part,
)
from pipeprof.recording.lane import LaneKind, Role
from pipeprof.recording.level_names import DeviceLevel
from pipeprof.recording.loop import InputKind, InputLibrary, LoopKind, WaitSource
from pipeprof.recording.source_code import CodeLine, Location
from pipeprof.recording.stage import StageKind


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "host-1.names.jsonl"


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Stands for a full disk: no file of this process may grow beyond a size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


FIT = LoopFacts(kind=LoopKind.FIT, start_ns=5)
LINE = b'[1, {"$type": "warning", "text": "a"}]\n'


def stage(name: str) -> StageFacts:
    return StageFacts(name=name, kind=StageKind.FUNCTION)


def test_equal_facts_have_one_number(path: Path):
    log = NameLog(path)
    decode = log.number(stage("decode"))
    read = log.number(stage("read"))
    assert decode != read
    assert 0 not in (decode, read)
    assert log.number(stage("decode")) == decode
    assert len(log.lines) == 2
    log.close()


def test_a_new_thing_has_a_number_of_its_own(path: Path):
    log = NameLog(path)
    numbers = {log.number(FIT), log.new(FIT), log.new(FIT)}
    assert len(numbers) == 3
    log.close()


def test_names_made_as_the_program_runs_end_in_one():
    log = NameLog(None)
    numbers = [log.number(stage(f"file {n}")) for n in range(10_000)]
    assert len(set(numbers)) == MOST_OF_A_TYPE + 1
    assert len(set(numbers[MOST_OF_A_TYPE:])) == 1
    assert log.number(stage("file 0")) == numbers[0]
    *_, further, warning = [facts for _, facts in log.lines]
    assert len(log.lines) == MOST_OF_A_TYPE + 2
    assert further == StageFacts(name="further stages", kind=StageKind.BLOCK)
    assert warning == WarningFacts(
        text="More than 512 names were met: what came later is shown as 'further stages'."
    )
    assert log.number(LaneFacts(name="main", role=Role.MAIN)) > max(numbers)


def test_threads_without_end_end_in_one():
    log = NameLog(None)
    lanes = [LaneFacts(name=f"pool {n}", role=Role.INPUT) for n in range(MOST_OF_A_TYPE + 9)]
    numbers = [log.number(facts) for facts in lanes]
    assert len(set(numbers)) == MOST_OF_A_TYPE + 1
    *_, further, _ = [facts for _, facts in log.lines]
    assert further == LaneFacts(name="further threads", role=Role.OTHER, kind=LaneKind.FURTHER)


def test_gauges_and_warnings_without_end_are_nothing_in_the_end():
    log = NameLog(None)
    warnings = [WarningFacts(text=str(n)) for n in range(MOST_OF_A_TYPE + 9)]
    gauges = [RunGauge(name=str(n)) for n in range(MOST_OF_A_TYPE + 9)]
    for facts in (warnings, gauges):
        numbers = [log.number(each) for each in facts]
        assert set(numbers[MOST_OF_A_TYPE:]) == {0}
    assert len(log.lines) == 2 * MOST_OF_A_TYPE


def test_a_finaliser_may_name_something_while_its_thread_is_naming():
    class Interrupted(StageFacts):
        def __hash__(self) -> int:
            log.number(WarningFacts(text="from the finaliser"))
            return super().__hash__()

    log = NameLog(None)
    facts = Interrupted(name="read", kind=StageKind.FUNCTION)
    number = log.number(facts)
    assert sorted(n for n, _ in log.lines) == [1, 2]
    assert dict(log.lines)[number] == facts


def test_a_log_is_read_as_it_grows(path: Path):
    log, reader = NameLog(path), NameLogReader(path)
    assert list(reader.read()) == []
    number = log.new(FIT)
    assert list(reader.read()) == [(number, FIT)]
    update, warning = (
        LoopUpdate(waits_by=WaitSource.ITERATOR),
        WarningFacts(text="two\nlines, and ünïcode"),
    )
    log.add(number, update)
    log.number(warning)
    assert list(reader.read()) == [(number, update), (number + 1, warning)]
    assert list(reader.read()) == []
    log.close()


CODE_LINE = CodeLine(function="f", location=Location("train.py", 4), text="f()", blocks=(3, 1))


@pytest.mark.parametrize(
    "facts",
    [
        StageFacts(
            name="decode",
            kind=StageKind.TF_DATA,
            function="decode",
            location=Location("train.py", 4),
            place="1 map",
            parent=3,
            remark="a remark",
            written="map",
            runs_as="ParallelMapV2",
            fused=True,
            takes=1.5,
            most_parallelism=8,
            autotuned=True,
            buffer_autotuned=False,
            workers=2,
        ),
        LaneFacts(name="w", role=Role.WORKER, kind=LaneKind.WORKER_PROCESS, ring=1, pid=77),
        LoopFacts(
            kind=LoopKind.EVALUATE,
            start_ns=5,
            parent=1,
            input=InputFacts(
                kind=InputKind.SEQUENCE,
                name="Photos",
                workers=2,
                multiprocessing=True,
                queue_size=10,
                start_method="fork",
                library=InputLibrary.KERAS_ITERATOR,
            ),
            waits_by=WaitSource.TRACE,
            autotune=False,
        ),
        LoopUpdate(kind=LoopKind.TRAIN_ON_BATCH, input=InputFacts(kind=InputKind.ARRAYS)),
        StageGauge(level=StageLevel.BUFFER, stage=4),
        LoopGauge(level=LoopLevel.HEAD_OF_LINE, loop=4),
        RunGauge(name="RAM"),
        DeviceGauge(level=DeviceLevel.POWER, device="GPU 0", kind="gpu", model="H200"),
        SignatureFacts(dtypes=("int8",), shapes=((2, 3), ()), samples=None, size_bytes=6),
        StackFacts(lines=(CODE_LINE,), in_function=True),
        HostCallFacts(
            part=Part.CALLBACKS,
            name="ModelCheckpoint.on_epoch_end",
            callback=CallbackMethod(
                owner="ModelCheckpoint",
                method="on_epoch_end",
                event=CallbackEvent.EPOCH,
                of_keras=KerasCallback.MODEL_CHECKPOINT,
            ),
        ),
        PlaceFacts(
            function="<module>",
            location=Location("train.py", 4),
            detail="Model.fit",
            calls_fit=True,
        ),
        PlaceFacts(
            function="load",
            location=Location("train.py", 4),
            feeder=FeedingLane(kind=FeederKind.THREAD, name="loader"),
        ),
        WarningFacts(text="a"),
    ],
    ids=lambda facts: facts.tag,
)
def test_facts_are_read_as_they_were_written(path: Path, facts: Facts):
    log = NameLog(path)
    number = log.number(facts)
    log.close()
    assert list(NameLogReader(path).read()) == [(number, facts)]


def test_facts_of_an_older_pipeprof_lack_what_came_later(path: Path) -> None:
    path.write_text(
        '[1, {"$type": "host call", "part": "callbacks", "name": "Board.on_epoch_end"}]\n'
        '[2, {"$type": "place", "function": "load", "location": {"file": "a.py", "line": 3}}]\n'
    )
    assert list(NameLogReader(path).read()) == [
        (1, HostCallFacts(part=Part.CALLBACKS, name="Board.on_epoch_end")),
        (2, PlaceFacts(function="load", location=Location("a.py", 3))),
    ]


def test_a_log_in_memory_makes_no_file(tmp_path: Path):
    log = NameLog(None)
    assert log.new(FIT) == 1
    log.close()
    assert list(tmp_path.iterdir()) == []


def test_a_closed_log_keeps_later_facts_in_memory(path: Path):
    log = NameLog(path)
    log.new(FIT)
    log.close()
    log.new(FIT)
    assert len(log.lines) == 2
    assert len(path.read_text().splitlines()) == 1


def test_nothing_is_written_before_the_first_fact(path: Path):
    NameLog(path).close()
    assert not path.exists()


def test_on_a_full_disk_facts_stay_in_memory(path: Path):
    log = NameLog(path)
    log.new(FIT)
    with files_of_at_most(path.stat().st_size + 10):
        log.new(WarningFacts(text="cut off in the midst of its line"))
    log.new(stage("read"))
    log.new(LaneFacts(name="main", role=Role.MAIN))
    assert [facts.tag for _, facts in log.lines][2:] == ["stage", "lane"]
    assert list(NameLogReader(path).read()) == [(1, FIT)]
    log.close()


def test_a_log_that_cannot_be_made_stays_in_memory(tmp_path: Path):
    log = NameLog(tmp_path / "missing" / "host-1.names.jsonl")
    assert log.new(FIT) == 1
    assert log.lines == [(1, FIT)]


def test_a_half_written_line_is_read_when_it_is_whole(path: Path):
    reader = NameLogReader(path)
    path.write_bytes(LINE + LINE[:7])
    assert len(list(reader.read())) == 1
    with path.open("ab") as file:
        file.write(LINE[7:])
    assert len(list(reader.read())) == 1


@pytest.mark.parametrize(
    "line",
    [
        "",
        "no JSON",
        "5",
        "null",
        "[]",
        '["1", {"$type": "warning", "text": "b"}]',
        "[1, 2]",
        '[1, {"$type": "warning", "text": "b"}, 3]',
        '[true, {"$type": "warning", "text": "b"}]',
        '[-1, {"$type": "warning", "text": "b"}]',
        '[1.5, {"$type": "warning", "text": "b"}]',
        '[99999999999, {"$type": "warning", "text": "b"}]',
        "[1, {}]",
        '[1, {"$type": "unheard of"}]',
        '[1, {"$type": []}]',
        '[1, {"$type": "stage"}]',
        '[1, {"$type": "stage", "name": "a", "kind": "no kind"}]',
        '[1, {"$type": "stage", "name": "a", "kind": []}]',
        '[1, {"$type": "stage", "name": "a", "kind": "function", "parent": []}]',
        '[1, {"$type": "lane", "name": "main"}]',
        '[1, {"$type": "lane", "name": "main", "role": "king"}]',
        '[1, {"$type": "loop", "kind": 5, "start_ns": 0}]',
        '[1, {"$type": "loop", "kind": "fit"}]',
        '[1, {"$type": "stage gauge", "level": "buffer", "stage": {}}]',
        '[1, {"$type": "stack", "lines": []}]',
        '[1, {"$type": "warning"}]',
        '[1, {"$type": "warning", "text": 5}]',
        "[" * 100_000,
        '{"a": 1, "b": {}}',
        b"\xff\xfe".decode("latin1"),
    ],
)
def test_a_damaged_line_is_passed_over(path: Path, line: str):
    path.write_bytes(line.encode("latin1") + b"\n" + LINE)
    assert list(NameLogReader(path).read()) == [(1, WarningFacts(text="a"))]
