"""The measured limit of a training, kept beside the run that it belongs to."""

import json
from pathlib import Path

import numpy as np

from pipeprof.errors import RunDamaged
from pipeprof.recording.ceiling import Ceiling
from pipeprof.recording.codec import Decoder, Encoder
from pipeprof.runs.run_file import FORMAT

_NAME = "ceiling.json"
_MOST_BYTES = 1 << 16
_NO_NUMBERS = np.empty(0, np.int64)


def write_ceiling(folder: Path, ceiling: Ceiling) -> None:
    """Writes the limit into a run's folder, in place of one that was measured before.

    Raises:
        OSError: it cannot be written.
    """
    document = {"format": FORMAT, "ceiling": Encoder().encode(ceiling)}
    (folder / _NAME).write_text(json.dumps(document) + "\n")


def read_ceiling(folder: Path) -> Ceiling | None:
    """The limit that was measured for a run, or None where there is none that can be read."""
    path = folder / _NAME
    try:
        if path.is_symlink() or path.stat().st_size > _MOST_BYTES:
            return None
        document = json.loads(path.read_text())
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            return None
        return Decoder(_NO_NUMBERS).decode(Ceiling, document.get("ceiling"))
    except (OSError, ValueError, RecursionError, RunDamaged):
        return None
