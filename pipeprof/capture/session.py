"""`profile` and the `Session` that it returns: what a user calls around a training.

A failure after the training has begun becomes a warning in the report, never an exception in the training.
`pipeprof.capture.active_recording` does the recording.
"""

import os
import platform
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeGuard

from pipeprof.capture.active_recording import ActiveRecording, LiveDisplay
from pipeprof.capture.probes.loaders.datasets import require_dataset
from pipeprof.capture.probes.system.threads import SAMPLE_HZ
from pipeprof.capture.recorder.facts import SignalFacts
from pipeprof.capture.settings import WARMUP_STEPS, Settings, split_addresses
from pipeprof.capture.shown_tracebacks import hide_own_frames
from pipeprof.clock import now_ns
from pipeprof.errors import PipeprofError, UsageError, describe_error
from pipeprof.recording.profile import Profile
from pipeprof.runs.log_folder import DEFAULT_LOGDIR

if TYPE_CHECKING:
    from pipeprof.analysis.findings.findings import Findings
    from pipeprof.loaded.recorded_run import RecordedRun

_current: "Session | None" = None


def active() -> "Session | None":
    """The profile that is on, or None."""
    return _current


def profile(
    dataset: Any = None,
    *,
    logdir: str | os.PathLike[str] = DEFAULT_LOGDIR,
    name: str | None = None,
    warmup: int = WARMUP_STEPS,
    sample_hz: float = SAMPLE_HZ,
    stacks: bool = False,
    trace_steps: int = 0,
    fingerprint: bool = False,
    data_workers: str | Iterable[str] = (),
) -> "Session":
    """Profiles a training: whether it waits for its data, and why.

    Use it as a context manager and train on its ``dataset``::

        with pipeprof.profile(train_ds, logdir="logs/run1") as prof:
            model.fit(prof.dataset, epochs=2)
        print(prof.report())

    Args:
        dataset: what feeds the training: a generator or generator function, a Keras ``Sequence`` or
            ``PyDataset``, a ``tf.data.Dataset``, arrays, or any iterable of batches. Without it,
            pipeprof records the training loops that start inside as far as it can observe them.
        logdir: TensorBoard's log folder; the run is written below it.
        name: name of the run; None for the date and time.
        warmup: steps at the begin of each loop that are left out of the verdict.
        sample_hz: how many times a second the CPU time of all threads is read; 0 for never.
        stacks: whether py-spy samples the training and its workers in a few short windows, to find the
            lines that the time goes to and the threads that hold the GIL.
        trace_steps: how many steps TensorFlow's profiler traces in each of two windows after the
            warm-up, for XProf and to see what a GPU does in each step; 0 for none. These steps take
            longer, and turning the profiler off may take some seconds between two steps.
        fingerprint: whether the content of each batch that the model consumes is hashed, and its loss
            recorded, to find out whether two trainings did equal work. The report has its cost.
        data_workers: addresses (``host:port``) of the workers of a tf.data service that feeds the training,
            where its dispatcher does not give them as the training can reach them.

    Raises:
        UsageError: an argument is out of range, or, on entering, another profile is on.
    """
    settings = Settings(
        logdir=Path(logdir).absolute(),
        name=name,
        warmup=warmup,
        sample_hz=sample_hz,
        stacks=stacks,
        trace_steps=trace_steps,
        fingerprint=fingerprint,
        data_workers=split_addresses(data_workers),
    )
    return Session(dataset, settings)


