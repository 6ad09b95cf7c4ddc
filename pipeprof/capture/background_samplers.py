"""The samplers that run beside the training: of threads, processes, devices, workers and stacks."""

import os
import sys
from collections.abc import Callable, Iterator

from pipeprof.capture.collector.accumulator import Accumulator
from pipeprof.capture.collector.collector import Sampler
from pipeprof.capture.probes.loaders.worker_failures import LOOK_EVERY_S, WorkerFailures, printer_on
from pipeprof.capture.probes.stacks.stack_windows import LOOK_S, StackSampler
from pipeprof.capture.probes.system.gil_contention import SAMPLE_S as GIL_SAMPLE_S
from pipeprof.capture.probes.system.gil_contention import GilSampler
from pipeprof.capture.probes.system.gpus import SAMPLE_S as GPU_SAMPLE_S
from pipeprof.capture.probes.system.gpus import GpuSampler
from pipeprof.capture.probes.system.helper_waits import HelperWaitSampler
from pipeprof.capture.probes.system.moments import MomentSampler
from pipeprof.capture.probes.system.resources import SAMPLE_S, ResourceSampler
from pipeprof.capture.probes.system.threads import ThreadSampler
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.settings import Settings
from pipeprof.host import machine


class BackgroundSamplers:
    """The samplers of one profile. Everything but `close` runs in the collector's thread.

    Args:
        recorder: where they record.
        accumulator: what was collected so far.
        worker_pids: returns the ids of the worker processes that record.
        settings: which samplers to run, and how often.

    Attributes:
        workers: reports worker processes that die or hang.
    """

    def __init__(
        self,
        recorder: Recorder,
        accumulator: Accumulator,
        worker_pids: Callable[[], set[int]],
        settings: Settings,
    ) -> None:
        self.workers = WorkerFailures(recorder, accumulator, printer_on(_standard_error()))
        self._recorder = recorder
        self._accumulator = accumulator
        self._worker_pids = worker_pids
        self._settings = settings
        self._threads = ThreadSampler(recorder, worker_pids)

    def samplers(self) -> Iterator[Sampler]:
        """All samplers, each with the interval in which it runs."""
        yield Sampler(LOOK_EVERY_S, self.workers.sample)
        if self._settings.sample_hz:
            every_s = 1 / self._settings.sample_hz
            resources = ResourceSampler(self._recorder, self._threads.children)
            gil = GilSampler(self._recorder)
            gpus = GpuSampler(self._recorder, self._threads.children)
            moments = MomentSampler(self._recorder)
            yield Sampler(every_s, self._threads.sample)
            helpers = HelperWaitSampler(self._recorder, self._threads.children)
            yield Sampler(every_s, moments.sample, finish=moments.finish)
            yield Sampler(every_s, helpers.sample, finish=helpers.finish)
            yield Sampler(max(GIL_SAMPLE_S, every_s), gil.sample, finish=gil.finish)
            yield Sampler(max(SAMPLE_S, every_s), resources.sample)
            yield Sampler(max(GPU_SAMPLE_S, every_s), gpus.sample, finish=gpus.finish)
        if self._settings.stacks:
            machine.allow_ptrace(os.getpid())
            stacks = self._stack_sampler()
            yield Sampler(LOOK_S, stacks.sample, finish=stacks.finish)

    def close(self) -> None:
        """Closes the files that the samplers read."""
        self._threads.close()

    def _stack_sampler(self) -> StackSampler:
        registry = self._accumulator.registry
        return StackSampler(
            self._recorder,
            steady=lambda: any(loop.is_steady for loop in registry.loops),
            stage_files=lambda: {
                stage.facts.location.file for stage in registry.stages if stage.facts.location
            },
            workers=self._worker_pids,
        )


def _standard_error() -> int:
    """The descriptor of ``sys.stderr``, or 2 where it has none, as in notebooks."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return 2
