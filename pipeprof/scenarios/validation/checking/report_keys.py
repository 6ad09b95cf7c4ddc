"""Finds what is compared in a report as `--json` writes it."""

from collections.abc import Mapping
from typing import Any

Truth = Mapping[str, float]
Report = Mapping[str, Any]

TRAINING_KINDS = ("fit", "train_on_batch", "custom")


class _Nothing:
    """Stands for a key that a report does not have."""

    def __bool__(self) -> bool:
        return False


NOTHING = _Nothing()


def look_up(value: Any, *keys: str) -> Any:
    """What stands under nested keys; `NOTHING` where one of them is not there."""
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            return NOTHING
        value = value[key]
    return value


def main_loop(report: Report) -> Any:
    """The loop that the report's own diagnosis is of; `NOTHING` if there is none."""
    loops = [loop for loop in look_up(report, "loops") or () if loop["kind"] in TRAINING_KINDS]
    of_report = [loop for loop in loops if look_up(loop, "diagnosis") == report["diagnosis"]]
    return next(iter(of_report or loops), NOTHING)


def account_of(report: Report, *, of_run: bool) -> Any:
    """The account of the run or of its main loop; `NOTHING` where the report has none."""
    return look_up(report if of_run else main_loop(report), "account")
