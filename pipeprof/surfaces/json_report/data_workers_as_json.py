"""The workers of a tf.data service as plain dictionaries for the JSON report."""

from typing import Any

from pipeprof.analysis.findings.findings import Findings
from pipeprof.analysis.findings.service_findings import DataWorkerFinding
from pipeprof.surfaces.json_report.json_values import number


def data_workers_list(findings: Findings) -> list[dict[str, Any]]:
    """Each worker with its stages; ``index`` of a stage is its place in the recording."""
    return [_worker(found, findings) for found in findings.data_workers]


def _worker(found: DataWorkerFinding, findings: Findings) -> dict[str, Any]:
    worker = found.worker
    stages = findings.profile.stages
    return {
        "address": worker.address,
        "pid": worker.pid,
        "cores": worker.cores,
        "problem": worker.problem,
        "windows": len(worker.windows),
        "traced_ms": number(found.traced_ms),
        "trace_bytes": sum(window.size_bytes for window in worker.windows),
        "elements": found.elements,
        "not_ready_ratio": number(found.asked_ratio),
        "calls_under_way": number(found.at_work),
        "cpu_cores": number(found.cpu_cores),
        "stages": [
            {
                "name": stages[each.stage].name,
                "location": str(stages[each.stage].location)
                if stages[each.stage].location
                else None,
                "cost_ms": number(each.cost_ms),
                "parallelism": each.parallelism,
                "busy_ratio": number(each.busy_ratio),
                "cpu_at_most_ratio": number(
                    _cpu_at_most(found, each.busy_ratio * each.parallelism)
                ),
            }
            for each in found.stages
        ],
    }


def _cpu_at_most(found: DataWorkerFinding, at_work: float) -> float | None:
    """The part of a stage's work that can have been on a CPU: no more than its process used."""
    if found.cpu_cores is None or at_work <= 0:
        return None
    return min(found.cpu_cores / at_work, 1.0)
