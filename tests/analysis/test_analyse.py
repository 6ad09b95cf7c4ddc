"""What of a recording the findings are about."""

from dataclasses import replace

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.recording.loop import LoopKind
from tests.builders import loop, profile


def test_a_batch_that_was_only_looked_at_is_no_loop_to_report() -> None:
    look = loop(LoopKind.CUSTOM, steps=1)
    fit, short = loop(), loop(LoopKind.CUSTOM, steps=3)

    assert [f.loop for f in analyse(profile(loops=(look, fit, short))).loops] == [fit, short]
    assert [f.loop for f in analyse(profile(loops=(look,))).loops] == [look]


def test_a_fit_that_failed_before_its_first_step_is_no_loop_to_report() -> None:
    failed, fit = loop(steps=0), loop()

    assert [f.loop for f in analyse(profile(loops=(failed, fit))).loops] == [fit]
    assert [f.loop for f in analyse(profile(loops=(failed,))).loops] == [failed]


@pytest.mark.parametrize(
    ("kind", "passes", "is_loop"),
    [
        (LoopKind.PREDICT, 12, False),
        (LoopKind.PREDICT, 3, True),  # of four batches each
        (LoopKind.EVALUATE, 12, True),
    ],
)
def test_calls_of_predict_for_a_single_batch_are_no_loop(
    kind: LoopKind, passes: int, is_loop: bool
) -> None:
    fit, calls = loop(), loop(kind, steps=12)
    calls = replace(calls, account=replace(calls.account, pass_count=passes))

    shown = analyse(profile(loops=(fit, calls))).loops
    assert [found.loop for found in shown] == [fit, calls][: 1 + is_loop]
    assert [found.loop for found in analyse(profile(loops=(calls,))).loops] == [calls]
