"""What is known of the machine."""

import ctypes
import os
import sys
from types import ModuleType

import pytest

import pipeprof
from pipeprof.host.machine import allow_ptrace, core_count, loaded_versions


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


def test_only_loaded_packages_have_a_version(monkeypatch: pytest.MonkeyPatch):
    for name in ("tensorflow", "keras", "tf_keras", "jax", "torch", "grain"):
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
