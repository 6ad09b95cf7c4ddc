"""Records what each stage of a running tf.data pipeline did between two readings of its model."""

import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping

from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.tfdata.running.alignment import align
from pipeprof.capture.probes.tfdata.running.lost_work import PartSize
from pipeprof.capture.probes.tfdata.running.model_snapshots import (
    ModelSnapshot,
    NodeCounters,
    NodeWork,
)
from pipeprof.capture.probes.tfdata.running.node_work import WorkTally
from pipeprof.capture.probes.tfdata.running.stage_history import NOTHING, StageHistories
from pipeprof.capture.probes.tfdata.running.stage_identity import (
    StageIdentity,
    is_parallel,
    operator_family,
)
from pipeprof.capture.probes.tfdata.written.transformations import Note, Pipeline
from pipeprof.capture.recorder.facts import RunGauge, StageFacts, StageGauge, StageLevel
from pipeprof.capture.recorder.records import Kind, code
from pipeprof.recording.level_names import TfDataLevel
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.stage import StageKind


@dataclass(frozen=True, slots=True, kw_only=True)
class InWorkers:
    """The workers of a tf.data service that run a pipeline.

    Attributes:
        asked_by: number of the stage that takes their elements, or None.
        count: how many they are.
    """

    asked_by: int | None
    count: int


class PipelineStages:
    """The stages of one dataset as one kind of loop uses it, over all of its iterators.

    Args:
        context: the profile's.
        pipeline: the dataset as it was written.
        place: what distinguishes the stages from those of a like dataset elsewhere.
        in_workers: where they run, if that is in the workers of a service.
    """

    def __init__(
        self,
        context: ProbeContext,
        pipeline: Pipeline,
        place: str,
        in_workers: "InWorkers | None" = None,
    ) -> None:
        self.recorder = context.recorder
        self.pipeline = pipeline
        self.seen = StageHistories()
        self.sizes = dict(_part_sizes(pipeline))
        self.in_workers = in_workers
        self._place = f"{place} {zlib.crc32(repr(pipeline.output).encode()):08x}"
        self._identities: dict[str, StageIdentity] = {}
        self._numbers: dict[str, int] = {}
        self._stage_gauges: dict[tuple[int, StageLevel], int] = {}
        self._run_gauges: dict[TfDataLevel, int] = {}
        if pipeline.problem:
            self.recorder.warn(pipeline.problem)
        written = pipeline.output.all() if pipeline.output is not None else ()
        remarks = {one.remark for one in written}
        # Several devices wait for one pipeline at the same time: the first records it for all.
        self.recorded_by_another = Note.ANOTHER_DEVICE in remarks
        self.distributed = Note.BEHIND_STRATEGY in remarks

    def meet(self, identities: Mapping[int, StageIdentity], snapshot: ModelSnapshot) -> None:
        """Takes note of stages; gives a number to each that has none yet."""
        for identity in identities.values():
            self._identities.setdefault(identity.path, identity)
        for node_id, identity in identities.items():
            if identity.stage == identity.path and identity.path not in self._numbers:
                self._number(identity, snapshot.nodes[node_id])

    def number(self, path: str) -> int | None:
        """The number of the stage that does the work at a place; None for the root."""
        return self._numbers.get(self._identities[path].stage)

    def numbers_of(self, running: str) -> list[int]:
        """The numbers of the stages whose running nodes' names begin so, in the order of their places."""
        paths = sorted(p for p, one in self._identities.items() if one.running.startswith(running))
        return [number for path in paths if (number := self._numbers.get(path)) is not None]

    def is_part(self, path: str) -> bool:
        """Whether what runs there only serves the stage whose part it is."""
        return self._identities[path].stage != path

    def shown(self, path: str) -> tuple[int, bool] | None:
        """The number of the stage that does the work at a place, and whether it is only a part."""
        number = self.number(path)
        return None if number is None else (number, self.is_part(path))

    def is_recorded(self, stage: int, level: StageLevel) -> bool:
        """Whether that gauge of a stage was recorded before."""
        return (stage, level) in self._stage_gauges

    def stage_gauge(self, stage: int, level: StageLevel) -> int:
        """The code of records of a stage's gauge."""
        gauge = self._stage_gauges.get((stage, level))
        if gauge is None:
            number = self.recorder.names.number(StageGauge(level=level, stage=stage))
            gauge = self._stage_gauges[stage, level] = code(Kind.GAUGE, number)
        return gauge

    def run_gauge(self, level: TfDataLevel) -> int:
        """The code of records of a gauge that belongs to no single stage."""
        gauge = self._run_gauges.get(level)
        if gauge is None:
            number = self.recorder.names.number(RunGauge(name=level.value))
            gauge = self._run_gauges[level] = code(Kind.GAUGE, number)
        return gauge

    def _number(self, identity: StageIdentity, node: NodeCounters) -> None:
        if identity.parent is None:
            return  # Root: hands batches on, does nothing
        chosen, buffered = node.parallelism is not None, node.buffer_size is not None
        facts = StageFacts(
            name=identity.name,
            kind=StageKind.TF_DATA_WORKER if self.in_workers else identity.kind,
            workers=self.in_workers.count if self.in_workers else None,
            function=identity.function,
            location=identity.location,
            made_at=identity.made_at,
            made_by=identity.made_by,
            place=f"{self._place} {identity.path}",
            parent=self._asking(identity),
            owner=identity.owner,
            family=operator_family(identity.running),
            parallel=is_parallel(identity.running),
            remark=identity.remark,
            written=identity.written or None,
            runs_as=identity.running,
            fused=identity.fused,
            traits=identity.traits,
            takes=node.ratio or None,
            most_parallelism=node.most_parallelism if chosen else None,
            autotuned=bool(node.tunable) if chosen else None,
            buffer_autotuned=bool(node.tunable) if buffered else None,
        )
        self._numbers[identity.path] = self.recorder.names.number(facts)

    def _asking(self, identity: StageIdentity) -> int | None:
        """The number of the stage that asks this one, or what is part of it, for data."""
        above = self._identities.get(identity.parent or "")
        while above is not None and above.stage == identity.path:
            above = self._identities.get(above.parent or "")
        number = self._numbers.get(above.stage) if above is not None else None
        if number is None and self.in_workers is not None:
            return self.in_workers.asked_by
        return number


