"""Runs the program that looks at the workers of a tf.data service, and reads what it printed."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeprof.capture.probes.system.own_processes import running
from pipeprof.clock import now_ns
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.xspace.graph_iterators import IteratorPath

# Where this package lies: the program has to find it wherever the user has put it on the path.
_PACKAGES = Path(__file__).parents[5]
_PROGRAM = "pipeprof.capture.probes.tfdata.service.service_look"

# No answer is longer: it has so many workers, tasks and places with their names.
_MOST_ANSWER_BYTES = 64 << 20

# How long it may take beside the trace: to start, to wait for servers that do not answer, to read traces.
_BESIDE_NS = 40_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPlace:
    """What a worker did at one place of a pipeline.

    Attributes:
        path: the names of the iterators from the output down.
        elements: how many it gave.
        work_ns: its own work.
        parallelism: how many calls may run at once, or None where it makes one at a time.
        autotuned: whether AUTOTUNE chooses that.
        label: what tf.data calls what runs there: the user's name for it, or one of its own.
    """

    path: IteratorPath
    elements: int
    work_ns: int
    parallelism: int | None
    autotuned: bool
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPipeline:
    """A task of a worker; attributes as in `pipeprof.xspace.worker_traces.WorkerPipeline`."""

    asked_ratio: float
    places: tuple[SeenPlace, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenWorker:
    """A worker that was looked at.

    Attributes:
        address: ``host:port``.
        problem: why nothing was seen of it, or None.
        pid: its process, where it runs on this machine.
        start_ns: when the trace began.
        lasted_ns: how long it lasted.
        cores: processors that its AUTOTUNE counts on, or None.
        cpu_cores: cores' worth of CPU that its process used meanwhile, or None.
        size_bytes: size of the trace.
        pipelines: its tasks.
    """

    address: str
    problem: str | None = None
    pid: int | None = None
    start_ns: int = 0
    lasted_ns: int = 0
    cores: int | None = None
    cpu_cores: float | None = None
    size_bytes: int = 0
    pipelines: tuple[SeenPipeline, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look saw.

    Attributes:
        problem: why it saw nothing at all, or None.
        found: how many workers there are.
        workers: those that were looked at.
    """

    problem: str | None
    found: int = 0
    workers: tuple[SeenWorker, ...] = ()


class Inspection:
    """A running look.

    Args:
        dispatcher: address of the dispatcher.
        workers: addresses of the workers; without any the dispatcher is asked for them.
        duration_ms: how long each worker is traced.

    Raises:
        OSError: it could not be started.
    """

    def __init__(self, dispatcher: str | None, workers: Sequence[str], duration_ms: int) -> None:
        asked = {"dispatcher": dispatcher, "workers": list(workers), "duration_ms": duration_ms}
        self._until_ns = now_ns() + _BESIDE_NS + duration_ms * 1_000_000
        self._folder = Path(tempfile.mkdtemp(prefix="pipeprof-"))
        try:
            with (self._folder / "seen").open("wb") as output:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", _PROGRAM, json.dumps(asked)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.DEVNULL,
                    env=_environment(),
                    cwd=self._folder,  # what lies in the user's folder is not for it to import
                    start_new_session=True,  # Ctrl-C in the terminal is not for it
                )
        except OSError:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        running.add(self._process.pid)

    @property
    def done(self) -> bool:
        """Whether it has ended; one that takes too long is ended."""
        if self._process.poll() is None and now_ns() >= self._until_ns:
            self._process.kill()
        return self._process.poll() is not None

    def wait(self, seconds: float) -> bool:
        """Waits until it has ended, but not longer than this; returns whether it has."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self.done

    def collect(self) -> Look:
        """What it saw; call it when it is done."""
        try:
            with (self._folder / "seen").open("rb") as output:
                return _look(json.loads(output.read(_MOST_ANSWER_BYTES)))
        except (OSError, ValueError, LookupError, TypeError):
            return Look(problem="the program that looks at them failed")
        finally:
            self.close()

    def close(self) -> None:
        """Ends it if it still runs, and removes its files."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        running.discard(self._process.pid)
        shutil.rmtree(self._folder, ignore_errors=True)


def _environment() -> dict[str, str]:
    paths = [str(_PACKAGES), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "GRPC_VERBOSITY": "NONE"}


def _look(seen: Any) -> Look:
    return Look(
        problem=seen["problem"],
        found=seen["found"],
        workers=tuple(map(_worker, seen["workers"])),
    )


def _worker(seen: Any) -> SeenWorker:
    if seen["problem"] is not None:
        return SeenWorker(address=seen["address"], problem=seen["problem"])
    return SeenWorker(
        address=seen["address"],
        pid=seen["pid"],
        start_ns=seen["start_ns"],
        lasted_ns=seen["lasted_ns"],
        cores=seen["cores"],
        cpu_cores=seen["cpu_cores"],
        size_bytes=seen["size_bytes"],
        pipelines=tuple(
            SeenPipeline(
                asked_ratio=pipeline["asked_ratio"],
                places=tuple(
                    SeenPlace(**place | {"path": tuple(place["path"])})
                    for place in pipeline["places"]
                ),
            )
            for pipeline in seen["pipelines"]
        ),
    )
