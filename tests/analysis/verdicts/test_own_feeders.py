"""Hand-written loops whose waits no clock shows: by samples, and by the clocks around the model.

The loops of these tests take 100 steps of 20 ms (2 s).
"""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.account_findings import FeederPlace
from pipeprof.analysis.findings.caveat_kinds import WaitsOfSomeSteps
from pipeprof.analysis.findings.evidence_kinds import InputKeepsUp
from pipeprof.analysis.findings.findings import Diagnosis
from pipeprof.analysis.findings.host_remedies import CheaperOwnCode, MoreFeeders
from pipeprof.analysis.findings.verdict_kinds import Bound, Cause
from pipeprof.analysis.findings.wait_evidence_kinds import MadeInOwnThread, WorkOfFeeder
from pipeprof.analysis.measures.accounting import loop_account
from pipeprof.recording.account import (
    EPOCH_COLUMNS,
    FeederKind,
    FeedingLane,
    HostSample,
    HostState,
    Part,
)
from pipeprof.recording.lane import Cpu, Lane, Role
from pipeprof.recording.level_names import Level
from pipeprof.recording.loop import Loop, LoopKind, WaitSource
from pipeprof.recording.source_code import Location
from tests.builders import MS, evenly, gauge, lane, loop, profile, those

STEP = 20 * MS
WHOLE = 100 * STEP
PARSE = Location("train.py", 17)
FILLS = FeedingLane(kind=FeederKind.THREAD, name="Thread-3 (fill)")
PROCESS = FeedingLane(kind=FeederKind.PROCESS, name="Process-1")
BY_HAND = loop(LoopKind.TRAIN_ON_BATCH, wait_ns=None, compute_ns=STEP, lane=0)


def sample(
    state: HostState,
    samples: int,
    function: str = "parse",
    detail: str | None = None,
    feeder: FeedingLane | None = None,
) -> HostSample:
    return HostSample(
        function=function,
        location=PARSE,
        part=Part.OWN_CODE,
        state=state,
        detail=detail,
        samples=samples,
        feeder=feeder,
    )


def trained(model_ratio: float, *samples: HostSample) -> Loop:
    """The loop whose model was at work for a part of the time."""
    totals = BY_HAND.account.totals.copy()
    totals[0, EPOCH_COLUMNS.index("model_ns")] = round(model_ratio * WHOLE)
    account = replace(BY_HAND.account, totals=totals, samples=samples)
    return replace(BY_HAND, account=account)


def thread(cpu: float, queued: float = 0.0, name: str = "Thread-N (fill)") -> Lane:
    return lane(
        name,
        Role.OTHER,
        tid=None,
        cpu_ns=round(cpu * WHOLE),
        queued_ns=round(queued * WHOLE),
        during=BY_HAND,
    )


def diagnosed(
    of: Loop, lanes: Sequence[Lane] = (), contention: float = 0.0, cpu: float = 0.1
) -> Diagnosis:
    main = lane(cpu_ns=round(cpu * WHOLE), during=of)
    start, end = of.start_ns, of.end_ns
    found = analyse(
        profile(
            loops=(of,),
            lanes=(main, *lanes),
            gauges={Level.GIL_CONTENTION.value: gauge(round(contention * 1e6))},
            cpu=Cpu(cores=2, limit=None, used=None, sampled=evenly((end - start,), start, end)),
        )
    ).main
    assert found is not None
    return found.diagnosis


def test_clocks_around_the_model_that_leave_no_time_show_that_nothing_waits() -> None:
    found = diagnosed(trained(0.98))
    assert (found.bound, found.cause) == (Bound.COMPUTE, Cause.NONE)
    assert found.measured_by is WaitSource.SAMPLES
    assert those(InputKeepsUp, found.evidence) == [InputKeepsUp(wait_ms=0.0, step_ms=20.0)]
    assert those(WaitsOfSomeSteps, found.evidence) == []


