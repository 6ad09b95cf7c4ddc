"""What is known of the machine."""

import ctypes
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

import pipeprof
from pipeprof.host.machine import (
    allow_ptrace,
    core_count,
    jax_computes,
    loaded_versions,
    physical_core_count,
)


def test_cores_are_those_that_may_be_used():
    assert core_count() == len(os.sched_getaffinity(0))


def test_no_library_is_opened_to_let_another_process_look(monkeypatch: pytest.MonkeyPatch):
    # Forked children call it, and die of that where another thread was opening one.
    opened: list[object] = []
    monkeypatch.setattr(ctypes, "CDLL", opened.append)
    allow_ptrace(os.getpid())
    assert opened == []


def test_cores_are_counted_where_no_process_is_kept_to_some(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    assert core_count() == os.cpu_count()


def threads_of(tmp_path: Path, *siblings: str) -> Path:
    """A folder that shows processors, each with the hardware threads of its core."""
    for number, threads in enumerate(siblings):
        topology = tmp_path / f"cpu{number}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{threads}\n")
    return tmp_path


@pytest.mark.parametrize(
    ("siblings", "allowed", "cores"),
    [
        (("0", "1"), {0, 1}, 2),
        (("0-1", "0-1"), {0, 1}, 1),
        (("0,2", "1,3", "0,2", "1,3"), {0, 1, 2, 3}, 2),
        (("0,2", "1,3", "0,2", "1,3"), {0, 2}, 1),
        (("0,2", "1,3", "0,2", "1,3"), {0, 1}, 2),
        (("0",), {0, 1}, None),
    ],
)
def test_hardware_threads_of_one_core_are_one_core(
    siblings: tuple[str, ...],
    allowed: set[int],
    cores: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: allowed)
    assert physical_core_count(threads_of(tmp_path, *siblings)) == cores


def test_where_no_process_is_kept_to_some_cores_their_threads_are_not_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert physical_core_count() is None


def test_only_loaded_packages_have_a_version(monkeypatch: pytest.MonkeyPatch):
    for name in ("tensorflow", "keras", "tf_keras", "jax", "torch", "grain"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    versions = loaded_versions()
    assert versions.keys() == {"python", "pipeprof", "numpy"}
    assert versions["pipeprof"] == pipeprof.__version__


def test_a_package_that_does_not_show_its_version_is_left_out(monkeypatch: pytest.MonkeyPatch):
    odd, plain = ModuleType("torch"), ModuleType("jax")
    odd.__version__ = 5  # type: ignore[attr-defined]
    plain.__version__ = "0.9"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", odd)
    monkeypatch.setitem(sys.modules, "jax", plain)
    versions = loaded_versions()
    assert versions["jax"] == "0.9"
    assert "torch" not in versions


@pytest.mark.parametrize("begun", [True, False])
def test_jax_computes_once_its_backends_have_begun(
    monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    backends = ModuleType("xla_bridge")
    monkeypatch.setattr(backends, "backends_are_initialized", lambda: begun, raising=False)
    monkeypatch.setitem(sys.modules, "jax._src.xla_bridge", backends)
    assert jax_computes() is begun


def test_a_jax_that_does_not_show_it_is_taken_to_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax._src.xla_bridge", ModuleType("xla_bridge"))
    assert jax_computes()
