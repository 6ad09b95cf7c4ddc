"""What the stages of a running pipeline did between two readings, vanished nodes included.

When a pass over the data, or an input of an interleave, ends, its nodes vanish from the model with
all they did since the reading before; `lost_work` estimates that. Works on plain values.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from pipeprof.capture.probes.tfdata.running.lost_work import LostWork, PartSize
from pipeprof.capture.probes.tfdata.running.model_snapshots import (
    ModelSnapshot,
    NodeCounters,
    NodeWork,
    differences,
)
from pipeprof.capture.probes.tfdata.running.stage_history import StageHistories
from pipeprof.capture.probes.tfdata.running.stage_identity import StageIdentity


class WorkTally:
    """Finds, reading by reading, what the stages behind one iterator did.

    Args:
        seen: what is known of them from all iterators of the dataset.
        sizes: of what is concatenated, by the paths of the parts, where that is known.
    """

    def __init__(self, seen: StageHistories, sizes: Mapping[str, PartSize]) -> None:
        self._seen = seen
        self._lost = LostWork(seen, sizes)
        self._before: ModelSnapshot | None = None
        self._paths: dict[int, str] = {}
        self._unlearned: dict[str, NodeWork] = {}

    def count(
        self,
        snapshot: ModelSnapshot,
        identities: Mapping[int, StageIdentity],
        python_ns: int = 0,
        *,
        complete: bool = False,
    ) -> dict[str, NodeWork]:
        """What was done since the reading before, by the paths of stages.

        Args:
            snapshot: the reading.
            identities: what its nodes are.
            python_ns: time in generators since then, which is counted elsewhere.
            complete: whether nothing that was done can be missing from the reading.
        """
        before = self._before
        self._before = snapshot
        if before is not None and before.nodes.keys() == snapshot.nodes.keys():
            work = self._differences(before, snapshot)
            if python_ns:
                self._without_python(work, python_ns)
            for path, done in work.items():
                known = self._unlearned.get(path)
                self._unlearned[path] = done if known is None else known.plus(done)
            return work
        self._learn(self._unlearned)
        self._seen.learn_going_on(self._unlearned)
        self._unlearned = {}
        ended = self._nodes_of(before) if before is not None else {}
        self._seen.learn_structure(snapshot, identities)
        self._paths = {node_id: identity.path for node_id, identity in identities.items()}
        work = self._differences(before, snapshot)
        if python_ns:
            self._without_python(work, python_ns)
        self._learn(work)
        if before is not None:
            there = [node_id for node_id in before.nodes if node_id in snapshot.nodes]
            nodes = {node_id: snapshot.nodes[node_id] for node_id in there}
            going_on = self._differences(before, replace(snapshot, nodes=nodes))
            if python_ns:
                self._without_python(going_on, python_ns)
            self._seen.learn_going_on(going_on)
        if not complete:
            self._lost.add_to(work, self._paths[snapshot.output], ended, self._nodes_of(snapshot))
        return work

    def _differences(
        self, before: ModelSnapshot | None, snapshot: ModelSnapshot
    ) -> dict[str, NodeWork]:
        work: dict[str, NodeWork] = {}
        paths = self._paths
        for node_id, done in differences(before, snapshot).items():
            path = paths.get(node_id)
            if path is not None:
                known = work.get(path)
                work[path] = done if known is None else known.plus(done)
        return work

    def _learn(self, work: Mapping[str, NodeWork]) -> None:
        self._seen.learn_work(work)
        self._lost.count(work)

    def _nodes_of(self, snapshot: ModelSnapshot) -> dict[str, list[NodeCounters]]:
        nodes: dict[str, list[NodeCounters]] = defaultdict(list)
        for node_id, path in self._paths.items():
            nodes[path].append(snapshot.nodes[node_id])
        return dict(nodes)

    def _without_python(self, work: dict[str, NodeWork], python_ns: int) -> None:
        """Takes the time inside Python generators, which have stages of their own, off their nodes."""
        generators = [path for path in work if self._seen[path].name.startswith("Generator")]
        total = sum(work[path].processing_time_ns for path in generators)
        left = max(total - python_ns, 0) / total if total else 0.0
        for path in generators:
            own_ns = round(work[path].processing_time_ns * left)
            work[path] = work[path]._replace(processing_time_ns=own_ns)
