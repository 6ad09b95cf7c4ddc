"""How a run's folder is named."""

from pathlib import Path

import pytest

from pipeprof.runs.log_folder import PLUGIN, create_run_folder


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("night", "night"),
        ("lr=1e-3 b+w", "lr=1e-3-b+w"),
        ("../../etc/passwd", "etc-passwd"),
        ("größe", "größe"),
        ("\ud800x", "x"),
        ("a" * 500, "a" * 100),
        ("é" * 51, "é" * 50),
    ],
)
def test_a_runs_name_becomes_its_folder(tmp_path: Path, name: str, folder: str):
    assert create_run_folder(tmp_path, name) == tmp_path / PLUGIN / folder


@pytest.mark.parametrize("name", [None, "", "..", "/", "---"])
def test_a_run_without_a_name_gets_its_date(tmp_path: Path, name: str | None):
    folder = create_run_folder(tmp_path, name)
    assert folder.parent == tmp_path / PLUGIN
    assert len(folder.name) == len("2026-11-21_10-02-13")


def test_a_second_run_of_one_name_gets_a_number(tmp_path: Path):
    names = [create_run_folder(tmp_path, "night").name for _ in range(3)]
    assert names == ["night", "night_2", "night_3"]
