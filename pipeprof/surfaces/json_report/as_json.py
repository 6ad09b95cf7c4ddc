"""Findings as the JSON report that programs read: format 2, whose keys are always all there.

Times are milliseconds and end in ``_ms``; those of whole runs are seconds and end in ``_s``. Ratios are
0 to 1, and a value that was not measured is null.
"""

import json
from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

from pipeprof.analysis.findings.account_findings import HostPlace
from pipeprof.analysis.findings.advice_kinds import Advice
from pipeprof.analysis.findings.findings import (
    Bottleneck,
    Diagnosis,
    Findings,
    HotLine,
    LoopFinding,
    LoopGroup,
    StageFinding,
)
from pipeprof.analysis.findings.input_findings import (
    AutotunedValue,
    AutotuneFinding,
    EpochStart,
    InputFinding,
)
from pipeprof.analysis.findings.machine_findings import (
    CpuFinding,
    DeviceFinding,
    HeldUp,
    LaneFinding,
    OverheadFinding,
    ResourceFinding,
)
from pipeprof.analysis.findings.spread import Spread
from pipeprof.analysis.findings.verdict_kinds import Bound, Cause
from pipeprof.recording.ceiling import Ceiling
from pipeprof.recording.devices import TraceWindow
from pipeprof.recording.run_info import RunInfo
from pipeprof.report.names.part_names import place_name
from pipeprof.report.names.stage_labels import remark_of
from pipeprof.report.one_run.advice_code import remedy_code
from pipeprof.report.one_run.advice_text import remedy_sentence
from pipeprof.report.one_run.autotune_text import autotune_warning
from pipeprof.report.one_run.evidence_text import evidence_sentence
from pipeprof.report.one_run.run_facts import caveats, started
from pipeprof.surfaces.json_report.account_as_json import account_dict, epoch_dict
from pipeprof.surfaces.json_report.data_workers_as_json import data_workers_list
from pipeprof.surfaces.json_report.delivery_as_json import delivery_dict
from pipeprof.surfaces.json_report.json_values import interval, number, whole
from pipeprof.surfaces.json_report.ranks_as_json import hosts_list, ranks_dict
from pipeprof.surfaces.json_report.tuning_as_json import tuning_dict

FORMAT = 2

_NO_DIAGNOSIS = Diagnosis(
    bound=Bound.UNKNOWN,
    confidence=0.0,
    wait_ratio=None,
    whole_wait_ratio=None,
    whole_step_ms=None,
    wall=None,
    step_ms=None,
    wait_ms=None,
    callback_ms=None,
    compute_ms=None,
    samples_per_s=None,
    bottleneck=None,
    cause=Cause.NONE,
    held_up=HeldUp(gil_ratio=None, cpu_queue_ratio=None),
    host=(),
    ideal_step_ms=None,
    free_input=None,
    evidence=(),
    measured_by=None,
    counted_steps=0,
    advice=(),
)

_NO_INPUT = InputFinding(
    kind=None,
    on_main_thread=None,
    overlap_ratio=None,
    overlap_estimated=False,
    workers=None,
    multiprocessing=None,
    threads=(),
    queue_size=None,
    queue_mean=None,
    queue_empty_ratio=None,
    head_of_line_ratio=None,
    epoch_start_ms=None,
)


def to_json(findings: Findings, *, all_ranks: bool = False) -> str:
    """The report as strict JSON in plain ASCII, indented."""
    return json.dumps(to_dict(findings, all_ranks=all_ranks), indent=2, allow_nan=False)


def to_dict(findings: Findings, *, all_ranks: bool = False) -> dict[str, Any]:
    """The report as plain dictionaries, lists, strings and numbers.

    Without any training loop, ``diagnosis`` and ``input`` have all their keys too: bound is
    ``unknown`` and the rest null.

    Args:
        findings: the run.
        all_ranks: whether all processes of a large run are described, or those that stand for all.
    """
    main = findings.main
    return {
        "format": FORMAT,
        "run": _run(findings.profile.run),
        "account": account_dict(findings.account),
        "loops": [_loop(found) for found in findings.loops],
        "loop_groups": [_group(group, findings.loops) for group in findings.groups],
        "diagnosis": _diagnosis(main.diagnosis if main else _NO_DIAGNOSIS),
        "epochs": [epoch_dict(epoch) for epoch in main.epochs] if main else [],
        "input": _input(main.input if main else _NO_INPUT),
        "host_lines": [_hot_line(line) for line in findings.host_lines],
        "stages": [_stage(found) for found in findings.stages],
        "autotune": _autotune(findings.autotune),
        "data_workers": data_workers_list(findings),
        "lanes": [_lane(found) for found in findings.lanes],
        "cpu": _cpu(findings.cpu),
        "resources": _resources(findings.resources),
        "device": _device(findings.devices[0] if findings.devices else None),
        "devices": [_device(found) for found in findings.devices],
        "trace_windows": [_trace_window(window) for window in findings.profile.trace_windows],
        "delivery": delivery_dict(findings),
        "tuning": None if findings.profile.tuning is None else tuning_dict(findings.profile.tuning),
        "overhead": _overhead(findings.overhead),
        "ranks": ranks_dict(findings.ranks, all_ranks),
        "hosts": hosts_list(findings.ranks, all_ranks),
    }


