"""Loops in a graph are taken out of a trace, so that XProf sees the steps around them."""

from pathlib import Path
from typing import Any

import pytest

from pipeprof.errors import RunDamaged
from pipeprof.xspace.packed_space import PackedSpace
from pipeprof.xspace.trace_reader import ANCHOR, read_trace
from pipeprof.xspace.xplane_schema import XSpace
from tests.xspace.test_trace_reader import BERT, add_plane


def looping(folder: Path, *iterations: int) -> Path:
    """A trace whose host runs one event in each of these iterations; 0 is none."""
    space = XSpace()
    work = [("ExecutorState::Process", at, at + 1) for at in range(9)]
    add_plane(space, "/host:CPU", work=work, python=[(ANCHOR, 10, 12)])
    space.hostnames.append("workstation")
    host = space.planes[0]
    host.id = 5
    for number, name in enumerate(("iter_num", "step_id"), 1):
        host.stat_metadata[number].name = name
    for event, iteration in zip(host.lines[0].events, iterations, strict=False):
        event.stats.add(metadata_id=1, int64_value=iteration)
        event.stats.add(metadata_id=2, int64_value=7)
    path = folder / "host.xplane.pb"
    path.write_bytes(space.SerializeToString())
    return path


def stats(path: Path) -> list[tuple[int, ...]]:
    host: Any = XSpace.FromString(path.read_bytes()).planes[0]
    return [tuple(stat.int64_value for stat in event.stats) for event in host.lines[0].events]


def test_iterations_are_numbered_as_what_runs_in_no_loop(tmp_path):
    path = looping(tmp_path, 0, 1, 2)
    before = XSpace.FromString(path.read_bytes())
    read = read_trace(path, flatten=True)
    assert stats(path) == [(0, 7)] * 3 + [()] * 6
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert len(read.anchors) == len(read_trace(path).anchors) == 1
    # Nothing else has changed.
    for event in before.planes[0].lines[0].events:
        for stat in event.stats:
            stat.int64_value = 7 if stat.metadata_id == 2 else 0
    assert XSpace.FromString(path.read_bytes()) == before


@pytest.mark.parametrize(("iterations", "flatten"), [((0, 0), True), ((1, 2), False)])
def test_a_trace_without_loops_and_one_that_is_only_read_stay_as_they_are(
    tmp_path, iterations, flatten
):
    path = looping(tmp_path, *iterations)
    before = path.stat().st_mtime_ns, path.read_bytes()
    read_trace(path, flatten=flatten)
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before


def test_a_trace_that_cannot_be_replaced_stays_as_it_is(tmp_path, monkeypatch):
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    path = looping(tmp_path, 1)
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        read_trace(path, flatten=True)
    assert stats(path)[0] == (1, 7)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_what_is_no_trace_is_refused(tmp_path):
    path = tmp_path / "host.xplane.pb"
    path.write_bytes(b"no trace")
    with pytest.raises(RunDamaged, match="whole trace"):
        read_trace(path, flatten=True)


def test_a_large_trace_is_put_together_as_it_was():
    data = BERT.read_bytes()
    packed = PackedSpace(data)
    for plane in packed.planes:
        for line in plane.lines(lambda _: True):
            plane.put_back(line)
    assert packed.is_changed
    assert XSpace.FromString(packed.pack()) == XSpace.FromString(data)
