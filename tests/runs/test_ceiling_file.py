"""The measured limit beside a run: written, read, and not trusted."""

from pathlib import Path

import pytest

from pipeprof.recording.ceiling import Ceiling
from pipeprof.runs.ceiling_file import read_ceiling, write_ceiling

MEASURED = Ceiling(median_ns=2_000_000, mean_ns=2_100_000, p95_ns=3_000_000, steps=100, batches=16)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert read_ceiling(tmp_path) is None
    write_ceiling(tmp_path, MEASURED)
    assert read_ceiling(tmp_path) == MEASURED


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"format": 1, "ceiling": {}}',
        '{"format": 2, "ceiling": {"median_ns": "2"}}',
        '{"format": 2, "ceiling": {"median_ns": -1, "mean_ns": 1, "p95_ns": 1, "steps": 1, "batches": 1}}',
        "[" * 100_000,
        " " * 100_000,
    ],
)
def test_what_is_none_is_left_out(content: str, tmp_path: Path) -> None:
    (tmp_path / "ceiling.json").write_text(content)
    assert read_ceiling(tmp_path) is None


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    write_ceiling(tmp_path, MEASURED)
    (tmp_path / "elsewhere.json").write_bytes((tmp_path / "ceiling.json").read_bytes())
    (tmp_path / "ceiling.json").unlink()
    (tmp_path / "ceiling.json").symlink_to(tmp_path / "elsewhere.json")
    assert read_ceiling(tmp_path) is None
