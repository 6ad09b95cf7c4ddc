"""Where the time of a run, a loop or an epoch went."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeprof.analysis.findings.account_findings import (
    Account,
    AccountRow,
    FeederPlace,
    FrameworkWork,
)
from pipeprof.analysis.measures.account_rows import NINE_IN_TEN
from pipeprof.analysis.measures.accounting import (
    epoch_accounts,
    loop_account,
    run_account,
)
from pipeprof.recording.account import (
    COMPILATION_COLUMNS,
    EPOCH_COLUMNS,
    FeederKind,
    FeedingLane,
    HostCall,
    HostSample,
    HostState,
    LoopAccount,
    Part,
)
from pipeprof.recording.loop import Loop, LoopKind, WaitSource
from pipeprof.recording.profile import Profile
from pipeprof.recording.series import IntArray
from pipeprof.recording.source_code import Location
from tests.builders import MS, SECOND, START_NS, loop, profile, run_info

TRAIN = Location("train.py", 41)
LOADER = FeedingLane(kind=FeederKind.THREAD, name="loader")


def row(**values: int) -> IntArray:
    return np.array([[values.get(name, 0) for name in EPOCH_COLUMNS]], np.int64)


def compilation(**values: int) -> IntArray:
    return np.array([[values.get(name, 0) for name in COMPILATION_COLUMNS]], np.int64)


def account_of(taken: Loop, **changes: object) -> Account:
    changed = replace(taken, account=replace(taken.account, **changes))  # type: ignore[arg-type]
    return loop_account(profile(loops=(changed,)), 0)


def whole_account(recorded: Profile) -> Account:
    return run_account(
        recorded, [loop_account(recorded, index) for index in range(len(recorded.loops))]
    )


def parts(account: Account) -> dict[Part, int]:
    found: dict[Part, int] = {}
    for each in account.rows:
        found[each.part] = found.get(each.part, 0) + each.ns
    return found


def sample(
    function: str,
    part: Part = Part.OWN_CODE,
    state: HostState = HostState.OWN_CODE,
    samples: int = 1,
    line: int = 3,
    error: float | None = None,
) -> HostSample:
    return HostSample(
        function=function,
        location=Location("train.py", line),
        part=part,
        state=state,
        detail=None,
        samples=samples,
        error=error,
    )


def call(name: str, ns: int, part: Part = Part.CALLBACKS, calls: int = 1) -> HostCall:
    return HostCall(part=part, name=name, location=TRAIN, calls=calls, total_ns=ns)


def test_the_steps_of_a_loop_are_waits_callbacks_and_computing():
    taken = loop(steps=10, wait_ns=2 * MS, compute_ns=8 * MS, callback_ns=3 * MS)
    assert parts(account_of(taken)) == {
        Part.EPOCH_START: 2 * MS,
        Part.WAIT: 18 * MS,
        Part.CALLBACKS: 30 * MS,
        Part.COMPUTE: 50 * MS,
    }


def test_what_lies_between_steps_is_callbacks_validation_and_the_rest():
    taken = loop(steps=10, wait_ns=0, compute_ns=10 * MS)
    account = account_of(
        taken,
        pass_ns=(200 * MS, 0, 0, 0),
        totals=row(step_ns=100 * MS, outside_callback_ns=20 * MS, validation_ns=30 * MS),
    )
    assert parts(account) == {
        Part.COMPUTE: 100 * MS,
        Part.CALLBACKS: 20 * MS,
        Part.VALIDATION: 30 * MS,
        Part.BETWEEN_EPOCHS: 50 * MS,
    }
    assert account.wall_ns == 200 * MS


def test_the_places_of_a_part_are_named_with_the_dearest_first():
    taken = loop(steps=10, wait_ns=0, compute_ns=10 * MS, callback_ns=5 * MS)
    account = account_of(
        taken,
        calls=(
            call("History.on_epoch_end", MS // 100),
            call("A.on_train_batch_end", 10 * MS),
            call("B.on_train_batch_end", 38 * MS, calls=10),
        ),
    )
    rows = [each for each in account.rows if each.part is Part.CALLBACKS]
    assert rows == [
        AccountRow(
            part=Part.CALLBACKS, ns=38 * MS, count=10, name="B.on_train_batch_end", location=TRAIN
        ),
        AccountRow(
            part=Part.CALLBACKS, ns=10 * MS, count=1, name="A.on_train_batch_end", location=TRAIN
        ),
        AccountRow(part=Part.CALLBACKS, ns=2 * MS),
    ]


def test_calls_that_took_longer_than_their_part_share_it():
    taken = loop(steps=10, wait_ns=0, compute_ns=10 * MS, callback_ns=3 * MS)
    rows = account_of(taken, calls=(call("A.on_epoch_end", 60 * MS),)).rows
    assert [each.ns for each in rows if each.part is Part.CALLBACKS] == [30 * MS]


# Compiling


def compiled(waits_by: WaitSource, **values: int) -> dict[Part, int]:
    """A loop whose first step took 1 s instead of 10 ms."""
    taken = loop(
        steps=20,
        wait_ns=[800 * MS, *(2 * MS for _ in range(19))],
        compute_ns=[200 * MS, *(8 * MS for _ in range(19))],
        waits_by=waits_by,
    )
    step = compilation(
        start_ns=START_NS,
        end_ns=START_NS + SECOND,
        wait_ns=800 * MS,
        **{"first_of_epoch": 1}
        | {name: START_NS + ns if name.endswith("_ns") else ns for name, ns in values.items()},
    )
    return parts(
        account_of(
            taken,
            totals=row(
                step_ns=1_190 * MS,
                wait_ns=38 * MS,
                compile_step_ns=SECOND,
                compile_wait_ns=800 * MS,
            ),
            compilations=step,
            compile_steps=1,
        )
    )


def test_a_wait_that_an_iterator_measured_is_no_compiling():
    found = compiled(WaitSource.ITERATOR)
    assert found[Part.EPOCH_START] == 800 * MS
    assert found[Part.COMPILE] == pytest.approx(192 * MS, rel=0.01)
    assert found[Part.COMPUTE] == pytest.approx(160 * MS, rel=0.01)


def test_what_passes_before_the_first_fetch_is_compiling_but_for_what_the_input_needed():
    found = compiled(WaitSource.GAP_TIMES, traced_ns=300 * MS, ready_ns=450 * MS)
    assert found[Part.EPOCH_START] == 150 * MS
    assert found[Part.COMPILE] == pytest.approx(842 * MS, rel=0.01)
    ready_early = compiled(WaitSource.GAP_TIMES, traced_ns=300 * MS, ready_ns=20 * MS)
    assert ready_early.get(Part.EPOCH_START, 0) == 0


def test_a_step_that_compiles_and_traces_nothing_has_waited_as_it_was_measured():
    found = compiled(WaitSource.GAP_TIMES, first_of_epoch=0, traced_ns=0)
    assert found[Part.WAIT] == (800 + 38) * MS
    assert found[Part.COMPILE] == pytest.approx(192 * MS, rel=0.01)
    traces = compiled(WaitSource.GAP_TIMES, first_of_epoch=0, traced_ns=300 * MS)
    assert traces[Part.WAIT] == 38 * MS


@pytest.mark.parametrize(("traced_ns", "waited_ns"), [(0, 2 * MS), (100 * MS, 680 * MS)])
def test_where_the_end_of_tracing_is_not_known_an_epoch_starts_as_the_others_do(
    traced_ns: int, waited_ns: int
):
    waits = [800 * MS, *(2 * MS for _ in range(19))]
    taken = loop(
        steps=20, epochs=4, wait_ns=waits, compute_ns=[200 * MS, *(8 * MS for _ in range(19))]
    )
    first = compilation(
        start_ns=START_NS,
        end_ns=START_NS + SECOND,
        wait_ns=800 * MS,
        first_of_epoch=1,
        traced_ns=START_NS + traced_ns if traced_ns else 0,
        ready_ns=START_NS + 780 * MS,
    )
    totals = row(step_ns=SECOND, compile_step_ns=SECOND, compile_wait_ns=800 * MS)
    found = parts(account_of(taken, totals=totals, compilations=first, compile_steps=1))
    assert found[Part.EPOCH_START] == pytest.approx(waited_ns, rel=0.05)
    assert found[Part.COMPILE] == pytest.approx(SECOND - waited_ns - 8 * MS, rel=0.05)


def test_a_step_that_no_trace_shows_waited_as_the_traced_ones_do():
    taken = loop(
        steps=5, wait_ns=[-1, *[120 * MS] * 4], compute_ns=[500 * MS, *[20 * MS] * 4], warmup=0
    )
    taken = replace(taken, waits_by=WaitSource.TRACE)
    first = compilation(start_ns=START_NS, end_ns=START_NS + 500 * MS, wait_ns=-1, first_of_epoch=1)
    totals = row(
        step_ns=1_060 * MS, wait_ns=480 * MS, measured_ns=560 * MS, compile_step_ns=500 * MS
    )
    found = parts(account_of(taken, totals=totals, compilations=first, compile_steps=1))
    assert found[Part.WAIT] == pytest.approx(600 * MS, rel=0.01)
    assert found[Part.COMPILE] == pytest.approx(360 * MS, rel=0.02)
    assert Part.EPOCH_START not in found


def test_compiling_of_which_no_row_was_kept_is_all_compiling():
    taken = loop(steps=10, wait_ns=0, compute_ns=10 * MS)
    found = parts(account_of(taken, totals=row(step_ns=100 * MS, compile_step_ns=40 * MS)))
    assert found == {Part.COMPILE: 40 * MS, Part.COMPUTE: 60 * MS}


# Hand-written loops


def by_hand(*samples: HostSample, model_ns: int = 0) -> dict[Part, int]:
    taken = loop(LoopKind.CUSTOM, steps=10, wait_ns=0, compute_ns=10 * MS)
    totals = row(step_ns=100 * MS, model_ns=model_ns)
    return parts(account_of(taken, totals=totals, samples=samples))


def test_without_any_sign_the_rest_of_a_hand_written_step_is_computing():
    assert by_hand() == {Part.COMPUTE: 100 * MS}


def test_beside_calls_that_train_the_rest_is_the_loops_own_code():
    assert by_hand(model_ns=60 * MS) == {Part.COMPUTE: 60 * MS, Part.OWN_CODE: 40 * MS}


def test_samples_show_waiting_from_own_code():
    met = (sample("act", samples=3), sample("get", state=HostState.WAITING, samples=1))
    assert by_hand(*met, model_ns=60 * MS) == {
        Part.COMPUTE: 60 * MS,
        Part.WAIT: 10 * MS,
        Part.OWN_CODE: 30 * MS,
    }


def test_waiting_is_named_by_whom_it_waited_for_and_a_scripts_line_by_what_it_calls():
    feeding = replace(sample("read_batch", state=HostState.FEEDING, samples=9), feeder=LOADER)
    calls = replace(sample("<module>", state=HostState.FRAMEWORK), detail="Model.predict")
    waits = sample("get", state=HostState.WAITING, samples=3)
    taken = loop(LoopKind.CUSTOM, steps=10, wait_ns=0, compute_ns=10 * MS)
    totals = row(step_ns=100 * MS, model_ns=60 * MS)
    rows = account_of(taken, totals=totals, samples=(feeding, calls, waits)).rows
    assert {(each.part, each.name): each.ns for each in rows} == {
        (Part.WAIT, FeederPlace(function="read_batch", feeder=LOADER)): 30 * MS,
        (Part.COMPUTE, None): 60 * MS,
        (Part.OWN_CODE, "Model.predict"): 10 * MS,
    }


def test_calls_of_a_framework_are_computing_where_no_call_that_trains_was_seen():
    met = (sample("act"), sample("train", state=HostState.FRAMEWORK, samples=3))
    assert by_hand(*met) == {Part.COMPUTE: 75 * MS, Part.OWN_CODE: 25 * MS}


def test_other_calls_of_a_framework_belong_to_own_code_beside_calls_that_train():
    met = (sample("act", state=HostState.FRAMEWORK, samples=3), sample("store"))
    found = by_hand(*met, model_ns=60 * MS)
    assert found == {Part.COMPUTE: 60 * MS, Part.OWN_CODE: 40 * MS}


def test_what_samples_show_has_the_error_that_chance_gives_it():
    """Of 40 ms of own code a function has 3 samples in 4, with a standard error of half a sample."""
    taken = loop(LoopKind.CUSTOM, steps=10, wait_ns=0, compute_ns=10 * MS)
    met = (
        sample("act", samples=2, error=0.3),
        sample("act", samples=1, error=0.4, line=4),
        sample("store", error=0.5),
    )
    totals = row(step_ns=100 * MS, model_ns=60 * MS)
    rows = account_of(taken, totals=totals, samples=met).rows
    error_ns = round(NINE_IN_TEN * 0.5 * 10 * MS)
    assert {each.name: each.error_ns for each in rows} == {
        "act": error_ns,
        "store": error_ns,
        None: None,  # the model's, which a clock shows
    }


def test_samples_of_runs_without_errors_have_none():
    taken = loop(LoopKind.CUSTOM, steps=10, wait_ns=0, compute_ns=10 * MS)
    met = (sample("act", samples=2, error=0.3), sample("act", samples=1, line=4))
    rows = account_of(taken, totals=row(step_ns=100 * MS), samples=met).rows
    assert {each.error_ns for each in rows} == {None}


def test_own_code_is_named_by_function_with_the_line_met_most():
    taken = loop(LoopKind.CUSTOM, steps=10, wait_ns=0, compute_ns=10 * MS)
    met = (
        sample("act", samples=2, line=7),
        sample("act", samples=4, line=9),
        sample("store", samples=2),
    )
    account = account_of(taken, totals=row(step_ns=100 * MS, model_ns=20 * MS), samples=met)
    named = [(r.name, r.ns, r.location) for r in account.rows if r.part is Part.OWN_CODE]
    assert named == [
        ("act", 60 * MS, Location("train.py", 9)),
        ("store", 20 * MS, Location("train.py", 3)),
    ]


# Passes and the run


def passes(*spans: tuple[int, int], **changes: object) -> Loop:
    """A training whose passes lie so, in milliseconds since the run began; all of it steps."""
    taken = loop(steps=10, wait_ns=0, compute_ns=10 * MS)
    table = np.array([(START_NS + a * MS, START_NS + b * MS, 0) for a, b in spans])
    total = sum(b - a for a, b in spans) * MS
    account = LoopAccount(
        pass_count=len(spans),
        pass_ns=(total, 0, 0, 0),
        start_ns=int(table[0, 0]),
        end_ns=int(table[-1, 1]),
        passes=table,
        totals=row(step_ns=total),
    )
    return replace(taken, start_ns=int(table[0, 0]), account=account, **changes)  # type: ignore[arg-type]


def test_what_passes_between_the_calls_of_one_fit_is_own_code():
    assert parts(loop_account(profile(loops=(passes((0, 10), (15, 25)),)), 0)) == {
        Part.COMPUTE: 20 * MS,
        Part.OWN_CODE: 5 * MS,
    }


def test_another_training_in_turns_is_no_part_of_a_loops_account():
    loops = (passes((0, 10), (20, 30)), passes((10, 20), (30, 40)))
    assert parts(loop_account(profile(loops=loops), 0)) == {Part.COMPUTE: 20 * MS}


def test_predictions_between_the_calls_of_one_fit_have_their_own_time_and_samples_the_rest():
    fits = passes((0, 10), (40, 50), (90, 100))
    # As ``predict`` begins, its loop is not known yet: it is sampled though a clock shows it.
    begins = replace(sample("score", state=HostState.FRAMEWORK, samples=9), calls_predict=True)
    act = sample("prepare", samples=3)
    fits = replace(fits, account=replace(fits.account, samples=(act, begins)))
    predicts = replace(passes((10, 30), (50, 80)), kind=LoopKind.PREDICT, location=TRAIN)
    evaluates = replace(passes((80, 85), (100, 105)), kind=LoopKind.EVALUATE)
    recorded = profile(loops=(fits, predicts, evaluates), run=run_info(end_ns=START_NS + 110 * MS))
    account = loop_account(recorded, 0)
    assert [(each.part, each.name, each.ns, each.count) for each in account.rows] == [
        (Part.COMPUTE, None, 30 * MS, None),
        (Part.VALIDATION, "evaluate", 5 * MS, 1),
        (Part.OWN_CODE, "predict", 50 * MS, 2),
        (Part.OWN_CODE, "prepare", 15 * MS, None),
    ]
    run = whole_account(recorded)
    assert sum(each.ns for each in run.rows) == run.wall_ns == 110 * MS
    assert parts(run)[Part.VALIDATION] == 10 * MS


def test_of_predictions_that_were_not_all_kept_the_others_took_as_long():
    fits = passes((0, 10), (40, 50))
    predicts = replace(passes((10, 20)), kind=LoopKind.PREDICT)
    twice = replace(predicts.account, pass_ns=(20 * MS, 0, 0, 0), pass_count=2)
    account = loop_account(profile(loops=(fits, replace(predicts, account=twice))), 0)
    assert [(each.name, each.ns, each.count) for each in account.rows[1:]] == [
        ("predict", 20 * MS, 2),
        (None, 10 * MS, None),
    ]


def test_what_lies_between_trainings_in_turns_belongs_to_one_of_them():
    loops = (passes((0, 10), (30, 40)), passes((15, 25), (50, 60)))
    run = run_info(end_ns=START_NS + 60 * MS)
    recorded = profile(loops=loops, run=run)
    own = [parts(loop_account(recorded, at)).get(Part.OWN_CODE) for at in (0, 1)]
    assert own == [5 * MS, 10 * MS]
    account = whole_account(recorded)
    assert parts(account) == {Part.COMPUTE: 40 * MS, Part.OWN_CODE: 20 * MS}
    assert account.wall_ns == 60 * MS


def test_a_run_is_startup_its_trainings_what_lies_between_and_shutdown():
    first, second = passes((100, 200)), passes((250, 300))
    evaluate = replace(passes((310, 340)), kind=LoopKind.EVALUATE)
    predict = replace(passes((20, 30)), kind=LoopKind.PREDICT, location=TRAIN)
    run = run_info(end_ns=START_NS + 400 * MS)
    account = whole_account(profile(loops=(first, second, evaluate, predict), run=run))
    assert account.wall_ns == 400 * MS
    assert parts(account) == {
        Part.STARTUP: 90 * MS,
        Part.COMPUTE: 150 * MS,
        Part.VALIDATION: 30 * MS,
        Part.OWN_CODE: (50 + 10) * MS,
        Part.SHUTDOWN: 70 * MS,
    }
    assert ("predict", TRAIN) in [(each.name, each.location) for each in account.rows]


def test_a_fit_that_failed_before_its_first_step_is_all_startup():
    account = LoopAccount(
        pass_count=1, pass_ns=(30 * MS, 0, 0, 0), start_ns=START_NS, end_ns=START_NS + 30 * MS
    )
    failed = replace(loop(steps=0), account=account, model=1)
    assert parts(loop_account(profile(loops=(failed,)), 0)) == {Part.STARTUP: 30 * MS}
    again = profile(loops=(replace(passes((0, 10)), model=1), failed))
    assert parts(loop_account(again, 1)) == {Part.BETWEEN_EPOCHS: 30 * MS}


def test_a_run_without_a_training_is_all_startup():
    run = run_info(end_ns=START_NS + 400 * MS)
    assert parts(whole_account(profile(loops=(), run=run))) == {Part.STARTUP: 400 * MS}


def test_epochs_have_accounts_of_their_own():
    taken = loop(steps=10, wait_ns=[8 * MS] * 5 + [0] * 5, compute_ns=2 * MS, epochs=2)
    first, second = epoch_accounts(taken)
    assert (first.epoch, first.steps, parts(first.account)) == (
        0, 5, {Part.EPOCH_START: 8 * MS, Part.WAIT: 32 * MS, Part.COMPUTE: 10 * MS},
    )  # fmt: skip
    assert parts(second.account) == {Part.COMPUTE: 10 * MS}


def test_an_epoch_names_the_calls_that_it_had():
    taken = loop(steps=10, wait_ns=0, compute_ns=10 * MS, callback_ns=4 * MS, epochs=2)
    calls = (call("Dashboard.on_batch_end", 30 * MS, calls=10), call("Saver.on_epoch_end", 9 * MS))
    by_epoch = np.array([[0, 0, 5, 11 * MS], [1, 0, 5, 19 * MS], [1, 1, 1, 1 * MS]])
    account = replace(taken.account, calls=calls, epoch_calls=by_epoch)
    first, second = epoch_accounts(replace(taken, account=account))
    named = [
        [
            (each.name, each.location, each.count, each.ns)
            for each in epoch.account.rows
            if each.name
        ]
        for epoch in (first, second)
    ]
    assert named == [
        [("Dashboard.on_batch_end", TRAIN, 5, 11 * MS)],
        [
            ("Dashboard.on_batch_end", TRAIN, 5, 19 * MS),
            ("Saver.on_epoch_end", TRAIN, 1, 1 * MS),
        ],
    ]
    assert [parts(each.account)[Part.CALLBACKS] for each in (first, second)] == [20 * MS] * 2


@given(
    waits=st.lists(st.integers(-1, 50), min_size=1, max_size=30),
    computes=st.integers(1, 30),
    callback=st.integers(0, 30),
    pause=st.integers(0, 100),
    before=st.integers(0, 50),
    after=st.integers(0, 50),
)
def test_every_account_adds_up_to_its_whole(
    waits: list[int], computes: int, callback: int, pause: int, before: int, after: int
):
    taken = loop(
        steps=len(waits),
        wait_ns=waits,
        compute_ns=computes,
        callback_ns=min(callback, computes),
        pause_ns=pause,
        epochs=2,
        start_ns=START_NS + before,
    )
    whole = profile(loops=(taken,), run=run_info(end_ns=taken.end_ns + after))
    for account in (
        whole_account(whole),
        loop_account(whole, 0),
        *(epoch.account for epoch in epoch_accounts(taken)),
    ):
        assert sum(each.ns for each in account.rows) == account.wall_ns
        assert all(each.ns > 0 for each in account.rows)


def test_batches_taken_before_the_first_step_are_the_start_of_an_epoch():
    taken = loop(steps=10, wait_ns=0, compute_ns=10 * MS)
    account = account_of(
        taken,
        pass_ns=(150 * MS, 0, 0, 0),
        totals=row(step_ns=100 * MS, outside_input_ns=30 * MS),
    )
    assert parts(account) == {
        Part.EPOCH_START: 30 * MS,
        Part.COMPUTE: 100 * MS,
        Part.BETWEEN_EPOCHS: 20 * MS,
    }


def test_the_trainings_time_is_without_validation_start_up_and_compiling():
    rows = (
        AccountRow(part=Part.STARTUP, ns=100),
        AccountRow(part=Part.COMPILE, ns=200),
        AccountRow(part=Part.EPOCH_START, ns=10),
        AccountRow(part=Part.WAIT, ns=20),
        AccountRow(part=Part.COMPUTE, ns=70),
        AccountRow(part=Part.VALIDATION, ns=50),
    )
    account = Account(wall_ns=450, rows=rows)
    assert (account.training_ns, account.wait_ratio) == (100, 0.3)
    assert Account(wall_ns=0, rows=()).wait_ratio is None


def test_what_a_framework_does_between_epochs_of_its_own_is_no_place_of_the_users():
    taken = loop(steps=10, wait_ns=0, compute_ns=10 * MS)
    met = (
        sample("rebuild", part=Part.BETWEEN_EPOCHS, samples=3),
        sample("<module>", part=Part.BETWEEN_EPOCHS, state=HostState.FRAMEWORK, samples=1),
    )
    account = account_of(
        taken, pass_ns=(140 * MS, 0, 0, 0), totals=row(step_ns=100 * MS), samples=met
    )
    between = [(r.name, r.ns) for r in account.rows if r.part is Part.BETWEEN_EPOCHS]
    assert between == [("rebuild", 30 * MS), (FrameworkWork.BETWEEN_EPOCHS, 10 * MS)]


@pytest.mark.parametrize(("passes_", "part"), [(1, Part.SHUTDOWN), (2, Part.BETWEEN_EPOCHS)])
def test_what_a_fit_takes_down_after_its_last_epoch_is_shutdown_unless_it_is_called_again(
    passes_: int, part: Part
):
    taken = loop(steps=10, wait_ns=2 * MS, compute_ns=8 * MS)
    begin, end = taken.start_ns, taken.end_ns
    account = account_of(
        taken,
        end_ns=end + 30 * MS,
        pass_ns=(end - begin + 30 * MS, 0, 0, 0),
        pass_count=passes_,
    )
    assert parts(account) == {
        Part.EPOCH_START: 2 * MS,
        Part.WAIT: 18 * MS,
        Part.COMPUTE: 80 * MS,
        part: 30 * MS,
    }
