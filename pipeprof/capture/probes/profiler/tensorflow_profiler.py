"""Turns TensorFlow's profiler on for a short time.

A profiler that is on already belongs to the user and is left alone. When other code turns the profiler on
meanwhile, it gets the profiler.
"""

import functools
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from pipeprof.capture.patches import Patches
from pipeprof.clock import now_ns
from pipeprof.xspace.trace_reader import ANCHOR

_ANCHORS = 3


class ProfilerSession:
    """The profiler while pipeprof has it on.

    Attributes:
        opened_ns: when it was turned on.
        given_up: whether other code has taken the profiler over.
        anchors: begin and end of each event named `ANCHOR` in the trace, on the recording's clock.
        current: the session that is on, or None; a process has one profiler.
    """

    current: "ProfilerSession | None" = None

    def __init__(self, folder: "tempfile.TemporaryDirectory[str]") -> None:
        self._folder = folder
        self._patches = Patches()
        self.given_up = False
        self.anchors: list[tuple[int, int]] = []
        self.opened_ns = now_ns()

    @classmethod
    def open(cls, *, devices: bool) -> "ProfilerSession | None":
        """Turns the profiler on; returns None where it is on already.

        Args:
            devices: whether to trace devices too, and everything that XProf draws.
        """
        if cls.current is not None:
            return None
        folder = tempfile.TemporaryDirectory(prefix="pipeprof-")
        in_use = _in_use()
        session = cls(folder)
        options = tf.profiler.experimental.ProfilerOptions(
            host_tracer_level=1 + devices, python_tracer_level=0, device_tracer_level=int(devices)
        )
        try:
            tf.profiler.experimental.start(folder.name, options)
        except tf.errors.AlreadyExistsError:
            folder.cleanup()
            if in_use is False:
                # A server uses it, but after this attempt TensorFlow believes that this profiler is on.
                tf.profiler.experimental.stop(save=False)
            return None
        except BaseException:
            folder.cleanup()
            raise
        cls.current = session
        session._make_way_for_others()
        for _ in range(_ANCHORS):
            start_ns = now_ns()
            with tf.profiler.experimental.Trace(ANCHOR):
                pass
            session.anchors.append((start_ns, now_ns()))
        return session

    def close(self, *, save: bool = True) -> Path | None:
        """Turns the profiler off.

        Args:
            save: whether to write the trace.

        Returns:
            The trace's file, which exists until `forget`; None where it was not written or other code has
            taken the profiler over.
        """
        if self.given_up:
            return None
        ProfilerSession.current = None
        self._patches.undo()
        tf.profiler.experimental.stop(save=save)
        return next(Path(self._folder.name).rglob("*.xplane.pb"), None)

    def forget(self) -> None:
        """Removes the trace's files."""
        self._folder.cleanup()

    def _make_way_for_others(self) -> None:
        """Makes TensorFlow's ``start`` end this session first."""
        start: Callable[..., Any] = tf.profiler.experimental.start
        for owner in (tf.profiler.experimental, sys.modules.get(start.__module__)):
            if owner is not None and getattr(owner, "start", None) is start:
                self._patches.replace(owner, "start", self._giving_way(start))

    def _giving_way(self, start: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(start)
        def start_after_ours(*args: Any, **kwargs: Any) -> Any:
            if not self.given_up:
                self.given_up = True
                ProfilerSession.current = None
                self._patches.undo()
                try:
                    tf.profiler.experimental.stop(save=False)
                finally:
                    self._folder.cleanup()
            return start(*args, **kwargs)

        return start_after_ours


def _in_use() -> bool | None:
    """Whether code has called ``start``, or None where this version of TensorFlow does not show it."""
    module: Any = sys.modules.get(tf.profiler.experimental.start.__module__)
    return module._profiler is not None if hasattr(module, "_profiler") else None
