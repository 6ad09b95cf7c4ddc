"""Where runs lie in a log folder of TensorBoard, and how their folders are named.

``<logdir>/plugins/pipeprof/<run>/`` is one run. `pipeprof.runs.run_file` describes its files.
"""

import contextlib
import re
import time
from pathlib import Path

PLUGIN = Path("plugins") / "pipeprof"
PROFILES = Path("plugins") / "profile"
DEFAULT_LOGDIR = Path("logs") / "pipeprof"


def new_run_name() -> str:
    """The name of a run that begins now: its local date and time."""
    return time.strftime("%Y-%m-%d_%H-%M-%S")


def create_run_folder(logdir: Path, name: str | None) -> Path:
    """Makes the folder of a new run.

    Args:
        logdir: TensorBoard's log folder.
        name: name of the run; if a run of that name exists, a number is added. None for the date and
            time.

    Returns:
        The new folder.

    Raises:
        OSError: the folder cannot be made.
    """
    parent = logdir / PLUGIN
    parent.mkdir(parents=True, exist_ok=True)
    wanted = file_name_of(name) if name else new_run_name()
    for number in range(1, 1000):
        folder = parent / (wanted if number == 1 else f"{wanted}_{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise FileExistsError(f"a thousand runs are named {wanted}")


def file_name_of(name: str) -> str:
    """A run's name as the name of its folder."""
    plain = re.sub(r"[^\w.+=-]+", "-", name).strip(".-")
    return plain.encode()[:100].decode(errors="ignore") or new_run_name()
