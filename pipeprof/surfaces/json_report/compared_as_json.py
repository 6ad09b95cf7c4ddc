"""Runs beside each other as JSON."""

import json
from collections.abc import Sequence
from typing import Any

from pipeprof.analysis.comparing.gate import GateResult
from pipeprof.analysis.comparing.run_comparison import ComparedQuantity, Comparison
from pipeprof.analysis.comparing.run_noise import Range
from pipeprof.analysis.findings.findings import Findings
from pipeprof.report.runs.run_comparison_text import verdict_sentence
from pipeprof.surfaces.json_report.json_values import number

FORMAT = 1


def comparison_dict(comparison: Comparison, outcomes: Sequence[GateResult] = ()) -> dict[str, Any]:
    """The comparison as plain values.

    Args:
        comparison: the runs.
        outcomes: what became of the conditions of a gate.
    """
    work = comparison.work
    losses = work.losses
    return {
        "format": FORMAT,
        "before": [_run(findings) for findings in comparison.before],
        "after": [_run(findings) for findings in comparison.after],
        "work": {
            "sameness": work.sameness.value,
            "differs": [
                {"aspect": each.aspect.value, "before": each.before, "after": each.after}
                for each in work.differs
            ],
            "losses": losses
            and {
                "compared": losses.compared,
                "equal": losses.equal,
                "largest_ratio": number(losses.largest),
            },
        },
        "summary": verdict_sentence(comparison),
        "quantities": [_row(row) for row in comparison.rows],
        "gate": [_outcome(outcome) for outcome in outcomes],
    }


def comparison_json(comparison: Comparison, outcomes: Sequence[GateResult] = ()) -> str:
    """The comparison as JSON text; arguments as of `comparison_dict`."""
    return json.dumps(comparison_dict(comparison, outcomes), indent=2, allow_nan=False)


def _run(findings: Findings) -> dict[str, Any]:
    run = findings.profile.run
    return {"name": run.name, "hosts": list(run.hosts), "backend": run.backend}


def _row(row: ComparedQuantity) -> dict[str, Any]:
    return {
        "name": row.quantity.name,
        "unit": row.quantity.unit.value,
        "before": number(row.before),
        "after": number(row.after),
        "change": number(row.change),
        "change_ratio": number(row.ratio),
        "change_interval": _range(row.difference),
        "noise": number(row.noise),
        "beyond_noise": row.beyond_noise,
        "worse": row.is_worse,
    }


def _range(found: Range | None) -> list[float | None] | None:
    return None if found is None else [number(found.low), number(found.high)]


def _outcome(outcome: GateResult) -> dict[str, Any]:
    return {
        "expression": outcome.condition.text,
        "reached": outcome.reached,
        "beyond_noise": outcome.beyond_noise,
        "fails": outcome.fails,
    }
