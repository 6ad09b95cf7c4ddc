"""The name log: numbers for things, kept where another process can read them."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeprof.capture.recorder.name_log import MOST_OF_A_TYPE, NameLog, NameLogReader


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


def test_the_same_facts_have_the_same_number(path: Path):
    log = NameLog(path)
    decode = log.number({"type": "stage", "name": "decode"})
    read = log.number({"type": "stage", "name": "read"})
    assert decode != read
    assert 0 not in (decode, read)
    assert log.number({"name": "decode", "type": "stage"}) == decode
    assert len(log.lines) == 2
    log.close()


def test_a_new_thing_has_a_number_of_its_own(path: Path):
    log = NameLog(path)
    numbers = {log.number({"type": "loop"}), log.new({"type": "loop"}), log.new({"type": "loop"})}
    assert len(numbers) == 3
    log.close()


def test_names_made_as_the_program_runs_end_in_one():
    log = NameLog(None)
    numbers = [log.number({"type": "stage", "name": f"file {n}"}) for n in range(10_000)]
    assert len(set(numbers)) == MOST_OF_A_TYPE + 1
    assert len(set(numbers[MOST_OF_A_TYPE:])) == 1
    assert log.number({"type": "stage", "name": "file 0"}) == numbers[0]
    *_, further, warning = [facts for _, facts in log.lines]
    assert len(log.lines) == MOST_OF_A_TYPE + 2
    assert further == {"type": "stage", "name": "further stages", "kind": "block"}
    assert warning["text"] == (
        "More than 512 names were met: what came later is shown as 'further stages'."
    )
    assert log.number({"type": "lane", "name": "main"}) > max(numbers)


def test_levels_and_warnings_without_end_are_nothing_in_the_end():
    log = NameLog(None)
    for kind in ("warning", "gauge"):
        numbers = [log.number({"type": kind, "text": str(n)}) for n in range(MOST_OF_A_TYPE + 9)]
        assert set(numbers[MOST_OF_A_TYPE:]) == {0}
    assert len(log.lines) == 2 * MOST_OF_A_TYPE


def test_a_finaliser_may_name_something_while_its_thread_is_naming():
    class Interrupted(dict[str, str]):
        def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
            log.number({"type": "warning", "text": "from the finaliser"})
            return super().get(key, default)

    log = NameLog(None)
    number = log.number(Interrupted(type="stage", name="read"))
    assert sorted(n for n, _ in log.lines) == [1, 2]
    assert dict(log.lines)[number] == {"type": "stage", "name": "read"}


def test_a_log_is_read_as_it_grows(path: Path):
    log, reader = NameLog(path), NameLogReader(path)
    assert list(reader.read()) == []
    number = log.new({"type": "loop"})
    assert list(reader.read()) == [(number, {"type": "loop"})]
    log.tell(number, {"waits_by": "iterator"})
    log.number({"text": "two\nlines, and ünïcode"})
    assert list(reader.read()) == [
        (number, {"waits_by": "iterator"}),
        (number + 1, {"text": "two\nlines, and ünïcode"}),
    ]
    assert list(reader.read()) == []
    log.close()


def test_a_log_in_memory_makes_no_file(tmp_path: Path):
    log = NameLog(None)
    assert log.new({"type": "loop"}) == 1
    log.close()
    assert list(tmp_path.iterdir()) == []


def test_a_closed_log_keeps_later_facts_in_memory(path: Path):
    log = NameLog(path)
    log.new({"type": "loop"})
    log.close()
    log.new({"type": "loop"})
    assert len(log.lines) == 2
    assert len(path.read_text().splitlines()) == 1


def test_nothing_is_written_before_the_first_fact(path: Path):
    NameLog(path).close()
    assert not path.exists()


def test_on_a_full_disk_facts_stay_in_memory(path: Path):
    log = NameLog(path)
    log.new({"type": "loop"})
    with files_of_at_most(path.stat().st_size + 10):
        log.new({"type": "cut off in the midst of its line"})
    log.new({"type": "stage"})
    log.new({"type": "lane"})
    assert [facts["type"] for _, facts in log.lines][2:] == ["stage", "lane"]
    assert list(NameLogReader(path).read()) == [(1, {"type": "loop"})]
    log.close()


def test_a_log_that_cannot_be_made_stays_in_memory(tmp_path: Path):
    log = NameLog(tmp_path / "missing" / "host-1.names.jsonl")
    assert log.new({"type": "loop"}) == 1
    assert log.lines == [(1, {"type": "loop"})]


def test_a_half_written_line_is_read_when_it_is_whole(path: Path):
    line = json.dumps([1, {"type": "loop"}]).encode() + b"\n"
    reader = NameLogReader(path)
    path.write_bytes(line + line[:7])
    assert len(list(reader.read())) == 1
    with path.open("ab") as file:
        file.write(line[7:])
    assert len(list(reader.read())) == 1


@pytest.mark.parametrize(
    "line",
    [
        "",
        "no JSON",
        "5",
        "null",
        "[]",
        '["1", {}]',
        "[1, 2]",
        "[1, {}, 3]",
        "[true, {}]",
        "[-1, {}]",
        "[1.5, {}]",
        "[99999999999, {}]",
        "[" * 100_000,
        '{"a": 1, "b": {}}',
        b"\xff\xfe".decode("latin1"),
    ],
)
def test_a_damaged_line_is_passed_over(path: Path, line: str):
    path.write_bytes(line.encode("latin1") + b'\n[1, {"type": "loop"}]\n')
    assert list(NameLogReader(path).read()) == [(1, {"type": "loop"})]
