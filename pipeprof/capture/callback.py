"""`Callback`: profiles one ``fit`` as a Keras callback."""

import os
import sys
import threading
import weakref
from collections.abc import Iterator
from types import FrameType
from typing import Any

import keras

from pipeprof.analysis.findings.findings import Findings
from pipeprof.capture.probes.python.running_frames import frames_by_thread
from pipeprof.capture.recorder.own_thread import OwnThread
from pipeprof.capture.session import Session, active, profile
from pipeprof.recording.profile import Profile
from pipeprof.runs.log_folder import DEFAULT_LOGDIR


def _wants_no_batches(callback: Any) -> bool:
    return False


class Callback(keras.callbacks.Callback):
    """Profiles the ``fit`` that it is given to; it takes the arguments of `pipeprof.profile`.

    ::

        model.fit(train_ds, callbacks=[pipeprof.Callback("logs/run1")])

    The report is printed at the end of the training, unless ``verbose=0``. ``report()`` returns it,
    and ``result`` is the recording. The profile begins after Keras has taken the data, too late to see
    inside a plain generator or to measure waiting for a queue of workers: give such a dataset to
    `pipeprof.profile` instead.
    """

    # Without this, Keras waits for the device at every batch.
    async_safe = True
    # Keras 2 asks every callback whether it wants to be called at batches.
    _implements_train_batch_hooks = _implements_test_batch_hooks = _wants_no_batches
    _implements_predict_batch_hooks = _wants_no_batches

    def __init__(
        self,
        logdir: str | os.PathLike[str] = DEFAULT_LOGDIR,
        *,
        verbose: int = 1,
        **arguments: Any,
    ) -> None:
        super().__init__()
        self._logdir = logdir
        self._verbose = verbose
        self._arguments = arguments
        self._session: Session | None = None
        self._thread = threading.get_ident()

    def on_train_begin(self, logs: Any = None) -> None:
        """Begins the profile."""
        self._thread = threading.get_ident()
        self._session = profile(logdir=self._logdir, **self._arguments)
        self._session.__enter__()
        self._session.make_way = self._make_way
        fit = next(filter(self._is_given_to, _callers()), None)
        if fit is not None:
            # Keras does not report an exception to callbacks, but it drops its list of callbacks then.
            weakref.finalize(fit.f_locals["callbacks"], self._left)
        self._session.join_fit(self.model, fit.f_locals.get("x") if fit is not None else None)

    def on_train_end(self, logs: Any = None) -> None:
        """Ends the profile and prints the report."""
        if self._session is not None:
            self._session.__exit__(None, None, None)
            if self._verbose:
                sys.stdout.write(f"\n{self._session.report()}\n")

    @property
    def result(self) -> Profile:
        """The recording, after the training."""
        return self._over().result

    @property
    def findings(self) -> Findings:
        """What the analysis finds in the recording, after the training."""
        return self._over().findings

    def report(self, width: int | None = None, color: bool = False) -> str:
        """The verdict in words and tables, after the training."""
        return self._over().report(width, color)

    def _over(self) -> Session:
        if self._session is None:
            raise RuntimeError("expected a finished training: give the callback to model.fit first")
        self._make_way()
        return self._session

    def _make_way(self) -> None:
        if not any(map(self._is_given_to, _running_frames())):
            self._left()

    def _left(self) -> None:
        """Ends the profile of a training that an exception ended."""
        if self._session is None or self._session is not active():
            return
        if threading.get_ident() != self._thread:  # the garbage collector runs in any thread
            OwnThread(self._leave, "callback", daemon=False).start()
        else:
            self._leave()

    def _leave(self) -> None:
        assert self._session is not None
        self._session.warn(
            "The training was cut short by an exception; Keras does not report to callbacks which one."
        )
        self._session.__exit__(None, None, None)

    def _is_given_to(self, frame: FrameType) -> bool:
        """Whether a frame is that of the ``fit`` that calls this callback."""
        if frame.f_code.co_name != "fit":
            return False
        callbacks = getattr(frame.f_locals.get("callbacks"), "callbacks", None)
        return isinstance(callbacks, list) and any(one is self for one in callbacks)


def _callers() -> Iterator[FrameType]:
    return _outwards(sys._getframe(1))


def _running_frames() -> Iterator[FrameType]:
    for frame in frames_by_thread().values():
        yield from _outwards(frame)


def _outwards(innermost: FrameType) -> Iterator[FrameType]:
    frame: FrameType | None = innermost
    while frame is not None:
        yield frame
        frame = frame.f_back
