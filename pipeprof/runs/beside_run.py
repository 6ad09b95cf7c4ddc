"""Values that are kept beside a run, each in a file of its own: measured after it was recorded."""

import json
from pathlib import Path
from typing import TypeVar

import numpy as np

from pipeprof.errors import RunDamaged
from pipeprof.recording.codec import Decoder, Encoder
from pipeprof.runs.run_file import FORMAT

T = TypeVar("T")

_MOST_BYTES = 1 << 20
_NO_NUMBERS = np.empty(0, np.int64)


def write_beside(folder: Path, name: str, value: object) -> None:
    """Writes a value into a run's folder, in place of one of that name.

    Raises:
        OSError: it cannot be written.
    """
    document = {"format": FORMAT, name: Encoder().encode(value)}
    (folder / f"{name}.json").write_text(json.dumps(document) + "\n")


def read_beside(folder: Path, name: str, kind: type[T]) -> T | None:
    """The value of that name in a run's folder, or None where there is none that can be read."""
    path = folder / f"{name}.json"
    try:
        if path.is_symlink() or path.stat().st_size > _MOST_BYTES:
            return None
        document = json.loads(path.read_text())
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            return None
        return Decoder(_NO_NUMBERS).decode(kind, document.get(name))
    except (OSError, ValueError, RecursionError, RunDamaged):
        return None
