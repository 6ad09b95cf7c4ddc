"""Which line of the user's made a tf.data dataset, and through which function of a library.

Every dataset passes through ``tf.data.Dataset.__init__``, whoever makes it. What is noted there is kept for
as long as the dataset lives.
"""

import sys
import weakref
from pathlib import Path
from types import FrameType
from typing import Any

import tensorflow as tf

from pipeprof.capture.probes.python.user_frames import find_user_frame
from pipeprof.capture.probes.tfdata.written.mapped_functions import (
    FEEDS_KERAS,
    GENERATED,
    before_autograph,
)
from pipeprof.capture.recorder.recorder import location_of_frame, relative_file
from pipeprof.recording.code_owner import is_pipeprofs_file, is_users_file
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.source_code import Location

_TENSORFLOW = f"{Path(tf.__file__).parent}/"
# Of TensorFlow's own functions only those of strategies make stages that the user did not write.
_STRATEGIES = f"{_TENSORFLOW}python/distribute/"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetOrigin:
    """Where a dataset was made.

    Attributes:
        location: the user's line.
        library: name of the function of a library that the line called and that made the dataset, or None
            where the line itself did.
    """

    location: Location
    library: str | None = None


_origins: weakref.WeakKeyDictionary[Any, DatasetOrigin] = weakref.WeakKeyDictionary()


def note_origin(dataset: Any) -> None:
    """Notes where a dataset is being made; to be called while its constructor runs."""
    origin = _origin_from(sys._getframe(1))
    if origin is not None:
        _origins[dataset] = origin


def origin_of(dataset: Any) -> DatasetOrigin | None:
    """Where a dataset was made, or None where that was not seen."""
    return _origins.get(dataset)


def origin_of_operation(operation: Any) -> DatasetOrigin | None:
    """Where the operation of a graph that makes a dataset was made, or None where that is not known."""
    frames = list(reversed(operation.traceback))
    if any(_feeds_keras(frame.filename) for frame in frames):
        return None
    library = None
    for frame in frames:
        if GENERATED in frame.filename:
            location = before_autograph(frame.name, frame.filename, frame.lineno).location
            return DatasetOrigin(location=location) if location is not None else None
        if is_users_file(frame.filename):
            location = Location(relative_file(frame.filename), frame.lineno)
            return DatasetOrigin(location=location, library=library)
        if not frame.filename.startswith(_TENSORFLOW) and not is_pipeprofs_file(frame.filename):
            library = frame.name
    return None


def _origin_from(frame: FrameType | None) -> DatasetOrigin | None:
    users, passed = find_user_frame(frame)
    if users is None or GENERATED in users.f_code.co_filename:
        return None
    if any(_feeds_keras(code.co_filename) for code in passed):
        return None
    # The function that the user called comes first; TensorFlow's own are the user's way to write a stage.
    made_by = next((code for code in passed if _is_of_library(code.co_filename)), None)
    return DatasetOrigin(
        location=location_of_frame(users), library=made_by.co_name if made_by else None
    )


def _feeds_keras(file: str) -> bool:
    """Whether a dataset made there is Keras's own, to feed a loop with what it was given."""
    return any(folder in file for folder in FEEDS_KERAS)


def _is_of_library(file: str) -> bool:
    if is_pipeprofs_file(file):  # what it has put around one of TensorFlow's functions
        return False
    return not file.startswith(_TENSORFLOW) or file.startswith(_STRATEGIES)
