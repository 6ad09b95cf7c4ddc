"""`profile`: opens a run, installs the probes, and takes them away again.

This is where the parts meet: recorder, collector, probes, run folder. Whatever goes wrong in here
after the training has begun becomes a sentence in the report, never an exception in the training.
"""

import functools
import importlib
import os
import platform
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeGuard

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings import Findings
from pipeprof.capture.collector import checkpoint as checkpoints
from pipeprof.capture.collector.accumulator import Accumulator
from pipeprof.capture.collector.collector import Collector, Progress, Sampler
from pipeprof.capture.collector.freezing import freeze_profile
from pipeprof.capture.guard import Guard
from pipeprof.capture.patches import ImportWatch
from pipeprof.capture.probes.keras.keras_probe import KerasProbe
from pipeprof.capture.probes.loaders.datasets import Watched, require_dataset, watch_dataset
from pipeprof.capture.probes.loaders.worker_watch import LOOK_EVERY_S, WorkerWatch, tell_on
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.python.generator_chains import ChainMonitor
from pipeprof.capture.probes.stacks.stack_windows import LOOK_S, StackSampler
from pipeprof.capture.probes.system.gpus import SAMPLE_S as GPU_SAMPLE_S
from pipeprof.capture.probes.system.gpus import GpuSampler
from pipeprof.capture.probes.system.resources import SAMPLE_S, ResourceSampler
from pipeprof.capture.probes.system.threads import SAMPLE_HZ, ThreadSampler
from pipeprof.capture.recorder import recorder, ring
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.clock import WallAnchor, now_ns
from pipeprof.errors import PipeprofError, UsageError, describe_error
from pipeprof.host import machine
from pipeprof.host.cgroups import ControlGroups
from pipeprof.recording.profile import Profile
from pipeprof.recording.run_info import Overhead, RunInfo
from pipeprof.runs.log_folder import DEFAULT_LOGDIR, PROFILES, create_run_folder, new_run_name
from pipeprof.runs.run_file import RunFile
from pipeprof.runs.run_writing import finish_run, write_run_file
from pipeprof.surfaces.notebook import show_profiles_as_pages

if TYPE_CHECKING:  # it loads what reads traces
    from pipeprof.capture.probes.profiler.trace_requests import Tracing

WARMUP_STEPS = 5
MOST_TRACE_STEPS = 200

# What is shown while a profile is on may cost a twentieth of a core.
_SHOW_REST = 20

# TensorBoard reads a log folder anew every 30 s; bringing scalars up to date is dear.
_SCALARS_S = 10.0
_SCALARS_REST = 200

# How often a pipeline is looked at while its first batch is long in coming.
_FIRST_BATCHES_S = 0.1

_current: "Session | None" = None


def active() -> "Session | None":
    """The profile that is on, if one is."""
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
) -> "Session":
    """Watches a training and says whether it waits for its data, and why.

    Use it as a context manager and train on what it gives back::

        with pipeprof.profile(train_ds, logdir="logs/run1") as prof:
            model.fit(prof.dataset, epochs=2)
        print(prof.report())

    Args:
        dataset: what the training is fed with: a generator or generator function, a Keras
            ``Sequence`` or ``PyDataset``, a ``tf.data.Dataset``, arrays, or any iterable of batches.
            Without it, everything that starts inside is watched as far as it can be seen.
        logdir: TensorBoard's log folder; the run is written below it.
        name: name of the run; the date and time without one.
        warmup: steps at the begin of each loop that are left out of the verdict.
        sample_hz: how often a second the CPU time of all threads is read; 0 for never.
        stacks: whether py-spy looks at the training and its workers in some short windows: which
            lines the time goes to, and which threads hold the GIL.
        trace_steps: how many steps each of two windows of TensorFlow's profiler traces after the
            warm-up, for XProf and for what a GPU does in each step; 0 for none. These steps take
            longer, and turning the profiler off takes up to some seconds between two steps.

    Raises:
        UsageError: an argument makes no sense, or, on entering, another profile is on.
    """
    if warmup < 0:
        raise UsageError(f"expected warmup of 0 steps or more, received {warmup}.")
    if not 0 <= sample_hz <= 1000:
        raise UsageError(f"expected sample_hz from 0 to 1000, received {sample_hz}.")
    if type(trace_steps) is not int or not 0 <= trace_steps <= MOST_TRACE_STEPS:
        raise UsageError(
            f"expected trace_steps from 0 to {MOST_TRACE_STEPS}, received {trace_steps!r}."
        )
    return Session(dataset, Path(logdir).absolute(), name, warmup, sample_hz, stacks, trace_steps)


