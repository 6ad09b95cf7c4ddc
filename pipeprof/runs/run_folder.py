"""The run folder: where recordings lie, and how they are written, found and read.

``<logdir>/plugins/pipeprof/<run>/`` holds, for each recorded process, ``<host>-<pid>.json`` and the
numbers it names, ``<host>-<pid>.<n>.npz``. While the process records, the same pair is its checkpoint
and the rings lie beside it: from both together a run is read that is not finished or never will be.
"""

import contextlib
import glob
import json
import os
import re
import time
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from pipeprof.capture.collector.checkpoint import Checkpoint, resume
from pipeprof.capture.collector.collector import Progress, RingSet, pid_of, remove_files_of
from pipeprof.capture.recorder.recorder import RING_SUFFIX, host_name
from pipeprof.errors import RunDamaged, RunNotFound, RunTooNew
from pipeprof.recording.invariants import find_damage
from pipeprof.recording.profile import Profile
from pipeprof.recording.series import IntArray
from pipeprof.runs.codec import Decoder, Encoder

FORMAT = 1
PLUGIN = Path("plugins") / "pipeprof"
PROFILES = Path("plugins") / "profile"
DEFAULT_LOGDIR = Path("logs") / "pipeprof"

# No file of ours comes near these; one that does was not written by pipeprof.
MOST_JSON_BYTES = 64 << 20
MOST_NUMBER_BYTES = 128 << 20

_READ_ATTEMPTS = 5
# What working with facts of other types than ours leads to.
_MISFITS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_PREFIX = re.compile(r".+-[0-9]+")


def new_run_name() -> str:
    """The name of a run that begins now: its local date and time."""
    return time.strftime("%Y-%m-%d_%H-%M-%S")