class Session:
    """A profile, made by `profile`. It is on from entering to leaving it.

    Attributes:
        make_way: called when another profile is to begin; it may end this one.
    """

    def __init__(self, dataset: Any, settings: Settings) -> None:
        self.make_way: Callable[[], None] = lambda: None
        self._dataset = dataset
        self._settings = settings
        self._views: list[LiveDisplay] = []
        self._exit_code: int | None = None
        self._recording: ActiveRecording | None = None
        self._run: RecordedRun | None = None
        self._problem: str | None = None

    @property
    def given(self) -> Any:
        """The dataset as it was given, or None."""
        return self._dataset

    # Before and during the training.

    def __enter__(self) -> "Session":
        """Turns the profile on.

        Raises:
            UsageError: another profile is on, this one was on before, the dataset is of no kind that
                can feed a training, or the system is not Linux.
        """
        global _current
        if platform.system() != "Linux":
            raise UsageError(
                f"expected Linux to record on, found {platform.system()}: pipeprof reads what "
                "threads and processes do from /proc. Recorded runs can be read here."
            )
        if self._recording is not None:
            raise UsageError(
                "expected a new profile, received one that was entered before: "
                "call pipeprof.profile() again for every run."
            )
        if _current is not None:
            _current.make_way()
        if _current is not None:
            raise UsageError(
                "expected no other profile to be on, but one is: profiles cannot be nested. "
                "Under 'pipeprof run' the whole script is profiled already."
            )
        if self._dataset is not None:
            require_dataset(self._dataset)
        recording = ActiveRecording(self._settings, self._dataset, self._views)
        try:
            recording.start()
        except BaseException:
            recording.remove()
            raise
        self._recording = recording
        _current = self
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Turns the profile off and writes the run."""
        global _current
        _current = None
        if error is not None:
            hide_own_frames(error)
        try:
            self._finish(error)
        except Exception as problem:  # the training's own exception, if any, must come through
            self._problem = f"the recording could not be finished ({describe_error(problem)})"
            if error is None:
                warnings.warn(f"pipeprof: {self._problem}.", stacklevel=2)

    def _finish(self, error: BaseException | None) -> None:
        recording = self._inside()
        recording.remove()
        if recording.is_forked:  # the run is the parent's, and so are its files
            self._problem = "it belongs to the process that this one was forked from"
            return
        self._run = recording.finish(
            exit_code=self._exit_code, error=describe_error(error) if _is_error(error) else None
        )
        # Late, because it needs the analysis: see `ActiveRecording.finish`.
        from pipeprof.surfaces.webpages.notebook import show_profiles_as_pages

        show_profiles_as_pages()

    @property
    def dataset(self) -> Any:
        """The dataset to train on: an object of the kind that was given to `profile`.

        Raises:
            UsageError: no dataset was given, or the profile is not on yet.
        """
        dataset = self._inside().probes.dataset
        if dataset is None:
            raise UsageError(
                "expected a dataset to have been given to pipeprof.profile(dataset), received none."
            )
        return dataset

    @contextmanager
    def step(self) -> Iterator[None]:
        """Marks one training step of a hand-written loop, where pipeprof cannot see the steps itself."""
        context = self._inside().context
        if not context.marks_steps():  # the profile is over, or a framework's own loop runs
            yield
            return
        hand = context.loops.hand
        hand.step_began(now_ns())
        try:
            yield
        finally:
            hand.step_ended(now_ns())

    @property
    def folder(self) -> Path | None:
        """The run's folder; None when it could not be made, or the profile is not on yet."""
        return self._recording.run_folder if self._recording is not None else None

    def show_while_on(self, every_s: float, show: Callable[[Profile], None]) -> None:
        """Passes the recording so far to a function, again and again, while the profile is on.

        Call it before entering. The calls run in one of pipeprof's threads, on the training's processors;
        calls that take long come less often.

        Args:
            every_s: seconds between two calls.
            show: called with the recording so far.
        """
        self._views.append(LiveDisplay(every_s, show))

    def set_exit_code(self, code: int | None) -> None:
        """Records what the training's process will return; for the command line."""
        self._exit_code = code

    def end_by_signal(self, name: str) -> None:
        """Turns it off and writes the run, because a signal of this name ends the process.

        For the command line. It may be called from any thread, while the training goes on. Where it
        does not come to its end, the run is recovered with the name of the signal.
        """
        self._inside().recorder.names.new(SignalFacts(name=name))
        self.__exit__(None, None, None)

    def warn(self, sentence: str) -> None:
        """Adds a sentence to the run's warnings."""
        self._inside().recorder.warn(sentence)

    def join_fit(self, model: Any, data: Any) -> None:
        """Begins to record a Keras ``fit`` that is running already; for `pipeprof.Callback`."""
        self._inside().probes.join_fit(model, data)

    def _inside(self) -> ActiveRecording:
        if self._recording is None:
            raise UsageError(
                "expected to be inside the profile: use it in a 'with' statement first."
            )
        return self._recording

    # After the training.

    @property
    def result(self) -> Profile:
        """The recording.

        Raises:
            UsageError: the profile is still on, or was never on.
        """
        return self._over().profile

    @property
    def findings(self) -> "Findings":
        """What the analysis finds in the recording."""
        return self._over().findings

    def report(self, width: int | None = None, color: bool = False) -> str:
        """The verdict in words and tables.

        Args:
            width: columns to use; None for those of the terminal.
            color: whether to use ANSI colours.
        """
        return self._over().report(width, color)

    def summary(self) -> dict[str, float]:
        """The run as flat numbers, for the ``log`` calls of MLflow or Weights & Biases."""
        return self._over().summary()

    def _repr_html_(self) -> str | None:
        """The report as a page for notebooks, or None while the profile is on."""
        return self._run._repr_html_() if self._run is not None else None

    def _over(self) -> "RecordedRun":
        if self._run is not None:
            return self._run
        if self._problem is not None:
            raise PipeprofError(f"expected a recording, but {self._problem}.")
        raise UsageError("expected the profile to be over: leave its 'with' block first.")


def _is_error(error: BaseException | None) -> TypeGuard[BaseException]:
    """Whether an exception is a failure; that of ``sys.exit()`` is not."""
    return error is not None and not (isinstance(error, SystemExit) and not error.code)