def _run(run: RunInfo) -> dict[str, Any]:
    began = started(run)
    return {
        "name": run.name,
        "hosts": list(run.hosts),
        "started": began.isoformat(timespec="seconds") if began else None,
        "duration_s": number((run.end_ns - run.start_ns) / 1e9),
        "versions": dict(run.versions),
        "backend": run.backend,
        "argv": list(run.argv),
        "exit": run.exit_code,
        "error": run.error,
        "ended_by": run.ended_by,
        "recorded_by": run.recorded_by.value,
        "rank": run.rank.number if run.rank else None,
        "world_size": run.rank.size if run.rank else None,
        "launcher": run.rank.launcher.value if run.rank else None,
        "warnings": list(caveats(run)),
    }


def ceiling_to_dict(ceiling: Ceiling) -> dict[str, Any]:
    """The measured limit of a training, as ``pipeprof ceiling --json`` writes it."""
    return {
        "step_ms": {
            "median": number(ceiling.median_ns / 1e6),
            "mean": number(ceiling.mean_ns / 1e6),
            "p95": number(ceiling.p95_ns / 1e6),
        },
        "steps": ceiling.steps,
        "batches": ceiling.batches,
    }


def _loop(found: LoopFinding) -> dict[str, Any]:
    return {
        "kind": found.loop.kind.value,
        "location": str(found.loop.location) if found.loop.location else None,
        "model": found.loop.model,
        "passes": found.loop.account.pass_count or None,
        "epochs": found.loop.epochs,
        "steps": found.loop.step_count,
        "samples": found.loop.sample_count,
        "wall_s": number(found.account.wall_ns / 1e9),
        "account": account_dict(found.account),
        "diagnosis": _diagnosis(found.diagnosis),
        "input": _input(found.input),
    }


def _group(group: LoopGroup, loops: Sequence[LoopFinding]) -> dict[str, Any]:
    """A group with the places of its loops in ``loops``."""
    places = {id(found): place for place, found in enumerate(loops)}
    return {
        "grouping": group.grouping.value,
        "kind": group.kind.value,
        "location": str(group.location) if group.location else None,
        "loops": [places[id(found)] for found in group.loops],
        "passes": group.passes,
        "wall_s": number(group.wall_s),
    }


def _diagnosis(found: Diagnosis) -> dict[str, Any]:
    wall, free = found.wall, found.free_input
    return {
        "bound": found.bound.value,
        "confidence": number(found.confidence),
        "wait_ratio": number(found.wait_ratio),
        "wait_ratio_with_epoch_starts": number(found.whole_wait_ratio),
        "wall_wait_ratio": number(wall.wait_ratio) if wall else None,
        "wall_wait_ratio_interval": interval(wall.wait_interval) if wall else None,
        "wall_host_ratio": number(wall.host_ratio) if wall else None,
        "wall_host_ratio_interval": interval(wall.host_interval) if wall else None,
        "step_ms": _spread(found.step_ms),
        "step_ms_with_epoch_starts": number(found.whole_step_ms),
        "wait_ms": _spread(found.wait_ms) | {"mean": number(found.mean_wait_ms)},
        "callback_ms": _spread(found.callback_ms),
        "compute_ms": _spread(found.compute_ms),
        "samples_per_s": number(found.samples_per_s),
        "bottleneck": _bottleneck(found.bottleneck) if found.bottleneck else None,
        "cause": found.cause.value,
        "held_up": {
            "gil_ratio": number(found.held_up.gil_ratio),
            "cpu_queue_ratio": number(found.held_up.cpu_queue_ratio),
        },
        "helpers": {
            "count": found.helpers.count,
            "cores": number(found.helpers.cores),
            "cpu_ratio": number(found.helpers.cpu_ratio),
        }
        if found.helpers
        else None,
        "host": [_host(place) for place in found.host],
        "ideal_step_ms": number(found.ideal_step_ms),
        "ideal_step_ms_interval": interval(found.ideal_step_interval),
        "ideal_wall_s": number(free.wall_s) if free else None,
        "ideal_wall_s_interval": interval(free.wall_interval) if free else None,
        "speedup_limit": number(free.speedup) if free else None,
        "speedup_limit_interval": interval(free.speedup_interval) if free else None,
        "ideal_known": free.known.value if free else None,
        "evidence": list(map(evidence_sentence, found.evidence)),
        "measured_by": found.measured_by.value if found.measured_by else None,
        "advice": [_advice(each) for each in found.advice],
    }


