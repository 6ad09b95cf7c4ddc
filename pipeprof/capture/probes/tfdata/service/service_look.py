"""A program that looks once at the workers of a tf.data service, and prints what it saw as JSON.

It is a process of its own: the training waits for no network and reads no trace. It imports no TensorFlow.
"""

import json
import socket
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil

from pipeprof.capture.probes.system.processes import process_spent
from pipeprof.capture.probes.tfdata.service.service_calls import (
    ServerProblem,
    ask_for_trace,
    ask_for_workers,
)
from pipeprof.clock import now_ns
from pipeprof.errors import RunDamaged
from pipeprof.xspace.worker_traces import WorkerPipeline, read_worker_trace

# The most workers that one look traces.
MOST_WORKERS = 16

# Tasks of one worker that are kept: those with the most elements.
_MOST_PIPELINES = 8
_MOST_PLACES = 200


def look(dispatcher: str | None, workers: Sequence[str], duration_ms: int) -> dict[str, Any]:
    """What the workers of a service do.

    Args:
        dispatcher: address of the dispatcher, which is asked for workers where none are given; or None.
        workers: addresses of workers.
        duration_ms: how long each is traced.

    Returns:
        ``problem`` with the dispatcher or None, the number of workers ``found``, and of each of
        ``workers`` what `_look_at` returns.
    """
    try:
        found = list(workers) or list(ask_for_workers(dispatcher) if dispatcher else ())
    except ServerProblem as problem:
        return {"problem": str(problem), "found": 0, "workers": []}
    chosen = found[:: -(-len(found) // MOST_WORKERS) or 1]
    with ThreadPoolExecutor(max(len(chosen), 1)) as pool:
        seen = list(pool.map(lambda worker: _look_at(worker, duration_ms), chosen))
    return {"problem": None, "found": len(found), "workers": seen}


def _look_at(worker: str, duration_ms: int) -> dict[str, Any]:
    """What one worker does, or ``problem``: why that is not known."""
    process = _Process(worker)
    start_ns = now_ns()
    try:
        data = ask_for_trace(worker, duration_ms, lambda: process.measure(duration_ms))
        trace = read_worker_trace(data)
    except (ServerProblem, RunDamaged) as problem:
        return {"address": worker, "problem": str(problem)}
    return {
        "address": worker,
        "problem": None,
        "pid": process.pid,
        "start_ns": start_ns,
        "lasted_ns": trace.lasted_ns,
        "cores": trace.cores,
        "cpu_cores": process.cpu_cores,
        "size_bytes": len(data),
        "pipelines": [_plain(pipeline) for pipeline in trace.pipelines[:_MOST_PIPELINES]],
    }


def _plain(pipeline: WorkerPipeline) -> dict[str, Any]:
    return {
        "asked_ratio": pipeline.asked_ratio,
        "places": [
            {
                "path": list(path),
                "elements": place.elements,
                "work_ns": place.work_ns,
                "parallelism": pipeline.parallelism.get(path),
                "autotuned": path in pipeline.autotuned,
                "label": pipeline.labels.get(path, ""),
            }
            for path, place in list(pipeline.places.items())[:_MOST_PLACES]
        ],
    }


class _Process:
    """The process of a worker, where it runs on this machine.

    Args:
        worker: the worker's address.

    Attributes:
        pid: its id, or None on another machine, or where the system does not show it.
        cpu_cores: cores' worth of CPU that it used while it was measured, or None.
    """

    def __init__(self, worker: str) -> None:
        self.pid = _listening_process(worker)
        self.cpu_cores: float | None = None

    def measure(self, duration_ms: int) -> None:
        """Measures it for so long."""
        if self.pid is None:
            return
        before, began_ns = process_spent(self.pid), now_ns()
        time.sleep(duration_ms / 1e3)
        after, ended_ns = process_spent(self.pid), now_ns()
        if before is not None and after is not None:
            self.cpu_cores = (after[0] - before[0]) / (ended_ns - began_ns)


def _listening_process(worker: str) -> int | None:
    host, _, port = worker.rpartition(":")
    try:
        addresses = {info[4][0] for info in socket.getaddrinfo(host.strip("[]"), None)}
        own = {each.address for found in psutil.net_if_addrs().values() for each in found}
        if not addresses & own:
            return None
        listening = (
            connection.pid
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (int(port),)
        )
        return next(listening, None)
    except (OSError, ValueError, psutil.Error):
        return None


def main() -> None:
    """Reads the arguments of `look` as JSON from the command line."""
    asked = json.loads(sys.argv[1])
    json.dump(look(asked["dispatcher"], asked["workers"], asked["duration_ms"]), sys.stdout)


if __name__ == "__main__":
    main()
