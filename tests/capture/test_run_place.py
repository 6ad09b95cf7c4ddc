"""A recording finds its place among others, also where its rank becomes known while it records."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeprof.capture.recorder.facts import WarningFacts
from pipeprof.capture.recorder.name_log import NameLogReader
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind, code
from pipeprof.capture.recorder.ring import RingReader
from pipeprof.capture.run_place import find_place, join_late
from pipeprof.capture.settings import Settings
from pipeprof.clock import now_ns
from pipeprof.recording.rank import Rank
from pipeprof.runs.log_folder import PLUGIN
from tests.ranks import rank_of


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        logdir=tmp_path, name="night", warmup=5, sample_hz=0, stacks=False, trace_steps=0
    )


def record_alone(settings: Settings) -> Recorder:
    """A recording that has begun in a run of its own."""
    recorder = Recorder(find_place(settings, None).folder)
    recorder.warn("before")
    write(recorder)
    return recorder


def write(recorder: Recorder) -> None:
    now = now_ns()
    recorder.lane().write(code(Kind.STEP, 1), now, now, 0, 1)


def joined(settings: Settings, rank: Rank, recorder: Recorder) -> Path:
    place = join_late(settings, rank, recorder)
    assert place is not None
    assert place.folder is not None
    return place.folder


def runs(settings: Settings) -> set[str]:
    return {str(path.relative_to(settings.logdir / PLUGIN)) for path in folders(settings)}


def folders(settings: Settings) -> list[Path]:
    return [path.parent for path in (settings.logdir / PLUGIN).rglob("*.ring")]


def test_processes_that_connect_late_become_one_run(settings: Settings):
    first, second = record_alone(settings), record_alone(settings)
    assert runs(settings) == {"night", "night_2"}
    joined(settings, rank_of(1, 2), second)
    joined(settings, rank_of(0, 2), first)
    assert runs(settings) == {"night-ranks/rank-0", "night-ranks/rank-1"}
    assert not (settings.logdir / PLUGIN / "night").exists()


def test_without_a_name_they_are_in_the_run_of_those_that_knew_at_once(settings: Settings):
    settings = replace(settings, name=None)
    known = find_place(settings, rank_of(0, 2))
    own = joined(settings, rank_of(1, 2), record_alone(settings))
    assert own.parent == known.run_folder


def test_nothing_that_was_recorded_is_lost_by_moving(settings: Settings):
    recorder = record_alone(settings)
    folder = joined(settings, rank_of(0, 2), recorder)
    recorder.warn("after")
    write(recorder)
    recorder.names.close()
    facts = [each for _, each in NameLogReader(*folder_files(folder, "*.jsonl")).read()]
    texts = [each.text for each in facts if isinstance(each, WarningFacts)]
    assert texts == ["before", "after"]
    (ring,) = folder_files(folder, "*.ring")
    records = RingReader.open(ring).read()
    assert (records["code"] == code(Kind.STEP, 1)).sum() == 2


def folder_files(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern))


def test_another_training_is_not_joined(settings: Settings):
    one, other = record_alone(settings), record_alone(settings)
    joined(settings, rank_of(0, 2), one)
    joined(settings, rank_of(1, 2, group="f" * 16), other)
    assert runs(settings) == {"night-ranks/rank-0", "night-ranks_2/rank-1"}


def test_one_rank_twice_is_two_runs(settings: Settings):
    for _ in range(2):
        joined(settings, rank_of(0, 2), record_alone(settings))
    assert runs(settings) == {"night-ranks/rank-0", "night-ranks_2/rank-0"}


def test_what_another_process_may_write_into_stays_where_it_is(settings: Settings):
    recorder = record_alone(settings)
    recorder.folder_for_workers()
    assert join_late(settings, rank_of(0, 2), recorder) is None
    assert runs(settings) == {"night"}


def test_where_it_cannot_be_moved_it_stays_and_leaves_no_place_behind(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    recorder = record_alone(settings)

    def refuse(self: Recorder, folder: Path) -> bool:
        raise OSError("another file system")

    monkeypatch.setattr(Recorder, "move", refuse)
    assert join_late(settings, rank_of(0, 2), recorder) is None
    assert runs(settings) == {"night"}
    assert not list((settings.logdir / PLUGIN).rglob("rank-*"))


def test_a_group_that_only_has_a_size_is_joined_by_a_name_alone(settings: Settings):
    unnamed = replace(settings, name=None)
    sized = replace(rank_of(0, 2), anonymous=True)
    assert find_place(settings, sized).folder == settings.logdir / PLUGIN / "night" / "rank-0"
    alone = find_place(unnamed, sized)
    assert alone.folder is not None
    assert alone.folder == alone.run_folder
    assert join_late(unnamed, sized, Recorder(alone.folder)) is None
