"""Follows what a training takes from tf.data services, and looks at their workers now and then.

A look runs in a process of its own (`service_look`). Here it is only begun and read,
in the collector's thread, so nothing that trains waits for the network.
"""

from collections.abc import Sequence
from typing import Any

from pipeprof.capture.guard import Guard
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.system.processes import input_programs
from pipeprof.capture.probes.tfdata.running.running_stages import PipelineStages
from pipeprof.capture.probes.tfdata.service.service_datasets import services_of
from pipeprof.capture.probes.tfdata.service.service_follower import ServiceFollower
from pipeprof.capture.probes.tfdata.service.service_inspection import Inspection, Look
from pipeprof.capture.probes.tfdata.service.service_pipelines import (
    TAKES_FROM_SERVICE,
    ServicePipeline,
)

# From the first batches to the first look, and from each look to the next.
_PAUSES_NS = tuple(round(seconds * 1e9) for seconds in (0.5, 3, 20, 120))
# A short training waits at its end so long for a look that is under way, if it has seen none yet.
_LAST_WAIT_S = 1.5

# A look that found nothing of a pipeline is tried again this often.
_MOST_FAILURES = 2

_UNKNOWN_MS, _SHORTEST_MS, _LONGEST_MS = 300, 100, 2_000
# A trace has about so many elements of each worker, as far as it may last so long.
_ELEMENTS = 20
# A trace of more bytes is long enough in half its time.
_LARGE_BYTES = 4 << 20
# While their number is not known, there may be so many workers.
_FEW_WORKERS = 2

_SPOKEN = "grpc"


class FollowedServices:
    """The services of one profile.

    Args:
        context: the profile's.
        workers: addresses of workers that the user gave; without any the dispatchers are asked.
    """

    def __init__(self, context: ProbeContext, workers: Sequence[str]) -> None:
        self._context = context
        self._workers = tuple(workers)
        self._pipelines: list[ServicePipeline] = []
        self._guard = Guard(
            context.recorder.warn,
            "The workers of the tf.data service could not be looked at any more",
            "their stages are one remote stage from then on",
        )
        self._running: tuple[ServicePipeline, Inspection] | None = None
        self._looks: dict[ServicePipeline, _Looks] = {}

    def follow(self, dataset: Any, stages: PipelineStages, place: str) -> ServiceFollower | None:
        """Follows a new iterator, if its dataset takes elements from a service.

        Args:
            dataset: that of the iterator.
            stages: its stages, which have been recorded once.
            place: as of these.
        """
        return self._guard.run(self._follow, dataset, stages, place)

    def _follow(self, dataset: Any, stages: PipelineStages, place: str) -> ServiceFollower | None:
        found = []
        asking = stages.numbers_of(TAKES_FROM_SERVICE)
        for number, source in enumerate(services_of(dataset)):
            asked_by = asking[min(number, len(asking) - 1)] if asking else None
            known = (
                one for one in self._pipelines if one.source is source and one.asked_by == asked_by
            )
            pipeline = next(known, None)
            if pipeline is None:
                pipeline = ServicePipeline(self._context, source, f"{place} {number}", asked_by)
                self._pipelines.append(pipeline)
            found.append(pipeline)
        return ServiceFollower(found) if found else None

    def sample(self, now: int) -> None:
        """Begins a look that is due, or reads one that has ended; called from the collector's thread."""
        self._guard.run(self._sample, now)

    def finish(self, now: int) -> None:
        """Records what is left, at the end of the profile."""
        self._guard.run(self._finish)

    def close(self) -> None:
        """Ends a look that still runs."""
        if self._running is not None:
            self._running[1].close()
            self._running = None

    def _sample(self, now: int) -> None:
        for pipeline in self._pipelines:
            pipeline.record()
        if self._running is not None:
            pipeline, inspection = self._running
            if not inspection.done:
                return
            self._running = None
            self._looks[pipeline].add(inspection.collect(), now)
            return
        for pipeline in self._pipelines:
            looks = self._looks.setdefault(pipeline, _Looks(self._context, pipeline))
            if looks.is_due(now, given=bool(self._workers)):
                self._running = pipeline, looks.begin(self._workers)
                return

    def _finish(self) -> None:
        if self._running is not None:
            pipeline, inspection = self._running
            if inspection.done or (not pipeline.traced and inspection.wait(_LAST_WAIT_S)):
                self._looks[pipeline].add(inspection.collect(), 0)
                self._running = None
        self.close()
        input_programs.clear()
        for pipeline in self._pipelines:
            pipeline.record()
            looks = self._looks.setdefault(pipeline, _Looks(self._context, pipeline))
            looks.explain()
        if self._workers and not self._pipelines:
            self._context.recorder.warn(
                "Addresses of data workers were given, but no dataset of a tf.data service was "
                "iterated: nothing was looked at."
            )


