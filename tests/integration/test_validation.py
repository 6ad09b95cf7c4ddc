"""Some of the planted trainings of tools/validate: their verdicts and names, and nothing that is timed."""

import pytest

from pipeprof.scenarios.validation import Planted, planted_trainings
from pipeprof.scenarios.validation.checking.comparing import compare_report
from pipeprof.scenarios.validation.planted_runs import run_watched

pytestmark = pytest.mark.integration

UNTIMED = (
    "bound",
    "cause",
    "bottleneck",
    "line of ",
    "kind of ",
    "loops of ",
    "steps of ",
    "epochs of ",
)


@pytest.mark.parametrize(
    "planted",
    [planted for planted in planted_trainings() if planted.quick],
    ids=lambda planted: planted.name,
)
def test_the_report_names_what_was_planted(planted: Planted) -> None:
    watched = run_watched(planted)
    checks = compare_report(watched.report, watched.truth, planted)
    named = [check for check in checks if check.what.startswith(UNTIMED)]
    assert [str(check) for check in named if check.outcome.value != "right"] == []