class Session:
    """A profile: on between entering and leaving it; `profile` makes it.

    Attributes:
        folder: the run's folder, or None when it could not be made.
        make_way: called when another profile is to begin; ends this one if nobody else will.
    """

    def __init__(
        self,
        dataset: Any,
        logdir: Path,
        name: str | None,
        warmup: int,
        sample_hz: float,
        stacks: bool,
        trace_steps: int,
    ) -> None:
        self.folder: Path | None = None
        self._dataset = dataset
        self._logdir = logdir
        self._name = name
        self._warmup = warmup
        self._sample_hz = sample_hz
        self._stacks = stacks
        self._trace_steps = trace_steps
        self._entered = False
        self._result: Profile | None = None
        self._findings: Findings | None = None
        self._watched: Watched | None = None
        self._exit_code: int | None = None
        self._late_warnings: list[str] = []
        self._problem: str | None = None
        self._scalars: Any = None
        self._shown: list[tuple[float, Callable[[Profile], None]]] = []
        self.make_way: Callable[[], None] = lambda: None

    # Before and during the training.

    def __enter__(self) -> "Session":
        """Turns the profile on.

        Raises:
            UsageError: another one is on, this one was on before, the dataset is none, or this is no
                Linux.
        """
        global _current
        if platform.system() != "Linux":
            raise UsageError(
                f"expected Linux to record on, found {platform.system()}: pipeprof reads what "
                "threads and processes do from /proc. Recorded runs can be read here."
            )
        if self._entered:
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
        self._anchor = WallAnchor.now()
        self._start_ns = now_ns()
        self._recorder = Recorder(self._make_folder())
        self._context = ProbeContext(self._recorder, warmup=self._warmup)
        if self._dataset is not None:
            self._watched = watch_dataset(self._dataset, self._context)
            self._context.given = self._context.loops.hand.given = self._watched.fed_by
        self._entered = True
        try:
            self._start()
        except BaseException:
            self._give_back()
            raise
        _current = self
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Turns it off, and writes the run."""
        global _current
        _current = None
        try:
            self._finish(error)
        except Exception as problem:  # the training's own exception, if any, must come through
            self._problem = f"the recording could not be finished ({describe_error(problem)})"
            if error is None:
                warnings.warn(f"pipeprof: {self._problem}.", stacklevel=2)

    @property
    def dataset(self) -> Any:
        """What to train on: the same kind of object as was given to `profile`.

        Raises:
            UsageError: none was given, or the profile is not on yet.
        """
        if not self._entered:
            raise UsageError(
                "expected to be inside the profile: use it in a 'with' statement first."
            )
        if self._watched is None:
            raise UsageError(
                "expected a dataset to have been given to pipeprof.profile(dataset), received none."
            )
        return self._watched.dataset

    @contextmanager
    def step(self) -> Iterator[None]:
        """Marks one training step of a hand-written loop; needed only where it is not seen by itself."""
        if not self._entered:
            raise UsageError(
                "expected to be inside the profile: use it in a 'with' statement first."
            )
        if not self._context.marks_steps():  # the profile is over, or a framework's own loop runs
            yield
            return
        hand = self._context.loops.hand
        hand.step_began(now_ns())
        try:
            yield
        finally:
            hand.step_ended(now_ns())

    def show_while_on(self, every_s: float, show: Callable[[Profile], None]) -> None:
        """Hands out what is recorded so far, again and again, while the profile is on.

        To be called before entering. What it costs is not paid by the training's thread, but by the
        same processors: where a call takes long, there are fewer of them.

        Args:
            every_s: how often.
            show: called in a thread of pipeprof's own.
        """
        self._shown.append((every_s, show))

    def set_exit_code(self, code: int | None) -> None:
        """Says what the training's process will return; for the command line."""
        self._exit_code = code

    def warn(self, sentence: str) -> None:
        """Adds a sentence to what a reader of the report must know."""
        self._recorder.warn(sentence)

    def join_fit(self, model: Any, data: Any) -> None:
        """Takes up a Keras ``fit`` that has begun already; for `pipeprof.Callback`."""
        for probe in self._keras:
            self._guarded(functools.partial(probe.join_fit, model, data))()

    # After the training.

    @property
    def result(self) -> Profile:
        """The recording.

        Raises:
            UsageError: the profile is still on, or never was.
        """
        if self._result is None:
            if self._problem is not None:
                raise PipeprofError(f"expected a recording, but {self._problem}.")
            raise UsageError("expected the profile to be over: leave its 'with' block first.")
        return self._result

    @property
    def findings(self) -> Findings:
        """What the analysis says of the recording."""
        if self._findings is None:
            self._findings = analyse(self.result)
        return self._findings

    def report(self, width: int | None = None, color: bool = False) -> str:
        """The verdict in words and tables.

        Args:
            width: columns to use; those of the terminal without it.
            color: whether to use ANSI colours.
        """
        from pipeprof.surfaces.terminal import render_report

        columns = width or shutil.get_terminal_size().columns
        return render_report(self.findings, width=columns, color=color)

    def _repr_html_(self) -> str | None:
        """The report as a page, for notebooks; they show the plain text while the profile is on."""
        if self._result is None:
            return None
        from pipeprof.surfaces.webpage import render_in_notebook

        return render_in_notebook(self.findings)

    # How it is done.

    def _make_folder(self) -> Path | None:
        try:
            self.folder = create_run_folder(self._logdir, self._name)
        except OSError as error:
            self._late_warnings.append(
                f"The run could not be written to {self._logdir} ({error.strerror or error}): "
                "choose another folder with logdir."
            )
        return self.folder

    def _start(self) -> None:
        self._keras: list[KerasProbe] = []
        self._tfdata: Any = None
        self._tracing = self._make_tracing()
        self._chains = ChainMonitor()
        self._imports: tuple[ImportWatch, ...] = ()
        self._machine = (machine.core_count(), ControlGroups().cpu_limit())
        self._probe_ns = measure_probe_ns()
        accumulator = Accumulator(start_ns=self._start_ns, warmup=self._warmup)
        self._threads = ThreadSampler(self._recorder, self._worker_pids)
        self._accumulator = accumulator
        self._workers = WorkerWatch(self._recorder, accumulator, tell_on(_standard_error()))
        self._collector = Collector(
            self._recorder,
            accumulator,
            samplers=tuple(self._samplers()),
            checkpoint=self._write_checkpoint if self.folder else None,
            worker_ended=self._workers.ended,
        )
        self._imports = (
            ImportWatch("tensorflow", self._guarded(self._install_tfdata)),
            *((self._tracing.import_watch(self._guarded),) if self._tracing else ()),
            ImportWatch("keras", self._guarded(lambda: self._install_keras("keras"))),
            ImportWatch("tf_keras", self._guarded(lambda: self._install_keras("tf_keras"))),
        )
        self._import_for_collector()
        recorder.activate(self._recorder)
        self._guarded(self._chains.install)()
        for watch in self._imports:
            watch.start()
        self._collector.start()

    def _import_for_collector(self) -> None:
        """Imports what its thread will need: a worker forked in the middle hangs at the same import."""
        with suppress(Exception):  # what fails here fails again where it is needed
            importlib.import_module("numpy.ma")  # some of NumPy's functions do it
            if self.folder is not None:
                importlib.import_module("pipeprof.surfaces.tensorboard")

    def _samplers(self) -> Iterator[Sampler]:
        yield Sampler(_FIRST_BATCHES_S, self._read_first_batches)
        yield Sampler(LOOK_EVERY_S, self._workers.sample)
        if self._sample_hz:
            resources = ResourceSampler(self._recorder, self._threads.children)
            yield Sampler(1 / self._sample_hz, self._threads.sample)
            yield Sampler(max(SAMPLE_S, 1 / self._sample_hz), resources.sample)
            gpus = GpuSampler(self._recorder, self._threads.children)
            yield Sampler(max(GPU_SAMPLE_S, 1 / self._sample_hz), gpus.sample, finish=gpus.finish)
        if self._stacks:
            yield self._stack_sampler()
        if self._tracing is not None:
            yield self._tracing.sampler()
        if self.folder is not None:
            # The rest of them is written at the end, with all else.
            yield Sampler(_SCALARS_S, self._update_scalars, _SCALARS_REST, finish=lambda now: None)
        for every_s, show in self._shown:
            yield Sampler(every_s, functools.partial(self._show, show), _SHOW_REST)

    def _show(self, show: Callable[[Profile], None], now: int) -> None:
        self._collector.drain()
        show(self._profile(self._run_info(now)))

    def _profile(self, run: RunInfo, *, nested: bool = True) -> Profile:
        return freeze_profile(
            self._accumulator,
            nested=nested,
            run=run,
            cores=self._machine[0],
            cpu_limit=self._machine[1],
            overhead=self._overhead(),
        )

    def _stack_sampler(self) -> Sampler:
        registry = self._accumulator.registry
        machine.let_look(os.getpid())
        stacks = StackSampler(
            self._recorder,
            steady=lambda: any(loop.is_steady for loop in registry.loops),
            stage_files=lambda: {str(stage.facts.get("file")) for stage in registry.stages},
            workers=self._worker_pids,
        )
        return Sampler(LOOK_S, stacks.sample, finish=stacks.finish)

    def _read_first_batches(self, now: int) -> None:
        """Looks at tf.data pipelines whose first batch is long in coming."""
        if self._tfdata is not None:
            self._tfdata.read_early(now)

    def _guarded(self, install: Callable[[], None]) -> Callable[[], None]:
        return Guard(
            self._recorder.warn,
            "A probe could not be installed",
            "what it would have seen is missing",
        ).wrap(install)

    def _install_tfdata(self) -> None:
        if not hasattr(sys.modules["tensorflow"], "data"):
            return
        probes = importlib.import_module("pipeprof.capture.probes.tfdata.tfdata_probe")
        self._tfdata = probes.TfDataProbe(self._context)
        self._tfdata.install()
        for keras in self._keras:
            keras.listener = self._tfdata

    def _make_tracing(self) -> "Tracing | None":
        if not self._trace_steps or self.folder is None:
            return None
        tracing = importlib.import_module("pipeprof.capture.probes.profiler.trace_requests")
        made: Tracing = tracing.Tracing(
            self._context,
            self._logdir / PROFILES,
            self.folder.name,
            steps=self._trace_steps,
            backend=self._backend,
        )
        return made

    def _install_keras(self, package: str) -> None:
        probe = KerasProbe(package, self._context)
        self._keras.append(probe)
        probe.listener = self._tfdata
        probe.install()

    def _worker_pids(self) -> set[int]:
        return self._collector.rings.pids - {self._recorder.pid}

    def _finish(self, error: BaseException | None) -> None:
        forked = os.getpid() != self._recorder.pid
        self._give_back()
        if forked:  # the run is the parent's, and so are its files
            self._problem = "it belongs to the process that this one was forked from"
            return
        self._workers.look_for_left_behind(self._worker_pids())
        self._collector.stop()
        self._threads.close()
        end_ns = now_ns()
        recorded = self._profile(
            replace(
                self._run_info(end_ns),
                complete=True,
                exit_code=self._exit_code,
                error=describe_error(error) if _is_error(error) else None,
            )
        )
        self._result = self._tracing.add_to(recorded) if self._tracing else recorded
        self._recorder.names.close()
        if self.folder is not None:
            self._write(self.folder)
        show_profiles_as_pages()

    def _give_back(self) -> None:
        """Takes away all that was installed; what fails does not keep the rest from it."""
        with ExitStack() as giving_back:
            giving_back.callback(recorder.activate, None)
            giving_back.callback(self._chains.remove)
            if self._watched is not None:
                giving_back.callback(self._watched.release)
            if self._tfdata is not None:
                giving_back.callback(self._tfdata.remove)
            for probe in reversed(self._keras):
                giving_back.callback(probe.remove)
            giving_back.callback(self._context.loops.close_all)
            for watch in self._imports:
                giving_back.callback(watch.stop)

    def _write(self, folder: Path) -> None:
        assert self._result is not None
        pids = self._collector.rings.pids | {self._recorder.pid}
        try:
            finish_run(RunFile(folder, self._recorder.prefix), self._result, pids)
            tensorboard = importlib.import_module("pipeprof.surfaces.tensorboard")
            tensorboard.write_run(
                self.findings, self._logdir, self.report(width=100), self._scalars
            )
        except OSError as error:
            self._add_warning(
                f"The run could not be written completely to {folder} ({error.strerror or error})."
            )
        except (PipeprofError, ValueError) as error:  # there is no room for months in a trace
            self._add_warning(f"TensorBoard's files could not be written: {error}")

    def _add_warning(self, sentence: str) -> None:
        assert self._result is not None
        self._result = self._result.with_warning(sentence)
        self._findings = None

    def _write_checkpoint(self, progress: Progress) -> None:
        if self.folder is None:
            return
        state = checkpoints.take(
            self._accumulator,
            progress.positions,
            ended=progress.ended,
            run=self._run_info(now_ns()),
            cores=self._machine[0],
            cpu_limit=self._machine[1],
            overhead=self._overhead(),
        )
        write_run_file(RunFile(self.folder, self._recorder.prefix), state)

    def _update_scalars(self, now: int) -> None:
        """Brings TensorBoard's scalars up to date, once there are steps to show."""
        if not any(loop.step_count for loop in self._accumulator.registry.loops):
            return
        if self._scalars is None:
            tensorboard = importlib.import_module("pipeprof.surfaces.tensorboard")
            self._scalars = tensorboard.ScalarLog(self._logdir)
        self._scalars.update(self._profile(self._run_info(now), nested=False))

    def _run_info(self, end_ns: int) -> RunInfo:
        return RunInfo(
            name=self.folder.name if self.folder else self._name or new_run_name(),
            hosts=(recorder.host_name(),),
            anchor=self._anchor,
            start_ns=self._start_ns,
            end_ns=end_ns,
            versions=machine.loaded_versions(),
            backend=self._backend(),
            argv=tuple(sys.argv),
            exit_code=None,
            error=None,
            warnings=(*self._late_warnings, *self._accumulator.registry.warnings),
            complete=False,
        )

    def _backend(self) -> str | None:
        return next((probe.backend for probe in self._keras if probe.backend), None)

    def _overhead(self) -> Overhead:
        return Overhead(
            probe_ns=self._probe_ns,
            events=self._accumulator.event_count,
            dropped=self._collector.rings.dropped,
            collector_ns=self._collector.cpu_ns,
        )


def _standard_error() -> int:
    """The descriptor behind ``sys.stderr``, or that of the process where it is none of the system's."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return 2


def measure_probe_ns(events: int = 2000) -> float:
    """What recording one event costs in this process, in nanoseconds: two clock reads and a write."""
    write = ring.writer(ring.anonymous_ring(pid=os.getpid(), capacity=1024))
    begin = time.perf_counter_ns()
    for _ in range(events):
        start = now_ns()
        write(0, start, now_ns(), 0, 0)
    return (time.perf_counter_ns() - begin) / events


def _is_error(error: BaseException | None) -> TypeGuard[BaseException]:
    """Whether an exception says that something went wrong; ``sys.exit()`` does not."""
    return error is not None and not (isinstance(error, SystemExit) and not error.code)
