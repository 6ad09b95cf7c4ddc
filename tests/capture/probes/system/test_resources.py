"""Levels of the machine's use, on file trees like those that Linux shows."""

import os
from pathlib import Path

import pytest

from pipeprof.capture.probes.system import resources
from pipeprof.capture.probes.system.resources import ResourceSampler
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind
from pipeprof.host.cgroups import ControlGroups, Throttling
from pipeprof.recording.level_names import MILLION, Level
from tests.capture.probes.recorded import events

SECOND = 1_000_000_000
PAGE = os.sysconf("SC_PAGE_SIZE")
CHILD = 41


class FakeSystem:
    """The files of ``/proc`` that are read, for this process and one child."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "self" / "net").mkdir(parents=True)
        (root / str(os.getpid())).mkdir()
        (root / str(CHILD)).mkdir()

    def memory(self, own_pages: int, child_pages: int) -> None:
        (self.root / str(os.getpid()) / "statm").write_text(f"900 {own_pages} 3 1 0 5 0")
        (self.root / str(CHILD) / "statm").write_text(f"900 {child_pages} 3 1 0 5 0")

    def disk(self, pid: int | str, read: int, written: int) -> None:
        (self.root / str(pid) / "io").write_text(
            f"rchar: 77\nread_bytes: {read}\nwrite_bytes: {written}\ncancelled_write_bytes: 9\n"
        )

    def network(self, received: int, sent: int) -> None:
        row = "{:>6}: {} 1 0 0 0 0 0 0 {} 1 0 0 0 0 0 0\n"
        head = "Inter-| Receive | Transmit\n face |bytes packets |bytes packets\n"
        rows = row.format("lo", 10**9, 10**9) + row.format("eth0", received, sent)
        (self.root / "self" / "net" / "dev").write_text(head + rows)

    def cpu(self, busy: int, idle: int) -> None:
        """Ticks of each processor; those of others, which may not be used, are all busy."""
        cores = os.sched_getaffinity(0)
        other = max(cores) + 1
        rows = [f"cpu{core} {busy} 0 0 {idle} 0 0 0 0 0 0" for core in sorted(cores)]
        rows = ["cpu  1 2 3 4 5 6 7 8", *rows, f"cpu{other} {10**6} 0 0 0 0 0 0 0 0 0", "ctxt 5"]
        (self.root / "stat").write_text("\n".join(rows))


class Groups(ControlGroups):
    """Control groups whose limit has stopped them so often."""

    def __init__(self, *throttled: int) -> None:
        self.seen = iter(
            [Throttling(periods=100 * n, throttled=t) for n, t in enumerate(throttled)]
        )

    def throttling(self) -> Throttling | None:
        return next(self.seen, None)


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSystem:
    monkeypatch.setattr(resources, "own_switches", dict)
    return FakeSystem(tmp_path)


def levels(sampler: ResourceSampler) -> list[tuple[str, int]]:
    return [(event.name, event.value) for event in events(sampler.recorder, Kind.GAUGE)]


def test_memory_is_that_of_the_training_and_its_children(system: FakeSystem) -> None:
    system.memory(own_pages=100, child_pages=20)
    sampler = ResourceSampler(Recorder(None), lambda: [CHILD], proc=system.root)
    sampler.sample(1 * SECOND)

    assert levels(sampler) == [(Level.MEMORY.value, 120 * PAGE)]


@pytest.mark.parametrize(
    ("limit", "room"), [(None, 8_000), (6_000 * 1024, 6_000), (1 << 60, 8_000)]
)
def test_the_memory_that_may_be_used_is_the_machines_or_less(
    limit: int | None, room: int, system: FakeSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    (system.root / "meminfo").write_text("MemTotal:        8000 kB\nMemFree:  70 kB\n")
    monkeypatch.setattr(ControlGroups, "memory_limit", lambda _: limit)
    sampler = ResourceSampler(Recorder(None), proc=system.root)
    sampler.sample(1 * SECOND)

    assert (Level.MEMORY_ROOM.value, room * 1024) in levels(sampler)


def test_rates_are_what_was_counted_since_the_last_look(system: FakeSystem) -> None:
    sampler = ResourceSampler(Recorder(None), lambda: [CHILD], proc=system.root)
    system.disk("self", read=1000, written=0)
    system.network(received=500, sent=50)
    sampler.sample(1 * SECOND)
    assert levels(sampler) == []

    system.disk("self", read=5000, written=0)
    system.disk(CHILD, read=2000, written=600)  # born since: all that it counted is new
    system.network(received=1500, sent=50)
    sampler.sample(3 * SECOND)

    assert dict(levels(sampler)) == {
        Level.DISK_READ.value: 3000,
        Level.DISK_WRITTEN.value: 300,
        Level.RECEIVED.value: 500,
        Level.SENT.value: 0,
    }


def test_what_passes_from_a_child_that_ended_to_its_parent_is_counted_once(
    system: FakeSystem,
) -> None:
    children = [CHILD]
    sampler = ResourceSampler(Recorder(None), lambda: children, proc=system.root)
    system.disk("self", read=1000, written=0)
    system.disk(CHILD, read=0, written=0)
    sampler.sample(1 * SECOND)
    system.disk(CHILD, read=7000, written=0)
    sampler.sample(2 * SECOND)
    children.clear()
    system.disk("self", read=1000 + 7000 + 500, written=0)  # 500 that nobody had seen before
    sampler.sample(3 * SECOND)

    read = [value for name, value in levels(sampler) if name == Level.DISK_READ.value]
    assert read == [7000, 500]


def test_context_switches_of_children_are_counted(system: FakeSystem) -> None:
    sampler = ResourceSampler(Recorder(None), lambda: [CHILD], proc=system.root)
    for second, (waited, forced) in enumerate([(10, 1), (40, 3)]):
        (system.root / str(CHILD) / "status").write_text(
            f"Name:\tpython\nvoluntary_ctxt_switches:\t{waited}\nnonvoluntary_ctxt_switches:\t{forced}\n"
        )
        sampler.sample(second * SECOND)

    assert dict(levels(sampler)) == {
        Level.VOLUNTARY_SWITCHES.value: 30,
        Level.FORCED_SWITCHES.value: 2,
    }


def test_the_machine_is_the_processors_that_may_be_used(system: FakeSystem) -> None:
    sampler = ResourceSampler(Recorder(None), proc=system.root)
    for second, (busy, idle) in enumerate([(100, 900), (190, 910)]):
        system.cpu(busy, idle)
        sampler.sample(second * SECOND)

    assert levels(sampler) == [(Level.MACHINE_CPU.value, 900_000)]


def test_the_limit_that_stops_the_container_is_reported_by_the_part_of_its_periods(
    system: FakeSystem,
) -> None:
    groups = Groups(10, 10, 60)
    sampler = ResourceSampler(Recorder(None), groups=groups, proc=system.root)
    for second in range(3):
        sampler.sample(second * SECOND)

    assert levels(sampler) == [(Level.THROTTLED.value, 0), (Level.THROTTLED.value, MILLION // 2)]


def test_what_cannot_be_read_has_no_level(system: FakeSystem) -> None:
    (system.root / "self" / "io").write_text("read_bytes: many\n")
    (system.root / "stat").write_text("cpu0 1 2\n")
    sampler = ResourceSampler(Recorder(None), lambda: [99], proc=system.root)
    for second in range(3):
        sampler.sample(second * SECOND)

    assert levels(sampler) == []


def test_a_real_process_has_memory_and_context_switches() -> None:
    sampler = ResourceSampler(Recorder(None))
    for second in range(2):
        sampler.sample(second * SECOND)

    seen = dict(levels(sampler))
    assert seen[Level.MEMORY.value] > 10 << 20
    assert Level.VOLUNTARY_SWITCHES.value in seen
