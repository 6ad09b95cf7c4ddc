"""Iterators that graphs make are read from made traces whose work is known."""

from pathlib import Path
from typing import Any

import pytest

from pipeprof.errors import RunDamaged
from pipeprof.xspace.graph_iterators import (
    GraphIterators,
    read_distributed_iterators,
    read_graph_iterators,
)
from pipeprof.xspace.trace_reader import ANCHOR
from pipeprof.xspace.xplane_schema import XSpace
from tests.xspace.test_trace_reader import add_plane

MS = 1_000_000


def read(space: Any, folder: Path) -> GraphIterators:
    file = folder / "host.xplane.pb"
    file.write_bytes(space.SerializeToString())
    return read_graph_iterators(file)


def found(traced: GraphIterators) -> dict[str, tuple[int, int]]:
    """Elements and work in milliseconds, by place."""
    return {
        "::".join(path): (place.elements, place.work_ns // MS)
        for path, place in traced.places.items()
    }


def test_work_is_what_a_stage_does_itself_and_not_what_it_waits_for(tmp_path: Path) -> None:
    space = XSpace()
    add_plane(
        space,
        "/host:CPU",
        reducing=[
            (ANCHOR, 0, 1),
            ("ReduceIterator::Root", 1, 40),
            ("ReduceIterator::Root::Prefetch", 2, 39),
        ],
        looping=[
            ("PrefetchProduce", 1, 38),
            ("ReduceIterator::Root::Prefetch::Scan", 2, 37),
            ("ReduceIterator::Root::Prefetch::Scan::Map", 3, 23),
            ("ReduceIterator::Root::Prefetch::Scan::Map::Range", 4, 5),
        ],
    )
    traced = read(space, tmp_path)
    assert found(traced) == {
        "Root": (1, 0),
        "Root::Prefetch": (1, 0),
        "Root::Prefetch::Scan": (1, 15),
        "Root::Prefetch::Scan::Map": (1, 19),
        "Root::Prefetch::Scan::Map::Range": (1, 1),
    }
    assert traced.asked(("Root", "Prefetch", "Scan", "Map")).tolist() == [[3 * MS, 23 * MS]]
    assert traced.asked(("Root", "Batch")).tolist() == []
    assert traced.anchors.tolist() == [[0, MS]]


def test_calls_that_run_side_by_side_are_work_of_the_stage_that_began_them(tmp_path: Path) -> None:
    space = XSpace()
    host = add_plane(
        space,
        "/host:CPU",
        waiting=[("ReduceIterator::Root::Scan::ParallelMapV2", 0, 30)],
        beginning=[
            ("ParallelMapProduce", 0, 4),
            ("ReduceIterator::Root::Scan::ParallelMapV2::Range", 1, 2),
            ("InstantiatedCapturedFunction::RunAsync", 3, 4),
        ],
        working=[("ExecutorState::Process", 5, 10), ("ExecutorState::Process", 11, 26)],
        of_others=[("ExecutorState::Process", 0, 90)],
    )
    host.stat_metadata[1].name = "id"
    for line, number in ((host.lines[1], -7), (host.lines[2], -7), (host.lines[3], 9)):
        for event in line.events:
            event.stats.add(metadata_id=1, int64_value=number)
    assert found(read(space, tmp_path)) == {
        "Root::Scan::ParallelMapV2": (1, 20),
        "Root::Scan::ParallelMapV2::Range": (1, 1),
    }


def test_inputs_that_a_stage_opens_are_one_place(tmp_path: Path) -> None:
    space = XSpace()
    inner = "ReduceIterator::Root::Scan::FlatMap[{}]::Map"
    add_plane(
        space,
        "/host:CPU",
        looping=[(inner.format(0), 0, 10), (inner.format(1), 10, 22)],
        others=[("Iterator::Root::Map", 0, 9)],
    )
    assert found(read(space, tmp_path)) == {"Root::Scan::FlatMap[]::Map": (2, 22)}


def test_behind_a_strategy_only_what_devices_share_is_read(tmp_path: Path) -> None:
    space = XSpace()
    host = add_plane(
        space,
        "/host:CPU",
        shared=[
            ("Iterator::Root::Map", 0, 9),
            ("Iterator::Root::Map::Range", 1, 3),
            ("InstantiatedCapturedFunction::RunAsync", 4, 5),
        ],
        of_a_device=[(ANCHOR, 0, 1), ("Iterator::Root::Prefetch::Generator", 1, 30)],
        working=[("ExecutorState::Process", 10, 14)],
    )
    host.lines[0].name = "tf_data_multi_device_iterator_resource/7"
    host.stat_metadata[1].name = "id"
    for event in (host.lines[0].events[2], host.lines[2].events[0]):
        event.stats.add(metadata_id=1, int64_value=5)
    file = tmp_path / "host.xplane.pb"
    file.write_bytes(space.SerializeToString())
    traced = read_distributed_iterators(file)
    assert found(traced) == {"Root::Map": (1, 11), "Root::Map::Range": (1, 2)}
    assert traced.anchors.tolist() == [[0, MS]]
    assert found(traced.plus(traced)) == {"Root::Map": (2, 22), "Root::Map::Range": (2, 4)}


def test_a_trace_without_a_host_has_none(tmp_path: Path) -> None:
    assert found(read(XSpace(), tmp_path)) == {}


def test_what_is_no_trace_is_refused(tmp_path: Path) -> None:
    (tmp_path / "host.xplane.pb").write_bytes(b"\xff" * 40)
    with pytest.raises(RunDamaged):
        read_graph_iterators(tmp_path / "host.xplane.pb")
