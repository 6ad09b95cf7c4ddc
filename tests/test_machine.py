"""What is known of the machine."""

import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

import pipeprof
from pipeprof.machine import core_count, cpu_limit, loaded_versions


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
def test_the_limit_of_a_container(tmp_path: Path, text: str, limit: float | None):
    (tmp_path / "cpu.max").write_text(text)
    assert cpu_limit(tmp_path) == limit


@pytest.mark.parametrize(("quota", "limit"), [("50000", 0.5), ("-1", None)])
def test_the_limit_of_an_older_container(tmp_path: Path, quota: str, limit: float | None):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert cpu_limit(tmp_path) == limit


def test_a_machine_without_limits(tmp_path: Path):
    assert cpu_limit(tmp_path) is None


def test_cores_are_those_that_may_be_used():
    assert core_count() == len(os.sched_getaffinity(0))


def test_only_loaded_packages_have_a_version(monkeypatch: pytest.MonkeyPatch):
    for name in ("tensorflow", "keras", "tf_keras", "jax", "torch"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    versions = loaded_versions()
    assert versions.keys() == {"python", "pipeprof", "numpy"}
    assert versions["pipeprof"] == pipeprof.__version__


def test_a_package_that_does_not_tell_its_version_is_left_out(monkeypatch: pytest.MonkeyPatch):
    odd, plain = ModuleType("torch"), ModuleType("jax")
    odd.__version__ = 5  # type: ignore[attr-defined]
    plain.__version__ = "0.9"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", odd)
    monkeypatch.setitem(sys.modules, "jax", plain)
    versions = loaded_versions()
    assert versions["jax"] == "0.9"
    assert "torch" not in versions
