"""``pipeprof merge`` and the options of ``pipeprof report`` for runs of many ranks."""

import json
from pathlib import Path

import pytest

from tests import ranks
from tests.cli.conftest import Command, write_run
from tests.ranks import write_ranks


@pytest.fixture
def apart(tmp_path: Path) -> list[str]:
    """Log folders of two ranks."""
    for number, profile in enumerate(ranks.in_lock_step(ranks.waits(2, 30))):
        write_run(profile, tmp_path / f"copy-{number}", "night")
    return ["copy-0", "copy-1"]


def test_folders_become_one_run(command: Command, apart: list[str]) -> None:
    merged = command("merge", *apart, "--out", "all")
    assert (merged.code, merged.err) == (0, "")
    assert merged.out.endswith("Show it: pipeprof report all\n")
    assert "by rank 1: its steps wait" in command("report", "all").out


def test_a_rank_in_a_run_of_its_own_says_how_to_bring_all_together(
    command: Command, apart: list[str]
) -> None:
    assert "This is rank 0 of 2, in a run of its own" in " ".join(
        command("report", "copy-0").out.split()
    )


def test_what_cannot_be_merged_is_a_sentence(command: Command, apart: list[str]) -> None:
    for arguments, sentence in (
        (["copy-0", "copy-0"], "expected each rank once, received 2 recordings of rank 0"),
        (["copy-0", "nowhere"], "found no folder nowhere"),
        (["copy-0"], "expected recordings of several processes, found 1"),
    ):
        outcome = command("merge", *arguments, "--out", "all")
        assert (outcome.code, outcome.out) == (2, "")
        assert sentence in outcome.err
        assert outcome.err.count("\n") == 1


@pytest.fixture
def many(tmp_path: Path) -> None:
    profiles = ranks.in_lock_step(ranks.waits(2, 2, 30, 2))
    write_ranks(tmp_path / "logs" / "plugins" / "pipeprof" / "night", profiles)


@pytest.mark.usefixtures("many")
def test_one_rank_is_reported_on_demand(command: Command) -> None:
    assert "Rank 1 by itself" in command("report", "logs", "--rank", "1").out
    missing = command("report", "logs", "--rank", "7")
    assert (missing.code, missing.err.count("\n")) == (2, 1)


@pytest.mark.usefixtures("many")
def test_the_report_of_all_ranks_is_json(command: Command) -> None:
    report = json.loads(command("report", "logs", "--json", "--ranks", "all").out)
    assert [host["ranks"][0]["rank"] for host in report["hosts"]] == [0, 1, 2, 3]
    assert report["ranks"]["verdict"]["stragglers"][0]["rank"] == 2
    for wrong in (("--ranks", "all"), ("--json", "--ranks", "some")):
        assert command("report", "logs", *wrong).code == 2


@pytest.mark.usefixtures("many")
def test_a_trace_has_all_ranks(command: Command, tmp_path: Path) -> None:
    outcome = command("export", "logs", "--chrome", "trace.json")
    assert outcome.code == 0
    assert "4 of 4 ranks" in outcome.err
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert len({event["pid"] for event in events}) == 4
