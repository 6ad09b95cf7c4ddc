"""The parts of a profile that is on: it makes and connects recorder, collector, probes and run writer."""

import functools
import importlib
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeprof.capture.background_samplers import BackgroundSamplers
from pipeprof.capture.collector.accumulator import Accumulator
from pipeprof.capture.collector.checkpoint import take
from pipeprof.capture.collector.collector import Collector, Progress, Sampler
from pipeprof.capture.collector.freezing import freeze_profile
from pipeprof.capture.launchers import find_rank
from pipeprof.capture.probe_set import ProbeSet
from pipeprof.capture.probes.loops.host_sampler import HostSampler
from pipeprof.capture.probes.loops.sampling_needs import find_sampling_need
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.recorder import recorder, ring
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.run_place import find_place, join_late
from pipeprof.capture.run_writer import (
    SCALARS_REST,
    SCALARS_S,
    SUMMARY_REST,
    SUMMARY_S,
    RunWriter,
)
from pipeprof.capture.settings import Settings
from pipeprof.clock import WallAnchor, now_ns
from pipeprof.host import machine
from pipeprof.host.cgroups import ControlGroups
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.profile import Profile
from pipeprof.recording.rank import Machine
from pipeprof.recording.run_info import Overhead, RunInfo
from pipeprof.runs.log_folder import PROFILES, new_run_name

if TYPE_CHECKING:
    from pipeprof.capture.probes.profiler.step_tracing import StepTracing
    from pipeprof.loaded.recorded_run import RecordedRun

# How often a pipeline is read while its first batch has not come yet.
_FIRST_BATCHES_S = 0.1

# How often it is seen whether a look at a tf.data service is due, or over.
_SERVICES_S = 0.25

# How often it is seen whether the script has connected its process to others.
_CONNECTED_S = 0.25

# How often a callback that has not ended is looked for.
_LONG_CALLS_S = 0.5

# Showing a recording while it is made may cost 0.5 % of a core.
_VIEW_REST = 200


@dataclass(frozen=True, slots=True)
class LiveDisplay:
    """Shows a recording while it is made.

    Attributes:
        every_s: seconds between two calls.
        show: called with the recording so far, in one of pipeprof's threads.
    """

    every_s: float
    show: Callable[[Profile], None]


