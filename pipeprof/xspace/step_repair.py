"""Adds the step markers that XProf needs to profiles where Keras 3 left them out.

Keras 3's TensorBoard callback gives the event of each profiled batch a number, but does not mark it as the
root of a step (stat ``_r``); XProf then reports 'No step marker observed'. The mark is added to a copy of
the profile, in a run folder of its own.
"""

import os
import shutil
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from pipeprof.errors import RunNotFound
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.xspace.graph_loops import flatten_loops
from pipeprof.xspace.packed_space import HOST_PLANE
from pipeprof.xspace.xplane_schema import XSpace

SUFFIX = "_repaired"

_PROFILES = ("plugins", "profile")
_TRACE = "*.xplane.pb"
_STEP_NUMBER = "step_num"
_ROOT = "_r"
# XProf takes the steps of a host from its first plane of this name.


class RepairOutcome(Enum):
    """What was done with a profile."""

    REPAIRED = "repaired"
    REPAIRED_BEFORE = "repaired before"
    GOOD = "good"
    WITHOUT_STEPS = "without steps"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """The result for one profile.

    Attributes:
        run: run folder of the profile.
        outcome: what was done.
        steps: how many steps were marked.
        copy: run folder of the copy with the markers, or None without one.
        problem: why the profile could not be read, or None.
    """

    run: Path
    outcome: RepairOutcome
    steps: int = 0
    copy: Path | None = None
    problem: str | None = None


def repair_profiles(logdir: Path) -> Iterator[Repaired]:
    """Repairs all profiles below a log folder, in the order of their names.

    Args:
        logdir: TensorBoard's log folder, or a profile's own run folder.

    Raises:
        RunNotFound: there is no profile below the folder.
        OSError: a repaired profile cannot be written.
    """
    runs = sorted({path.parent for path in logdir.rglob(_TRACE) if _is_profile(path)})
    if not runs:
        raise RunNotFound(
            f"expected a profile in {logdir} (plugins/profile/RUN/HOST.xplane.pb), found none: "
            "record one with keras.callbacks.TensorBoard(LOGDIR, profile_batch=(10, 20))."
        )
    return (repair_profile(run) for run in runs if not run.name.endswith(SUFFIX))


def repair_profile(run: Path) -> Repaired:
    """Repairs one profile, if it lacks markers and has numbered steps.

    Args:
        run: its run folder.

    Raises:
        OSError: the repaired profile cannot be written.
    """
    copy = run.with_name(run.name + SUFFIX)
    if copy.exists():
        return Repaired(run=run, outcome=RepairOutcome.REPAIRED_BEFORE, copy=copy)
    try:
        spaces = {
            path.name: XSpace.FromString(path.read_bytes()) for path in sorted(run.glob(_TRACE))
        }
    except (OSError, DecodeError) as error:
        return Repaired(run=run, outcome=RepairOutcome.DAMAGED, problem=str(error))
    planes = [plane for space in spaces.values() for plane in _host_planes(space)]
    if any(_has_markers(plane) for plane in planes):
        return Repaired(run=run, outcome=RepairOutcome.GOOD)
    steps = max(map(_mark_steps, planes), default=0)
    if not steps:
        return Repaired(run=run, outcome=RepairOutcome.WITHOUT_STEPS)
    _write(spaces, copy)
    return Repaired(run=run, outcome=RepairOutcome.REPAIRED, steps=steps, copy=copy)


def _is_profile(path: Path) -> bool:
    return path.is_file() and path.parent.parent.parts[-2:] == _PROFILES


def _host_planes(space: Any) -> list[Any]:
    return [plane for plane in space.planes if plane.name == HOST_PLANE][:1]


def _has_markers(plane: Any) -> bool:
    """Whether some event is the root of a step: it has a step's number and the mark."""
    number, root = (_stat_id(plane, name) for name in (_STEP_NUMBER, _ROOT))
    if number is None or root is None:
        return False
    return any(
        {number, root} <= {stat.metadata_id for stat in event.stats}
        for line in plane.lines
        for event in line.events
    )


def _mark_steps(plane: Any) -> int:
    """Marks all events that have a step's number; returns how many."""
    number = _stat_id(plane, _STEP_NUMBER)
    steps = [
        event
        for line in plane.lines
        for event in line.events
        if number is not None and any(stat.metadata_id == number for stat in event.stats)
    ]
    if steps:
        root = _stat_id(plane, _ROOT)
        if root is None:
            root = max(plane.stat_metadata, default=0) + 1
            plane.stat_metadata[root].id = root
            plane.stat_metadata[root].name = _ROOT
        for event in steps:
            event.stats.add(metadata_id=root, int64_value=1)
        flatten_loops(plane)  # or XProf takes the loops for the steps
    return len(steps)


def _stat_id(plane: Any, name: str) -> int | None:
    return next((key for key, each in plane.stat_metadata.items() if each.name == name), None)


def _write(spaces: dict[str, Any], folder: Path) -> None:
    """Writes a run folder under another name and renames it when complete, so that no half remains."""
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
    unfinished.mkdir()
    try:
        for name, space in spaces.items():
            (unfinished / name).write_bytes(space.SerializeToString())
        unfinished.rename(folder)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
