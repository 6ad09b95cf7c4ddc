from pathlib import Path

import pytest

from pipeprof.errors import PipeprofError
from pipeprof.scenarios.validation.kept_runs import KeptRun, keep_runs, read_runs

RUN = KeptRun(
    name="reads",
    round=1,
    conditions="2 cores",
    report={"diagnosis": {"bound": "input", "wait_ms": None}},
    truth={"wait_ms": 20.0},
    ceiling_ms=2.5,
)
FAILED = KeptRun(name="reads", round=2, conditions="2 cores", with_load=True, failure="exit code 1")


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    keep_runs([RUN, FAILED], tmp_path / "runs.jsonl")
    assert read_runs(tmp_path / "runs.jsonl") == (RUN, FAILED)
    assert [path.name for path in tmp_path.iterdir()] == ["runs.jsonl"]


def test_no_file_is_no_run(tmp_path: Path) -> None:
    assert read_runs(tmp_path / "runs.jsonl") == ()


@pytest.mark.parametrize("line", ["[1]", "{", '{"name": "reads"}', '{"other": 1}'])
def test_a_line_that_is_no_run_is_named(tmp_path: Path, line: str) -> None:
    keep_runs([RUN], tmp_path / "runs.jsonl")
    with (tmp_path / "runs.jsonl").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(PipeprofError, match=r"in line 2 of .*runs\.jsonl.*tools/validate --json"):
        read_runs(tmp_path / "runs.jsonl")
