"""Processes that train together, for the JSON report: the verdict on all, and each host with its ranks."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np

from pipeprof.analysis.findings.rank_findings import (
    HostDifference,
    RankFinding,
    RankProblem,
    RankSpread,
    RunOfRanks,
    RunVerdict,
    Straggler,
)
from pipeprof.analysis.findings.rank_summary import StageBrief
from pipeprof.analysis.findings.spread import Spread
from pipeprof.report.many_hosts.ranks_text import (
    chosen_ranks,
    problem_sentence,
    reasons_of_run,
    run_verdict,
)
from pipeprof.surfaces.json_report.json_values import number

# Ranks that are described one by one unless all are asked for: some 2 kB each.
MOST_RANKS = 256
# Of the heat map's columns; those of a row stand in one line of the file.
_MOST_COLUMNS = 64


def ranks_dict(ranks: RunOfRanks | None, all_ranks: bool) -> dict[str, Any] | None:
    """What holds for all ranks, or None where a process trained alone.

    Args:
        ranks: what was found of them.
        all_ranks: whether every rank is described, however many there are.
    """
    if ranks is None:
        return None
    chosen = _described(ranks, all_ranks)
    return {
        "size": ranks.size,
        "recorded": len(ranks.ranks),
        "described": len(chosen),
        "shown": ranks.shown,
        "verdict": _verdict(ranks.verdict, ranks),
        "spread": {name: _spread_of_ranks(each) for name, each in ranks.spreads.items()},
        "differences": [_difference(each) for each in ranks.differences],
        "problems": [
            _problem(each) for each in ranks.problems[: None if all_ranks else MOST_RANKS]
        ],
        "waits": _waits(ranks, chosen),
    }


def hosts_list(ranks: RunOfRanks | None, all_ranks: bool) -> list[dict[str, Any]]:
    """Each host with its ranks; of many ranks, those that stand for all."""
    if ranks is None:
        return []
    by_host: dict[str, list[RankFinding]] = defaultdict(list)
    for each in _described(ranks, all_ranks):
        by_host[each.summary.host].append(each)
    return [_host(host, found) for host, found in by_host.items()]


def _described(ranks: RunOfRanks, all_ranks: bool) -> Sequence[RankFinding]:
    if all_ranks or len(ranks.ranks) <= MOST_RANKS:
        return ranks.ranks
    chosen = {each.number: each for _, each in chosen_ranks(ranks, MOST_RANKS // 2)}
    evenly = ranks.ranks[:: -(-len(ranks.ranks) // (MOST_RANKS // 2))]
    chosen |= {each.number: each for each in evenly}
    return [chosen[number] for number in sorted(chosen)]


def _verdict(verdict: RunVerdict, ranks: RunOfRanks) -> dict[str, Any]:
    return {
        "bound": verdict.bound.value,
        "text": "; ".join(run_verdict(ranks)),
        "reasons": reasons_of_run(ranks),
        "synchrony": verdict.synchrony.value,
        "wait_ratio": number(verdict.wait_ratio),
        "stragglers": [_straggler(each) for each in verdict.stragglers],
        "in_turn_ms": number(verdict.in_turn_ms),
        "others_wait_ms": number(verdict.others_wait_ms),
        "step_ms": number(verdict.step_ms),
        "usual_step_ms": number(verdict.usual_step_ms),
        "without_stragglers_ms": number(verdict.without_ms),
        "waits_shared": verdict.waits_shared,
        "slowest": verdict.slowest,
        "steps_compared": verdict.steps,
    }


def _straggler(late: Straggler) -> dict[str, Any]:
    return {
        "rank": late.rank,
        "wait_ms": number(late.wait_ms),
        "usual_wait_ms": number(late.usual_wait_ms),
        "stage": _stage(late.stage),
        "usual_stage": _stage(late.usual_stage),
        "cause": late.cause.value,
        "last_ratio": number(late.last_ratio),
    }


def _stage(stage: StageBrief | None) -> dict[str, Any] | None:
    if stage is None:
        return None
    return {
        "stage": stage.name,
        "kind": stage.kind,
        "location": stage.location,
        "cost_ms": number(stage.cost_ms),
        "elements": number(stage.elements),
        "cpu_ratio": number(stage.cpu_ratio),
        "parallelism": number(stage.parallelism),
    }


def _spread_of_ranks(spread: RankSpread) -> dict[str, Any]:
    return {
        "least": number(spread.least),
        "least_rank": spread.least_rank,
        "median": number(spread.median),
        "most": number(spread.most),
        "most_rank": spread.most_rank,
    }


def _difference(found: HostDifference) -> dict[str, Any]:
    return {
        "aspect": found.aspect.value,
        "name": found.name or None,
        "usual": found.usual,
        "others": [{"value": value, "ranks": list(ranks)} for value, ranks in found.values],
    }


def _problem(problem: RankProblem) -> dict[str, Any]:
    known = {each.name: _plain(getattr(problem, each.name)) for each in fields(problem)}
    return {"kind": type(problem).__name__, "text": problem_sentence(problem), **known}


def _plain(value: Any) -> Any:
    match value:
        case Enum():
            return value.value
        case tuple():
            return list(value)
        case float():
            return number(value)
        case _ if is_dataclass(value) and not isinstance(value, type):
            return asdict(value)
        case _:
            return value


def _waits(ranks: RunOfRanks, chosen: Sequence[RankFinding]) -> dict[str, Any] | None:
    """The heat map of waits, ranks by steps; neighbouring blocks of steps are brought together."""
    waits = ranks.waits
    if waits is None or not len(waits.first_step):
        return None
    factor = -(-len(waits.first_step) // _MOST_COLUMNS)
    starts = np.arange(0, len(waits.first_step), factor)
    rows = {rank: row for row, rank in enumerate(waits.ranks)}
    known = np.isfinite(waits.wait_ms)
    sums = np.add.reduceat(np.where(known, waits.wait_ms, 0.0), starts, axis=1)
    counts = np.add.reduceat(known, starts, axis=1)
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return {
        "first_step": waits.first_step[starts].tolist(),
        "wait_ms": {
            str(each.number): " ".join(
                "-" if not np.isfinite(value) else f"{value:.4g}"
                for value in means[rows[each.number]]
            )
            for each in chosen
            if each.number in rows
        },
    }


def _host(host: str, found: Sequence[RankFinding]) -> dict[str, Any]:
    first = found[0].summary
    return {
        "host": host,
        "cores": first.processors.cores,
        "cpu_limit": number(first.processors.limit),
        "memory_bytes": first.machine.memory_bytes,
        "system": first.machine.system,
        "versions": dict(first.versions),
        "clock_ahead_ms": number(found[0].clock_ahead_ms),
        "ranks": [_rank(each) for each in found],
    }


def _rank(each: RankFinding) -> dict[str, Any]:
    summary = each.summary
    return {
        "rank": each.number,
        "pid": summary.pid,
        "finished": summary.finished,
        "error": summary.error,
        "ended_by": summary.ended_by,
        "epochs": summary.epochs,
        "steps": summary.steps,
        "samples": summary.samples,
        "bound": summary.bound.value,
        "cause": summary.cause.value,
        "wait_ratio": number(summary.wait_ratio),
        "step_ms": _spread(summary.step_ms),
        "wait_ms": _spread(summary.wait_ms),
        "compute_ms": _spread(summary.compute_ms),
        "callback_ms": _spread(summary.callback_ms),
        "held_by_others_ms": number(each.held_ms),
        "last_ratio": number(each.last_ratio),
        "straggles": each.straggles,
        "bottleneck": _stage(summary.bottleneck),
        "cpu_ratio": number(summary.processors.process_ratio),
        "machine_cpu_ratio": number(summary.processors.machine_ratio),
        "account_s": {part: number(ns / 1e9) for part, ns in summary.account_ns.items()},
    }


def _spread(spread: Spread | None) -> list[float | None] | None:
    """Median, mean and 95th percentile."""
    return (
        None
        if spread is None
        else [number(each) for each in (spread.median, spread.mean, spread.p95)]
    )