def test_clocks_that_leave_time_for_waits_show_nothing() -> None:
    assert diagnosed(trained(0.9)).bound is Bound.UNKNOWN


def test_threads_that_were_met_beside_the_model_show_no_wait() -> None:
    assert diagnosed(trained(0.9, sample(HostState.BESIDE, 9))).bound is Bound.UNKNOWN


FEEDS = (
    sample(HostState.WAITING, 20, "<module>", "Queue.get"),
    sample(HostState.FEEDING, 6, feeder=FILLS),
    sample(HostState.FEEDING, 2, "read", feeder=FILLS),
)


@pytest.mark.parametrize(
    ("cpu", "queued", "cause"), [(0.02, 0.0, Cause.BLOCKING), (0.3, 0.4, Cause.CPU)]
)
def test_the_thread_that_a_loop_waits_for_is_named(cpu: float, queued: float, cause: Cause) -> None:
    found = diagnosed(trained(0.1, *FEEDS), [thread(cpu, queued)])
    assert (found.bound, found.cause) == (Bound.INPUT, cause)
    assert found.bottleneck is not None
    assert (found.bottleneck.stage, found.bottleneck.location) == ("parse", PARSE)
    assert (found.bottleneck.index, found.bottleneck.cost_ms) == (None, None)
    assert found.mean_wait_ms == pytest.approx(18.0)
    assert found.ideal_step_ms is not None
    assert found.ideal_step_ms <= 2.0
    [evidence] = those(WorkOfFeeder, found.evidence)
    assert evidence.waits
    assert (evidence.feeder.lane, evidence.feeder.share) == (FILLS, 0.75)
    assert those(MadeInOwnThread, found.evidence) == []
    by = FeederKind.THREAD if cause is Cause.BLOCKING else FeederKind.PROCESS
    assert [each.remedy for each in found.advice] == [MoreFeeders(function="parse", by=by)]


def test_what_the_loop_does_for_its_batch_beside_a_thread_is_named_too() -> None:
    targets = sample(HostState.MAKING, 5, "targets")
    found = diagnosed(trained(0.1, *FEEDS, targets), [thread(0.02)])
    assert found.bottleneck is not None
    assert found.bottleneck.stage == "parse"
    [made] = those(MadeInOwnThread, found.evidence)
    assert (made.feeder.function, made.ratio) == ("targets", 0.2)


def test_a_queue_that_keeps_up_needs_no_more_threads() -> None:
    waits = sample(HostState.WAITING, 1, "<module>", "Queue.get")
    own = sample(HostState.OWN_CODE, 60, "act")
    found = diagnosed(trained(0.5, waits, own, FEEDS[1]), [thread(0.02)])
    assert found.bound is Bound.HOST
    assert those(MoreFeeders, [each.remedy for each in found.advice]) == []


@pytest.mark.parametrize(
    ("count", "cpu", "queued", "contention", "cause"),
    [
        (3, 1.0, 0.0, 0.9, Cause.GIL),
        (3, 0.8, 1.4, 0.4, Cause.GIL),  # who has the GIL also queues for a core that others use
        (1, 1.0, 0.0, 0.9, Cause.CPU),
        (3, 1.9, 0.0, 0.9, Cause.CPU),  # more than one core: they release it
        (3, 1.0, 0.0, 0.02, Cause.CPU),  # nobody waits for it
        (3, 0.1, 0.0, 0.02, Cause.BLOCKING),
    ],
)
def test_threads_that_share_one_core_take_turns_at_the_gil(
    count: int, cpu: float, queued: float, contention: float, cause: Cause
) -> None:
    fed = (
        sample(HostState.WAITING, 20, "<module>", "Queue.get"),
        sample(HostState.OWN_CODE, 5),
        *(
            sample(HostState.FEEDING, 6, feeder=replace(FILLS, name=f"Thread-{number} (fill)"))
            for number in range(count)
        ),
    )
    found = diagnosed(trained(0.1, *fed), [thread(cpu, queued)], contention=contention)
    assert (found.bound, found.cause) == (Bound.INPUT, cause)


