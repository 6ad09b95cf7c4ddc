"""The workers of a tf.data service in words: why a training waits for them, and what to do."""

from pipeprof.analysis.findings.findings import Findings
from pipeprof.analysis.findings.service_findings import DataWorkerFinding, WorkersAtWork
from pipeprof.analysis.findings.tfdata_remedies import CheaperService
from pipeprof.analysis.findings.verdict_kinds import Cause
from pipeprof.analysis.findings.wait_evidence_kinds import WorkInWorkers
from pipeprof.report.names.stage_labels import label_of
from pipeprof.report.numbers import amount, count, duration, few_digits, percent, size
from pipeprof.report.plain_text import shown

# A worker without an element ready for this much of the time never has one.
_ALWAYS_FROM = 0.9

_MOST_WORKERS = 8


def service_sentence(found: WorkInWorkers) -> str:
    """Why a stage in the workers holds the training up."""
    workers = found.workers
    return (
        f"{label_of(found.stage)} works {duration(found.cost_ms)} per step in "
        f"{count(workers.count, 'worker')} of the tf.data service, in up to "
        f"{few_digits(found.calls)} {'call' if found.calls <= 1 else 'calls'} at once. "
        f"{_had_nothing(workers)} {_reason(found)}"
    )


def _had_nothing(workers: WorkersAtWork) -> str:
    their = "The worker" if workers.count == 1 else "The workers"
    if workers.asked_ratio >= _ALWAYS_FROM:
        return f"{their} had no element ready."
    return f"{their} had no element ready {percent(workers.asked_ratio)} of the time."


def _reason(found: WorkInWorkers) -> str:
    workers = found.workers
    match found.cause:
        case Cause.CPU_SATURATED if found.machine_ratio is not None:
            they = "It runs" if workers.count == 1 else "They run"
            return (
                f"{they} on the training's machine, {percent(found.machine_ratio)} of whose CPU is "
                "in use: no core is free."
            )
        case Cause.TOO_FEW_WORKERS:
            return f"{_used(workers)}."
        case Cause.BLOCKING:
            return (
                "It mostly waits (files, network or sleep): "
                f"{percent(workers.cpu_ratio or 0.0)} of the time is on the CPU."
            )
        case Cause.SERIAL:
            return f"It makes one call after the other in each of them. {_used(workers)}."
        case _:
            return f"{_used(workers)}."


def _used(workers: WorkersAtWork) -> str:
    if workers.cpu_cores is None:
        under_way = few_digits(workers.at_work / workers.count)
        on = "" if workers.cores is None else f", on {amount(workers.cores, 'core')}"
        return f"In each worker {under_way} calls are under way at a time{on}"
    used = amount(round(workers.cpu_cores / workers.count, 1), "core")
    each = "It uses" if workers.count == 1 else "Each of them uses"
    cores = "" if workers.cores is None else f" of {few_digits(workers.cores)}"
    return f"{each} {used}{cores}"


def idle_workers(workers: WorkersAtWork) -> str:
    """What a training waits for whose workers have elements ready."""
    their = "Its worker" if workers.count == 1 else f"Its {workers.count} workers"
    return (
        f"{their} had elements ready {percent(1.0 - workers.asked_ratio)} of the time: it waits for the "
        "network, or for the service to compress, send and unpack them."
    )


def cheaper_service_sentences(remedy: CheaperService) -> str:
    """What makes the way from a service to the training cheaper."""
    each = "" if remedy.element_bytes is None else f" of {size(remedy.element_bytes)}"
    if remedy.elements > 1.5:
        return (
            f"Batch before {remedy.stage} and not behind it: a step takes "
            f"{few_digits(remedy.elements)} elements{each} one by one. Where the network is fast, do not "
            "compress them."
        )
    return (
        f"Let the elements{each} of {remedy.stage} be smaller (send integers and convert them in the "
        "training), and where the network is fast, do not compress them."
    )


def worker_sentences(findings: Findings) -> list[str]:
    """What each of the first workers did while it was traced, a line each."""
    found = findings.data_workers
    lines = [_worker_sentence(each, findings) for each in found[:_MOST_WORKERS]]
    more = len(found) - _MOST_WORKERS
    return [*lines, f"and {count(more, 'more worker')}"] if more > 0 else lines


def _worker_sentence(found: DataWorkerFinding, findings: Findings) -> str:
    address = shown(found.worker.address)
    if found.asked_ratio is None:
        return f"{address} was not seen: {found.worker.problem}"
    pieces = [f"{address}: no element ready {percent(found.asked_ratio)} of the time"]
    if found.cpu_cores is not None:
        of = f" of {found.worker.cores}" if found.worker.cores else ""
        pieces.append(f"{few_digits(round(found.cpu_cores, 1))}{of} cores used")
    for seen in found.stages[:1]:
        name = shown(findings.profile.stages[seen.stage].name)
        pieces.append(
            f"{name} {duration(seen.cost_ms)} per element, busy {percent(seen.busy_ratio)}"
        )
    return " · ".join(pieces)
