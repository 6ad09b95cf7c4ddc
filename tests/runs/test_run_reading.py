"""A run comes back as it was; files that pipeprof did not write are refused in one sentence."""

import io
import os
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeprof.errors import RunDamaged, RunTooNew, RunTooOld
from pipeprof.recording.batch_signature import Signature
from pipeprof.runs.run_file import FORMAT
from pipeprof.runs.run_reading import read_run
from tests import builders
from tests.runs.written import changed, make_run, numbers_of, recorded, written


def test_other_files_in_a_runs_folder_are_passed_over(tmp_path: Path):
    run = make_run(tmp_path, "a")
    (run / "my-notes.json").write_text("{}")
    assert read_run(run).run.name == "a"


def test_a_run_comes_back_as_it_was(tmp_path: Path):
    profile = builders.profile(stages=(builders.stage(),), deliveries=(builders.signature(),))
    written(tmp_path, profile)
    assert recorded(read_run(tmp_path)) == recorded(profile)


def test_of_several_processes_the_one_that_trained_most_is_shown(tmp_path: Path):
    written(tmp_path, builders.profile(loops=()), "host-a-1")
    written(tmp_path, builders.profile(), "host-a-2")
    written(tmp_path, builders.profile(loops=()), "host-b-1")
    read = read_run(tmp_path)
    assert len(read.loops) == 1


def test_a_contradiction_is_a_warning(tmp_path: Path):
    loop = builders.loop(steps=10)
    loop.steps.wait_ns[3] = 1 << 50
    written(tmp_path, builders.profile(loops=(loop,)))
    (warning,) = read_run(tmp_path).run.warnings
    assert "contradicts itself (loop 0: a step waits longer than it lasts)" in warning


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"5", b"{}", b"[" * 100_000])
def test_json_that_is_none_of_ours_is_refused(tmp_path: Path, content: bytes):
    written(tmp_path, builders.profile()).path.write_bytes(content)
    with pytest.raises(RunDamaged, match=r"^expected [^\n]{1,200}$"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "1"},
        {"format": None},
        {"format": True},
        {"kind": "checkpoint"},
        {"kind": []},
        {"profile": None},
        {"numbers": None},
        {"numbers": "../host-a-4242.1.npz"},
        {"numbers": "host-a-4242.2.npz"},
        {"numbers": "host-a-4242.1.npz\n"},
        {"numbers": "\ud800.npz"},
        {"numbers": "a" * 300 + ".npz"},
        {"numbers": "\0.npz"},
    ],
)
def test_a_document_that_makes_no_sense_is_refused(tmp_path: Path, change: dict[str, Any]):
    changed(written(tmp_path, builders.profile()), lambda document: document.update(change))
    with pytest.raises(RunDamaged, match=r"^expected [ -~]{1,200}$"):
        read_run(tmp_path)


def test_a_newer_format_is_not_guessed_at(tmp_path: Path):
    file = written(tmp_path, builders.profile())
    changed(file, lambda document: document.update(format=FORMAT + 1, profile="unknown"))
    with pytest.raises(RunTooNew, match=r"found format 3 in host-a-4242\.json: install a newer"):
        read_run(tmp_path)


def test_a_run_of_format_1_says_what_was_found_and_what_to_do(tmp_path: Path):
    file = written(tmp_path, builders.profile())
    changed(file, lambda document: document.update(format=1, profile="unknown"))
    with pytest.raises(RunTooOld) as refused:
        read_run(tmp_path)
    assert str(refused.value) == (
        "expected a run of format 2, found format 1 in host-a-4242.json: "
        "record it again, or read it with the pipeprof that recorded it."
    )


def archive(name: str, content: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, content)
    return made.getvalue()


def npy(array: Any) -> bytes:
    made = io.BytesIO()
    np.save(made, array, allow_pickle=True)
    return made.getvalue()


def header(shape: tuple[int, ...]) -> bytes:
    """An array that is announced but does not come."""
    made = io.BytesIO()
    facts = {"descr": "<i8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(made, facts)
    return made.getvalue()


class Opened:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK",
        archive("other.npy", npy(np.zeros(3, np.int64))),
        archive("numbers.npy", b"no array"),
        archive("numbers", b"no array"),
        archive("numbers.npy", npy(np.zeros(3, np.float64))),
        archive("numbers.npy", npy(np.zeros((3, 3), np.int64))),
        archive("numbers.npy", npy(np.int64(3))),
        archive("numbers.npy", header((10**15,))),
        archive("numbers.npy", header((-3,))),
        archive("numbers.npy", npy(np.zeros(100, np.int64))[:-8]),
        archive("numbers.npy", npy(np.zeros(1, np.int64))),
    ],
)
def test_numbers_that_are_none_are_refused(tmp_path: Path, content: bytes):
    numbers_of(written(tmp_path, builders.profile())).write_bytes(content)
    with pytest.raises(RunDamaged, match=r"^expected [^\n]{1,200}$"):
        read_run(tmp_path)


def test_numbers_are_never_unpickled(tmp_path: Path):
    trace = tmp_path / "trace"
    pickled = npy(np.array([Opened(trace)], object))
    numbers_of(written(tmp_path, builders.profile())).write_bytes(archive("numbers.npy", pickled))
    with pytest.raises(RunDamaged, match="damaged"):
        read_run(tmp_path)
    assert not trace.exists()


def test_what_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = written(tmp_path, builders.profile())
    monkeypatch.setattr("pipeprof.runs.run_reading.MOST_NUMBER_BYTES", 1000)
    with pytest.raises(RunDamaged, match="too large"):
        read_run(tmp_path)
    monkeypatch.setattr("pipeprof.runs.run_reading.MOST_JSON_BYTES", file.path.stat().st_size - 1)
    with pytest.raises(RunDamaged, match=r"host-a-4242\.json too large"):
        read_run(tmp_path)


def test_links_are_not_followed(tmp_path: Path):
    file = written(tmp_path, builders.profile())
    for path in (numbers_of(file), file.path):
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(RunDamaged, match="plain file"):
            read_run(tmp_path)
        path.unlink()
        (tmp_path / "elsewhere").rename(path)
    assert read_run(tmp_path).loops


@pytest.mark.parametrize("which", ["json", "npz"])
def test_pipes_are_not_waited_for(tmp_path: Path, which: str):
    file = written(tmp_path, builders.profile())
    path = file.path if which == "json" else numbers_of(file)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(RunDamaged, match="plain file"):
        read_run(tmp_path)


def test_numbers_that_are_gone_are_missed(tmp_path: Path):
    numbers_of(written(tmp_path, builders.profile())).unlink()
    with pytest.raises(RunDamaged, match="beside it, found none"):
        read_run(tmp_path)


def test_damage_inside_is_reported(tmp_path: Path):
    loop = replace(builders.loop(steps=10), lane=0)
    written(tmp_path, builders.profile(loops=(loop,), lanes=()))
    with pytest.raises(RunDamaged, match="loop 0: no lane 0 to run on"):
        read_run(tmp_path)


def test_a_signature_keeps_its_shape(tmp_path: Path):
    shape = Signature(dtypes=("int8",), shapes=((4, 0),), batches=2, samples=None, size_bytes=0)
    written(tmp_path, builders.profile(deliveries=(shape,)))
    assert read_run(tmp_path).deliveries == (shape,)