class _Looks:
    """The looks at the workers of one pipeline."""

    def __init__(self, context: ProbeContext, pipeline: ServicePipeline) -> None:
        self._context = context
        self._pipeline = pipeline
        self._done = self._failures = 0
        self._due_ns: int | None = None
        self._duration_ms: int | None = None
        self._problem: str | None = None

    def is_due(self, now: int, *, given: bool) -> bool:
        """Whether it is time for a look."""
        pipeline = self._pipeline
        if pipeline.source.protocol != _SPOKEN:
            self._problem = f"it speaks {pipeline.source.protocol}, and pipeprof only {_SPOKEN}"
            return False
        if self._done >= len(_PAUSES_NS) or self._failures >= _MOST_FAILURES:
            return False
        if pipeline.began_ns is None or pipeline.taken < self._context.warmup:
            return False
        if self._due_ns is None:
            self._due_ns = pipeline.began_ns + _PAUSES_NS[0]
        return now >= self._due_ns

    def begin(self, workers: Sequence[str]) -> Inspection:
        """Begins one."""
        if self._duration_ms is None:
            self._duration_ms = self._for_some_elements(len(workers) or _FEW_WORKERS)
        return Inspection(self._pipeline.source.dispatcher, workers, self._duration_ms)

    def add(self, look: Look, now: int) -> None:
        """Adds what one saw."""
        self._done += 1
        if self._done < len(_PAUSES_NS):
            self._due_ns = now + _PAUSES_NS[self._done]
        self._problem = look.problem and (
            f"its dispatcher at {self._pipeline.source.dispatcher} could not be asked for its "
            f"workers: {look.problem}"
        )
        for worker in look.workers:
            if worker.pid is not None:
                input_programs[worker.pid] = f"data worker {worker.address}"
        if not self._pipeline.saw(look):
            self._failures += 1
            self._problem = self._problem or _problem_of(look)
        large = any(worker.size_bytes > _LARGE_BYTES for worker in look.workers)
        before_ms, self._duration_ms = self._duration_ms, self._for_some_elements(look.found)
        if large and before_ms is not None:
            self._duration_ms = max(min(self._duration_ms, before_ms // 2), _SHORTEST_MS)

    def _for_some_elements(self, workers: int) -> int:
        """How long a trace has to be, in milliseconds, to have some elements of each worker."""
        rate = self._pipeline.per_second
        if not rate:
            return _UNKNOWN_MS
        return round(min(max(_ELEMENTS * workers / rate * 1e3, _SHORTEST_MS), _LONGEST_MS))

    def explain(self) -> None:
        """Warns if the stages stayed unknown, with the reason."""
        if self._pipeline.traced or not self._pipeline.taken:
            return
        reason = self._problem or "the training was over before a look at its workers was"
        self._context.recorder.warn(
            f"The stages in the workers of the tf.data service could not be seen: {reason}."
        )


def _problem_of(look: Look) -> str:
    if not look.workers:
        return "its dispatcher knows no workers"
    first = next((each for each in look.workers if each.problem), None)
    if first is None:
        return "its workers run nothing that looks like this dataset"
    more = sum(each.problem is not None for each in look.workers) - 1
    return f"the worker at {first.address}: {first.problem}" + (f" ({more} more)" if more else "")
