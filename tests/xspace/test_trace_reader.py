"""Device time is read from a real trace, and from made ones whose parts are known."""

from pathlib import Path
from typing import Any

import pytest

from pipeprof.errors import RunDamaged
from pipeprof.xspace.trace_reader import ANCHOR, Trace, read_trace
from pipeprof.xspace.xplane_schema import XSpace

BERT = Path(__file__).parents[1] / "data" / "bert_gpu.xplane.pb"
PS_PER_MS = 1_000_000_000
MS = 1_000_000


def add_plane(space: Any, name: str, **lines: list[tuple[str, int, int]]) -> Any:
    """A plane with lines of events: name, begin and end in milliseconds."""
    plane = space.planes.add(name=name)
    numbers: dict[str, int] = {}
    for title, events in lines.items():
        line = plane.lines.add(name=title.replace("_", " #") if "Stream" in title else title)
        for what, start, end in events:
            number = numbers.setdefault(what, len(numbers) + 1)
            plane.event_metadata[number].name = what
            line.events.add(
                metadata_id=number,
                offset_ps=start * PS_PER_MS,
                duration_ps=(end - start) * PS_PER_MS,
            )
    return plane


def add_host(space: Any, *, marked: bool = True) -> None:
    """A step from 0 to 100 ms that waits for its batch until 40 ms, beside worker threads."""
    host = add_plane(
        space,
        "/host:CPU",
        python=[("train", 0, 100)],
        fetching=[("IteratorGetNextOp::DoCompute", 0, 40), ("Iterator::Prefetch", 1, 39)],
        idle=[],
    )
    for number, name in enumerate(("step_num", "_r"), 1):
        host.stat_metadata[number].name = name
    step = host.lines[0].events[0]
    step.stats.add(metadata_id=1, int64_value=7)
    if marked:
        step.stats.add(metadata_id=2, int64_value=1)


def read(space: Any, folder: Path) -> Trace:
    file = folder / "host.xplane.pb"
    file.write_bytes(space.SerializeToString())
    return read_trace(file)


def test_a_real_trace_of_a_gpu_shows_its_step_with_copies_apart():
    trace = read_trace(BERT)
    (device,) = trace.devices
    steps = device.in_steps(device.steps, trace.fetches)
    assert device.name == "/device:GPU:6"
    assert (steps.end_ns - steps.start_ns).tolist() == [21_310_352]
    # XProf says 14.8755 ms: it adds 10 µs of copies to the kernels.
    assert steps.compute_ns.tolist() == [14_865_363]
    assert steps.copy_in_ns.tolist() == [51_104]
    assert steps.busy_ns.tolist() == [14_899_923]


def test_parts_of_a_step_that_the_host_marked(tmp_path):
    space = XSpace()
    add_host(space)
    add_plane(
        space,
        "/device:GPU:0",
        Stream_1=[("kernel", 30, 60), ("kernel", 110, 120)],
        Stream_2=[("kernel", 50, 70), ("MemcpyD2D", 70, 75)],
        Stream_3=[("MemcpyH2D", 10, 35)],
        Steps2=[("other", 0, 100)],
    )
    trace = read(space, tmp_path)
    (device,) = trace.devices
    steps = device.in_steps(trace.steps, trace.fetches)
    ms = 1_000_000
    assert trace.steps.tolist() == [[0, 100 * ms]]
    assert trace.fetches.tolist() == [[0, 40 * ms]]
    assert steps.compute_ns.tolist() == [40 * ms]
    assert steps.copy_in_ns.tolist() == [25 * ms]
    assert steps.busy_ns.tolist() == [65 * ms]
    assert steps.idle_waiting_ns.tolist() == [10 * ms]


def test_without_marks_there_are_no_steps_but_the_fetches_are_reported(tmp_path):
    space = XSpace()
    add_host(space, marked=False)
    trace = read(space, tmp_path)
    assert len(trace.steps) == 0
    assert len(trace.fetches) == 1
    assert trace.devices == ()


def test_devices_on_which_nothing_ran_are_left_out(tmp_path):
    space = XSpace()
    add_plane(space, "/device:GPU:0", Stream_1=[])
    add_plane(space, "/device:CUSTOM:ours", Stream_1=[("busy", 0, 1)])
    assert read(space, tmp_path).devices == ()


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_trace_that_is_cut_short_is_damaged(tmp_path, kept):
    data = BERT.read_bytes()
    file = tmp_path / "host.xplane.pb"
    file.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(RunDamaged, match=r"host\.xplane\.pb"):
        read_trace(file)


def test_an_empty_file_is_a_trace_of_nothing(tmp_path):
    assert read(XSpace(), tmp_path).devices == ()


def test_a_trace_comes_onto_the_clock_that_its_anchors_were_written_by(tmp_path):
    space = XSpace()
    add_plane(
        space,
        "/host:CPU",
        python=[(ANCHOR, 1, 1), (ANCHOR, 2, 4), ("IteratorGetNextOp::Compute", 10, 19)],
        fetching=[
            ("IteratorGetNextOp::DoCompute", 30, 34),
            ("IteratorGetNextAsOptionalOp::DoCompute", 10, 13),
        ],
    )
    add_plane(space, "/device:GPU:3", Stream_1=[("kernel", 20, 25)])
    trace = read(space, tmp_path)
    ahead = 1_000_000 * MS
    # The first was held up before it began: the quicker one counts.
    anchors = [(ahead - 5 * MS, ahead + 3 * MS), (ahead + 2 * MS, ahead + 4 * MS)]
    ours = trace.on_clock_of(anchors)
    assert ours is not None
    assert ((ours.fetches - ahead) // MS).tolist() == [[10, 13], [30, 34]]
    assert ((ours.devices[0].busy - ahead) // MS).tolist() == [[20, 25]]
    assert trace.on_clock_of(anchors[1:]) is None
    assert trace.on_clock_of([]) is None
