"""Other profilers around a piece of work, each as its user would turn it on."""

import cProfile
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

Peer = Callable[[], AbstractContextManager[None]]


@contextmanager
def _c_profile() -> Iterator[None]:
    profiler = cProfile.Profile()
    profiler.enable()
    try:
        yield
    finally:
        profiler.disable()


@contextmanager
def _viztracer() -> Iterator[None]:
    from viztracer import VizTracer  # type: ignore[import-not-found,unused-ignore]

    tracer = VizTracer(verbose=0)
    tracer.start()
    try:
        yield
    finally:
        tracer.stop()
        tracer.clear()


@contextmanager
def _py_spy() -> Iterator[None]:
    """py-spy beside the work, at its usual 100 samples a second."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "stacks"
        program = Path(sys.executable).with_name("py-spy")
        command = [str(program), "record", "--pid", str(os.getpid()), "--format", "raw"]
        command += ["--duration", "600", "--output", str(output)]
        beside = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        time.sleep(1.0)  # until it samples
        if beside.poll() is not None:
            raise OSError(f"py-spy does not run: {beside.communicate()[0].decode().strip()}")
        try:
            yield
        finally:
            beside.terminate()
            beside.wait()


@contextmanager
def _tensorflow_profiler() -> Iterator[None]:
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        try:
            yield
        finally:
            tf.profiler.experimental.stop(save=False)


def installed_peers(*, tensorflow: bool) -> dict[str, Peer | None]:
    """The peers, by name; None for one that is not installed here.

    Args:
        tensorflow: whether TensorFlow's profiler is one of them.
    """
    return {
        "cProfile": _c_profile,
        "VizTracer": _viztracer if importlib.util.find_spec("viztracer") else None,
        "py-spy": _py_spy if Path(sys.executable).with_name("py-spy").exists() else None,
        **({"TensorFlow's profiler": _tensorflow_profiler} if tensorflow else {}),
    }
