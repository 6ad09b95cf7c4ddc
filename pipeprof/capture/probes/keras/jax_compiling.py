"""What JAX compiles while a profile is on, as `jax.monitoring` reports it.

Older versions of JAX cannot take a listener out again; there it stays and does nothing.
"""

from collections.abc import Callable
from typing import Any

import jax.monitoring

from pipeprof.clock import now_ns

COMPILED = "/jax/core/compile/backend_compile_duration"


class JaxCompiling:
    """Listens to what JAX compiles.

    Args:
        compiled: called by the thread that has compiled, with begin and end in ns.
    """

    def __init__(self, compiled: Callable[[int, int], None]) -> None:
        self._compiled: Callable[[int, int], None] | None = compiled

    def install(self) -> None:
        """Begins to listen."""
        jax.monitoring.register_event_duration_secs_listener(self._heard)

    def remove(self) -> None:
        """Listens no more."""
        self._compiled = None
        unregister = getattr(jax.monitoring, "unregister_event_duration_listener", None)
        if unregister is not None:
            unregister(self._heard)

    def _heard(self, event: str, duration_secs: float, **_: Any) -> None:
        if event == COMPILED and self._compiled is not None:
            end_ns = now_ns()
            self._compiled(end_ns - int(duration_secs * 1e9), end_ns)