class IteratorStages:
    """Records the work behind one iterator."""

    def __init__(self, stages: PipelineStages) -> None:
        self._stages = stages
        self._tally = WorkTally(stages.seen, stages.sizes)
        self._identities: Mapping[int, StageIdentity] = {}
        self._shown: dict[str, tuple[int, bool]] = {}
        self._leveled: list[tuple[int, int | None, tuple[int, ...]]] = []

    def record(
        self,
        snapshot: ModelSnapshot,
        python_ns: int,
        start_ns: int,
        end_ns: int,
        began_ns: int | None = None,
        *,
        estimated: bool = False,
    ) -> None:
        """Records what each stage did since the reading before, or since the iterator was made.

        Args:
            snapshot: the reading.
            python_ns: time spent in generators meanwhile, which have stages of their own.
            start_ns: when the reading before was taken, or the iterator made.
            end_ns: when this one was.
            began_ns: when the iterator was made, if its first batches are just being taken.
            estimated: whether the reading was scaled from a trace of a part of the time.
        """
        stages = self._stages
        if stages.recorded_by_another:
            return
        if snapshot.nodes.keys() != self._identities.keys():
            self._identities = align(stages.pipeline, snapshot, self._identities)
            stages.meet(self._identities, snapshot)
            self._prepare(snapshot)
        work = self._tally.count(snapshot, self._identities, python_ns, complete=estimated)
        write = stages.recorder.lane().write
        for number, done in self._by_stage(work).items():
            spent_ns = done.processing_time_ns
            if done.elements or spent_ns:
                write(code(Kind.WORK, number), start_ns, end_ns, done.elements, spent_ns)
            estimated_ns = spent_ns if estimated else done.estimated_ns
            if estimated_ns:
                write(code(Kind.ESTIMATED_WORK, number), start_ns, end_ns, 0, estimated_ns)
            if done.bytes_produced or done.bytes_consumed:
                taken = done.bytes_consumed
                write(code(Kind.BYTES, number), end_ns, end_ns, taken, done.bytes_produced)
        for gauge, level in self._changing_levels(snapshot):
            write(gauge, end_ns, end_ns, 0, level)
        if began_ns is not None:
            self._record_starts(snapshot, began_ns, end_ns)

    def _record_starts(self, snapshot: ModelSnapshot, began_ns: int, now: int) -> None:
        """Records what stages did and hold since the iterator was made, Python code included."""
        starts: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
        for node_id, identity in self._identities.items():
            number, node = self._stages.number(identity.path), snapshot.nodes[node_id]
            if number is not None:
                sums = starts[number]
                sums[2] += node.processing_time_ns
                if not self._stages.is_part(identity.path):
                    sums[0] += node.num_elements
                    sums[1] += node.buffered_elements
        write = self._stages.recorder.lane().write
        for number, (calls, held, work_ns) in starts.items():
            start = code(Kind.EPOCH_START, number)
            write(start, began_ns, now, held << 32 | calls & 0xFFFFFFFF, work_ns)

    def _prepare(self, snapshot: ModelSnapshot) -> None:
        """Looks up, once for all readings of the same nodes, what they are shown as."""
        stages = self._stages
        self._shown = {}
        leveled: defaultdict[int, list[int]] = defaultdict(list)
        sizes = {}
        for node_id, identity in self._identities.items():
            number = stages.number(identity.path)
            if number is None:
                continue
            part = stages.is_part(identity.path)
            self._shown[identity.path] = (number, part)
            node = snapshot.nodes[node_id]
            known = (node.parallelism, node.buffer_size, identity.buffer_size)
            if not part and known != (None, None, None):
                leveled[number].append(node_id)
                sizes[number] = identity.buffer_size
        self._leveled = [(number, sizes[number], tuple(ids)) for number, ids in leveled.items()]

    def _by_stage(self, work: Mapping[str, NodeWork]) -> dict[int, NodeWork]:
        """Adds up what is shown as one stage: what its parts give is what it gives itself."""
        by_stage: dict[int, NodeWork] = {}
        for path, done in work.items():
            shown = self._shown.get(path) or self._stages.shown(path)
            if shown is None:
                continue
            number, part = shown
            if part:
                done = NOTHING._replace(
                    processing_time_ns=done.processing_time_ns, estimated_ns=done.estimated_ns
                )
            known = by_stage.get(number)
            by_stage[number] = done if known is None else known.plus(done)
        return by_stage

    def _changing_levels(self, snapshot: ModelSnapshot) -> Iterator[tuple[int, int]]:
        """Codes of levels with their values; one that never changes is recorded once."""
        stages, nodes = self._stages, snapshot.nodes
        for number, written_size, node_ids in self._leveled:
            node = nodes[node_ids[0]]
            fixed = not node.tunable
            size = written_size if node.buffer_size is None else node.buffer_size
            size = None if stages.in_workers else size  # how full it is, a trace does not show
            known = fixed and stages.is_recorded(number, StageLevel.PARALLELISM)
            if node.parallelism is not None and not known:
                yield stages.stage_gauge(number, StageLevel.PARALLELISM), node.parallelism
            if size is not None:
                fill = node.buffered_elements
                if len(node_ids) > 1:
                    fill = sum(nodes[node_id].buffered_elements for node_id in node_ids)
                yield stages.stage_gauge(number, StageLevel.BUFFER), fill
                if not (fixed and stages.is_recorded(number, StageLevel.BUFFER_SIZE)):
                    yield stages.stage_gauge(number, StageLevel.BUFFER_SIZE), size
        if not snapshot.cpu_budget:  # read from a trace, which has none of these
            return
        yield stages.run_gauge(TfDataLevel.CPU_BUDGET), round(snapshot.cpu_budget)
        yield stages.run_gauge(TfDataLevel.RAM_BUDGET), round(snapshot.ram_budget)
        yield stages.run_gauge(TfDataLevel.BUFFERED), snapshot.buffered_bytes


def _part_sizes(pipeline: Pipeline) -> Iterator[tuple[str, PartSize]]:
    for written in pipeline.output.all() if pipeline.output is not None else ():
        sizes = [part.size for part in written.inputs if part.size is not None]
        if len(sizes) == len(written.inputs):
            paths = tuple(part.path for part in written.inputs)
            for path, size in zip(paths, sizes, strict=True):
                yield path, PartSize(size, size / sum(sizes), paths)
