"""What a reader can choose of a run, and that each prediction is that of `what_if`."""

from dataclasses import replace

import pytest

from pipeprof.analysis.analyse import main_verdict
from pipeprof.analysis.findings.what_if_kinds import (
    FreeBatches,
    LoadedAhead,
    LoadedByWorkers,
    NoCallback,
    NoEpochStarts,
    StageCosts,
    StageRuns,
    Supposition,
    WithCores,
)
from pipeprof.analysis.predicting.what_if import what_if
from pipeprof.analysis.predicting.what_if_choices import MOST_STAGES, Choices, predict_choices
from pipeprof.analysis.verdicts.verdict import Verdict
from pipeprof.errors import UsageError
from pipeprof.recording.account import HostCall, Part
from pipeprof.recording.lane import Role
from pipeprof.recording.loop import Loop
from pipeprof.recording.stage import Stage, StageKind
from tests.builders import MS, SECOND, lane, loop, profile, stage

ON_MAIN = loop(lane=0, wait_ns=20 * MS, compute_ns=10 * MS)
DECODE = stage("decode", cost_ns=15 * MS, cpu_ratio=0.1, during=ON_MAIN)
READ = stage("read", cost_ns=5 * MS, cpu_ratio=0.1, parent=0, during=ON_MAIN)


def verdict_of(*stages: Stage, during: Loop = ON_MAIN, **more: object) -> Verdict:
    verdict = main_verdict(profile(loops=(during,), stages=stages, **more))  # type: ignore[arg-type]
    assert verdict is not None
    return verdict


def offered(choices: Choices) -> list[Supposition]:
    return [one for control in choices.controls for one in control.choices]


def test_each_prediction_is_that_of_the_model() -> None:
    verdict = verdict_of(DECODE, READ)
    choices = predict_choices(verdict)
    assert choices.today_ms == pytest.approx(30)
    assert choices.free == what_if(verdict, FreeBatches())
    assert [control.stage for control in choices.controls[:2]] == ["decode", "read"]
    assert {len(places) for places in choices.predictions} == {1, 2}
    for places, found in choices.predictions.items():
        supposed = [choices.controls[control].choices[choice] for control, choice in places]
        assert found == what_if(verdict, *supposed)
        assert len({control for control, _ in places}) == len(places)
    alone = sum(len(control.choices) for control in choices.controls)
    assert sum(len(places) == 1 for places in choices.predictions) == alone


def test_what_gains_nothing_or_does_not_exist_is_not_offered() -> None:
    main = offered(predict_choices(verdict_of(DECODE, READ)))
    assert LoadedAhead() in main
    assert LoadedByWorkers(workers=4, processes=True) in main
    assert NoEpochStarts() not in main
    assert not any(isinstance(one, NoCallback) for one in main)

    ahead = loop(lane=0, wait_ns=20 * MS, compute_ns=10 * MS)
    mapped = stage(
        "decode", StageKind.TF_DATA, cost_ns=60 * MS, cpu_ratio=0.1, parallelism=2, during=ahead
    )
    lanes = (lane(), lane("input thread", Role.INPUT, tid=9))
    found = offered(predict_choices(verdict_of(mapped, during=ahead, lanes=lanes)))
    assert not any(isinstance(one, LoadedByWorkers) for one in found)
    assert any(isinstance(one, WithCores) for one in found)


def test_epoch_starts_and_callbacks_are_offered_where_they_take_time() -> None:
    waits = [200 * MS if step % 20 == 0 else 20 * MS for step in range(100)]
    call = HostCall(
        part=Part.CALLBACKS,
        name="Saver.on_train_batch_end",
        location=None,
        calls=100,
        total_ns=4 * MS * 100,
    )
    starting = loop(lane=0, epochs=5, wait_ns=waits, compute_ns=10 * MS)
    starting = replace(starting, account=replace(starting.account, calls=(call,)))
    slow = stage("decode", cost_ns=20 * MS, cpu_ratio=0.1, during=starting)
    found = offered(predict_choices(verdict_of(slow, during=starting)))
    assert NoEpochStarts() in found
    assert any(isinstance(one, NoCallback) for one in found)


def test_few_stages_are_offered_the_dearest_first_and_none_that_costs_nothing() -> None:
    stages = [
        stage(f"s{number}", cost_ns=(number + 1) * MS, cpu_ratio=0.1, parent=None, during=ON_MAIN)
        for number in range(5)
    ]
    tiny = stage("tiny", cost_ns=MS // 20, cpu_ratio=0.1, during=ON_MAIN)
    choices = predict_choices(verdict_of(*stages, tiny))
    named = [control.stage for control in choices.controls if control.stage]
    assert named == ["s4", "s3", "s2", "s1", "s0"]
    assert len(named) <= MOST_STAGES


def test_a_stage_is_offered_more_calls_at_once_than_it_has() -> None:
    ahead = loop(lane=0, wait_ns=5 * MS, compute_ns=10 * MS)
    lanes = (lane(), lane("input thread", Role.INPUT, tid=9))
    four = stage(
        "decode", cost_ns=60 * MS, cpu_ratio=0.1, parallelism=4, lanes={1: SECOND}, during=ahead
    )
    found = offered(predict_choices(verdict_of(four, during=ahead, lanes=lanes)))
    assert [one.parallelism for one in found if isinstance(one, StageRuns)] == [8]
    assert [one.factor for one in found if isinstance(one, StageCosts)] == [0.5, 0.0]


def test_a_run_that_the_model_does_not_explain_has_no_choices() -> None:
    little = stage("decode", cost_ns=6 * MS, cpu_ratio=0.1, during=ON_MAIN)
    with pytest.raises(UsageError, match="the model explains 16 of 30 ms"):
        predict_choices(verdict_of(little))
