"""Verdicts from the wall time: planted hosts, epochs, long waits and validation, beside their opposites."""

from dataclasses import replace

import numpy as np
import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.caveat_kinds import UnseenInput
from pipeprof.analysis.findings.evidence_kinds import NoStepTime, WaitsNotMeasured
from pipeprof.analysis.findings.findings import Diagnosis
from pipeprof.analysis.findings.host_remedies import (
    CheaperCallback,
    CheaperOwnCode,
    PredictOnBatch,
    PrepareBeside,
    SaveLessOften,
)
from pipeprof.analysis.findings.references import StageReference
from pipeprof.analysis.findings.tfdata_remedies import Cache
from pipeprof.analysis.findings.verdict_kinds import Bound, Cause
from pipeprof.analysis.findings.wait_evidence_kinds import NoStageSeen
from pipeprof.analysis.findings.wall_evidence_kinds import (
    EpochsApart,
    HostAtWork,
    Retracings,
    UnevenWaits,
    ValidationTime,
    WaitBesideHost,
)
from pipeprof.analysis.verdicts.bounds import bound_by_shares
from pipeprof.recording.account import (
    COMPILATION_COLUMNS,
    EPOCH_COLUMNS,
    CallbackEvent,
    CallbackMethod,
    HostCall,
    HostSample,
    HostState,
    KerasCallback,
    Part,
    PassContext,
)
from pipeprof.recording.loop import Input, InputKind, Loop, LoopKind
from pipeprof.recording.source_code import Location
from pipeprof.recording.stage import OperatorFamily, Stage, StageKind
from tests.builders import MS, SECOND, loop, profile, run_info, stage, those

TF_DATA = Input(kind=InputKind.TF_DATA, name="PrefetchDataset")
REBUILD = Location("train.py", 32)


def verdict(taken: Loop, *stages: Stage) -> Diagnosis:
    recorded = profile(loops=(taken,), stages=stages)
    assert recorded.check() == ()
    main = analyse(recorded).main
    assert main is not None
    return main.diagnosis


@pytest.mark.parametrize(
    ("wait", "host", "bound"),
    [
        (0.0, 0.0, Bound.COMPUTE),
        (0.04, 0.04, Bound.COMPUTE),
        (0.04, 0.05, Bound.BALANCED),
        (0.05, 0.0, Bound.BALANCED),
        (0.19, 0.19, Bound.BALANCED),
        (0.20, 0.20, Bound.INPUT),
        (0.20, 0.21, Bound.HOST),
        (0.04, 0.20, Bound.HOST),
        (0.90, 0.05, Bound.INPUT),
        (None, 0.49, Bound.UNKNOWN),
        (None, 0.50, Bound.HOST),
    ],
)
def test_the_larger_of_waiting_and_host_decides(
    wait: float | None, host: float, bound: Bound
) -> None:
    assert bound_by_shares(wait, host) is bound


def test_a_little_of_the_frameworks_own_work_between_epochs_makes_no_verdict() -> None:
    assert bound_by_shares(0.0, 0.15, framework=0.11) is Bound.COMPUTE
    assert bound_by_shares(0.0, 0.15, framework=0.09) is Bound.BALANCED
    assert bound_by_shares(0.0, 0.25, framework=0.25) is Bound.COMPUTE
    assert bound_by_shares(0.0, 0.50, framework=0.25) is Bound.HOST


# The host


CHECKPOINT = CallbackMethod(
    owner="ModelCheckpoint",
    method="on_train_batch_end",
    event=CallbackEvent.BATCH,
    of_keras=KerasCallback.MODEL_CHECKPOINT,
)
BOARD = CallbackMethod(owner="Board", method="on_train_batch_end", event=CallbackEvent.BATCH)


def calling(
    called: CallbackMethod | str, total_ns: int, taken: Loop, part: Part = Part.CALLBACKS
) -> Loop:
    method = called if isinstance(called, CallbackMethod) else None
    call = HostCall(
        part=part,
        name=str(called) if method is None else method.name,
        location=REBUILD,
        calls=100,
        total_ns=total_ns,
        callback=method,
    )
    return replace(taken, account=replace(taken.account, calls=(call,)))


