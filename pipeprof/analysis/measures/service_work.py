"""Finds what the workers of a tf.data service did, in the short traces of them."""

import math
from collections.abc import Mapping, Sequence

from pipeprof.analysis.findings.service_findings import (
    DataWorkerFinding,
    WorkersAtWork,
    WorkerStageFinding,
)
from pipeprof.recording.data_workers import DataWorker, WorkerWindow
from pipeprof.recording.profile import Profile

_MS = 1e6


def find_data_workers(profile: Profile) -> tuple[DataWorkerFinding, ...]:
    """What each worker did, in the order of the recording."""
    return tuple(map(_find, profile.data_workers))


def workers_at_work(found: Sequence[DataWorkerFinding]) -> WorkersAtWork | None:
    """All workers together, or None where none was traced."""
    traced = [each for each in found if each.asked_ratio is not None]
    if not traced:
        return None
    read = [each.cpu_cores for each in traced if each.cpu_cores is not None]
    cores = {each.worker.cores for each in traced}
    total_ms = math.fsum(each.traced_ms for each in traced)
    asked = math.fsum(each.traced_ms * (each.asked_ratio or 0.0) for each in traced)
    return WorkersAtWork(
        count=len(traced),
        asked_ratio=asked / total_ms if total_ms else 0.0,
        at_work=math.fsum(each.at_work for each in traced),
        cpu_cores=math.fsum(read) if len(read) == len(traced) else None,
        cores=cores.pop() if len(cores) == 1 else None,
        use_all_cores=2 * sum(each.uses_all_cores for each in traced) > len(traced),
        beside_training=all(each.worker.pid is not None for each in traced),
    )


def _find(worker: DataWorker) -> DataWorkerFinding:
    lasted_ns = sum(window.lasted_ns for window in worker.windows)
    elements = sum(window.elements for window in worker.windows)
    work_ns = sum(seen.work_ns for window in worker.windows for seen in window.stages)
    read = [window for window in worker.windows if window.cpu_cores is not None]
    read_ns = sum(window.lasted_ns for window in read)
    cpu_ns = math.fsum(window.lasted_ns * (window.cpu_cores or 0.0) for window in read)
    asked_ns = math.fsum(window.lasted_ns * window.asked_ratio for window in worker.windows)
    return DataWorkerFinding(
        worker=worker,
        traced_ms=lasted_ns / _MS,
        elements=elements,
        asked_ratio=asked_ns / lasted_ns if lasted_ns else None,
        at_work=work_ns / lasted_ns if lasted_ns else 0.0,
        cpu_cores=cpu_ns / read_ns if read_ns else None,
        stages=_stages(worker.windows, lasted_ns, elements),
    )


def _stages(
    windows: Sequence[WorkerWindow], lasted_ns: int, elements: int
) -> tuple[WorkerStageFinding, ...]:
    work_ns: dict[int, int] = {}
    calls: dict[int, int] = {}
    for window in windows:
        for seen in window.stages:
            work_ns[seen.stage] = work_ns.get(seen.stage, 0) + seen.work_ns
            calls[seen.stage] = (
                seen.parallelism
            )  # AUTOTUNE may have changed it: the last one counts
    found = (
        WorkerStageFinding(
            stage=stage,
            cost_ms=ns / max(elements, 1) / _MS,
            parallelism=calls[stage],
            busy_ratio=_busy(ns, lasted_ns, calls[stage]),
        )
        for stage, ns in work_ns.items()
    )
    return tuple(sorted(found, key=lambda each: (-each.cost_ms, each.stage)))


def _busy(work_ns: int, lasted_ns: int, parallelism: int) -> float:
    return min(work_ns / lasted_ns / parallelism, 1.0) if lasted_ns else 0.0


def own_share_of_service(profile: Profile) -> Mapping[int, float]:
    """The part of the waiting for a service that is not the waiting of its workers for their stages.

    Returns:
        That part, by the index of the stage that takes from the service; only where workers were traced.
    """
    together = workers_at_work(find_data_workers(profile))
    if together is None:
        return {}
    seen = {
        each.stage for worker in profile.data_workers for w in worker.windows for each in w.stages
    }
    tops = {_top(profile, stage, seen) for stage in seen}
    return {top: 1.0 - together.asked_ratio for top in tops if top is not None}


def _top(profile: Profile, stage: int, seen: set[int]) -> int | None:
    """The stage of the training that takes the elements of a stage of the workers."""
    passed = set()
    at: int | None = stage
    while at is not None and at in seen and at not in passed:
        passed.add(at)
        at = profile.stages[at].parent
    return at