def test_of_a_process_that_a_loop_waits_for_the_cause_stays_open() -> None:
    fed = (
        sample(HostState.WAITING, 20, "<module>", "Queue.get"),
        sample(HostState.FEEDING, 6, "read", feeder=PROCESS),
    )
    found = diagnosed(trained(0.1, *fed))
    assert found.cause is Cause.NONE
    assert found.bottleneck is not None
    assert found.bottleneck.stage == "read"


MADE = (sample(HostState.MAKING, 16, "read_scans"), sample(HostState.OWN_CODE, 4, "log"))


@pytest.mark.parametrize(("cpu", "cause"), [(0.08, Cause.BLOCKING), (0.9, Cause.CPU)])
def test_what_a_loop_calls_for_its_next_batch_is_what_it_waits_for(
    cpu: float, cause: Cause
) -> None:
    found = diagnosed(trained(0.1, *MADE), cpu=cpu)
    assert (found.bound, found.cause) == (Bound.INPUT, cause)
    assert found.bottleneck is not None
    assert (found.bottleneck.stage, found.bottleneck.location) == ("read_scans", PARSE)
    assert found.mean_wait_ms == pytest.approx(0.72 * 20)
    [evidence] = those(WorkOfFeeder, found.evidence)
    assert (evidence.feeder.own_thread, evidence.cause) == (True, cause)
    assert [host.name for host in found.host] == ["log"]
    assert CheaperOwnCode(function="read_scans") in [each.remedy for each in found.advice]


def test_own_code_that_makes_no_batches_is_the_hosts() -> None:
    found = diagnosed(trained(0.1, sample(HostState.OWN_CODE, 20, "log")))
    assert (found.bound, found.cause) == (Bound.HOST, Cause.OWN_CODE)
    assert found.bottleneck is None


def test_a_loop_that_waits_for_a_queue_rather_than_makes_batches_waits_for_its_threads() -> None:
    fed = (*FEEDS, sample(HostState.MAKING, 5, "unpack"))
    found = diagnosed(trained(0.1, *fed), [thread(0.02)])
    assert found.bottleneck is not None
    assert found.bottleneck.stage == "parse"


def test_waiting_is_named_by_what_makes_the_batches_and_by_who_worked_meanwhile() -> None:
    of = trained(0.1, *FEEDS, sample(HostState.MAKING, 5, "unpack"))
    account = loop_account(profile(loops=(of,)), 0)
    waits = {row.name: row.ns / WHOLE for row in account.rows if row.part is Part.WAIT}
    assert waits == {
        FeederPlace(function="parse", feeder=FILLS): pytest.approx(0.9 * 0.8 * 0.75),
        FeederPlace(function="read", feeder=FILLS): pytest.approx(0.9 * 0.8 * 0.25),
        "unpack": pytest.approx(0.9 * 0.2),
    }


def test_threads_that_parse_beside_the_model_hold_it_up_by_the_gil() -> None:
    beside = sample(HostState.BESIDE, 10, feeder=FILLS)
    found = diagnosed(trained(0.98, beside), [thread(0.7)], contention=0.8)
    assert (found.bound, found.cause) == (Bound.INPUT, Cause.GIL)
    assert found.held_up.gil_ratio == pytest.approx(0.7)
    assert found.bottleneck is not None
    assert found.bottleneck.stage == "parse"
    [evidence] = those(WorkOfFeeder, found.evidence)
    assert not evidence.waits
    assert found.ideal_step_ms == pytest.approx(20 * 0.3, abs=0.3)


def test_threads_that_sleep_beside_the_model_hold_nothing_up() -> None:
    beside = sample(HostState.BESIDE, 10, feeder=FILLS)
    found = diagnosed(trained(0.98, beside), [thread(0.01)], contention=0.01)
    assert (found.bound, found.bottleneck) == (Bound.COMPUTE, None)
