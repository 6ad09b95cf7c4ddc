"""``pipeprof doctor`` names each gap and what closes it."""

import json
import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from pipeprof.capture.probes.stacks import py_spy
from pipeprof.cli import machine_checks as doctor
from pipeprof.cli.machine_checks import MIB, MachineCheck, State
from pipeprof.errors import StacksUnavailable
from tests.cli.conftest import Command

GOOD, GAP, BROKEN = State.GOOD, State.GAP, State.BROKEN

REFUSED = StacksUnavailable(7, "it rains", "wait for the sun")
NEEDS = {"xprof": ("numpy>=1.24", "protobuf>=99", "torch>=9; extra == 'torch'")}

Usage = namedtuple("Usage", ["total", "used", "free"])


def test_every_gap_has_a_remedy_and_nothing_else_has() -> None:
    for check in doctor.examine(Path("logs")):
        assert (check.remedy is None) == (check.state is GOOD), check


def _says(check: MachineCheck) -> tuple[State, str]:
    return check.state, f"{check.found} | {check.remedy}"


@pytest.mark.parametrize(
    ("check", "state", "part"),
    [
        (doctor.check_python("Linux", (3, 12)), GOOD, "Python 3.12 on Linux"),
        (doctor.check_python("Linux", (3, 14)), GAP, "tested on Python 3.10 to 3.13"),
        (doctor.check_python("Darwin", (3, 12)), BROKEN, "records on Linux only"),
        (doctor.check_cores(8, None), GOOD, "8"),
        (doctor.check_cores(8, 8.0), GOOD, "8"),
        (doctor.check_cores(8, 1.5), GAP, "8, of which this container may use 1.5"),
        (doctor.check_start_method("fork"), GOOD, "recorded"),
        (doctor.check_start_method("forkserver"), GOOD, "by forkserver, and recorded"),
        (doctor.check_tensorflow({"tensorflow": "2.18.1"}), GOOD, "tensorflow 2.18.1"),
        (doctor.check_tensorflow({"tf-nightly": "2.22.0.dev2"}), GOOD, "tf-nightly 2.22.0"),
        (doctor.check_tensorflow({"tensorflow-cpu": "2.9.3"}), GAP, "'tensorflow-cpu>=2.18'"),
        (doctor.check_tensorflow({}), GAP, 'pip install "pipeprof[tensorflow]"'),
        (
            doctor.check_keras({"keras": "3.15.1", "tensorflow-cpu": "2.20.0"}, "tensorflow"),
            GOOD,
            "keras 3.15.1 on tensorflow",
        ),
        (doctor.check_keras({"keras": "3.15.1"}, "jax"), GAP, "pip install jax"),
        (doctor.check_keras({"tf-keras": "2.21.0"}, "tensorflow"), GAP, "tf-keras 2.21.0"),
        (doctor.check_tensorboard({}), BROKEN, "pip install tensorboard"),
        (doctor.check_tensorboard({"tensorboard": "2.20.0"}), GOOD, "2.20.0"),
        (
            doctor.check_tensorboard({"tensorboard": "2.20.0", "setuptools": "82.0.1"}),
            BROKEN,
            "2.20.0, which does not start with setuptools 82.0.1",
        ),
        (
            doctor.check_tensorboard({"tensorboard": "2.20.0", "setuptools": "81.0.0"}),
            GOOD,
            "2.20.0",
        ),
        (
            doctor.check_tensorboard({"tensorboard": "2.21.0", "setuptools": "84.0.0"}),
            GOOD,
            "2.21.0",
        ),
        (doctor.check_xprof({"xprof": "2.24.2"}), GOOD, "2.24.2"),
        (doctor.check_xprof({"xprof": "2.19.0"}), GAP, "'xprof>=2.20'"),
        (doctor.check_xprof({}), GAP, 'pip install "pipeprof[xprof]"'),
        (doctor.check_xprof({"tensorboard-plugin-profile": "2.15"}), GAP, "forerunner 2.15"),
        (doctor.check_gpus({}, 2, Path("missing")), GOOD, "2 by NVML"),
        (doctor.check_gpus({}, None, Path("missing")), GOOD, "no NVIDIA driver"),
        (doctor.check_gpus({}, None, Path("/")), GAP, 'pip install "pipeprof[gpu]"'),
        (doctor.check_gpus({"nvidia-ml-py": "13"}, None, Path("/")), GAP, "nvidia-smi"),
        (doctor.check_stacks(None, None, 1000), GOOD, "py-spy can read"),
        (doctor.check_stacks(None, "0", 1000), GOOD, "py-spy can read"),
        (doctor.check_stacks(None, "1", 0), GOOD, "py-spy can read"),
        (doctor.check_stacks(None, "1", 1000), GAP, "ptrace_scope=0"),
        (doctor.check_stacks(REFUSED, "0", 0), GAP, "it rains | wait for the sun"),
        (doctor.check_fit({}, {}), GOOD, "none of them"),
        (doctor.check_fit({"xprof": "2.22.0", "numpy": "2.0"}, NEEDS), GOOD, "xprof fit"),
        (doctor.check_fit({"keras": "3.15"}, {"keras": ("no requirement",)}), GOOD, "keras fit"),
        (
            doctor.check_fit(
                {"keras": "3.15", "typing-extensions": "3.0"},
                {"keras": ("typing_extensions>=4",)},
            ),
            GAP,
            "keras 3.15 needs typing_extensions>=4, found 3.0",
        ),
        (
            doctor.check_fit({"xprof": "2.22.0", "numpy": "1.20"}, NEEDS),
            GAP,
            "install 'numpy>=1.24'",
        ),
        (
            doctor.check_fit(
                {"xprof": "2.22.0", "tensorboard-plugin-profile": "2.15.0"}, {"xprof": ()}
            ),
            GAP,
            "pip uninstall tensorboard-plugin-profile",
        ),
    ],
)
def test_what_a_check_says(check: MachineCheck, state: State, part: str) -> None:
    said, text = _says(check)
    assert said is state
    assert part in text


