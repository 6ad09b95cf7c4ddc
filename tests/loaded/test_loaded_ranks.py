"""A run of several processes is loaded as one; `pipeprof merge` makes one of several folders."""

import json
import shutil
from pathlib import Path

import pytest

import pipeprof
from pipeprof.analysis.findings.rank_findings import RankDied, RanksEmpty, RanksMissing, Unreadable
from pipeprof.errors import RunDamaged, UsageError
from pipeprof.loaded.loaded_ranks import findings_of_ranks
from pipeprof.loaded.merging import merge_runs
from pipeprof.recording.profile import Profile
from pipeprof.runs.run_file import RunFile
from pipeprof.runs.run_writing import write_run_file
from pipeprof.runs.shared_folder import rank_folder
from tests import ranks
from tests.builders import those
from tests.ranks import write_ranks

SLOW = ranks.waits(2, 2, 30, 2)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "logs" / "plugins" / "pipeprof" / "night"
    return write_ranks(folder, ranks.in_lock_step(SLOW))


def test_a_run_of_ranks_is_one_run(run: Path, tmp_path: Path):
    loaded = pipeprof.load(tmp_path / "logs")
    found = loaded.findings.ranks
    assert found is not None
    assert [late.rank for late in found.verdict.stragglers] == [2]
    assert loaded.profile.run.rank == ranks.rank_of(2, 4)
    assert loaded.profile.run.warnings == ()
    other = pipeprof.load(run, rank=1)
    assert other.profile.run.rank == ranks.rank_of(1, 4)
    assert other.findings.ranks is not None
    assert other.findings.ranks.verdict.stragglers == found.verdict.stragglers


def test_without_summaries_the_recordings_say_the_same(run: Path):
    with_summaries = pipeprof.load(run).to_dict()
    for path in run.glob("*/*.summary.json"):
        path.unlink()
    assert pipeprof.load(run).to_dict() == with_summaries


def test_a_rank_that_is_not_there_is_a_sentence(run: Path):
    with pytest.raises(UsageError, match=r"expected a rank from 0 to 3 .*, received 9\."):
        pipeprof.load(run, rank=9)


def test_of_a_damaged_rank_the_others_are_shown(run: Path):
    for path in rank_folder(run, 1).iterdir():
        path.write_bytes(path.read_bytes()[:50])
    found = pipeprof.load(run).findings.ranks
    assert found is not None
    (damaged,) = those(Unreadable, found.problems)
    assert damaged.name == "rank-1/host-1-42.json"
    assert not those(RanksMissing, found.problems)
    assert [each.number for each in found.ranks] == [0, 2, 3]


def test_where_the_slow_rank_cannot_be_read_another_one_is_shown_below_the_verdict(run: Path):
    (numbers,) = rank_folder(run, 2).glob("*.npz")
    numbers.unlink()  # half a run was copied
    loaded = pipeprof.load(run)
    found = loaded.findings.ranks
    assert found is not None
    assert [late.rank for late in found.verdict.stragglers] == [2]
    assert found.shown == 0
    (unreadable,) = those(Unreadable, found.problems)
    text = " ".join(loaded.report(width=80).split())
    assert f"{unreadable.name} cannot be read: expected the numbers of host-2-42.json" in text
    with pytest.raises(RunDamaged):
        pipeprof.load(run, rank=2)


def test_ranks_that_can_be_read_are_those_of_a_trace(run: Path):
    for path in rank_folder(run, 2).glob("*.npz"):
        path.unlink()
    traced = [each.profile.run.rank for each in findings_of_ranks(run, everyone=True)]
    assert traced == [ranks.rank_of(number, 4) for number in (0, 1, 3)]


def test_a_rank_whose_files_are_not_there_yet_has_a_folder_that_is_empty(run: Path):
    for path in rank_folder(run, 1).iterdir():
        path.unlink()
    loaded = pipeprof.load(run)
    found = loaded.findings.ranks
    assert found is not None
    assert those(RanksEmpty, found.problems) == [RanksEmpty(ranks=(1,))]
    assert not those(RanksMissing, found.problems)
    assert "The folder of rank 1 is empty: the files were not" in loaded.report(width=80)


def test_where_nothing_can_be_read_that_is_an_error(run: Path):
    for path in run.glob("*/*.json"):
        path.write_text("{")
    with pytest.raises(RunDamaged, match=r"expected recordings in .*, found 4 that cannot be read"):
        pipeprof.load(run)


