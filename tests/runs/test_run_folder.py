"""The run folder: written, found and read again; what cannot be read is refused in one sentence."""

import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeprof.capture.collector.checkpoint import Checkpoint, take
from pipeprof.capture.recorder.recorder import Recorder, host_name
from pipeprof.capture.recorder.records import Kind, code
from pipeprof.errors import RunDamaged, RunError, RunNotFound, RunTooNew
from pipeprof.recording.batch_signature import Signature
from pipeprof.recording.profile import Profile
from pipeprof.runs.codec import Encoder
from pipeprof.runs.run_folder import (
    FORMAT,
    PLUGIN,
    RunFile,
    create_run_folder,
    find_run,
    list_runs,
    read_run,
)
from tests import builders, streams

PREFIX = "host-a-4242"
NO_PID = 4_194_304 + 1  # above the greatest number that Linux gives a process


def written(folder: Path, content: Profile | Checkpoint, prefix: str = PREFIX) -> RunFile:
    file = RunFile(folder, prefix)
    file.write(content)
    return file


def told(profile: Profile) -> tuple[Any, list[int]]:
    """A profile as something to compare."""
    encoder = Encoder()
    return encoder.encode(profile), encoder.numbers().tolist()


def checkpoint(*rows: streams.Row) -> Checkpoint:
    collected = streams.accumulator()
    collected.add(streams.PID, 0, streams.records(streams.thread(streams.MAIN), *rows))
    return take(
        collected,
        {},
        run=builders.run_info(complete=False),
        cores=2,
        cpu_limit=None,
        overhead=builders.profile().overhead,
    )


