"""pipeprof: is your training waiting for its data, and which line makes it wait?"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipeprof.capture.probes.python.marked_stages import stage
from pipeprof.errors import PipeprofError

if TYPE_CHECKING:
    from pipeprof.capture.callback import Callback
    from pipeprof.capture.ceiling_run import ceiling
    from pipeprof.capture.session import profile
    from pipeprof.loaded.compared_runs import compare
    from pipeprof.loaded.recorded_run import load
    from pipeprof.tuning.tune import tune

__all__ = [
    "Callback",
    "PipeprofError",
    "__version__",
    "ceiling",
    "compare",
    "load",
    "profile",
    "stage",
    "tune",
]

__version__ = "0.1.0"

# `stage` is wanted in every script, also where nothing is profiled; the rest comes when asked for.
_LATER = {
    "Callback": "pipeprof.capture.callback",
    "ceiling": "pipeprof.capture.ceiling_run",
    "compare": "pipeprof.loaded.compared_runs",
    "load": "pipeprof.loaded.recorded_run",
    "profile": "pipeprof.capture.session",
    "tune": "pipeprof.tuning.tune",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'pipeprof' has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