def test_callbacks_that_take_most_of_the_steps_make_a_training_host_bound() -> None:
    fit = loop(wait_ns=0, compute_ns=60 * MS, callback_ns=50 * MS)
    said = verdict(calling(CHECKPOINT, 5 * SECOND, fit), stage())
    assert (said.bound, said.cause, said.bottleneck) == (Bound.HOST, Cause.CALLBACK, None)
    [found] = those(HostAtWork, said.evidence)
    assert found.ratio == found.callbacks_ratio == pytest.approx(5 / 6)
    assert [place.name for place in found.places] == ["ModelCheckpoint.on_train_batch_end"]
    assert [advice.remedy for advice in said.advice] == [
        SaveLessOften(callback=KerasCallback.MODEL_CHECKPOINT)
    ]
    assert said.step_ms is not None
    assert said.callback_ms is not None
    assert said.compute_ms is not None
    assert (said.step_ms.mean, said.callback_ms.mean, said.compute_ms.mean) == (60, 50, 10)


def test_a_cheap_callback_changes_nothing() -> None:
    fit = loop(wait_ns=0, compute_ns=60 * MS, callback_ns=MS)
    said = verdict(calling(BOARD, 100 * MS, fit))
    assert (said.bound, said.cause) == (Bound.COMPUTE, Cause.NONE)
    assert [each.action for each in said.advice] == ["leave_input"]
    assert those(HostAtWork, said.evidence) == []


def test_before_the_first_step_nothing_holds_a_training_up() -> None:
    fit = loop(steps=0)
    end_ns = fit.start_ns + SECOND
    row = np.zeros((1, len(EPOCH_COLUMNS)), np.int64)
    row[0, EPOCH_COLUMNS.index("start_ns")] = fit.start_ns + MS
    row[0, EPOCH_COLUMNS.index("end_ns")] = end_ns
    totals = np.zeros_like(row)
    totals[0, EPOCH_COLUMNS.index("outside_callback_ns")] = MS
    account = replace(
        fit.account,
        start_ns=fit.start_ns,
        end_ns=end_ns,
        pass_count=1,
        pass_ns=(SECOND, 0, 0, 0),
        passes=np.array([[fit.start_ns, end_ns, 0]]),
        epochs=row,
        totals=totals,
    )
    said = verdict(calling(BOARD, MS, replace(fit, account=account)))
    assert (said.bound, said.cause, said.advice) == (Bound.UNKNOWN, Cause.NONE, ())
    assert those(NoStepTime, said.evidence) == [NoStepTime(finished=False)]


def test_another_callback_is_to_do_less() -> None:
    fit = loop(wait_ns=0, compute_ns=60 * MS, callback_ns=50 * MS)
    said = verdict(calling(BOARD, 5 * SECOND, fit))
    assert [each.remedy for each in said.advice] == [
        CheaperCallback(name="Board.on_train_batch_end", method=BOARD)
    ]


def test_a_users_class_of_the_name_of_a_checkpoint_is_to_do_less() -> None:
    fit = loop(wait_ns=0, compute_ns=60 * MS, callback_ns=50 * MS)
    named_alike = replace(CHECKPOINT, of_keras=None)
    said = verdict(calling(named_alike, 5 * SECOND, fit))
    assert [each.remedy for each in said.advice] == [
        CheaperCallback(name="ModelCheckpoint.on_train_batch_end", method=named_alike)
    ]


def test_work_between_epochs_makes_a_training_host_bound() -> None:
    fit = loop(wait_ns=0, compute_ns=10 * MS, epochs=2, pause_ns=SECOND)
    said = verdict(calling("Images.on_epoch_end", SECOND, fit, Part.BETWEEN_EPOCHS))
    assert (said.bound, said.cause) == (Bound.HOST, Cause.OWN_CODE)
    assert [(place.name, place.location) for place in said.host] == [
        ("Images.on_epoch_end", REBUILD)
    ]
    assert [each.remedy for each in said.advice] == [PrepareBeside(function="Images.on_epoch_end")]


def test_what_comes_second_is_named_too() -> None:
    waits = loop(wait_ns=10 * MS, compute_ns=30 * MS, callback_ns=20 * MS)
    said = verdict(waits, stage(cost_ns=38 * MS))
    assert (said.bound, said.cause) == (Bound.HOST, Cause.CALLBACK)
    assert those(WaitBesideHost, said.evidence) == [WaitBesideHost(ratio=0.25)]
    assert said.bottleneck is not None
    little = loop(wait_ns=5 * MS, compute_ns=30 * MS, callback_ns=20 * MS)
    said = verdict(little, stage(cost_ns=38 * MS))
    assert those(WaitBesideHost, said.evidence) == [WaitBesideHost(ratio=pytest.approx(1 / 7))]
    assert (said.bound, said.bottleneck) == (Bound.HOST, None)
    opposite = loop(wait_ns=20 * MS, compute_ns=30 * MS, callback_ns=5 * MS)
    said = verdict(opposite, stage(cost_ns=48 * MS))
    assert (said.bound, said.cause) == (Bound.INPUT, Cause.SERIAL)
    assert [each.ratio for each in those(HostAtWork, said.evidence)] == [pytest.approx(0.1)]


