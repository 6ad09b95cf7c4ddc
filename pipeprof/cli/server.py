"""TensorBoard as a child process: started, waited for until it serves, ended by its process id."""

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
        logdir: the folder it shows.
        host: the address it listens on; its own choice (this machine only) without one.
        port: its port; the first free one from 6006 on without one.

    Yields:
        what it writes on standard error; it stops when nobody reads that.
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
    """Reads what TensorBoard prints up to the address that it serves at.

    Raises:
        PipeprofError: it ended before that.
    """
    latest: deque[str] = deque(maxlen=_LAST_WORDS)
    for line in lines:
        found = _SERVES.search(line)
        if found:
            return found.group(1)
        latest.append(line)
    raise PipeprofError(f"expected TensorBoard to start, but it ended: {_sentence(latest)}")


def read_to_end(lines: Iterable[str]) -> None:
    """Reads what TensorBoard prints from then on, each request among it, for as long as it runs.

    Raises:
        PipeprofError: it ended by itself.
    """
    latest = deque(lines, maxlen=_LAST_WORDS)
    raise PipeprofError(f"expected TensorBoard to go on, but it ended: {_sentence(latest)}")


def _sentence(lines: Iterable[str]) -> str:
    return " ".join(" ".join(lines).split()) or "it said nothing"
