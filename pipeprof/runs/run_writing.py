"""Writes the files of a recorded process: its checkpoints while it records, and the finished recording."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pipeprof.capture.collector.checkpoint import Checkpoint
from pipeprof.capture.collector.collector import remove_files_of
from pipeprof.recording.codec import Encoder
from pipeprof.recording.profile import Profile
from pipeprof.runs.run_file import FORMAT, RunFile


def write_run_file(file: RunFile, content: Profile | Checkpoint) -> None:
    """Writes a finished recording or a checkpoint in place of the files that were there.

    A reader finds the old files or the new ones, never a mixture.

    Raises:
        OSError: the files cannot be written; the old ones stay.
    """
    encoder = Encoder()
    kind = "profile" if isinstance(content, Profile) else "checkpoint"
    encoded = encoder.encode(content)
    old = sorted(file.folder.glob(f"{file.prefix}.*.npz"))
    numbers = file.folder / f"{file.prefix}.{_next_number(old)}.npz"
    document = {"format": FORMAT, "kind": kind, "numbers": numbers.name, kind: encoded}
    temporary = file.path.with_suffix(".json.tmp")
    save = np.savez_compressed if kind == "profile" else np.savez
    try:
        with numbers.open("wb") as stream:
            save(stream, numbers=encoder.numbers())
        temporary.write_text(json.dumps(document))
        temporary.replace(file.path)
    except BaseException:
        numbers.unlink(missing_ok=True)
        temporary.unlink(missing_ok=True)
        raise
    for path in old:
        path.unlink(missing_ok=True)


def finish_run(file: RunFile, profile: Profile, pids: Iterable[int]) -> None:
    """Writes the finished recording and removes the rings that it was made from.

    Args:
        file: the files of the recorded process.
        profile: the recording.
        pids: processes whose rings and name logs are removed.

    Raises:
        OSError: it cannot be written; the rings stay, and the run can be recovered from them.
    """
    write_run_file(file, profile)
    for pid in pids:
        remove_files_of(file.folder, file.host, pid)


def _next_number(old: list[Path]) -> int:
    numbers = [path.name.split(".")[-2] for path in old]
    return 1 + max((int(n) for n in numbers if n.isdigit()), default=0)