def test_py_spy_is_tried_on_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = tmp_path / "asked"
    for code, said in ((0, "[]"), (1, "")):
        script = tmp_path / "py-spy"
        script.write_text(f"#!/bin/sh\necho $5 > {asked}\necho '{said}'\nexit {code}\n")
        script.chmod(0o755)
        monkeypatch.setattr(py_spy, "find_command", lambda pid, script=script: str(script))
        assert (doctor.ask_py_spy() is None) == (code == 0)
        child = int(asked.read_text())
        assert child != os.getpid()
        assert not Path(f"/proc/{child}").exists()


@pytest.mark.parametrize(("size_bytes", "state"), [(64 * MIB, GAP), (2048 * MIB, GOOD)])
def test_little_shared_memory_is_a_gap(
    monkeypatch: pytest.MonkeyPatch, size_bytes: int, state: State
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(size_bytes, 0, size_bytes))
    assert doctor.check_shared_memory(Path("/dev/shm")).state is state


def test_no_shared_memory_is_a_gap(tmp_path: Path) -> None:
    assert doctor.check_shared_memory(tmp_path / "missing").state is GAP


@pytest.mark.parametrize(("free_bytes", "state"), [(10 * MIB, GAP), (10_000 * MIB, GOOD)])
def test_log_folder_needs_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_bytes: int, state: State
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(free_bytes, 0, free_bytes))
    assert doctor.check_log_folder(tmp_path / "not" / "yet").state is state


def test_log_folder_must_be_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    assert doctor.check_log_folder(tmp_path / "file" / "logs").state is BROKEN
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert doctor.check_log_folder(tmp_path / "logs").state is BROKEN


def test_a_log_folder_that_may_not_be_looked_at_cannot_be_written(
    tmp_path: Path,
) -> None:
    assert doctor.check_log_folder(tmp_path / ("x" * 300) / "logs").state is BROKEN


@pytest.mark.parametrize(
    ("environment", "configured", "backend"),
    [
        ({}, None, "tensorflow"),
        ({}, '{"backend": "jax"}', "jax"),
        ({"KERAS_BACKEND": "torch"}, '{"backend": "jax"}', "torch"),
        ({}, "{", "tensorflow"),
        ({}, "[]", "tensorflow"),
        ({}, '{"backend": 3}', "tensorflow"),
    ],
)
def test_backend_is_the_one_that_keras_takes(
    tmp_path: Path, environment: dict[str, str], configured: str | None, backend: str
) -> None:
    (tmp_path / ".keras").mkdir()
    if configured:
        (tmp_path / ".keras" / "keras.json").write_text(configured)
    assert doctor.keras_backend(environment, tmp_path) == backend


def test_a_user_without_a_home_has_the_backend_that_keras_has_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)  # nobody
    assert doctor.keras_backend({}, doctor.home_folder()) == "tensorflow"


def test_the_installed_versions_are_known_by_their_plain_names() -> None:
    versions = doctor.installed_versions()
    assert {"numpy", "py-spy", "tensorboard"} <= set(versions)


def test_a_package_without_a_version_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd-1.dist-info").mkdir()
    (tmp_path / "odd-1.dist-info" / "METADATA").write_text("Name: odd\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "odd" not in doctor.installed_versions()


def test_json_says_the_same_as_the_table(command: Command) -> None:
    said = json.loads(command("doctor", "--json").out)
    table = command("doctor").out
    assert [set(check) for check in said] == [{"name", "state", "found", "remedy"}] * len(said)
    assert all(check["name"] in table for check in said)
    assert {check["state"] for check in said} <= {"good", "gap", "broken"}