def create_run_folder(logdir: Path, name: str | None) -> Path:
    """Makes the folder of a new run.

    Args:
        logdir: TensorBoard's log folder.
        name: name of the run; a run of that name that exists is joined by a number. None takes the
            date and time.

    Raises:
        OSError: it cannot be made.
    """
    parent = logdir / PLUGIN
    parent.mkdir(parents=True, exist_ok=True)
    wanted = _as_file_name(name) if name else new_run_name()
    for number in range(1, 1000):
        folder = parent / (wanted if number == 1 else f"{wanted}_{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise FileExistsError(f"a thousand runs are named {wanted}")


def _as_file_name(name: str) -> str:
    plain = re.sub(r"[^\w.+=-]+", "-", name).strip(".-")
    return plain.encode()[:100].decode(errors="ignore") or new_run_name()


def list_runs(logdir: Path) -> tuple[Path, ...]:
    """The folders of all runs below a log folder, the latest last.

    ``logdir`` may also be a run's folder itself, or any folder that holds log folders.
    """
    found = {run for run in (logdir / PLUGIN).glob("*") if _run_files(run)}
    if not found and _run_files(logdir):
        return (logdir,)
    if not found:
        found = {run for run in logdir.glob(f"*/{PLUGIN}/*") if _run_files(run)}
    return tuple(sorted(found, key=lambda run: (run.stat().st_mtime_ns, run.name)))


def find_run(logdir: Path, name: str | None = None) -> Path:
    """The folder of the latest run, or of the one named.

    Raises:
        RunNotFound: there is none.
    """
    if not os.path.isdir(logdir):  # noqa: PTH112 - pathlib may refuse to look
        raise RunNotFound(f"expected a folder with runs, found no folder {logdir}: check the path.")
    runs = list_runs(logdir)
    if not runs:
        if next(logdir.glob("plugins/profile/*/*.xplane.pb"), None) is not None:
            raise RunNotFound(
                f"expected a run of pipeprof in {logdir}, found only profiles of another profiler: "
                f"'tensorboard --logdir {logdir}' shows them, after 'pipeprof repair {logdir}' if "
                "Keras's own callback made them."
            )
        raise RunNotFound(
            f"expected a recorded run in {logdir}, found none: record one with "
            "'pipeprof run SCRIPT' or 'with pipeprof.profile(...)'."
        )
    if name is None:
        return runs[-1]
    for run in runs:
        if run.name == name:
            return run
    known = ", ".join(run.name for run in runs[-5:])
    others = len(runs) - 5
    rest = f" and {others} earlier (pipeprof report --list)" if others > 0 else ""
    raise RunNotFound(f"expected a run named {name!r} in {logdir}, found only: {known}{rest}.")


def _run_files(folder: Path) -> "list[RunFile]":
    """The recorded processes of a run; other files may lie beside theirs."""
    prefixes = sorted(path.stem for path in folder.glob("*-*.json"))
    return [RunFile(folder, prefix) for prefix in prefixes if _PREFIX.fullmatch(prefix)]


@dataclass(frozen=True, slots=True)
class RunFile:
    """The pair of files of one recorded process.

    Attributes:
        folder: the run's folder.
        prefix: ``<host>-<pid>``.
    """

    folder: Path
    prefix: str

    @property
    def path(self) -> Path:
        """The JSON file."""
        return self.folder / f"{self.prefix}.json"

    @property
    def host(self) -> str:
        """The machine that the process ran on."""
        return self.prefix.rpartition("-")[0]

    def is_alive(self) -> bool:
        """Whether the process is still there, as far as can be known here."""
        pid = pid_of(self.prefix, host_name())
        if pid is None:
            return False
        try:
            process = psutil.Process(pid)
            # A process that began after the file was written has only taken the number over.
            began_before = process.create_time() <= self.path.stat().st_mtime
            return began_before and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.Error, OSError):
            return False

    def write(self, content: Profile | Checkpoint) -> None:
        """Writes a finished recording or a checkpoint; a reader sees the one before or this one.

        Raises:
            OSError: it cannot be written; what was there stays.
        """
        encoder = Encoder()
        kind = "profile" if isinstance(content, Profile) else "checkpoint"
        encoded = encoder.encode(content)
        old = sorted(self.folder.glob(f"{self.prefix}.*.npz"))
        numbers = self.folder / f"{self.prefix}.{_next_number(old)}.npz"
        document = {"format": FORMAT, "kind": kind, "numbers": numbers.name, kind: encoded}
        temporary = self.path.with_suffix(".json.tmp")
        save = np.savez_compressed if kind == "profile" else np.savez
        try:
            with numbers.open("wb") as file:
                save(file, numbers=encoder.numbers())
            temporary.write_text(json.dumps(document))
            temporary.replace(self.path)
        except BaseException:
            numbers.unlink(missing_ok=True)
            temporary.unlink(missing_ok=True)
            raise
        for path in old:
            path.unlink(missing_ok=True)

    def finish(self, profile: Profile, pids: Iterable[int]) -> None:
        """Writes the finished recording and removes the rings it was made from.

        Raises:
            OSError: it cannot be written; the rings stay, and the run can be recovered from them.
        """
        self.write(profile)
        for pid in pids:
            remove_files_of(self.folder, self.host, pid)


def _next_number(old: list[Path]) -> int:
    numbers = [path.name.split(".")[-2] for path in old]
    return 1 + max((int(n) for n in numbers if n.isdigit()), default=0)


def is_being_recorded(folder: Path) -> bool:
    """Whether a process that writes into a run's folder is still at it."""
    return any(
        file.is_alive() and any(folder.glob(f"{glob.escape(file.host)}-*{RING_SUFFIX}"))
        for file in _run_files(folder)
    )


def read_run(folder: Path) -> Profile:
    """Reads a run; one that was cut off, or is still being recorded, as far as it came.

    Raises:
        RunNotFound: there is no run in the folder.
        RunDamaged: its files are not as pipeprof writes them.
        RunTooNew: a newer pipeprof wrote it.
    """
    files = _run_files(folder)
    if not files:
        raise RunNotFound(f"expected a recorded run in {folder}, found none: check the path.")
    profiles = [_read_process(file) for file in files]
    main = max(profiles, key=_weight)
    if len(profiles) == 1:
        return main
    others = len(profiles) - 1
    sentence = f"{others} more recorded process{'es' * (others > 1)} in this run not shown."
    run = replace(main.run, warnings=(*main.run.warnings, sentence))
    return replace(main, run=run)


