"""Budgets that are none."""

import math

import pytest

from pipeprof.errors import UsageError
from pipeprof.tuning.budget import require_budget


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_a_budget_that_is_no_length_of_time_is_refused(seconds: float) -> None:
    with pytest.raises(
        UsageError, match="expected a budget of more than 0 and at most 86400 seconds"
    ):
        require_budget(seconds)
    require_budget(0.5)