def test_samples_alone_show_waiting_from_own_code() -> None:
    by_hand = loop(LoopKind.CUSTOM, wait_ns=None, compute_ns=20 * MS)
    unknown = verdict(by_hand)
    assert unknown.bound is Bound.UNKNOWN
    assert unknown.evidence[0] == WaitsNotMeasured()

    def met(state: HostState, samples: int) -> HostSample:
        return HostSample(
            function="act",
            location=REBUILD,
            part=Part.OWN_CODE,
            state=state,
            detail=None,
            samples=samples,
        )

    samples = (met(HostState.OWN_CODE, 8), met(HostState.FRAMEWORK, 2))
    said = verdict(replace(by_hand, account=replace(by_hand.account, samples=samples)))
    assert (said.bound, said.cause, said.host[0].name) == (Bound.HOST, Cause.OWN_CODE, "act")


def test_own_code_gets_one_advice_a_line_and_none_on_the_call_of_fit() -> None:
    by_hand = loop(LoopKind.CUSTOM, wait_ns=0, compute_ns=20 * MS)

    def met(function: str, line: int, samples: int, *, calls_fit: bool = False) -> HostSample:
        return HostSample(
            function=function,
            location=Location("train.py", line),
            part=Part.OWN_CODE,
            state=HostState.OWN_CODE,
            detail="Model.fit" if calls_fit else None,
            samples=samples,
            calls_fit=calls_fit,
        )

    samples = (
        met("act", 7, 5),
        met("<module>", 7, 3),
        met("<lambda>", 9, 2),
        met("<module>", 4, 4, calls_fit=True),
    )
    said = verdict(replace(by_hand, account=replace(by_hand.account, samples=samples)))
    assert [each.remedy for each in said.advice] == [
        CheaperOwnCode(function="act"),
        CheaperOwnCode(function="the code at train.py:9"),
    ]


@pytest.mark.parametrize(
    ("steps_a_call", "lasted_ms", "context", "advised"),
    [
        (1, 600, PassContext.BETWEEN_STEPS, True),
        (1, 600, PassContext.TOP, True),
        (1, 20, PassContext.BETWEEN_STEPS, False),
        (10, 600, PassContext.BETWEEN_STEPS, False),
    ],
)
def test_calls_of_predict_for_a_batch_each_make_no_pipeline_each(
    steps_a_call: int, lasted_ms: int, context: PassContext, advised: bool
) -> None:
    trains = loop(LoopKind.TRAIN_ON_BATCH, steps=20, wait_ns=None, compute_ns=50 * MS)
    predicts = loop(LoopKind.PREDICT, steps=10 * steps_a_call, wait_ns=0, compute_ns=MS)
    times = [0] * len(PassContext)
    times[context] = lasted_ms * MS
    account = replace(predicts.account, pass_count=10, pass_ns=tuple(times))
    main = analyse(profile(loops=(trains, replace(predicts, account=account)))).main
    assert main is not None
    found = [each.remedy for each in main.diagnosis.advice if each.action == "predict_on_batch"]
    assert found == [PredictOnBatch(calls=10, call_ms=60.0)] * advised


@pytest.mark.parametrize(
    ("steps_a_call", "lasted_ms", "advised"), [(1, 600, True), (1, 20, False), (10, 600, False)]
)
def test_predictions_after_a_training_are_a_part_of_the_run(
    steps_a_call: int, lasted_ms: int, advised: bool
) -> None:
    trains = loop(steps=20, wait_ns=0, compute_ns=50 * MS)
    predicts = loop(
        LoopKind.PREDICT,
        steps=10 * steps_a_call,
        wait_ns=0,
        compute_ns=MS,
        start_ns=trains.end_ns + SECOND,
    )
    times = [0] * len(PassContext)
    times[PassContext.TOP] = lasted_ms * MS
    account = replace(predicts.account, pass_count=10, pass_ns=tuple(times))
    run = run_info(end_ns=trains.end_ns + 3 * SECOND)
    recorded = profile(loops=(trains, replace(predicts, account=account)), run=run)
    main = analyse(recorded).main
    assert main is not None
    found = [each.remedy for each in main.diagnosis.advice if each.action == "predict_on_batch"]
    assert found == [PredictOnBatch(calls=10, call_ms=60.0)] * advised


