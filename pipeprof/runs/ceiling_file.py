"""The measured limit of a training, kept beside the run that it belongs to."""

from pathlib import Path

from pipeprof.recording.ceiling import Ceiling
from pipeprof.runs.beside_run import read_beside, write_beside

_NAME = "ceiling"


def write_ceiling(folder: Path, ceiling: Ceiling) -> None:
    """Writes the limit into a run's folder, in place of one that was measured before.

    Raises:
        OSError: it cannot be written.
    """
    write_beside(folder, _NAME, ceiling)


def read_ceiling(folder: Path) -> Ceiling | None:
    """The limit that was measured for a run, or None where there is none that can be read."""
    return read_beside(folder, _NAME, Ceiling)