def _weight(profile: Profile) -> tuple[bool, int]:
    loop = profile.main_loop
    return (loop is not None and loop.kind.trains, loop.step_count if loop else 0)


def _read_process(file: RunFile) -> Profile:
    for _ in range(_READ_ATTEMPTS):
        document = _read_json(file.path)
        _check_format(file, document)
        try:
            numbers = _read_numbers(file, document.get("numbers"))
            break
        except FileNotFoundError:
            continue  # replaced by the next checkpoint since the JSON was read
    else:
        raise RunDamaged(f"expected the numbers of {file.path.name} beside it, found none.")
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
            f"expected a run of format {FORMAT} or older, found format {version} in "
            f"{file.path.name}: install a newer pipeprof to read it."
        )


def _checked(profile: Profile) -> Profile:
    """The profile, if it can be worked with; what contradicts itself becomes a warning."""
    damage = find_damage(profile)
    if damage:
        raise RunDamaged(f"expected a consistent recording, found: {damage[0]}.")
    contradictions = profile.check()
    if not contradictions:
        return profile
    sentence = f"The recording contradicts itself ({contradictions[0]}): figures may be wrong."
    return replace(profile, run=replace(profile.run, warnings=(*profile.run.warnings, sentence)))


def recover(file: RunFile, checkpoint: Checkpoint) -> Profile:
    """A recording that was cut off: its last checkpoint and what the rings hold beyond it.

    Raises:
        RunDamaged: checkpoint, rings and name logs do not fit together.
    """
    try:
        profile = _recover(file, checkpoint)
        # Names come from files without declared types: once to JSON and back checks them.
        encoder = Encoder()
        encoded = encoder.encode(profile)
    except _MISFITS as error:
        raise RunDamaged(
            f"expected a recording that was cut off in {file.path.name}, found one whose parts "
            f"do not fit together ({type(error).__name__})."
        ) from None
    return Decoder(encoder.numbers()).decode(Profile, encoded)


def _recover(file: RunFile, checkpoint: Checkpoint) -> Profile:
    accumulator = resume(checkpoint)
    positions = {(ring.pid, ring.number): ring.position for ring in checkpoint.rings}
    rings = RingSet(accumulator, file.host, Progress(positions, frozenset(checkpoint.ended)))
    rings.discover(file.folder)
    rings.drain()
    accumulator.settle()
    alive = file.is_alive()
    warnings = tuple(accumulator.subjects.warnings)
    if alive:
        warnings = ("This run is still being recorded: figures so far.", *warnings)
    overhead = replace(
        checkpoint.overhead,
        events=accumulator.event_count,
        dropped=checkpoint.overhead.dropped + rings.dropped,
    )
    profile = accumulator.profile(
        run=replace(checkpoint.run, complete=alive, warnings=warnings),
        cores=checkpoint.cores,
        cpu_limit=checkpoint.cpu_limit,
        overhead=overhead,
    )
    end_ns = max([profile.run.end_ns, *profile.spans.end_ns[-1:].tolist()])
    return replace(profile, run=replace(profile.run, end_ns=end_ns))


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
    except Exception as error:  # zipfile, zlib and numpy raise whatever broken bytes lead them to
        raise RunDamaged(
            f"expected the run's numbers in {name}, found a file that is damaged "
            f"({type(error).__name__})."
        ) from None
    if numbers.dtype != np.int64 or numbers.ndim != 1:
        raise RunDamaged(f"expected whole numbers in {name}, found {numbers.dtype}.")
    return numbers


def _expect_plain_file(path: Path) -> None:
    # A link could lead anywhere, and from a pipe or a device reading might never return.
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise RunDamaged(f"expected a plain file, found {path.name} to be something else.")
