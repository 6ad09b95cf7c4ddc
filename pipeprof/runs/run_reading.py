"""Reads a run folder. It may come from anywhere, so a file that pipeprof did not write is refused."""

import json
import re
import zipfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeprof.capture.collector.checkpoint import Checkpoint
from pipeprof.errors import RunDamaged, RunError, RunNotFound, RunTooNew, RunTooOld
from pipeprof.recording.codec import Decoder
from pipeprof.recording.invariants import find_damage
from pipeprof.recording.profile import Profile
from pipeprof.recording.series import IntArray
from pipeprof.runs.ceiling_file import read_ceiling
from pipeprof.runs.run_file import FORMAT, RunFile
from pipeprof.runs.run_recovery import recover
from pipeprof.runs.run_search import files_of_run, list_runs
from pipeprof.runs.tuning_file import read_tuning

# pipeprof's own files are far smaller: a larger one was written by something else.
MOST_JSON_BYTES = 64 << 20
MOST_NUMBER_BYTES = 128 << 20

_READ_ATTEMPTS = 5

# Runs that are looked through for one of a certain command line.
_MOST_LOOKED_AT = 20


def read_run(folder: Path) -> Profile:
    """Reads a run. One that was cut off, or is still being recorded, is read as far as it came.

    Args:
        folder: the run's folder.

    Returns:
        The recording of its main process: the one whose training loop has the most steps.

    Raises:
        RunNotFound: there is no run in the folder.
        RunDamaged: a file is not as pipeprof writes it.
        RunTooNew: a newer pipeprof wrote it.
        RunTooOld: an older pipeprof wrote it.
    """
    files = require_files(folder)
    return with_beside(max(map(read_process, files), key=_weight), folder)


def require_files(folder: Path) -> tuple[RunFile, ...]:
    """The files of all processes of a run.

    Raises:
        RunNotFound: there are none.
    """
    files = files_of_run(folder)
    if not files:
        raise RunNotFound(f"expected a recorded run in {folder}, found none: check the path.")
    return files


def with_beside(profile: Profile, folder: Path) -> Profile:
    """A recording with what was measured after it and is kept beside the run."""
    return replace(profile, ceiling=read_ceiling(folder), tuning=read_tuning(folder))


def find_run_of(logdir: Path, argv: tuple[str, ...]) -> Path | None:
    """The folder of the latest run of a command line, among the latest runs of a log folder, or None."""
    for folder in reversed(list_runs(logdir)[-_MOST_LOOKED_AT:]):
        with suppress(RunError):
            # All ranks of a run have one command line, or nearly.
            if read_process(require_files(folder)[0]).run.argv == argv:
                return folder
    return None


def _weight(profile: Profile) -> tuple[bool, int]:
    loop = profile.main_loop
    return (loop is not None and loop.kind.trains, loop.step_count if loop else 0)


def read_process(file: RunFile) -> Profile:
    """Reads the recording of one process; raises as `read_run` does."""
    for _ in range(_READ_ATTEMPTS):
        document = _read_json(file.path)
        _check_format(file, document)
        try:
            numbers = _read_numbers(file, document.get("numbers"))
            break
        except FileNotFoundError:
            continue  # replaced by the next checkpoint since the JSON was read
    else:
        raise RunDamaged(
            f"expected the numbers of {file.path.name} beside it, found none: they were not copied, or "
            "the file system shows them late."
        )
    decoder = Decoder(numbers)
    if document.get("kind") == "profile":
        profile = decoder.decode(Profile, document.get("profile"))
    else:
        profile = recover(file, decoder.decode(Checkpoint, document.get("checkpoint")))
    return _checked(profile)


def _check_format(file: RunFile, document: dict[str, Any]) -> None:
    version = document.get("format")
    if type(version) is not int:
        raise RunDamaged(
            f"expected a run of pipeprof in {file.path.name}, found no format number: "
            "the file is damaged or was written by something else."
        )
    if version > FORMAT:
        raise RunTooNew(
            f"expected a run of format {FORMAT}, found format {version} in "
            f"{file.path.name}: install a newer pipeprof to read it."
        )
    if version < FORMAT:
        raise RunTooOld(
            f"expected a run of format {FORMAT}, found format {version} in {file.path.name}: "
            "record it again, or read it with the pipeprof that recorded it."
        )


def _checked(profile: Profile) -> Profile:
    """The profile with a warning where it contradicts itself; raises `RunDamaged` if it is not whole."""
    damage = find_damage(profile)
    if damage:
        raise RunDamaged(f"expected a consistent recording, found: {damage[0]}.")
    contradictions = profile.check()
    if not contradictions:
        return profile
    sentence = f"The recording contradicts itself ({contradictions[0]}): figures may be wrong."
    return profile.with_warning(sentence)


def _read_json(path: Path) -> dict[str, Any]:
    _expect_plain_file(path)
    try:
        if path.stat().st_size > MOST_JSON_BYTES:
            raise RunDamaged(f"expected a run's file, found {path.name} too large to be one.")
        document = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise RunDamaged(
            f"expected a run of pipeprof in {path.name}, found a file that cannot be read "
            f"({type(error).__name__}): it is damaged or was written by something else."
        ) from None
    if not isinstance(document, dict):
        raise RunDamaged(f"expected an object in {path.name}, found {type(document).__name__}.")
    return document


def _read_numbers(file: RunFile, name: Any) -> IntArray:
    own = re.escape(file.prefix) + r"\.[0-9]{1,20}\.npz"
    if not isinstance(name, str) or not re.fullmatch(own, name):
        raise RunDamaged(f"expected {file.path.name} to name its file of numbers, found no name.")
    path = file.folder / name
    _expect_plain_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > MOST_NUMBER_BYTES:
                raise RunDamaged(f"expected a run's numbers, found {name} too large to be them.")
        with np.load(path, allow_pickle=False) as arrays:
            numbers = np.asarray(arrays["numbers"])  # bytes, where the file holds no array
    except (RunDamaged, FileNotFoundError):
        raise
    except Exception as error:  # zipfile, zlib and numpy raise many kinds for broken bytes
        raise RunDamaged(
            f"expected the run's numbers in {name}, found a file that is damaged "
            f"({type(error).__name__})."
        ) from None
    if numbers.dtype != np.int64 or numbers.ndim != 1:
        raise RunDamaged(f"expected whole numbers in {name}, found {numbers.dtype}.")
    return numbers


def _expect_plain_file(path: Path) -> None:
    # A link may lead anywhere, and reading a pipe or a device may never return.
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise RunDamaged(f"expected a plain file, found {path.name} to be something else.")
