"""Runs TensorBoard as a child process: starts it, waits until it serves, and ends it."""

import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pipeprof.cli.signals import uninterrupted
from pipeprof.errors import PipeprofError

_SERVES = re.compile(r"TensorBoard \S+ at (http\S+)")
_PATIENCE_S = 5
_LAST_WORDS = 1


@contextmanager
def tensorboard(logdir: Path, host: str | None, port: int | None) -> Iterator[IO[str]]:
    """Starts TensorBoard, and ends it with the block.

    Args:
        logdir: the folder that it shows.
        host: the address that it listens on; None for this machine only.
        port: its port; None for the first free one from 6006 on.

    Yields:
        Its standard error, which must be read: TensorBoard blocks when the pipe is full.
    """
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir)),
            *(() if host is None else ("--host", host)),
            *(() if port is None else ("--port", str(port))),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ},
    )
    assert process.stderr is not None
    try:
        yield process.stderr
    finally:
        with uninterrupted():
            process.terminate()
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stderr.close()


def read_address(lines: Iterable[str]) -> str:
    """Reads TensorBoard's output until it reports the address that it serves at.

    Args:
        lines: its standard error.

    Returns:
        The address.

    Raises:
        PipeprofError: TensorBoard ended before that.
    """
    latest: deque[str] = deque(maxlen=_LAST_WORDS)
    for line in lines:
        found = _SERVES.search(line)
        if found:
            return found.group(1)
        latest.append(line)
    raise PipeprofError(f"expected TensorBoard to start, but it ended: {_sentence(latest)}")


def read_to_end(lines: Iterable[str]) -> None:
    """Reads TensorBoard's further output until it ends.

    Args:
        lines: its standard error.

    Raises:
        PipeprofError: TensorBoard ended by itself.
    """
    latest = deque(lines, maxlen=_LAST_WORDS)
    raise PipeprofError(f"expected TensorBoard to go on, but it ended: {_sentence(latest)}")


def _sentence(lines: Iterable[str]) -> str:
    return " ".join(" ".join(lines).split()) or "it gave no reason"
