"""A tf.data service as real processes: a dispatcher and its workers, each unprepared."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

_DISPATCHER = """
import sys
import tensorflow as tf
service = tf.data.experimental.service
server = service.DispatchServer(service.DispatcherConfig(port=int(sys.argv[1])))
print("ready", flush=True)
server.join()
"""

_WORKER = """
import os, sys
if sys.argv[3]:
    os.sched_setaffinity(0, {int(sys.argv[3])})
import tensorflow as tf
service = tf.data.experimental.service
config = service.WorkerConfig(
    dispatcher_address=f"localhost:{sys.argv[1]}",
    worker_address=f"localhost:{sys.argv[2]}",
    port=int(sys.argv[2]),
)
server = service.WorkerServer(config)
print("ready", flush=True)
server.join()
"""


@dataclass
class Service:
    """A running service.

    Attributes:
        dispatcher: its address.
        workers: processes of its workers, by their addresses.
    """

    dispatcher: str
    workers: dict[str, "subprocess.Popen[str]"] = field(default_factory=dict)


@contextmanager
def service(workers: int, *, core: int | None = None) -> Iterator[Service]:
    """Starts a service with so many workers.

    Args:
        workers: how many.
        core: the one core that each may use; None for all.
    """
    with ExitStack() as ending:
        port = free_port()
        started = [_start(ending, _DISPATCHER, str(port))]
        made = Service(dispatcher=f"localhost:{port}")
        for _ in range(workers):
            own = free_port()
            cores = "" if core is None else str(core)
            process = _start(ending, _WORKER, str(port), str(own), cores)
            made.workers[f"localhost:{own}"] = process
            started.append(process)
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield made


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as bound:
        bound.bind(("localhost", 0))
        port: int = bound.getsockname()[1]
        return port


def _start(ending: ExitStack, program: str, *arguments: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    ending.callback(_end, process)
    return process


def _end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
