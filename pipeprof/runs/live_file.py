"""The state of a rank that is shown while it runs: a small file in its folder, replaced every second."""

from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pipeprof.runs.beside_run import read_beside, write_beside
from pipeprof.runs.shared_folder import rank_folder

T = TypeVar("T")

_NAME = "live"
NEAR = 63


def write_state(folder: Path, state: object) -> None:
    """Writes a rank's state into its folder.

    Raises:
        OSError: it cannot be written.
    """
    write_beside(folder, _NAME, state)


def read_states(run: Path, kind: type[T], *, around: int) -> list[T]:
    """The states of the ranks with numbers near one, by their numbers.

    One that is being written is left out this time. Ranks on one machine follow one another, so that the
    cost does not grow with the number of all ranks.
    """
    numbers = range(max(around - NEAR, 0), around + NEAR + 1)
    read = (read_beside(rank_folder(run, number), _NAME, kind) for number in numbers)
    return [state for state in read if state is not None]


def remove_state(folder: Path) -> None:
    """Removes a rank's state."""
    with suppress(OSError):
        (folder / f"{_NAME}.json").unlink(missing_ok=True)
