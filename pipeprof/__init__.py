"""pipeprof: is your training waiting for its data, and which line makes it wait?"""

from typing import TYPE_CHECKING, Any

from pipeprof.capture.probes.python.marked_stages import stage
from pipeprof.errors import PipeprofError

if TYPE_CHECKING:
    from pipeprof.capture.callback import Callback
    from pipeprof.capture.session import profile

__all__ = ["Callback", "PipeprofError", "__version__", "profile", "stage"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # `stage` is wanted in every script, also where nothing is profiled; the rest comes when asked for.
    if name == "profile":
        from pipeprof.capture.session import profile

        return profile
    if name == "Callback":
        from pipeprof.capture.callback import Callback

        return Callback
    raise AttributeError(f"module 'pipeprof' has no attribute {name!r}")