class ActiveRecording:
    """One recording, from `start` to `finish`.

    Args:
        settings: how to record.
        dataset: what the user gave to the profile, or None.
        views: views that show the recording while it is made.

    Attributes:
        recorder: writes the events of the probes.
        context: what the probes share.
        probes: all probes.
    """

    def __init__(self, settings: Settings, dataset: Any, views: Sequence[LiveDisplay]) -> None:
        self._anchor = WallAnchor.now()
        self._start_ns = now_ns()
        self._name = settings.name or new_run_name()
        self._recorded_by = settings.recorded_by
        self._views = views
        self._cores = machine.core_count()
        self._physical_cores = machine.physical_core_count()
        groups = ControlGroups()
        self._cpu_limit = groups.cpu_limit()
        self._probe_ns = measure_probe_ns()
        self._settings = settings
        self._rank = find_rank(os.environ)
        self._place = find_place(settings, self._rank)
        self._machine = Machine(
            memory_bytes=machine.memory_bytes(groups.memory_limit()), system=machine.system()
        )
        self.recorder = Recorder(self._place.folder)
        if self._place.problem is not None:
            self.recorder.warn(self._place.problem)
        self._writer = self._make_writer()
        self.context = ProbeContext(
            self.recorder,
            warmup=settings.warmup,
            fingerprint=settings.fingerprint,
            data_workers=settings.data_workers,
        )
        self._tracing = self._make_tracing(settings)
        self.probes = ProbeSet(self.context, dataset, self._tracing)
        self._host = HostSampler(
            self.recorder,
            lambda: find_sampling_need(self.context.loops),
            lambda: self.context.training_thread,
            makes=self.context.loops.hand.makers.makes,
        )
        self._accumulator = Accumulator.begin(start_ns=self._start_ns, warmup=settings.warmup)
        self._beside = BackgroundSamplers(
            self.recorder, self._accumulator, self._worker_pids, settings
        )
        self._collector = Collector(
            self.recorder,
            self._accumulator,
            samplers=tuple(self._samplers()),
            checkpoint=self._write_checkpoint if self._writer is not None else None,
            worker_ended=self._beside.workers.ended,
            watched=bool(views) or settings.stacks,
            held_up=self._host.held_up,
        )

    @property
    def run_folder(self) -> Path | None:
        """The run's folder, or None when it could not be made."""
        return self._place.run_folder

    @property
    def is_forked(self) -> bool:
        """Whether this process was forked from the one that records."""
        return os.getpid() != self.recorder.pid

    def start(self) -> None:
        """Starts to record.

        Raises:
            Exception: it cannot start; then call `remove` to undo what was installed.
        """
        self._import_for_collector()
        recorder.activate(self.recorder)
        self.probes.install()
        self._collector.start()
        self._host.start()

    def remove(self) -> None:
        """Stops recording and removes all probes."""
        with ExitStack() as removing:
            removing.callback(recorder.activate, None)
            removing.callback(self.probes.remove)

    def finish(self, *, exit_code: int | None, error: str | None) -> "RecordedRun":
        """Reads the remaining events and writes the run; call it after `remove`.

        Args:
            exit_code: what the training's process will return, or None where that is not known.
            error: the exception that ended the training, in one line, or None.

        Returns:
            The finished run.
        """
        self._host.stop()
        self._beside.workers.look_for_left_behind(self._worker_pids())
        self._collector.stop()
        self._beside.close()
        info = replace(self._run_info(now_ns()), complete=True, exit_code=exit_code, error=error)
        profile = self._profile(info)
        if self._tracing is not None:
            profile = self._tracing.add_to(profile)
        self.recorder.names.close()
        # Late, because all that is imported makes each of the training's garbage collections longer.
        _import_quietly("pipeprof.loaded.recorded_run", *RunWriter.MODULES_AT_THE_END)
        from pipeprof.loaded.recorded_run import RecordedRun

        run = RecordedRun(profile)
        if self._writer is None:
            return run
        return self._writer.finish(run, self._collector.rings.pids | {self.recorder.pid})

    def _make_writer(self) -> RunWriter | None:
        if self._place.folder is None:
            return None
        return RunWriter(self._place.folder, self.recorder.prefix, self._settings.logdir)

    def _make_tracing(self, settings: Settings) -> "StepTracing | None":
        folder, run_folder = self._place.folder, self._place.run_folder
        if not settings.trace_steps or folder is None:
            return None
        # Late, because most profiles trace no steps, and reading a trace takes many modules.
        from pipeprof.capture.probes.profiler.step_tracing import StepTracing

        return StepTracing(
            self.context,
            settings.logdir / PROFILES,
            folder.name if folder == run_folder else f"{self._run_name}_{folder.name}",
            steps=settings.trace_steps,
            backend=lambda: self.probes.backend,
        )

    def _import_for_collector(self) -> None:
        """Imports what the collector's thread needs.

        A worker that is forked while that thread imports a module would hang when it imports it too.
        """
        _import_quietly("numpy.ma")  # some of NumPy's functions do it
        if self._writer is not None:
            _import_quietly(*RunWriter.MODULES_MEANWHILE)
            if self._rank is not None:
                _import_quietly(*RunWriter.MODULES_FOR_SUMMARIES)

    def _samplers(self) -> Iterator[Sampler]:
        yield Sampler(
            _FIRST_BATCHES_S,
            self.probes.read_first_batches,
            urgent=self.probes.awaits_first_batch,
        )
        yield Sampler(_SERVICES_S, self.probes.look_at_services, finish=self.probes.finish_services)
        yield from self._beside.samplers()
        yield Sampler(_LONG_CALLS_S, self._note_long_calls)
        if self._tracing is not None:
            yield self._tracing.sampler()
        if self._writer is not None:
            # The last scalars are written with the finished run.
            yield Sampler(SCALARS_S, self._update_scalars, SCALARS_REST, finish=lambda now: None)
            yield Sampler(SUMMARY_S, self._write_summary, SUMMARY_REST, finish=lambda now: None)
            yield Sampler(_CONNECTED_S, self._look_for_rank)
        for view in self._views:
            yield Sampler(view.every_s, functools.partial(self._show, view), _VIEW_REST)

    def _note_long_calls(self, now: int) -> None:
        for loop in self.context.loops.open_loops:
            loop.note_long_call(now)

    def _show(self, view: LiveDisplay, now: int) -> None:
        view.show(self._profile(self._run_info(now), nested=False))

    def _update_scalars(self, now: int) -> None:
        if now - self._start_ns < SCALARS_S * 1e9:  # a short run writes them once, at its end
            return
        has_steps = any(loop.step_count for loop in self._accumulator.registry.loops)
        if self._writer is not None and has_steps:
            self._writer.update_scalars(self._profile(self._run_info(now), nested=False))

    def _look_for_rank(self, now: int) -> None:
        """Joins the others where the script has connected its processes since the recording began."""
        if self._rank is not None:
            return
        self._rank = find_rank(os.environ)
        if self._rank is None or self._writer is None or self._writer.has_scalars:
            return
        joined = join_late(self._settings, self._rank, self.recorder)
        if joined is not None:
            self._place = joined
            self._writer = self._make_writer()

    def _write_summary(self, now: int) -> None:
        if self._rank is None:
            return
        has_steps = any(loop.step_count for loop in self._accumulator.registry.loops)
        if self._writer is not None and has_steps:
            self._writer.write_summary(self._profile(self._run_info(now)))

    def _write_checkpoint(self, progress: Progress) -> None:
        if self._writer is None:
            return
        checkpoint = take(
            self._accumulator,
            progress.positions,
            ended=progress.ended,
            run=self._run_info(now_ns()),
            cores=self._cores,
            physical_cores=self._physical_cores,
            cpu_limit=self._cpu_limit,
            overhead=self._overhead(),
        )
        self._writer.write_checkpoint(checkpoint)

    def _profile(self, run: RunInfo, *, nested: bool = True) -> Profile:
        return freeze_profile(
            self._accumulator.sums,
            nested=nested,
            run=run,
            cores=self._cores,
            physical_cores=self._physical_cores,
            cpu_limit=self._cpu_limit,
            overhead=self._overhead(),
        )

    def _run_info(self, end_ns: int) -> RunInfo:
        return RunInfo(
            name=self._run_name,
            hosts=(recorder.host_name(),),
            anchor=self._anchor,
            start_ns=self._start_ns,
            end_ns=end_ns,
            versions=machine.loaded_versions(),
            backend=self.probes.backend,
            argv=tuple(sys.argv),
            exit_code=None,
            error=None,
            warnings=tuple(self._accumulator.registry.warnings),
            complete=False,
            ended_by=self._accumulator.registry.ended_by,
            recorded_by=self._recorded_by,
            rank=self._rank,
            machine=replace(self._machine, clock_ahead_ns=self._place.clock_ahead_ns),
            jax_computes=machine.jax_computes(),
        )

    @property
    def _run_name(self) -> str:
        folder = self._place.run_folder
        return folder.name if folder is not None else self._name

    def _overhead(self) -> Overhead:
        return Overhead(
            probe_ns=self._probe_ns,
            events=self._accumulator.sums.event_count,
            dropped=self._collector.rings.dropped,
            collector_ns=self._collector.cpu_ns + self._host.cpu_ns,
        )

    def _worker_pids(self) -> set[int]:
        return self._collector.rings.pids - {self.recorder.pid}


def _import_quietly(*modules: str) -> None:
    """Imports modules. What fails here fails again where it is needed."""
    # Some draw a number when they are imported, which the training must not miss.
    drawn = random.getstate()
    with suppress(Exception):
        for module in modules:
            importlib.import_module(module)
    random.setstate(drawn)


def measure_probe_ns(events: int = 2000) -> float:
    """Nanoseconds that it takes to record one event in this process: two clock reads and a write."""
    write = ring.writer(ring.anonymous_ring(pid=os.getpid(), capacity=1024))
    begin = time.perf_counter_ns()
    for _ in range(events):
        start = now_ns()
        write(0, start, now_ns(), 0, 0)
    return (time.perf_counter_ns() - begin) / events
