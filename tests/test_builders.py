"""The builders make what a recording may be: their defaults hold its invariants."""

import numpy as np
import pytest

from pipeprof.recording.loop import InputKind, LoopKind
from tests.builders import (
    MS,
    START_NS,
    bottleneck,
    diagnosis,
    evenly,
    findings,
    gauge,
    loop,
    loop_finding,
    profile,
    signature,
    spans,
    stage,
    stage_finding,
    step_spans,
)


def test_the_default_profile_is_consistent():
    assert profile(stages=(stage(),), deliveries=(signature(),)).check() == ()


def test_a_profile_with_spans_and_inner_loops_is_consistent():
    fit = loop(steps=10, epochs=2)
    inner = loop(LoopKind.EVALUATE, steps=3, start_ns=fit.end_ns, parent=0)
    recorded = profile(loops=(fit, inner), spans=spans(*step_spans(fit), *step_spans(inner, 1)))
    assert recorded.check() == ()
    assert len(recorded.spans) == 2 * (10 + 3)
    assert recorded.main_loop is fit


def test_a_loop_counts_its_steps_after_the_warmup_without_the_first_of_each_epoch():
    fit = loop(steps=20, epochs=2, warmup=5, wait_ns=3 * MS, compute_ns=MS)
    assert fit.step_times.count == fit.wait_times.count == 14
    assert fit.step_times.sum_ns == 14 * 4 * MS
    assert fit.epoch_start_times.count == 2
    assert fit.steady_ns == START_NS + 5 * 4 * MS
    assert fit.over_time.total().tolist() == [20, 80 * MS, 20, 80 * MS, 60 * MS, 0]


def test_a_loop_may_have_steps_of_its_own_each():
    fit = loop(steps=3, wait_ns=[0, MS, 2 * MS], compute_ns=MS, warmup=0)
    assert (fit.steps.end_ns - fit.steps.start_ns).tolist() == [MS, 2 * MS, 3 * MS]


def test_a_loop_may_not_know_its_waits():
    fit = loop(steps=10, wait_ns=None)
    assert not fit.steps.measured.any()
    assert fit.wait_times.count == 0
    assert fit.waits_by is None
    assert fit.steps.end_ns[-1] - START_NS == 10 * 10 * MS


def test_a_loop_may_be_too_short_or_empty():
    assert loop(steps=5, warmup=5).steady_ns is None
    assert len(loop(steps=0).steps) == 0


def test_a_stage_works_evenly_while_its_loop_runs():
    fit = loop(steps=50, wait_ns=3 * MS, compute_ns=MS)
    found = stage(cost_ns=3 * MS, cpu_ratio=0.5, step_bytes=10, during=fit)
    assert found.work.total().tolist() == [50, 150 * MS, 75 * MS, 150 * MS, 500, 0, 0]
    middle_ns = (fit.start_ns + fit.end_ns) // 2
    np.testing.assert_allclose(found.work.between(middle_ns, fit.end_ns)[1], 75 * MS)


def test_sums_can_be_dealt_to_several_bins():
    assert evenly((10, 3), 0, 40, bins=4).sums.tolist() == [[2, 0], [3, 1], [2, 1], [3, 1]]
    with pytest.raises(ValueError, match="41 ns do not make 4 equal bins"):
        evenly((10,), 0, 41, bins=4)


def test_a_gauge_keeps_its_levels():
    level = gauge(1, None, 3)
    assert (level.mean(), level.high(), level.last) == (2.0, 3, 3)


def test_findings_are_about_their_main_loop():
    main = loop_finding(said=diagnosis(slowest=bottleneck()))
    found = findings(main=main, stages=(stage_finding(),))
    assert found.loops == (main,)
    assert found.profile.main_loop is main.loop
    assert found.main is not None
    assert found.main.input.kind == InputKind.GENERATOR.value
    assert findings().profile.loops == ()