def _host(place: HostPlace) -> dict[str, Any]:
    return {
        "name": place_name(place.name),
        "location": str(place.location) if place.location else None,
        "ratio": number(place.ratio),
        "ratio_interval": None
        if place.error is None
        else [number(max(place.ratio - place.error, 0.0)), number(place.ratio + place.error)],
    }


def _spread(spread: Spread | None) -> dict[str, float | None]:
    median, mean, p95 = astuple(spread) if spread else (None, None, None)
    return {"median": number(median), "mean": number(mean), "p95": number(p95)}


def _bottleneck(found: Bottleneck) -> dict[str, Any]:
    return {
        "stage": found.stage,
        "kind": found.kind,
        "location": str(found.location) if found.location else None,
        "cost_ms": number(found.cost_ms),
        "share": number(found.share),
    }


def _advice(advice: Advice) -> dict[str, Any]:
    verified, found = advice.verified, advice.prediction
    return {
        "action": advice.action,
        "summary": remedy_sentence(advice.remedy),
        "how": remedy_code(advice.remedy),
        "predicted_step_ms": number(found.step_ms) if found else None,
        "predicted_step_ms_interval": [number(found.low_ms), number(found.high_ms)]
        if found
        else None,
        "predicted_speedup": number(found.speedup) if found else None,
        "unexplained_ms": number(found.unexplained_ms) if found else None,
        "verified": verified
        and {"step_ms": number(verified.step_ms), "speedup": number(verified.speedup)},
    }


def _input(found: InputFinding) -> dict[str, Any]:
    return {
        "kind": found.kind,
        "on_main_thread": found.on_main_thread,
        "overlap_ratio": number(found.overlap_ratio),
        "workers": found.workers,
        "multiprocessing": found.multiprocessing,
        "threads": list(found.threads),
        "queue": {
            "size": found.queue_size,
            "mean": number(found.queue_mean),
            "empty_ratio": number(found.queue_empty_ratio),
            "head_of_line_ratio": number(found.head_of_line_ratio),
        },
        "epoch_start_ms": {"median": number(found.epoch_start_ms)},
        "epoch_starts": [_epoch_start(start) for start in found.epoch_starts],
    }


def _epoch_start(start: EpochStart) -> dict[str, Any]:
    location = start.stage.location if start.stage else None
    return {
        "epoch": start.epoch,
        "wait_ms": number(start.wait_ms),
        "usual_ms": number(start.usual_ms),
        "cause": start.cause.value if start.cause else None,
        "stage": start.stage.name if start.stage else None,
        "location": str(location) if location else None,
        "elements": start.elements,
        "work_ms": number(start.work_ms),
        "ended_ms": number(start.ended_ms),
    }


def _stage(found: StageFinding) -> dict[str, Any]:
    stage = found.stage
    return {
        "name": stage.name,
        "kind": stage.kind.value,
        "function": stage.function,
        "location": str(stage.location) if stage.location else None,
        "made_at": str(stage.made_at) if stage.made_at else None,
        "made_by": stage.made_by,
        "written": stage.written,
        "runs_as": stage.runs_as,
        "remark": remark_of(stage),
        "cost_ms": number(found.cost_ms),
        "estimated_ratio": number(found.estimated_ratio),
        "copies": found.copies,
        "calls": found.calls,
        "elements": found.elements,
        "elements_taken": found.elements_taken,
        "bytes": found.size_bytes,
        "bytes_taken": found.taken_bytes,
        "parallelism": {
            "value": number(found.parallelism),
            "max": found.most_parallelism,
            "autotuned": found.autotuned,
        },
        "buffer": {"size": found.buffer_size, "mean": number(found.buffer_mean)},
        "capacity_per_s": number(found.capacity_per_s),
        "cpu_ratio": number(found.cpu_ratio),
        "native_cores": number(found.native_cores),
        "lanes": list(found.lanes),
        "hot_lines": [_hot_line(line) for line in found.hot_lines],
    }


