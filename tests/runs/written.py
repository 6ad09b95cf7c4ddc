"""Run folders made by hand, for tests."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeprof.capture.collector.checkpoint import Checkpoint, take
from pipeprof.recording.codec import Encoder
from pipeprof.recording.profile import Profile
from pipeprof.runs.log_folder import create_run_folder
from pipeprof.runs.run_file import RunFile
from pipeprof.runs.run_writing import write_run_file
from tests import builders, streams

PREFIX = "host-a-4242"
NO_PID = 4_194_304 + 1  # above the greatest number that Linux gives a process


def written(folder: Path, content: Profile | Checkpoint, prefix: str = PREFIX) -> RunFile:
    file = RunFile(folder, prefix)
    write_run_file(file, content)
    return file


def recorded(profile: Profile) -> tuple[Any, list[int]]:
    """A profile as something to compare."""
    encoder = Encoder()
    return encoder.encode(profile), encoder.numbers().tolist()


def checkpoint(*rows: streams.Row) -> Checkpoint:
    collected = streams.accumulator()
    collected.add(builders.PID, 0, streams.records(streams.thread(streams.MAIN), *rows))
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


def make_run(logdir: Path, name: str, at_s: int = 0) -> Path:
    folder = create_run_folder(logdir, name)
    written(folder, builders.profile(run=builders.run_info(name)))
    os.utime(folder, (at_s, at_s))
    return folder