@pytest.mark.parametrize("line_only", [True, False])
def test_the_line_that_calls_predict_is_not_advised_on_twice(line_only: bool) -> None:
    met = HostSample(
        function="<module>" if line_only else "act",
        location=REBUILD,
        part=Part.OWN_CODE,
        state=HostState.FRAMEWORK if line_only else HostState.OWN_CODE,
        detail="Model.predict" if line_only else None,
        samples=10,
        calls_predict=line_only,
    )
    trains = loop(LoopKind.TRAIN_ON_BATCH, steps=20, wait_ns=0, compute_ns=50 * MS)
    trains = replace(trains, account=replace(trains.account, samples=(met,)))
    predicts = loop(LoopKind.PREDICT, steps=10, wait_ns=0, compute_ns=MS)
    times = [0] * len(PassContext)
    times[PassContext.BETWEEN_STEPS] = 600 * MS
    account = replace(predicts.account, pass_count=10, pass_ns=tuple(times))
    main = analyse(profile(loops=(trains, replace(predicts, account=account)))).main
    assert main is not None
    actions = [each.remedy for each in main.diagnosis.advice]
    assert (CheaperOwnCode(function="act") in actions) is not line_only
    assert those(PredictOnBatch, actions) != []
    assert those(CheaperOwnCode, actions) == [CheaperOwnCode(function="act")] * (not line_only)


# The bottleneck


