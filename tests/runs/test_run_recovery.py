"""A run that was cut off, or goes on, is read from its checkpoint and its rings."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeprof.capture.collector.checkpoint import take
from pipeprof.capture.recorder.recorder import Recorder, host_name
from pipeprof.capture.recorder.records import Kind, code
from pipeprof.errors import RunDamaged, RunError
from pipeprof.runs.run_reading import read_run
from pipeprof.runs.run_search import find_run
from tests import builders, streams
from tests.runs.written import NO_PID, changed, checkpoint, written


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
    empty = streams.Accumulator.begin(start_ns=builders.START_NS, warmup=0)
    begun = take(
        empty,
        {},
        run=builders.run_info(complete=False, end_ns=builders.START_NS + 10),
        cores=2,
        cpu_limit=None,
        overhead=builders.profile().overhead,
    )
    written(tmp_path, begun, f"{host_name()}-{NO_PID}")
    for _ in range(2):  # reading changes nothing
        read = read_run(tmp_path)
        assert not read.run.complete
        assert read.run.end_ns >= builders.START_NS + 300  # the thread itself began at another time
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
        document["checkpoint"]["sums"]["registry"]["stages"][0]["facts"]["name"] = name

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


def test_a_checkpoint_with_anything_changed_is_read_or_refused(tmp_path: Path):
    file = written(tmp_path, checkpoint(streams.wait(0, 40), streams.step(0, 0, 100)))
    whole = file.path.read_text()
    refused = 0
    # Each place meets one of the wrong values, in every run of the tests another.
    for path in places(json.loads(whole)):
        document: Any = {"top": json.loads(whole)}
        at, last = document, "top"
        for key in path:
            at, last = at[last], key
        at[last] = random.choice(WRONG)
        file.path.write_text(json.dumps(document["top"]))
        try:
            read_run(tmp_path)
        except RunError:
            refused += 1
    assert refused