def _hot_line(line: HotLine) -> dict[str, Any]:
    return {
        "location": str(line.location),
        "function": line.function,
        "text": line.text,
        "share": number(line.share),
    }


def _autotune(found: AutotuneFinding | None) -> dict[str, Any]:
    return {
        "enabled": found.enabled if found else None,
        "cpu_budget": found.cpu_budget if found else None,
        "ram_budget_bytes": found.ram_budget_bytes if found else None,
        "most_buffered_bytes": found.most_buffered_bytes if found else None,
        "tuned": [_tuned(tuned) for tuned in found.tuned] if found else [],
        "warnings": list(map(autotune_warning, found.warnings)) if found else [],
    }


def _tuned(tuned: AutotunedValue) -> dict[str, Any]:
    location = tuned.stage.location
    return {
        "stage": tuned.stage.name,
        "location": str(location) if location else None,
        "what": tuned.kind.value,
        "value": tuned.value,
        "least": tuned.least,
        "most": tuned.most,
        "limit": tuned.limit,
        "settled_after_steps": tuned.settled_after_steps,
        "series": [{"step": step, "value": value} for step, value in tuned.series],
    }


def _lane(found: LaneFinding) -> dict[str, Any]:
    return {
        "name": found.name,
        "role": found.role.value,
        "pid": found.pid,
        "tid": found.tid,
        "busy_ratio": number(found.busy_ratio),
        "cpu_ratio": number(found.cpu_ratio),
        "gil_ratio": number(found.gil_ratio),
        "stages": list(found.stages),
        "batches": found.batches,
    }


def _cpu(found: CpuFinding) -> dict[str, Any]:
    return {
        "cores": found.cores,
        "physical_cores": found.physical_cores,
        "limit": number(found.limit),
        "process_ratio": number(found.process_ratio),
        "saturated": found.saturated,
        "machine_ratio": number(found.machine_ratio),
        "throttled_ratio": number(found.throttled_ratio),
        "voluntary_switches_per_s": number(found.voluntary_switches_per_s),
        "forced_switches_per_s": number(found.forced_switches_per_s),
    }


def _resources(found: ResourceFinding) -> dict[str, Any]:
    return {
        "memory_bytes": whole(found.memory_bytes),
        "most_memory_bytes": found.most_memory_bytes,
        "disk_read_bytes_per_s": whole(found.disk_read_bytes_per_s),
        "disk_written_bytes_per_s": whole(found.disk_written_bytes_per_s),
        "received_bytes_per_s": whole(found.received_bytes_per_s),
        "sent_bytes_per_s": whole(found.sent_bytes_per_s),
    }


def _device(found: DeviceFinding | None) -> dict[str, Any]:
    return {
        "kind": found.kind if found else None,
        "name": found.name if found else None,
        "model": found.model if found else None,
        "step_ms": number(found.step_ms) if found else None,
        "compute_ms": number(found.compute_ms) if found else None,
        "copy_in_ms": number(found.copy_in_ms) if found else None,
        "busy_ratio": number(found.busy_ratio) if found else None,
        "idle_waiting_input_ratio": number(found.idle_waiting_ratio) if found else None,
        "own_busy_ratio": number(found.own_busy_ratio) if found else None,
        "memory_bytes": whole(found.memory_bytes) if found else None,
        "memory_room_bytes": whole(found.memory_room_bytes) if found else None,
        "own_memory_bytes": whole(found.own_memory_bytes) if found else None,
        "power_w": number(found.power_w) if found else None,
        "clock_mhz": number(found.clock_mhz) if found else None,
        "source": found.source.value if found else "none",
    }


def _trace_window(window: TraceWindow) -> dict[str, Any]:
    return {
        "run": window.run,
        "loop": window.loop,
        "first_step": window.first_step,
        "steps": window.step_count,
    }


def _overhead(found: OverheadFinding) -> dict[str, Any]:
    return {
        "probe_ns": number(found.probe_ns),
        "events": found.events,
        "events_dropped": found.events_dropped,
        "ratio": number(found.ratio),
    }
