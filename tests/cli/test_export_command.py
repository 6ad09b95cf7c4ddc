"""``pipeprof export`` writes what the library makes, packed where the file's name says so."""

import gzip
from pathlib import Path

from pipeprof.analysis.analyse import analyse
from pipeprof.surfaces.timelines.chrome import to_chrome
from tests.builders import profile
from tests.cli.conftest import Command, write_run

RECORDED = profile()


def test_a_trace_is_written(command: Command, tmp_path: Path) -> None:
    write_run(RECORDED, tmp_path / "logs")
    outcome = command("export", "logs", "--chrome", "trace.json")
    assert (outcome.code, outcome.out) == (0, "")
    assert (tmp_path / "trace.json").read_text() == to_chrome(analyse(RECORDED))
    assert command("export", "logs", "--chrome", "trace.json.gz").code == 0
    packed = gzip.decompress((tmp_path / "trace.json.gz").read_bytes())
    assert packed == (tmp_path / "trace.json").read_bytes()


def test_a_file_that_cannot_be_written_is_a_sentence(command: Command, tmp_path: Path) -> None:
    write_run(RECORDED, tmp_path / "logs")
    outcome = command("export", "logs", "--chrome", "missing/trace.json")
    assert outcome.code == 2
    assert "received --chrome missing/trace.json" in outcome.err


def test_without_a_format_there_is_nothing_to_write(command: Command, tmp_path: Path) -> None:
    write_run(RECORDED, tmp_path / "logs")
    outcome = command("export", "logs")
    assert outcome.code == 2
    assert "--chrome" in outcome.err


def test_a_damaged_run_is_a_sentence(command: Command, tmp_path: Path) -> None:
    folder = write_run(RECORDED, tmp_path / "logs")
    (numbers,) = folder.glob("*.npz")
    numbers.write_bytes(numbers.read_bytes()[:100])
    outcome = command("export", "logs", "--chrome", "trace.json")
    assert outcome.code == 2
    assert len(outcome.err.splitlines()) == 1
    assert not (tmp_path / "trace.json").exists()


def test_the_numbers_of_all_runs_are_written_as_csv(command: Command, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_run(RECORDED, tmp_path / "logs", name)
    assert command("export", "logs", "--csv", "runs.csv").code == 0
    written = (tmp_path / "runs.csv").read_text()
    assert command("export", "logs", "--csv", "-").out == written
    lines = written.splitlines()
    assert [line.split(",")[0] for line in lines] == ["name", "one", "two"]
    neither = command("export", "logs")
    assert (neither.code, "received neither" in neither.err) == (2, True)