def test_a_stage_that_explains_nothing_is_no_bottleneck() -> None:
    fit = loop(wait_ns=30 * MS, compute_ns=2 * MS, fed_by=TF_DATA)
    tiny = stage("prefetch", StageKind.TF_DATA, cost_ns=MS // 10, lanes={}, location=None)
    said = verdict(fit, tiny)
    assert (said.bound, said.bottleneck, said.cause) == (Bound.INPUT, None, Cause.NONE)
    assert [each.seen_ms for each in those(UnseenInput, said.evidence)] == [pytest.approx(0.1)]
    assert those(NoStageSeen, said.evidence) == []
    named = verdict(fit, stage("prefetch", StageKind.TF_DATA, cost_ns=31 * MS, lanes={}))
    assert named.bottleneck is not None


# Epochs and single waits


def cached(first_ms: int, later_ms: int) -> Diagnosis:
    waits = [first_ms * MS] * 25 + [later_ms * MS] * 75
    fit = loop(steps=100, wait_ns=waits, compute_ns=10 * MS, epochs=4, fed_by=TF_DATA)
    during = {"during": fit, "lanes": {}}
    return verdict(
        fit,
        stage("cache", StageKind.TF_DATA, cost_ns=MS // 100, location=None, **during),
        stage(
            "decode",
            StageKind.TF_DATA,
            cost_ns=30 * MS,
            parent=0,
            family=OperatorFamily.MAP,
            **during,
        ),
    )


def test_a_cache_that_fills_makes_the_first_epoch_wait_and_nothing_is_advised() -> None:
    said = cached(40, 0)
    [apart] = those(EpochsApart, said.evidence)
    assert (apart.epochs, apart.ratio, apart.others_ratio) == ((0,), pytest.approx(0.8), 0.0)
    assert apart.filled_cache == StageReference(name="cache")
    assert said.advice == ()


def test_where_every_epoch_waits_none_is_apart_and_no_second_cache_is_advised() -> None:
    said = cached(40, 40)
    assert those(EpochsApart, said.evidence) == []
    assert said.advice != ()
    assert those(Cache, [each.remedy for each in said.advice]) == []


@pytest.mark.parametrize("every", [50, None])
def test_few_long_waits_are_reported_with_their_period(every: int | None) -> None:
    at = range(30, 400, 50) if every else (31, 40, 77, 180, 222, 300, 390)
    waits = [1000 * MS if step in at else MS // 10 for step in range(400)]
    [found] = those(UnevenWaits, verdict(loop(steps=400, wait_ns=waits)).evidence)
    assert found.share > 0.99
    assert (found.wait_ms, found.period) == (1000.0, every)


def test_even_waits_are_not_uneven() -> None:
    assert those(UnevenWaits, verdict(loop(steps=400)).evidence) == []


# Validation


def validated(steps: int, fed_by: Input | None = None) -> Diagnosis:
    """A fit that validates after both of its epochs, for so many steps that wait."""
    fit = loop(steps=100, wait_ns=0, compute_ns=10 * MS, epochs=2, pause_ns=steps * 30 * MS)
    evaluate = loop(
        LoopKind.EVALUATE,
        steps=steps,
        parent=0,
        start_ns=fit.start_ns + 500 * MS,
        fed_by=fed_by,
    )
    totals = fit.account.totals.copy()
    totals[0, EPOCH_COLUMNS.index("validation_ns")] = evaluate.end_ns - evaluate.start_ns
    fit = replace(fit, account=replace(fit.account, totals=totals))
    decode = stage("decode", cost_ns=28 * MS, during=evaluate)
    main = analyse(profile(loops=(fit, evaluate), stages=(decode,))).main
    assert main is not None
    return main.diagnosis


def test_a_long_validation_has_its_verdict_in_that_of_the_training() -> None:
    [found] = those(ValidationTime, validated(50).evidence)
    assert found.ratio == pytest.approx(0.6)
    assert (found.bound, found.wait_ratio) == (Bound.INPUT, pytest.approx(2 / 3))
    assert found.bottleneck is not None
    assert found.bottleneck.name == "decode"


def test_a_short_validation_is_no_evidence() -> None:
    assert those(ValidationTime, validated(5).evidence) == []


# Tracing anew


def traced_anew(*steps: tuple[int, int], reasons: tuple[str, ...]) -> list[Retracings]:
    """Of 100 steps of 30 ms the first was compiled, and these: how long they took, and why."""
    fit = loop(steps=100, wait_ns=20 * MS, compute_ns=10 * MS)
    rows = [(1000 * MS, -1), *steps]
    compilations = np.zeros((len(rows), len(COMPILATION_COLUMNS)), np.int64)
    for row, (lasted_ns, reason) in zip(compilations, rows, strict=True):
        row[COMPILATION_COLUMNS.index("end_ns")] = lasted_ns
        row[COMPILATION_COLUMNS.index("reason")] = reason
    account = replace(fit.account, compilations=compilations, reasons=reasons)
    return those(Retracings, verdict(replace(fit, account=account)).evidence)


def test_tracing_anew_is_reported_with_its_time_and_the_usual_change() -> None:
    steps = ((530 * MS, 1), (230 * MS, 0), (330 * MS, 1))
    [found] = traced_anew(*steps, reasons=("(4, 8) → (3, 8)", "(4, 8) → (4, 9)"))
    assert (found.count, found.change, found.others) == (3, "(4, 8) → (4, 9)", 1)
    assert found.ms == pytest.approx(1000.0, rel=0.01)


@pytest.mark.parametrize(
    ("kind", "epochs", "found"),
    [
        (LoopKind.FIT, (0, 1, 2), [(2, None)]),  # compiled again between calls of `fit`
        (LoopKind.FIT, (0, 0, 0), []),  # functions that its first epoch has
        (LoopKind.CUSTOM, (0, 1, 2), []),  # functions of the user's that are called late
    ],
)
def test_a_fit_with_a_new_function_in_a_later_epoch_is_traced_again(
    kind: LoopKind, epochs: tuple[int, ...], found: list[tuple[int, str | None]]
) -> None:
    trains = loop(kind, steps=100, wait_ns=0, compute_ns=30 * MS)
    rows = np.zeros((len(epochs), len(COMPILATION_COLUMNS)), np.int64)
    rows[:, COMPILATION_COLUMNS.index("end_ns")] = 530 * MS
    rows[:, COMPILATION_COLUMNS.index("reason")] = -1
    rows[:, COMPILATION_COLUMNS.index("epoch")] = epochs
    said = verdict(replace(trains, account=replace(trains.account, compilations=rows)))
    assert [(each.count, each.change) for each in those(Retracings, said.evidence)] == found


def test_the_first_tracing_and_a_quick_one_are_no_evidence() -> None:
    assert traced_anew(reasons=()) == []
    assert traced_anew((40 * MS, 0), reasons=("(4, 8) → (3, 8)",)) == []
