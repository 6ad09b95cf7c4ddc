"""Counts what one iterator takes from tf.data services."""

from collections.abc import Sequence

from pipeprof.capture.probes.tfdata.running.model_snapshots import ModelSnapshot
from pipeprof.capture.probes.tfdata.service.service_pipelines import (
    TAKES_FROM_SERVICE,
    ServicePipeline,
)


class ServiceFollower:
    """What one iterator takes from services.

    Args:
        pipelines: those that it takes from, in the order of its nodes.
    """

    def __init__(self, pipelines: Sequence[ServicePipeline]) -> None:
        self._pipelines = pipelines
        self._before: dict[int, int] = {}

    def took(self, snapshot: ModelSnapshot, start_ns: int, end_ns: int) -> None:
        """Counts what was taken since the reading before."""
        nodes = [
            node for node in snapshot.nodes.values() if node.name.startswith(TAKES_FROM_SERVICE)
        ]
        nodes.sort(key=lambda node: node.node_id)
        for number, node in enumerate(nodes):
            pipeline = self._pipelines[min(number, len(self._pipelines) - 1)]
            new = node.num_elements - self._before.get(node.node_id, 0)
            self._before[node.node_id] = node.num_elements
            if new > 0:
                pipeline.took(new, start_ns, end_ns)
