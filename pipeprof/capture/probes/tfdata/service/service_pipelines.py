"""The stages that run in the workers of a tf.data service, recorded as those of any pipeline.

No model of them can be read from here. Short traces of the workers show what an element costs at each
stage, and the model of the training's iterator how many elements it took from the service: their product is
recorded, as an estimate.
"""

import re
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence

from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.tfdata.in_graphs.graph_snapshots import ROOT, Calls, snapshot_of
from pipeprof.capture.probes.tfdata.running.alignment import align
from pipeprof.capture.probes.tfdata.running.model_snapshots import ModelSnapshot
from pipeprof.capture.probes.tfdata.running.running_stages import (
    InWorkers,
    IteratorStages,
    PipelineStages,
)
from pipeprof.capture.probes.tfdata.running.stage_identity import StageIdentity
from pipeprof.capture.probes.tfdata.service.service_inspection import (
    Look,
    SeenPipeline,
    SeenWorker,
)
from pipeprof.capture.probes.tfdata.service.service_sources import ServiceSource
from pipeprof.capture.probes.tfdata.written.transformations import (
    Pipeline,
    Transformation,
    family_of,
)
from pipeprof.capture.recorder.facts import DataWorkerFacts
from pipeprof.recording.data_workers import WorkerStage, WorkerWindow
from pipeprof.recording.intervals import no_intervals
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.xspace.graph_iterators import GraphIterators, IteratorPath, TracedIterator

# The name of what runs where a pipeline takes elements from a service.
TAKES_FROM_SERVICE = "DataService"

UNNAMED = (
    "The dataset was moved to the tf.data service before this profile began, or by another process: the "
    "stages in its workers have the names that tf.data knows, and no lines. To see yours, make it inside "
    "the profile."
)

# What tf.data calls a transformation that the user gave no name: its class, and its number.
_NO_NAME = re.compile(r"\w*Dataset\w*:\d+")

# Readings that wait for a look; of more the oldest two become one.
_MOST_WAITING = 1000


@dataclass(frozen=True, slots=True)
class _Taken:
    elements: int
    start_ns: int
    end_ns: int


