"""What was counted of the stages of a tf.data dataset, in all of its iterators. Works on plain values."""

from collections.abc import Iterator, Mapping
from dataclasses import field

from pipeprof.capture.probes.tfdata.running.model_snapshots import (
    ModelSnapshot,
    NodeWork,
    lasting_input,
    opens_inputs,
)
from pipeprof.capture.probes.tfdata.running.stage_identity import StageIdentity
from pipeprof.capture.probes.tfdata.written.transformations import family_of
from pipeprof.recording.light_dataclasses import dataclass

NOTHING = NodeWork(0, 0, 0, 0)


@dataclass(slots=True)
class _StageHistory:
    """What is known of one stage, from all iterators.

    Attributes:
        name: name of what runs.
        ratio: elements that it takes from each input for one that it gives; 0 where that varies.
        lasting: whether an interleave takes its inputs from it.
        inputs: paths of the stages that it asks for data.
        work: what was counted of it.
        going_on: the part of that which was done by nodes that had been there before, so that what
            it costs to begin is not in it.
        element_bytes: bytes of each of its elements; 0 where they vary or nothing was counted.
    """

    name: str
    ratio: float
    lasting: bool = False
    inputs: list[str] = field(default_factory=list)
    work: NodeWork = NOTHING
    going_on: NodeWork = NOTHING
    element_bytes: float = 0.0


class StageHistories:
    """What is known of the stages of one dataset, from all of its iterators."""

    def __init__(self) -> None:
        self._stages: dict[str, _StageHistory] = {}

    def __getitem__(self, path: str) -> _StageHistory:
        return self._stages[path]

    def learn_structure(
        self, snapshot: ModelSnapshot, identities: Mapping[int, StageIdentity]
    ) -> None:
        """Adds from which stages each stage of a reading takes its data."""
        for node_id, identity in identities.items():
            node = snapshot.nodes[node_id]
            stage = self._stages.get(identity.path)
            if stage is None:
                stage = self._stages[identity.path] = _StageHistory(node.name, node.ratio)
            above = self._stages.get(identity.parent or "")
            if above is not None and identity.path not in above.inputs:
                above.inputs.append(identity.path)
        for node_id in identities:
            lasting = lasting_input(snapshot.nodes[node_id])
            if lasting is not None and opens_inputs(snapshot.nodes[node_id].name):
                self._stages[identities[lasting].path].lasting = True

    def learn_work(self, work: Mapping[str, NodeWork]) -> None:
        """Adds the work that was counted, by the paths of stages."""
        for path, done in work.items():
            stage = self._stages[path]
            each = done.bytes_produced / done.elements if done.elements else stage.element_bytes
            first = not stage.work.elements
            stage.element_bytes = each if first or each == stage.element_bytes else 0.0
            stage.work = stage.work.plus(done)

    def learn_going_on(self, work: Mapping[str, NodeWork]) -> None:
        """Adds the work that was counted of nodes that were in an earlier reading, too."""
        for path, done in work.items():
            self._stages[path].going_on = self._stages[path].going_on.plus(done)

    def estimate(self, path: str, elements: float, held: int = 0) -> NodeWork:
        """What so many elements of a stage are likely to have cost.

        Args:
            path: of the stage.
            elements: how many it gave.
            held: how many of them it had taken before, so that it took nothing for these.
        """
        stage = self._stages[path]
        seen = stage.going_on if stage.going_on.elements else stage.work
        scale = elements / seen.elements if seen.elements else 0.0
        work_ns = round(scale * seen.processing_time_ns)
        return NodeWork(
            elements=round(elements),
            processing_time_ns=work_ns,
            bytes_produced=round(scale * seen.bytes_produced),
            bytes_consumed=round(max(elements - held, 0.0) * self._taken_bytes(stage, seen)),
            estimated_ns=work_ns,
        )

    def _taken_bytes(self, stage: _StageHistory, seen: NodeWork) -> float:
        """Bytes that a stage takes for each of its elements, those that fill its buffer left out."""
        sizes = {self._stages[below].element_bytes for below in stage.inputs}
        if stage.ratio and len(sizes) == 1 and 0.0 not in sizes:
            return stage.ratio * len(stage.inputs) * sizes.pop()
        return seen.bytes_consumed / seen.elements if seen.elements else 0.0

    def groups(self, path: str) -> Iterator[tuple[list[str], float]]:
        """Inputs of a stage that together give it so many elements for one of its own."""
        stage = self._stages[path]
        if opens_inputs(stage.name):
            lasting = [below for below in stage.inputs if self._stages[below].lasting]
            yield [below for below in stage.inputs if below not in lasting], 1.0
            yield lasting, self._learned_ratio(path, lasting)
        elif family_of(stage.name) == "zip":
            for below in stage.inputs:
                yield [below], 1.0
        elif family_of(stage.name) == "directedinterleave":
            yield stage.inputs[:1], 1.0  # decides which of the others is next
            yield stage.inputs[1:], 1.0
        else:
            yield stage.inputs, stage.ratio or self._learned_ratio(path, stage.inputs)

    def _learned_ratio(self, path: str, inputs: list[str]) -> float:
        given = self._stages[path].work.elements
        taken = sum(self._stages[below].work.elements for below in inputs)
        return taken / given if given else 0.0
