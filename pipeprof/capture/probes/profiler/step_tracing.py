"""Traces steps with TensorFlow's profiler where the user asked for it. Imports no framework itself."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeprof.capture.collector.collector import Sampler
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.profiler.step_traces import StepTraces
from pipeprof.capture.probes.profiler.traced_profile import why_none, with_traces
from pipeprof.recording.profile import Profile

# How often open windows are checked, so that a long step does not keep one open for too long.
_LIMIT_S = 1.0


class StepTracing:
    """Opens and closes the trace windows of a profile, and reads the traces when the profile is over.

    Args:
        context: what the probes share.
        profiles: TensorBoard's folder of profile runs.
        run: name of the run.
        steps: how many steps a window has.
        backend: returns Keras's backend, or None while it is not known.
    """

    def __init__(
        self,
        context: ProbeContext,
        profiles: Path,
        run: str,
        *,
        steps: int,
        backend: Callable[[], str | None],
    ) -> None:
        self._context = context
        self._backend = backend
        self._windows: Any = None
        self._traces = StepTraces(
            profiles,
            run,
            steps=steps,
            warmup=context.warmup,
            wanted=lambda: self._other_backend() is None,
            recorder=context.recorder,
        )

    def install(self) -> None:
        """Begins to plan windows; TensorFlow must have been imported."""
        if not hasattr(sys.modules["tensorflow"], "profiler"):
            return
        module = importlib.import_module(
            "pipeprof.capture.probes.profiler.tensorflow_trace_windows"
        )
        self._windows = module.TraceWindows(self._context.recorder.warn, self._traces)
        self._context.loops.tracer = self._windows

    def sampler(self) -> Sampler:
        """The sampler that ends windows which are open for too long."""
        return Sampler(_LIMIT_S, self._limit)

    def add_to(self, profile: Profile) -> Profile:
        """The recording with what the traces hold, or with a warning why there are none."""
        if self._traces.kept:
            return with_traces(profile, self._traces.kept)
        if self._traces.warned or (self._windows is not None and self._windows.guard.failed):
            return profile  # it has a warning with the reason
        return profile.with_warning(
            why_none(
                backend=self._other_backend(),
                loaded=self._windows is not None,
                tried=self._traces.tried > 0,
                warmup=self._context.warmup,
            )
        )

    def _other_backend(self) -> str | None:
        """Keras's backend if it is not TensorFlow; the profiler cannot trace the training then."""
        backend = self._backend()
        return backend if backend != "tensorflow" else None

    def _limit(self, now: int) -> None:
        if self._windows is not None:
            self._windows.limit()