class ServicePipeline:
    """What the workers of a service run for one dataset in one kind of loop.

    Args:
        context: the profile's.
        source: the service.
        place: what distinguishes its stages from those of a like dataset elsewhere.
        asked_by: number of the stage that takes its elements in the training, or None.

    Attributes:
        source: the service.
        asked_by: as given.
        taken: elements that the training took from it.
        began_ns: when the training took the first of them, or None.
        traced: whether a look has shown its stages.
    """

    def __init__(
        self, context: ProbeContext, source: ServiceSource, place: str, asked_by: int | None
    ) -> None:
        self.source = source
        self.asked_by = asked_by
        self.taken = 0
        self.began_ns: int | None = None
        self.ended_ns = 0
        self._context = context
        self._place = place
        self._waiting: deque[_Taken] = deque()
        self._known: GraphIterators | None = None
        self._parallelism: dict[IteratorPath, Calls] = {}
        self._stages: PipelineStages | None = None
        self._seen_to_run: Pipeline | None = None

    @property
    def traced(self) -> bool:
        """Whether a look has shown its stages."""
        return self._known is not None

    @property
    def per_second(self) -> float | None:
        """Elements that the training takes a second, or None while that is not known."""
        if self.began_ns is None or self.ended_ns <= self.began_ns:
            return None
        return self.taken / (self.ended_ns - self.began_ns) * 1e9

    def took(self, elements: int, start_ns: int, end_ns: int) -> None:
        """The training took elements from it; called where its model is read."""
        self.taken += elements
        self.began_ns = self.began_ns or start_ns
        self.ended_ns = end_ns
        if len(self._waiting) >= _MOST_WAITING:
            first, second = self._waiting.popleft(), self._waiting.popleft()
            joined = first.elements + second.elements
            self._waiting.appendleft(_Taken(joined, first.start_ns, second.end_ns))
        self._waiting.append(_Taken(elements, start_ns, end_ns))

    def record(self) -> None:
        """Records the work for what was taken since the last call, if it is known what that costs."""
        if self._known is None or self._stages is None:
            return
        taken: list[_Taken] = []
        while self._waiting:
            taken.append(self._waiting.popleft())
        for each in taken:
            scale = each.elements / self._known.places[(ROOT,)].elements
            snapshot = self._snapshot(self._known, scale, self._parallelism)
            IteratorStages(self._stages).record(
                snapshot, 0, each.start_ns, each.end_ns, estimated=True
            )

    def saw(self, look: Look) -> bool:
        """Adds what a look saw; returns whether a worker was seen to work for it."""
        traced = [
            (worker, pipeline)
            for worker in look.workers
            if (pipeline := self._own(worker.pipelines)) is not None
        ]
        if traced:
            self._learn([pipeline for _, pipeline in traced], look.found)
            self.record()
        pipelines = {worker.address: pipeline for worker, pipeline in traced}
        for worker in look.workers:
            self._record_worker(worker, pipelines.get(worker.address))
        return bool(traced)

    @property
    def _pipeline(self) -> Pipeline:
        """What was written, or where that is not known, what was seen to run."""
        return self._seen_to_run or self.source.pipeline

    def _own(self, pipelines: Iterable[SeenPipeline]) -> SeenPipeline | None:
        """The task among those of a worker that runs this dataset; a worker may have those of others."""
        fitting = [each for each in pipelines if _elements(each) and self._fits(each)]
        return max(fitting, key=_elements, default=None)

    def _fits(self, seen: SeenPipeline) -> bool:
        """Whether a task runs what was written, as far as that is known."""
        if self.source.pipeline.output is None:
            return True
        identities = align(self.source.pipeline, self._snapshot(_traced(seen), 1.0))
        running = [one for one in identities.values() if one.parent is not None]
        return 2 * sum(bool(one.written) for one in running) > len(running)

    def _learn(self, seen: Sequence[SeenPipeline], workers: int) -> None:
        for pipeline in seen:
            traced = _traced(pipeline)
            self._known = traced if self._known is None else self._known.plus(traced)
        found: defaultdict[IteratorPath, list[Calls]] = defaultdict(list)
        for pipeline in seen:
            for path, calls in _parallelism(pipeline).items():
                found[path].append(calls)
        for path, each in found.items():
            at_once = round(sum(calls.at_once or 1 for calls in each) / len(each))
            self._parallelism[path] = Calls(at_once, any(calls.autotuned for calls in each))
        if self._stages is None:
            if self.source.pipeline.output is None:
                self._seen_to_run = pipeline_seen(seen[0])
                self._context.recorder.warn(UNNAMED)
            self._stages = PipelineStages(
                self._context,
                self._pipeline,
                f"{self._place} workers",
                InWorkers(asked_by=self.asked_by, count=workers),
            )

    def _record_worker(self, worker: SeenWorker, seen: SeenPipeline | None) -> None:
        window, problem = None, worker.problem
        if seen is not None and self._stages is not None:
            window = WorkerWindow(
                start_ns=worker.start_ns,
                lasted_ns=worker.lasted_ns,
                elements=_elements(seen),
                asked_ratio=seen.asked_ratio,
                cpu_cores=worker.cpu_cores,
                size_bytes=worker.size_bytes,
                stages=tuple(self._stages_of(seen, self._stages)),
            )
        elif problem is None:
            problem = "it gave the training nothing while it was traced"
        self._context.recorder.names.new(
            DataWorkerFacts(
                address=worker.address,
                pid=worker.pid,
                cores=worker.cores,
                window=window,
                problem=problem,
            )
        )

    def _stages_of(self, seen: SeenPipeline, stages: PipelineStages) -> list[WorkerStage]:
        snapshot = self._snapshot(_traced(seen), 1.0, _parallelism(seen))
        identities: Mapping[int, StageIdentity] = align(stages.pipeline, snapshot)
        stages.meet(identities, snapshot)
        found: dict[int, WorkerStage] = {}
        for node_id, identity in identities.items():
            shown = stages.shown(identity.path)
            if shown is None:
                continue
            number, part = shown
            node, known = snapshot.nodes[node_id], found.get(number)
            found[number] = WorkerStage(
                stage=number,
                elements=(known.elements if known else 0) + (0 if part else node.num_elements),
                work_ns=(known.work_ns if known else 0) + node.processing_time_ns,
                parallelism=max(known.parallelism if known else 1, node.parallelism or 1),
            )
        return list(found.values())

    def _snapshot(
        self,
        traced: GraphIterators,
        scale: float,
        parallelism: Mapping[IteratorPath, Calls] | None = None,
    ) -> ModelSnapshot:
        top = next(path for path in traced.places if len(path) == 2 and path[0] == ROOT)
        return snapshot_of(traced, top, scale, parallelism)


def pipeline_seen(seen: SeenPipeline) -> Pipeline:
    """The pipeline that a task runs, as far as a trace shows it: what runs, and the user's names."""
    labels = {place.path: place.label for place in seen.places}

    def below(path: IteratorPath) -> tuple[Transformation, ...]:
        inputs = sorted(other for other in labels if other[:-1] == path)
        return tuple(
            Transformation(
                name=family_of(other[-1]),
                family=family_of(other[-1]),
                path="::".join(other),
                label=_users_name(labels[other]),
                inputs=below(other),
            )
            for other in inputs
        )

    return Pipeline(output=next(iter(below((ROOT,))), None))


def _users_name(label: str) -> str | None:
    """The name that a user gave; ``fused(decode,BatchDatasetV2:3)`` has it too."""
    parts = label.removeprefix("fused(").removesuffix(")").split(",")
    return next((part for part in parts if part and not _NO_NAME.fullmatch(part)), None)


def _elements(seen: SeenPipeline) -> int:
    """How many elements a task gave; 0 where nothing below its output was seen."""
    below = any(len(place.path) == 2 for place in seen.places)
    given = (place.elements for place in seen.places if place.path == (ROOT,))
    return next(given, 0) if below else 0


def _traced(seen: SeenPipeline) -> GraphIterators:
    places = {
        place.path: TracedIterator(elements=place.elements, work_ns=place.work_ns)
        for place in seen.places
    }
    return GraphIterators(places=places, anchors=no_intervals())


def _parallelism(seen: SeenPipeline) -> dict[IteratorPath, Calls]:
    return {
        place.path: Calls(place.parallelism, place.autotuned)
        for place in seen.places
        if place.parallelism is not None
    }
