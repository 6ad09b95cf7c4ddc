"""What a worker of a tf.data service did is read from made traces whose work is known."""

from typing import Any

import pytest

from pipeprof.errors import RunDamaged
from pipeprof.xspace.worker_traces import WorkerTrace, read_worker_trace
from pipeprof.xspace.xplane_schema import XSpace
from tests.xspace.test_trace_reader import add_plane

MS = 1_000_000
STATS = ("id", "parent_id", "parallelism", "autotune", "cpu_budget", "name")

# Of each task: the numbers of the output, of the map below it and of the source.
OWN, OTHER = (1, 2, 3), (11, 12, 13)
MAP = "Iterator::Root::ParallelMapV2"
NUMBERS = {"Iterator::Root": 0, MAP: 1}


def read(space: Any) -> WorkerTrace:
    return read_worker_trace(space.SerializeToString())


def mark(plane: Any, line: int, numbers: tuple[int, int, int], **known: int | str) -> None:
    """Gives the iterators' events on a line the numbers of a task, and a map what is known of it."""
    for number, name in enumerate(STATS, 1):
        plane.stat_metadata[number].name = name
    for event in plane.lines[line].events:
        name = plane.event_metadata[event.metadata_id].name
        if not name.startswith("Iterator::"):
            continue
        place = NUMBERS.get(name, 2)
        event.stats.add(metadata_id=1, uint64_value=numbers[place])
        if place:
            event.stats.add(metadata_id=2, uint64_value=numbers[place - 1])
        for stat, value in known.items() if place == 1 else ():
            text = isinstance(value, str)
            key = STATS.index(stat) + 1
            event.stats.add(metadata_id=key, **{"str_value" if text else "int64_value": value})


def serving(*waits: tuple[int, int]) -> list[tuple[str, int, int]]:
    return [
        (name, start, end)
        for start, end in waits
        for name in ("Iterator::Root", "Iterator::Root::ParallelMapV2")
    ]


def producing() -> list[tuple[str, int, int]]:
    source = "Iterator::Root::ParallelMapV2::Range"
    return [("ParallelMapProduce", 0, 10), (source, 0, 4), (source, 5, 9)]


def test_each_task_of_a_worker_is_read_by_itself() -> None:
    space = XSpace()
    plane = add_plane(
        space,
        "/host:CPU",
        serving=serving((0, 30), (30, 60), (60, 90)),
        producing=producing(),
        other=serving((0, 5), (50, 55), (95, 100)),
    )
    mark(plane, 0, OWN, parallelism=2, autotune="true", name="decode")
    mark(plane, 1, OWN)
    mark(plane, 2, OTHER, parallelism=4, name="MapDataset:2")
    traced = read(space)
    own, other = sorted(traced.pipelines, key=lambda each: -each.asked_ratio)
    above, below = ("Root", "ParallelMapV2"), ("Root", "ParallelMapV2", "Range")
    assert {path: place.elements for path, place in own.places.items()} == {
        ("Root",): 3,
        above: 3,
        below: 2,
    }
    assert own.places[below].work_ns == 8 * MS
    assert (own.elements, own.asked_ratio) == (3, 1.0)
    assert (own.parallelism, own.autotuned) == ({above: 2}, {above})
    assert (own.labels[above], other.labels[above]) == ("decode", "MapDataset:2")
    assert (other.elements, other.asked_ratio) == (3, 0.15)
    assert (other.parallelism, other.autotuned) == ({above: 4}, set())
    assert traced.lasted_ns == 100 * MS


def test_what_takes_from_a_service_is_the_trainings_own() -> None:
    space = XSpace()
    plane = add_plane(space, "/host:CPU", own=[*serving((0, 5)), (f"{MAP}::DataService", 1, 4)])
    mark(plane, 0, OWN)
    assert read(space).pipelines == ()


def test_the_length_of_a_trace_and_the_cores_are_the_workers_own_words() -> None:
    space = XSpace()
    plane = add_plane(space, "/host:CPU", serving=serving((0, 30)))
    mark(plane, 0, OWN)
    plane.lines[0].events[0].stats.add(metadata_id=5, int64_value=16)
    environment = space.planes.add(name="Task Environment")
    for number, (name, value) in enumerate((("start", 1_000), ("stop", 251_000)), 1):
        environment.stat_metadata[number].name = f"profile_{name}_time"
        environment.stats.add(metadata_id=number, uint64_value=value)
    traced = read(space)
    assert (traced.lasted_ns, traced.cores) == (250_000, 16)


@pytest.mark.parametrize("data", [b"\xff\xff", b"not a trace at all", b"\x0a\xff\x01"])
def test_what_is_no_trace_is_refused(data: bytes) -> None:
    with pytest.raises(RunDamaged, match="from a worker"):
        read_worker_trace(data)


def test_a_trace_without_a_host_has_no_pipelines() -> None:
    assert read(XSpace()).pipelines == ()
