"""The run folder: where recordings lie, and how they are written, found and read.

``<logdir>/plugins/pipeprof/<run>/`` holds, for each recorded process, ``<host>-<pid>.json`` and the
numbers it names, ``<host>-<pid>.<n>.npz``. While the process records, the same pair is its checkpoint
and the rings lie beside it: from both together a run is read that is not finished or never will be.
"""

import contextlib
import json
import re
import time
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeprof.checkpoint import Checkpoint, resume
from pipeprof.collector import RingSet, remove_files_of
from pipeprof.errors import RunDamaged, RunNotFound, RunTooNew
from pipeprof.recorder import host_name
from pipeprof.recording import Profile
from pipeprof.ring import Position
from pipeprof.series import IntArray
from pipeprof.storage import Decoder, Encoder

FORMAT = 1
PLUGIN = Path("plugins") / "pipeprof"
DEFAULT_LOGDIR = Path("logs") / "pipeprof"

# No file of ours comes near these; one that does was not written by pipeprof.
_MOST_JSON_BYTES = 64 << 20
_MOST_NUMBER_BYTES = 512 << 20


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
    return plain[:100] or new_run_name()


def list_runs(logdir: Path) -> tuple[Path, ...]:
    """The folders of all runs below a log folder, the latest last.

    ``logdir`` may also be a run's folder itself, or any folder that holds log folders.
    """
    if _is_run(logdir):
        return (logdir,)
    found = {run for run in (logdir / PLUGIN).glob("*") if _is_run(run)}
    if not found:
        found = {run for run in logdir.glob(f"*/{PLUGIN}/*") if _is_run(run)}
    return tuple(sorted(found, key=lambda run: (run.stat().st_mtime_ns, run.name)))


def find_run(logdir: Path, name: str | None = None) -> Path:
    """The folder of the latest run, or of the one named.

    Raises:
        RunNotFound: there is none.
    """
    if not logdir.is_dir():
        raise RunNotFound(f"expected a folder with runs, found no folder {logdir}: check the path.")
    runs = list_runs(logdir)
    if not runs:
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
    raise RunNotFound(f"expected a run named {name!r} in {logdir}, found only: {known}.")


def _is_run(folder: Path) -> bool:
    return folder.is_dir() and next(folder.glob("*-*.json"), None) is not None


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
        save = np.savez_compressed if kind == "profile" else np.savez
        try:
            with numbers.open("wb") as file:
                save(file, numbers=encoder.numbers())
            document = {"format": FORMAT, "kind": kind, "numbers": numbers.name, kind: encoded}
            temporary = self.path.with_suffix(".json.tmp")
            temporary.write_text(json.dumps(document))
            temporary.replace(self.path)
        except OSError:
            numbers.unlink(missing_ok=True)
            raise
        for path in old:
            path.unlink(missing_ok=True)

    def finish(self, profile: Profile, pids: set[int]) -> None:
        """Writes the finished recording and removes the rings it was made from.

        Raises:
            OSError: it cannot be written; the rings stay, and the run can be recovered from them.
        """
        self.write(profile)
        for pid in pids:
            remove_files_of(self.folder, pid)


def _next_number(old: list[Path]) -> int:
    numbers = [path.name.split(".")[-2] for path in old]
    return 1 + max((int(n) for n in numbers if n.isdigit()), default=0)


def read_run(folder: Path) -> Profile:
    """Reads a run; one that was cut off, or is still being recorded, as far as it came.

    Raises:
        RunNotFound: there is no run in the folder.
        RunDamaged: its files are not as pipeprof writes them.
        RunTooNew: a newer pipeprof wrote it.
    """
    files = sorted(folder.glob("*-*.json"))
    if not files:
        raise RunNotFound(f"expected a recorded run in {folder}, found none: check the path.")
    profiles = [_read_process(RunFile(folder, path.stem)) for path in files]
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
    document = _read_json(file.path)
    version = document.get("format")
    if not isinstance(version, int):
        raise RunDamaged(
            f"expected a run of pipeprof in {file.path.name}, found no format number: "
            "the file is damaged or was written by something else."
        )
    if version > FORMAT:
        raise RunTooNew(
            f"expected a run of format {FORMAT} or older, found format {version} in "
            f"{file.path.name}: install a newer pipeprof to read it."
        )
    decoder = Decoder(_read_numbers(file.folder, document.get("numbers")))
    if document.get("kind") == "profile":
        profile = decoder.decode(Profile, document.get("profile"))
        _check(profile)
        return profile
    return recover(file, decoder.decode(Checkpoint, document.get("checkpoint")))


def _check(profile: Profile) -> None:
    try:
        problems = profile.check()
    except (IndexError, ValueError, TypeError) as error:
        problems = (f"its arrays do not fit together ({error})",)
    if problems:
        raise RunDamaged(f"expected a consistent recording, found: {problems[0]}.")


def recover(file: RunFile, checkpoint: Checkpoint) -> Profile:
    """A recording that was cut off: its last checkpoint and what the rings hold beyond it."""
    accumulator = resume(checkpoint)
    positions = {
        (ring.pid, ring.number): Position(ring.lap, ring.slot) for ring in checkpoint.rings
    }
    rings = RingSet(accumulator, positions)
    rings.discover(file.folder)
    rings.drain()
    accumulator.settle(final=True)
    run = checkpoint.run
    alive = host_name() in run.hosts and Path(f"/proc/{file.prefix.rpartition('-')[2]}").exists()
    warnings = tuple(accumulator.warnings)
    if alive:
        warnings = ("This run is still being recorded: figures so far.", *warnings)
    last = accumulator.last_ns()
    run = replace(
        run,
        complete=alive,
        end_ns=max(last, run.end_ns),
        warnings=warnings,
    )
    overhead = replace(
        checkpoint.overhead,
        events=accumulator.event_count,
        dropped=checkpoint.overhead.dropped + rings.dropped,
    )
    return accumulator.profile(
        run=run, cores=checkpoint.cores, cpu_limit=checkpoint.cpu_limit, overhead=overhead
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_JSON_BYTES:
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


def _read_numbers(folder: Path, name: Any) -> IntArray:
    if not isinstance(name, str) or "/" in name or not name.endswith(".npz"):
        raise RunDamaged("expected the name of the run's file of numbers, found none.")
    path = folder / name
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MOST_NUMBER_BYTES:
                raise RunDamaged(f"expected a run's numbers, found {name} too large to be them.")
        with np.load(path, allow_pickle=False) as arrays:
            numbers = arrays["numbers"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunDamaged(
            f"expected the run's numbers in {name}, found a file that is missing or damaged "
            f"({type(error).__name__})."
        ) from None
    if numbers.dtype != np.int64 or numbers.ndim != 1:
        raise RunDamaged(f"expected whole numbers in {name}, found {numbers.dtype}.")
    return np.asarray(numbers, np.int64)