def changed(file: RunFile, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes the JSON of a run."""
    document = json.loads(file.path.read_text())
    change(document)
    file.path.write_text(json.dumps(document))


def numbers_of(file: RunFile) -> Path:
    (path,) = file.folder.glob(f"{file.prefix}.*.npz")
    return path


# Names of folders.


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


# Listing and finding.


def make_run(logdir: Path, name: str, at_s: int = 0) -> Path:
    folder = create_run_folder(logdir, name)
    written(folder, builders.profile(run=builders.run_info(name)))
    os.utime(folder, (at_s, at_s))
    return folder


def test_runs_are_listed_with_the_latest_last(tmp_path: Path):
    new, old = make_run(tmp_path, "a", at_s=9), make_run(tmp_path, "b", at_s=5)
    create_run_folder(tmp_path, "empty")
    assert list_runs(tmp_path) == (old, new)
    assert find_run(tmp_path) == new
    assert find_run(tmp_path, "b") == old
    assert find_run(old) == old


def test_runs_of_several_log_folders_are_found(tmp_path: Path):
    one, two = make_run(tmp_path / "one", "a", at_s=1), make_run(tmp_path / "two", "a", at_s=2)
    assert list_runs(tmp_path) == (one, two)


@pytest.mark.parametrize("name", ["hyper-params.json", "model-3.json"])
def test_other_files_of_the_user_are_not_taken_for_runs(tmp_path: Path, name: str):
    run = make_run(tmp_path, "a")
    (tmp_path / name).write_text("{}")
    assert list_runs(tmp_path) == (run,)


def test_other_files_in_a_runs_folder_are_passed_over(tmp_path: Path):
    run = make_run(tmp_path, "a")
    (run / "my-notes.json").write_text("{}")
    assert read_run(run).run.name == "a"


def test_what_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(RunNotFound, match="no folder"):
        find_run(tmp_path / "nowhere")
    with pytest.raises(RunNotFound, match="no folder"):
        find_run(tmp_path / ("x" * 300))  # the system refuses to look
    with pytest.raises(RunNotFound, match="record one with"):
        find_run(tmp_path)
    with pytest.raises(RunNotFound, match="found none"):
        read_run(tmp_path)
    foreign = tmp_path / "plugins" / "profile" / "keras"
    foreign.mkdir(parents=True)
    (foreign / "host.xplane.pb").touch()
    with pytest.raises(RunNotFound, match="only profiles of another profiler: 'tensorboard"):
        find_run(tmp_path)
    make_run(tmp_path, "a")
    with pytest.raises(RunNotFound, match=r"found only: a[.]$"):
        find_run(tmp_path, "b")
    for name in "cdefgh":
        make_run(tmp_path, name)
    with pytest.raises(RunNotFound, match="d, e, f, g, h and 2 earlier"):
        find_run(tmp_path, "b")


# Writing and reading.


def test_a_run_comes_back_as_it_was(tmp_path: Path):
    profile = builders.profile(stages=(builders.stage(),), deliveries=(builders.signature(),))
    written(tmp_path, profile)
    assert told(read_run(tmp_path)) == told(profile)


def test_each_write_replaces_the_one_before(tmp_path: Path):
    for name in ("a", "b", "c"):
        written(tmp_path, builders.profile(run=builders.run_info(name)))
    assert read_run(tmp_path).run.name == "c"
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{PREFIX}.3.npz", f"{PREFIX}.json"]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    file = written(tmp_path, builders.profile(run=builders.run_info("a")))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        file.write(builders.profile(run=builders.run_info("b")))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_finishing_removes_the_rings_it_was_made_from(tmp_path: Path):
    names = ("host-a-4242.0.ring", "host-a-4242.names.jsonl", "host-a-7.0.ring", "host-b-7.0.ring")
    for name in names:
        (tmp_path / name).touch()
    RunFile(tmp_path, PREFIX).finish(builders.profile(), [4242, 7])
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [f"{PREFIX}.1.npz", f"{PREFIX}.json", "host-b-7.0.ring"]


def test_rings_stay_when_the_run_cannot_be_written(tmp_path: Path):
    ring = tmp_path / f"{PREFIX}.0.ring"
    ring.touch()
    (tmp_path / f"{PREFIX}.json").mkdir()
    with pytest.raises(OSError, match="directory"):
        RunFile(tmp_path, PREFIX).finish(builders.profile(), [4242])
    assert ring.exists()


def test_of_several_processes_the_one_that_trained_most_is_shown(tmp_path: Path):
    written(tmp_path, builders.profile(loops=()), "host-a-1")
    written(tmp_path, builders.profile(), "host-a-2")
    written(tmp_path, builders.profile(loops=()), "host-b-1")
    read = read_run(tmp_path)
    assert len(read.loops) == 1
    assert read.run.warnings == ("2 more recorded processes in this run not shown.",)


def test_a_contradiction_is_a_warning(tmp_path: Path):
    loop = builders.loop(steps=10)
    loop.steps.wait_ns[3] = 1 << 50
    written(tmp_path, builders.profile(loops=(loop,)))
    (warning,) = read_run(tmp_path).run.warnings
    assert "contradicts itself (loop 0: a step waits longer than it lasts)" in warning


# Recovering.


def test_a_run_that_was_cut_off_is_read_from_checkpoint_and_rings(tmp_path: Path):
    recorder = Recorder(tmp_path, capacity=64)
    fit = recorder.names.new(streams.loop_line(1)[1])
    write = recorder.lane().write
    for number in range(3):
        at = builders.START_NS + 100 * number
        write(code(Kind.WAIT, fit), at, at + 40, 0, 32)
        write(code(Kind.STEP, fit), at, at + 100, number, 1)
    recorder.names.close()
    # As if another process had done so, which is gone.
    for path in list(tmp_path.iterdir()):
        path.rename(tmp_path / path.name.replace(f"-{recorder.pid}.", f"-{NO_PID}."))
    empty = streams.Accumulator(start_ns=builders.START_NS, warmup=0)
    begun = take(
        empty,
        {},
        run=builders.run_info(complete=False),
        cores=2,
        cpu_limit=None,
        overhead=builders.profile().overhead,
    )
    written(tmp_path, begun, f"{host_name()}-{NO_PID}")
    for _ in range(2):  # reading changes nothing
        read = read_run(tmp_path)
        assert not read.run.complete
        assert read.loops[0].sample_count == 96
        assert read.loops[0].steps.wait_ns.tolist() == [40, 40, 40]


def test_a_run_that_goes_on_is_read_as_far_as_it_came(tmp_path: Path):
    written(tmp_path, checkpoint(streams.step(0, 0, 100)), f"{host_name()}-{os.getpid()}")
    read = read_run(tmp_path)
    assert read.run.complete
    assert read.run.warnings == ("This run is still being recorded: figures so far.",)
    assert read.loops[0].step_count == 1


def test_a_run_of_another_machine_that_was_cut_off_is_read(tmp_path: Path):
    written(tmp_path, checkpoint(streams.step(0, 0, 100)), "elsewhere-1")
    read = read_run(tmp_path)
    assert (read.run.complete, read.loops[0].step_count) == (False, 1)


TRAINING = """
import sys
import pipeprof

with pipeprof.profile((number for number in range(100)), logdir=sys.argv[1], sample_hz=0) as prof:
    for batch in prof.dataset:
        if batch == 50:
            print("trained", flush=True)
            sys.stdin.read()
"""


def test_what_a_killed_training_recorded_is_not_lost(tmp_path: Path):
    command = [sys.executable, "-c", TRAINING, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as training:
        assert training.stdout is not None
        assert training.stdout.readline() == b"trained\n"
        os.kill(training.pid, signal.SIGKILL)
        assert training.wait(30) == -signal.SIGKILL
    read = read_run(find_run(tmp_path))
    assert not read.run.complete
    assert read.loops[0].step_count == 50
    assert read.overhead.dropped == 0
    assert read.check() == ()


# Files that are not as pipeprof writes them.


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
    with pytest.raises(RunTooNew, match=r"found format 2 in host-a-4242\.json: install a newer"):
        read_run(tmp_path)


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
    monkeypatch.setattr("pipeprof.runs.run_folder.MOST_NUMBER_BYTES", 1000)
    with pytest.raises(RunDamaged, match="too large"):
        read_run(tmp_path)
    monkeypatch.setattr("pipeprof.runs.run_folder.MOST_JSON_BYTES", file.path.stat().st_size - 1)
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


def test_damage_inside_is_told(tmp_path: Path):
    loop = replace(builders.loop(steps=10), lane=0)
    written(tmp_path, builders.profile(loops=(loop,), lanes=()))
    with pytest.raises(RunDamaged, match="loop 0: no lane 0 to run on"):
        read_run(tmp_path)


def nested(depth: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(depth):
        made = [made]
    return made


@pytest.mark.parametrize(
    "name", [5, None, [], {"a": 1}, nested(100), nested(900)], ids=lambda name: f"{name!r:.9}"
)
def test_a_checkpoint_with_facts_that_make_no_sense_is_refused(tmp_path: Path, name: Any):
    def change(document: dict[str, Any]) -> None:
        document["checkpoint"]["stages"][0]["facts"]["name"] = name

    changed(written(tmp_path, checkpoint()), change)
    with pytest.raises(RunDamaged, match=r"^expected [^\n]{1,200}$"):
        read_run(tmp_path)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON document."""
    if not isinstance(value, (dict, list)):
        return [path]
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return [path] + [found for key, item in inner for found in places(item, (*path, key))]


WRONG: list[Any] = [None, -1, 2**62, "x", [], {}]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_checkpoint_with_anything_changed_is_read_or_refused(tmp_path: Path, wrong: Any):
    file = written(tmp_path, checkpoint(streams.wait(0, 40), streams.step(0, 0, 100)))
    whole = file.path.read_text()
    refused = 0
    # Each place meets two of the wrong values.
    for path in places(json.loads(whole))[WRONG.index(wrong) % 3 :: 3]:
        document: Any = {"top": json.loads(whole)}
        at, last = document, "top"
        for key in path:
            at, last = at[last], key
        at[last] = wrong
        file.path.write_text(json.dumps(document["top"]))
        try:
            read_run(tmp_path)
        except RunError:
            refused += 1
    assert refused


def test_a_signature_keeps_its_shape(tmp_path: Path):
    shape = Signature(dtypes=("int8",), shapes=((4, 0),), batches=2, samples=None, size_bytes=0)
    written(tmp_path, builders.profile(deliveries=(shape,)))
    assert read_run(tmp_path).deliveries == (shape,)


def test_a_process_that_took_the_number_over_is_not_the_recording_one(tmp_path: Path) -> None:
    file = RunFile(tmp_path, f"{host_name()}-{os.getpid()}")
    file.path.write_text("{}")
    assert file.is_alive()

    os.utime(file.path, (0, 0))  # written long before this process began

    assert not file.is_alive()
