"""Limits of containers, on file trees like those that Linux shows."""

from pathlib import Path

import pytest

from pipeprof.host.cgroups import ControlGroups, Throttling


class Machine:
    """The two folders in which a system shows a process's groups."""

    def __init__(self, folder: Path) -> None:
        self.proc = folder / "proc"
        self.mounted = folder / "cgroup"
        (self.proc / "self").mkdir(parents=True)
        self.mounted.mkdir()

    def version_2(self, own: str, root: str = "/") -> None:
        self._tell(f"0::{own}", f"31 23 0:28 {root} {self.mounted} rw,nosuid - cgroup2 cgroup2 rw")

    def version_1(self, controllers: str, own: str) -> Path:
        folder = self.mounted / controllers
        folder.mkdir()
        mount = f"32 31 0:29 / {folder} rw - cgroup cgroup rw,{controllers}"
        self._tell(f"4:{controllers}:{own}", mount)
        return folder

    def _tell(self, group: str, mount: str) -> None:
        for name, line in (("cgroup", group), ("mountinfo", mount)):
            with (self.proc / "self" / name).open("a") as file:
                file.write(f"{line}\n")

    def groups(self) -> ControlGroups:
        return ControlGroups(self.proc)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("150000 100000\n", 1.5),
        ("max 100000\n", None),
        ("0 0", None),
        ("", None),
        ("a b", None),
    ],
)
def test_the_limit_of_a_container(machine: Machine, text: str, limit: float | None):
    machine.version_2("/")
    (machine.mounted / "cpu.max").write_text(text)
    assert machine.groups().cpu_limit() == limit


@pytest.mark.parametrize(("quota", "limit"), [("50000", 0.5), ("-1", None)])
def test_the_limit_of_an_older_container(machine: Machine, quota: str, limit: float | None):
    folder = machine.version_1("cpu,cpuacct", "/")
    (folder / "cpu.cfs_quota_us").write_text(quota)
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    assert machine.groups().cpu_limit() == limit


def test_the_tightest_limit_around_the_process_counts(machine: Machine):
    machine.version_2("/slice/job")
    (machine.mounted / "slice" / "job").mkdir(parents=True)
    (machine.mounted / "slice" / "job" / "cpu.max").write_text("800000 100000")
    (machine.mounted / "slice" / "cpu.max").write_text("200000 100000")
    (machine.mounted / "slice" / "cpu.stat").write_text("nr_periods 10\nnr_throttled 4\n")
    (machine.mounted / "slice" / "job" / "memory.max").write_text("1000000")
    (machine.mounted / "slice" / "memory.max").write_text("max")
    groups = machine.groups()
    assert groups.cpu_limit() == 2.0
    assert groups.throttling() == Throttling(periods=10, throttled=4)
    assert groups.memory_limit() == 1_000_000


def test_what_is_left_of_the_memory_is_that_of_the_fullest_group(machine: Machine):
    machine.version_2("/slice/job")
    job = machine.mounted / "slice" / "job"
    job.mkdir(parents=True)
    assert machine.groups().memory_left() is None
    for group, limit, used, files in ((job, 1000, 300, 100), (job.parent, 2000, 1900, 200)):
        (group / "memory.max").write_text(str(limit))
        (group / "memory.current").write_text(str(used))
        (group / "memory.stat").write_text(f"anon 5\ninactive_file {files}\n")
    assert machine.groups().memory_left() == 300
    (job / "memory.current").write_text("5000")
    assert machine.groups().memory_left() == 0


def test_what_is_left_in_an_older_container(machine: Machine):
    folder = machine.version_1("memory", "/")
    (folder / "memory.limit_in_bytes").write_text("1000")
    (folder / "memory.usage_in_bytes").write_text("700")
    (folder / "memory.stat").write_text("inactive_file 1\ntotal_inactive_file 50\n")
    assert machine.groups().memory_left() == 350


def test_a_group_whose_path_is_not_seen_inside_the_container(machine: Machine):
    machine.version_2("/docker/1234", root="/docker/1234")
    (machine.mounted / "cpu.max").write_text("100000 100000")
    assert machine.groups().cpu_limit() == 1.0


def test_controllers_of_both_versions_beside_each_other(machine: Machine):
    folder = machine.version_1("memory", "/job")
    machine.version_2("/")
    (folder / "job").mkdir()
    (folder / "job" / "memory.limit_in_bytes").write_text("9223372036854771712")
    (folder / "memory.limit_in_bytes").write_text("4096")
    assert machine.groups().memory_limit() == 4096
    assert machine.groups().cpu_limit() is None


def test_a_machine_without_limits(machine: Machine):
    groups = machine.groups()
    assert groups.cpu_limit() is None
    assert groups.memory_limit() is None
    assert groups.throttling() is None
