"""A process's summary beside its recording: one small file, replaced in one step.

What a summary holds is not known here: the caller gives its type. The arrays lie packed in the JSON, so
that reading a thousand of them opens a thousand files and not two thousand.
"""

import base64
import json
import zlib
from pathlib import Path
from typing import TypeVar

import numpy as np

from pipeprof.errors import RunDamaged
from pipeprof.recording.codec import Decoder, Encoder
from pipeprof.recording.series import IntArray
from pipeprof.runs.run_file import FORMAT, RunFile

T = TypeVar("T")

_SUFFIX = ".summary.json"
_MOST_BYTES = 1 << 20
_MOST_NUMBER_BYTES = 1 << 22


def write_summary(file: RunFile, summary: object) -> None:
    """Writes the summary of a process in place of the one before.

    Raises:
        OSError: it cannot be written.
    """
    encoder = Encoder()
    encoded = encoder.encode(summary)
    packed = zlib.compress(encoder.numbers().astype("<i8").tobytes(), 1)
    document = {
        "format": FORMAT,
        "kind": "summary",
        "summary": encoded,
        "numbers": base64.b64encode(packed).decode(),
    }
    path = _path(file)
    temporary = path.with_suffix(".json.tmp")
    try:
        temporary.write_text(json.dumps(document))
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_summary(file: RunFile, kind: type[T]) -> T | None:
    """The summary of a process, or None where there is none that this version can read."""
    path = _path(file)
    try:
        if path.is_symlink() or path.stat().st_size > _MOST_BYTES:
            return None
        document = json.loads(path.read_bytes())
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            return None
        return Decoder(_numbers(document.get("numbers"))).decode(kind, document.get("summary"))
    except (OSError, ValueError, RecursionError, RunDamaged, zlib.error):
        return None


def _path(file: RunFile) -> Path:
    return file.folder / f"{file.prefix}{_SUFFIX}"


def _numbers(packed: object) -> IntArray:
    if not isinstance(packed, str):
        raise RunDamaged("expected numbers in a summary, found none")
    unpacking = zlib.decompressobj()
    raw = unpacking.decompress(base64.b64decode(packed), _MOST_NUMBER_BYTES)
    if not unpacking.eof:
        raise RunDamaged("expected the numbers of a summary, found more")
    return np.frombuffer(raw, "<i8").astype(np.int64)
