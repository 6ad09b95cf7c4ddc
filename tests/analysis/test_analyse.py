"""What of a recording the findings are about."""

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
