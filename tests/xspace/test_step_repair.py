"""Profiles get their step markers in a copy, and only those that lack them."""

from pathlib import Path
from typing import Any

import pytest

from pipeprof.errors import RunNotFound
from pipeprof.report.runs.repair_text import describe_repair
from pipeprof.xspace.step_repair import RepairOutcome, repair_profile, repair_profiles
from pipeprof.xspace.xplane_schema import XSpace


def trace(*, steps: int = 3, marked: bool = False, plane: str = "/host:CPU") -> Any:
    """A profile as Keras writes it: each batch with its number, and something inside."""
    space = XSpace(hostnames=["host"])
    host = space.planes.add(id=1, name=plane)
    for number, name in enumerate(("Profiled batch", "FunctionRun"), 1):
        host.event_metadata[number].name = name
    for number, name in enumerate(("step_num", "id", "_r"), 1):
        host.stat_metadata[number].name = name
    line = host.lines.add(id=1, name="python")
    for step in range(steps):
        batch = line.events.add(metadata_id=1, offset_ps=step * 100, duration_ps=90)
        batch.stats.add(metadata_id=1, int64_value=step)
        if marked:
            batch.stats.add(metadata_id=3, int64_value=1)
        inside = line.events.add(metadata_id=2, offset_ps=step * 100 + 10, duration_ps=50)
        inside.stats.add(metadata_id=2, int64_value=7)
    return space


def run_folder(logdir: Path, name: str = "first", **traces: Any) -> Path:
    run = logdir / "train" / "plugins" / "profile" / name
    run.mkdir(parents=True)
    for host, space in traces.items():
        data = space if isinstance(space, bytes) else space.SerializeToString()
        (run / f"{host}.xplane.pb").write_bytes(data)
    return run


def test_batches_become_steps_in_a_copy(tmp_path: Path) -> None:
    run = run_folder(tmp_path, a=trace(steps=3), b=trace(steps=3))
    before = (run / "a.xplane.pb").read_bytes()
    (repaired,) = repair_profiles(tmp_path)

    assert (repaired.outcome, repaired.steps) == (RepairOutcome.REPAIRED, 3)
    assert repaired.copy == run.with_name("first_repaired")
    assert (run / "a.xplane.pb").read_bytes() == before
    for host in "ab":
        written = (repaired.copy / f"{host}.xplane.pb").read_bytes()
        assert XSpace.FromString(written) == trace(steps=3, marked=True)
    assert describe_repair(repaired, tmp_path) == (
        "train/first: 3 steps marked in a copy, train/first_repaired; the original is unchanged."
    )


def test_loops_in_the_graph_do_not_stand_in_for_the_steps(tmp_path: Path) -> None:
    space = trace()
    host = space.planes[0]
    host.stat_metadata[4].name = "iter_num"
    for number, event in enumerate(host.lines[0].events):
        event.stats.add(metadata_id=4, int64_value=number)
    repaired = repair_profile(run_folder(tmp_path, a=space))
    assert repaired.copy is not None
    written = XSpace.FromString((repaired.copy / "a.xplane.pb").read_bytes()).planes[0]
    iterations = [s for e in written.lines[0].events for s in e.stats if s.metadata_id == 4]
    assert [stat.int64_value for stat in iterations] == [0] * 6


def test_the_mark_is_introduced_where_nothing_has_it(tmp_path: Path) -> None:
    space = trace()
    del space.planes[0].stat_metadata[3]
    repaired = repair_profile(run_folder(tmp_path, a=space))

    assert repaired.copy is not None
    (plane,) = XSpace.FromString((repaired.copy / "a.xplane.pb").read_bytes()).planes
    assert plane.stat_metadata[3].name == "_r"
    assert [len(event.stats) for event in plane.lines[0].events] == [2, 1] * 3


@pytest.mark.parametrize(
    ("space", "outcome"),
    [
        (trace(marked=True), RepairOutcome.GOOD),
        (trace(steps=0), RepairOutcome.WITHOUT_STEPS),
        (trace(plane="/device:GPU:0"), RepairOutcome.WITHOUT_STEPS),
        (XSpace(), RepairOutcome.WITHOUT_STEPS),
        (b"no profile", RepairOutcome.DAMAGED),
    ],
)
def test_others_are_left_alone(tmp_path: Path, space: Any, outcome: RepairOutcome) -> None:
    run = run_folder(tmp_path, a=space)
    repaired = repair_profile(run)

    assert (repaired.outcome, repaired.copy) == (outcome, None)
    assert [path.name for path in run.parent.iterdir()] == ["first"]
    assert describe_repair(repaired, tmp_path).startswith("train/first: ")


def test_nothing_is_repaired_twice(tmp_path: Path) -> None:
    run_folder(tmp_path, a=trace())
    run_folder(tmp_path, "second", a=trace())
    assert [each.outcome for each in repair_profiles(tmp_path)] == [RepairOutcome.REPAIRED] * 2
    again = list(repair_profiles(tmp_path))

    assert [each.outcome for each in again] == [RepairOutcome.REPAIRED_BEFORE] * 2
    assert describe_repair(again[0], tmp_path) == (
        "train/first: repaired before, see train/first_repaired."
    )


def test_a_profiles_own_folder_may_be_given(tmp_path: Path) -> None:
    (repaired,) = repair_profiles(run_folder(tmp_path, a=trace()))
    assert repaired.outcome is RepairOutcome.REPAIRED
    assert "first_repaired" in describe_repair(repaired, repaired.run)


def test_a_folder_without_profiles_is_reported(tmp_path: Path) -> None:
    (tmp_path / "stray.xplane.pb").write_bytes(b"")
    with pytest.raises(RunNotFound, match=r"expected a profile in .*, found none: record one"):
        repair_profiles(tmp_path)


def test_a_copy_that_cannot_be_finished_is_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_folder(tmp_path, a=trace())

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        repair_profile(run)
    assert list(run.parent.iterdir()) == [run]
