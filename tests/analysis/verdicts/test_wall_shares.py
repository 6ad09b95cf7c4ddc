"""What a loop's wall time went to, with intervals."""

import time
from dataclasses import replace

import numpy as np
import pytest

from pipeprof.analysis.findings.account_findings import Account, AccountRow, HostPlace
from pipeprof.analysis.findings.findings import WallShares
from pipeprof.analysis.measures.accounting import loop_account
from pipeprof.analysis.verdicts.wall_shares import host_places, wall_resamples
from pipeprof.recording.account import HostSample, HostState, Part
from pipeprof.recording.loop import Loop, LoopKind
from pipeprof.recording.source_code import Location
from tests.builders import MS, SECOND, cut_short, loop, profile


def shares(taken: Loop) -> WallShares:
    found = wall_resamples(taken, loop_account(profile(loops=(taken,)), 0))
    assert found is not None
    return found.shares()


def test_even_steps_leave_no_doubt():
    found = shares(loop(steps=100, wait_ns=MS, compute_ns=3 * MS))
    assert found.wait_ratio == pytest.approx(0.25)
    assert found.wait_interval is not None
    assert (found.wait_interval.low, found.wait_interval.high) == pytest.approx((0.25, 0.25))
    assert (found.host_ratio, found.host_interval.high) == (0.0, 0.0)


@pytest.mark.parametrize("steps", [200, 2_000])
def test_uneven_waits_make_an_interval_that_more_steps_narrow(steps: int):
    waits = [20 * MS if number % 50 < 10 else 0 for number in range(steps)]
    found = shares(loop(steps=steps, wait_ns=waits, compute_ns=4 * MS))
    assert found.wait_interval is not None
    assert found.wait_ratio == pytest.approx(0.5)
    assert found.wait_interval.low < 0.5 < found.wait_interval.high
    width = found.wait_interval.high - found.wait_interval.low
    assert (width < 0.15) is (steps == 2_000)


def test_steps_that_were_not_kept_are_as_uneven_as_the_others():
    waits = [20 * MS if number % 50 < 10 else 0 for number in range(2_000)]
    whole = loop(steps=2_000, wait_ns=waits, compute_ns=4 * MS)
    exact, some = shares(whole).wait_interval, shares(cut_short(whole, 200, 200)).wait_interval
    assert exact is not None
    assert some is not None
    assert some.high - some.low == pytest.approx(exact.high - exact.low, rel=0.5)


def test_callbacks_and_pauses_between_epochs_are_the_hosts():
    found = shares(
        loop(
            steps=100, wait_ns=0, compute_ns=10 * MS, callback_ns=4 * MS, epochs=2, pause_ns=SECOND
        )
    )
    assert found.host_ratio == pytest.approx((0.4 + 1.0) / 2.0)
    assert found.host_interval.low <= found.host_ratio <= found.host_interval.high


def test_few_samples_of_waiting_make_an_interval_that_more_samples_narrow():
    """A hand-written loop without a clock at its input waits a quarter of its time, as samples show."""

    def width(error: float) -> float:
        met = [
            HostSample(
                function="act",
                location=Location("train.py", 3),
                part=Part.OWN_CODE,
                state=state,
                detail=None,
                samples=count,
                error=error,
            )
            for state, count in ((HostState.WAITING, 25), (HostState.OWN_CODE, 75))
        ]
        taken = loop(LoopKind.CUSTOM, steps=100, wait_ns=None, compute_ns=10 * MS)
        found = shares(replace(taken, account=replace(taken.account, samples=tuple(met))))
        assert found.wait_ratio == pytest.approx(0.25, abs=0.01)
        assert found.wait_interval is not None
        return found.wait_interval.high - found.wait_interval.low

    assert width(0.0) < 0.01 < width(1.0) < width(4.0)


def test_a_loop_without_time_has_no_shares():
    taken = loop(steps=0)
    account = loop_account(profile(loops=(taken,)), 0)
    assert wall_resamples(taken, account) is None


def test_resampling_takes_the_same_draws_each_time():
    rng = np.random.default_rng(1)
    taken = loop(steps=300, wait_ns=rng.integers(0, 30 * MS, 300).tolist())
    assert shares(taken) == shares(replace(taken))


@pytest.mark.timed
def test_resampling_many_steps_takes_no_time_worth_naming():
    taken = loop(steps=20_000, epochs=100)
    account = loop_account(profile(loops=(taken,)), 0)
    began = time.process_time()
    wall_resamples(taken, account)
    assert time.process_time() - began < 0.2


def test_places_of_the_host_are_ordered_by_cost():
    where = Location("train.py", 3)
    account = Account(
        wall_ns=100,
        rows=(
            AccountRow(part=Part.COMPUTE, ns=20, name="model"),
            AccountRow(part=Part.CALLBACKS, ns=10, name="Board.on_epoch_end", location=where),
            AccountRow(part=Part.CALLBACKS, ns=5),
            AccountRow(part=Part.VALIDATION, ns=20, name="evaluate"),
            AccountRow(part=Part.OWN_CODE, ns=40, name="act"),
        ),
    )
    assert host_places(account) == (
        HostPlace(name="act", location=None, ratio=0.5),
        HostPlace(name="Board.on_epoch_end", location=where, ratio=0.125),
    )