def test_half_a_run_is_shown_and_said_to_be_half(run: Path):
    shutil.rmtree(rank_folder(run, 0))
    shutil.rmtree(rank_folder(run, 3))
    found = pipeprof.load(run).findings.ranks
    assert found is not None
    assert those(RanksMissing, found.problems) == [RanksMissing(ranks=(0, 3), size=4)]


def test_a_rank_that_died_is_read_from_its_recording(tmp_path: Path):
    profiles = ranks.in_lock_step(SLOW)
    profiles[1] = ranks.cut_off(profiles[1], 40)
    found = pipeprof.load(write_ranks(tmp_path / "night", profiles)).findings.ranks
    assert found is not None
    assert those(RankDied, found.problems) == [RankDied(rank=1, step=40, ended_by=None, error=None)]


def test_a_report_of_ranks_is_shown_on_every_surface(run: Path):
    loaded = pipeprof.load(run)
    text = loaded.report(width=80)
    assert "INPUT-BOUND   by rank 2: its steps wait" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    report = json.loads(json.dumps(loaded.to_dict()))
    assert report["ranks"]["verdict"]["stragglers"][0]["rank"] == 2
    assert [host["host"] for host in report["hosts"]] == ["host-0", "host-1", "host-2", "host-3"]


# Merging


def _alone(folder: Path, profile: Profile, name: str) -> Path:
    """A log folder with a run of one process."""
    own = folder / "plugins" / "pipeprof" / name
    own.mkdir(parents=True)
    write_run_file(RunFile(own, f"{profile.run.hosts[0]}-7"), profile)
    return folder


def test_folders_are_merged_into_one_run(tmp_path: Path):
    folders = [
        _alone(tmp_path / f"copy-{number}", profile, "night")
        for number, profile in enumerate(ranks.in_lock_step(SLOW))
    ]
    merged = merge_runs(folders[::-1], tmp_path / "all")
    assert merged == tmp_path / "all" / "plugins" / "pipeprof" / "night"
    found = pipeprof.load(tmp_path / "all").findings.ranks
    assert found is not None
    assert [late.rank for late in found.verdict.stragglers] == [2]
    assert not found.problems
    assert pipeprof.load(folders[0]).findings.ranks is None


def test_halves_of_a_run_are_merged(run: Path, tmp_path: Path):
    other = tmp_path / "other" / "plugins" / "pipeprof" / "night"
    other.mkdir(parents=True)
    for number in (2, 3):
        shutil.move(rank_folder(run, number), rank_folder(other, number))
    merge_runs([tmp_path / "logs", tmp_path / "other"], tmp_path / "all", "whole")
    found = pipeprof.load(tmp_path / "all", name="whole").findings.ranks
    assert found is not None
    assert [each.number for each in found.ranks] == [0, 1, 2, 3]


def test_processes_without_ranks_are_merged_in_their_order(tmp_path: Path):
    profiles = [ranks.with_info(each, rank=None) for each in ranks.in_lock_step(ranks.waits(2, 30))]
    folders = [_alone(tmp_path / str(n), each, "night") for n, each in enumerate(profiles)]
    merge_runs(folders, tmp_path / "all")
    found = pipeprof.load(tmp_path / "all").findings.ranks
    assert found is not None
    assert [late.rank for late in found.verdict.stragglers] == [1]


def test_what_is_no_single_training_is_not_merged(tmp_path: Path):
    first, second = ranks.in_lock_step(ranks.waits(2, 30))
    one = _alone(tmp_path / "a", first, "night")
    again = _alone(tmp_path / "b", first, "night")
    other = _alone(tmp_path / "c", ranks.with_info(second, argv=("eval.py",)), "night")
    with pytest.raises(UsageError, match=r"each rank once, received 2 recordings of rank 0"):
        merge_runs([one, again], tmp_path / "all")
    with pytest.raises(UsageError, match=r"one training\. Rank . trained with other code"):
        merge_runs([one, other], tmp_path / "all")
    with pytest.raises(UsageError, match="expected recordings of several processes, found 1"):
        merge_runs([one], tmp_path / "all")
    assert not (tmp_path / "all").exists()


def test_a_run_is_never_written_over(tmp_path: Path):
    first, second = ranks.in_lock_step(ranks.waits(2, 30))
    folders = [_alone(tmp_path / "a", first, "x"), _alone(tmp_path / "b", second, "x")]
    merge_runs(folders, tmp_path / "all")
    with pytest.raises(UsageError, match=r"expected no run named 'x' in .*, found one"):
        merge_runs(folders, tmp_path / "all")
