"""Accounts as the JSON report has them: times are seconds, ratios those to the whole account."""

from typing import Any

from pipeprof.analysis.findings.account_findings import Account, AccountRow, EpochAccount
from pipeprof.report.names.part_names import place_name
from pipeprof.surfaces.json_report.json_values import number


def account_dict(account: Account) -> dict[str, Any]:
    """An account with its parts as a plain dictionary."""
    return {
        "wall_s": number(account.wall_ns / 1e9),
        "parts": [_part(row, account.wall_ns) for row in account.rows],
    }


def _part(row: AccountRow, wall_ns: int) -> dict[str, Any]:
    return {
        "part": row.part.value,
        "s": round(row.ns / 1e9, 6),
        "ratio": number(row.ns / wall_ns) if wall_ns else None,
        "s_interval": _seconds_interval(row),
        "count": row.count,
        "name": None if row.name is None else place_name(row.name),
        "location": str(row.location) if row.location else None,
    }


def _seconds_interval(row: AccountRow) -> list[float] | None:
    """Between which times the truth is nine times in ten; None of what a clock shows."""
    if row.error_ns is None:
        return None
    return [
        round(max(row.ns - row.error_ns, 0) / 1e9, 6),
        round((row.ns + row.error_ns) / 1e9, 6),
    ]


def epoch_dict(found: EpochAccount) -> dict[str, Any]:
    """The account of an epoch; its waiting is a part of its time without validation."""
    return {
        "epoch": found.epoch,
        "steps": found.steps,
        "wait_ratio": number(_wait_ratio(found.account)),
        **account_dict(found.account),
    }


def _wait_ratio(account: Account) -> float | None:
    return account.wait_ratio
