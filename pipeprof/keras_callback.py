"""`Callback`: a profile of one ``fit`` for those who think in callbacks."""

import os
import sys
from typing import Any

import keras

from pipeprof.analysis.findings import Findings
from pipeprof.recording import Profile
from pipeprof.runs import DEFAULT_LOGDIR
from pipeprof.session import Session, profile


class Callback(keras.callbacks.Callback):
    """Profiles the ``fit`` that it is given to; arguments are those of `pipeprof.profile`.

    ::

        model.fit(train_ds, callbacks=[pipeprof.Callback("logs/run1")])

    The report is printed at the end of the training, unless ``verbose=0``; it is also there as
    ``report()``, and the recording as ``result``. The profile begins after Keras has looked at the
    data, so a plain generator is seen from outside only: give that to `pipeprof.profile` instead.
    """

    # Keras waits for the device at every batch for callbacks that do not say this.
    async_safe = True

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

    def on_train_begin(self, logs: Any = None) -> None:
        """Begins the profile."""
        self._session = profile(logdir=self._logdir, **self._arguments)
        self._session.__enter__()
        self._session.join_fit(self.model, _fed_with())

    def on_train_end(self, logs: Any = None) -> None:
        """Ends it."""
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
        """What the analysis says of the recording, after the training."""
        return self._over().findings

    def report(self, width: int | None = None, color: bool = False) -> str:
        """The verdict in words and tables, after the training."""
        return self._over().report(width, color)

    def _over(self) -> Session:
        if self._session is None:
            raise RuntimeError("expected a finished training: give the callback to model.fit first")
        return self._session


def _fed_with() -> Any:
    """The ``x`` of the ``fit`` that called the callbacks, or None where it cannot be found."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_name == "fit" and "callbacks" in frame.f_locals:
            return frame.f_locals.get("x")
    return None
