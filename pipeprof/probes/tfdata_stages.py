"""Records what each stage of a running tf.data pipeline did between two readings of its model."""

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from pipeprof.levels import TfDataLevel
from pipeprof.probes.tfdata_alignment import Pipeline, StageIdentity, align
from pipeprof.probes.tfdata_snapshots import (
    ModelSnapshot,
    NodeCounters,
    NodeWork,
    differences,
    lost_elements,
    with_lost_work,
)
from pipeprof.probes.watch import Watch
from pipeprof.records import Kind, code


class PipelineStages:
    """Records the work of one pipeline's stages."""

    def __init__(self, watch: Watch, pipeline: Pipeline, place: str) -> None:
        self._recorder = watch.recorder
        self._pipeline = pipeline
        self._place = f"{place} {zlib.crc32(repr(pipeline.output).encode()):08x}"
        self._identities: Mapping[int, StageIdentity] = {}
        self._numbers: dict[str, int] = {}
        self._gauges: dict[tuple[str, str], int] = {}
        if pipeline.problem:
            self._recorder.warn(pipeline.problem)

    def record(
        self,
        previous: ModelSnapshot | None,
        snapshot: ModelSnapshot,
        python_ns: int,
        start_ns: int,
        end_ns: int,
        began_ns: int | None = None,
    ) -> None:
        """Records what each stage did between two readings.

        Args:
            previous: the earlier reading; None at the iterator's first.
            snapshot: the later one.
            python_ns: time spent in generators meanwhile, which have stages of their own.
            start_ns: when the earlier reading was taken, or the iterator made.
            end_ns: when the later one was.
            began_ns: when the iterator was made, if its first batches are just being taken.
        """
        identities = self._identities = align(self._pipeline, snapshot, self._identities)
        by_path: dict[str, list[int]] = {}
        for node_id, identity in identities.items():
            by_path.setdefault(identity.path, []).append(node_id)
        work = _without_python(differences(previous, snapshot), snapshot, python_ns)
        work = with_lost_work(work, lost_elements(previous, snapshot), snapshot)
        lane = self._recorder.lane()
        for path, node_ids in by_path.items():
            identity = identities[node_ids[0]]
            nodes = [snapshot.nodes[node_id] for node_id in node_ids]
            if identity.parent is None:
                continue  # Root: hands batches on, does nothing
            number = self._stage(identity, nodes[0], identities)
            done = [work[node_id] for node_id in node_ids]
            elements = sum(d.elements for d in done)
            spent_ns = sum(d.processing_time_ns for d in done)
            lane.write(code(Kind.WORK, number), start_ns, end_ns, elements, spent_ns)
            if began_ns is not None:
                self._record_start(number, nodes, began_ns, end_ns)
            size = sum(d.bytes_produced for d in done)
            lane.write(code(Kind.BYTES, number), end_ns, end_ns, 0, size)
            for field, level in _levels(nodes):
                gauge = self._gauge(path, number, field)
                lane.write(code(Kind.GAUGE, gauge), end_ns, end_ns, 0, level)
        for name, level in (
            (TfDataLevel.CPU_BUDGET, round(snapshot.cpu_budget)),
            (TfDataLevel.RAM_BUDGET, round(snapshot.ram_budget)),
            (TfDataLevel.BUFFERED, snapshot.buffered_bytes),
        ):
            gauge = self._recorder.names.number({"type": "gauge", "name": name.value})
            lane.write(code(Kind.GAUGE, gauge), end_ns, end_ns, 0, level)

    def _record_start(self, stage: int, nodes: list[NodeCounters], began_ns: int, now: int) -> None:
        """Records what a stage did and holds since its iterator was made, Python code included."""
        calls = sum(node.num_elements for node in nodes)
        held = sum(node.buffered_elements for node in nodes)
        work_ns = sum(node.processing_time_ns for node in nodes)
        start = code(Kind.EPOCH_START, stage)
        self._recorder.lane().write(start, began_ns, now, held << 32 | calls & 0xFFFFFFFF, work_ns)

    def _stage(
        self,
        identity: StageIdentity,
        node: NodeCounters,
        identities: Mapping[int, StageIdentity],
    ) -> int:
        number = self._numbers.get(identity.path)
        if number is not None:
            return number
        facts: dict[str, Any] = {
            "type": "stage",
            "name": identity.name,
            "kind": identity.kind.value,
            "place": f"{self._place} {identity.path}",
        }
        if identity.function:
            facts["function"] = identity.function
        if identity.location:
            facts |= {"file": identity.location.file, "line": identity.location.line}
        remark = _remark(identity)
        if remark:
            facts["remark"] = remark
        if node.parallelism is not None:
            facts |= {"autotuned": bool(node.tunable), "most_parallelism": node.most_parallelism}
        if node.buffer_size is not None:
            facts["buffer_autotuned"] = bool(node.tunable)
        parent = next((i for i in identities.values() if i.path == identity.parent), None)
        if parent is not None and parent.parent is not None:
            facts["parent"] = self._stage(parent, node, identities)
        number = self._numbers[identity.path] = self._recorder.names.number(facts)
        return number

    def _gauge(self, path: str, stage: int, field: str) -> int:
        gauge = self._gauges.get((path, field))
        if gauge is None:
            facts = {"type": "gauge", "of": stage, "field": field}
            gauge = self._gauges[path, field] = self._recorder.names.number(facts)
        return gauge


def _levels(nodes: list[NodeCounters]) -> Iterator[tuple[str, int]]:
    first = nodes[0]
    if first.parallelism is not None:
        yield "parallelism", first.parallelism
    if first.buffer_size is not None:
        yield "buffer", sum(node.buffered_elements for node in nodes)
        yield "buffer_size", first.buffer_size


def _remark(identity: StageIdentity) -> str | None:
    runs_as = identity.running if identity.written and " → " in identity.written else None
    parts = [identity.remark, f"{identity.written} runs as {runs_as}" if runs_as else None]
    return "; ".join(part for part in parts if part) or None


def _without_python(
    work: Mapping[int, NodeWork], snapshot: ModelSnapshot, python_ns: int
) -> Mapping[int, NodeWork]:
    """Takes the time inside Python generators, which have stages of their own, off their nodes."""
    generators = [i for i, node in snapshot.nodes.items() if node.name.startswith("Generator")]
    total = sum(work[i].processing_time_ns for i in generators)
    if not total or not python_ns:
        return work
    left = max(total - python_ns, 0) / total
    own = {
        i: work[i]._replace(processing_time_ns=round(work[i].processing_time_ns * left))
        for i in generators
    }
    return {**work, **own}
