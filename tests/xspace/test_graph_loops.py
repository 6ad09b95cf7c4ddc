"""Loops in a graph are taken out of a trace, so that XProf sees the steps around them."""

from pathlib import Path
from typing import Any

import pytest

from pipeprof.errors import RunDamaged
from pipeprof.xspace import graph_loops
from pipeprof.xspace.graph_loops import flatten_loops_in
from pipeprof.xspace.xplane_schema import XSpace
from tests.xspace.test_trace_reader import add_plane


def looping(folder: Path, *iterations: int) -> Path:
    """A trace whose host runs one event in each of these iterations; 0 is none."""
    space = XSpace()
    add_plane(space, "/host:CPU", work=[("ExecutorState::Process", at, at + 1) for at in range(9)])
    host = space.planes[0]
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
    assert flatten_loops_in(path)
    assert stats(path) == [(0, 7)] * 3 + [()] * 6
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_trace_without_loops_stays_as_it_is(tmp_path):
    path = looping(tmp_path, 0, 0)
    before = path.stat().st_mtime_ns, path.read_bytes()
    assert flatten_loops_in(path)
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before


def test_a_trace_that_is_too_large_stays_as_it_is(tmp_path, monkeypatch):
    path = looping(tmp_path, 1)
    monkeypatch.setattr(graph_loops, "MOST_BYTES", 10)
    assert not flatten_loops_in(path)
    assert stats(path)[0] == (1, 7)


def test_what_is_no_trace_is_refused(tmp_path):
    path = tmp_path / "host.xplane.pb"
    path.write_bytes(b"no trace")
    with pytest.raises(RunDamaged, match="whole trace"):
        flatten_loops_in(path)
