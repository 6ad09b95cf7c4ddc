"""What AUTOTUNE did is reported step by step, and each setting that stands in its way, with figures."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeprof.analysis.advising.autotune import steps_ended
from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.caveat_kinds import WaitsOfTracedSteps
from pipeprof.analysis.findings.input_findings import (
    AutotuneFinding,
    AutotuneOff,
    BudgetBeyondCores,
    FixedParallelism,
    FullBuffers,
)
from pipeprof.analysis.findings.references import StageReference
from pipeprof.recording.lane import Cpu
from pipeprof.recording.level_names import Level, TfDataLevel
from pipeprof.recording.loop import Input, InputKind, Loop, WaitSource
from pipeprof.recording.source_code import Location
from pipeprof.recording.stage import Stage, StageKind, StageOwner
from pipeprof.report.one_run.autotune_text import describe_tuned
from tests.builders import DECODE, MS, evenly, gauge, loop, profile, stage, those

GB = 1_000_000_000
TF_DATA = Input(kind=InputKind.TF_DATA, name="PrefetchDataset")
FIT = loop(fed_by=TF_DATA)  # 100 steps of 30 ms


def found(
    *stages: Stage,
    during: Loop = FIT,
    cores: int = 8,
    limit: float | None = None,
    cpu_ratio: float = 0.3,
    levels: Mapping[TfDataLevel | Level, int] | None = None,
) -> AutotuneFinding:
    """What is said of a loop that these stages fed; AUTOTUNE plans with 8 cores unless given."""
    read = {TfDataLevel.CPU_BUDGET: 8, TfDataLevel.RAM_BUDGET: 4 * GB} | dict(levels or {})
    length_ns = during.end_ns - during.start_ns
    room = min(cores, limit or cores)
    used = evenly((round(cpu_ratio * room * length_ns),), during.start_ns, during.end_ns)
    recorded = profile(
        loops=(during,),
        stages=stages,
        cpu=Cpu(cores=cores, limit=limit, used=used),
        gauges={level.value: gauge(value) for level, value in read.items()},
    )
    autotune = analyse(recorded).autotune
    assert autotune is not None
    return autotune


def mapped(**facts: Any) -> Stage:
    """A map of 40 ms a step that makes one call at once, by the user's choice."""
    chosen = {
        "cost_ns": 40 * MS,
        "cpu_ratio": None,
        "parallelism": 1,
        "most_parallelism": 8,
        "autotuned": False,
        "lanes": {},
        "during": FIT,
    } | facts
    return stage("decode", StageKind.TF_DATA, **chosen)


def tuned(*levels: int | None, during: Loop = FIT) -> AutotuneFinding:
    """AUTOTUNE's parallelism, read once in each tenth of the loop."""
    width_ns = (during.end_ns - during.start_ns) // len(levels)
    read = gauge(*levels, start_ns=during.start_ns, width_ns=width_ns)
    return found(replace(mapped(autotuned=True), parallelism=read), during=during)


def test_a_parallelism_that_settled_is_reported_with_the_steps_that_it_took() -> None:
    said = tuned(1, 2, 2, 4, *[6] * 6)
    [its] = said.tuned
    assert (its.value, its.least, its.most, its.limit) == (6, 1, 6, 8)
    assert its.settled_after_steps == 50
    assert its.series == ((10, 1), (20, 2), (40, 4), (50, 6))
    assert list(describe_tuned(said)) == ["decode: settled within 50 steps at 6 of 8 calls at once"]


def test_a_parallelism_that_never_moved_was_there_from_the_start() -> None:
    said = tuned(*[2] * 10)
    assert said.tuned[0].settled_after_steps == 0
    assert list(describe_tuned(said)) == ["decode: 2 of 8 calls at once from the start"]


def test_a_parallelism_that_still_moves_at_the_end_has_not_settled() -> None:
    said = tuned(2, 4, 2, 4, 2, 4, 2, 4, 2, 4)
    assert said.tuned[0].settled_after_steps is None
    assert list(describe_tuned(said)) == ["decode: between 2 and 4 of 8 calls at once, not settled"]


def test_of_several_epochs_the_slowest_to_settle_counts() -> None:
    said = tuned(1, 4, 4, 4, 4, 1, 1, 1, 4, 4, during=loop(fed_by=TF_DATA, epochs=2))
    assert said.tuned[0].settled_after_steps == 40
    assert list(describe_tuned(said)) == [
        "decode: settled within 40 steps of each epoch at 4 of 8 calls at once"
    ]


def test_only_what_autotune_chose_is_reported() -> None:
    fixed = stage("prefetch", StageKind.TF_DATA, buffer_size=2, buffer_autotuned=False, during=FIT)
    chosen = stage("ahead", StageKind.TF_DATA, buffer_size=7, buffer_autotuned=True, during=FIT)
    assert list(describe_tuned(found(mapped(), fixed, chosen))) == [
        "ahead: 7 elements of buffer from the start"
    ]


def test_stages_of_one_name_are_distinguished_by_their_lines() -> None:
    settings = {"buffer_size": 2, "buffer_autotuned": True, "during": FIT}
    first = stage("ahead", StageKind.TF_DATA, location=Location("train.py", 5), **settings)
    second = replace(first, location=None, owner=StageOwner.KERAS)
    (piece,) = describe_tuned(found(first, second))
    assert (
        piece == "ahead (added by Keras), ahead (train.py:5): 2 elements of buffer from the start"
    )


def test_stages_with_different_choices_have_a_piece_each() -> None:
    settings = {"buffer_autotuned": True, "during": FIT}
    few = stage("few", StageKind.TF_DATA, buffer_size=2, **settings)
    many = stage("many", StageKind.TF_DATA, buffer_size=7, **settings)
    assert set(describe_tuned(found(few, many))) == {
        "few: 2 elements of buffer from the start",
        "many: 7 elements of buffer from the start",
    }


def test_one_of_something_is_no_plural() -> None:
    one = stage("ahead", StageKind.TF_DATA, buffer_size=1, buffer_autotuned=True, during=FIT)
    assert list(describe_tuned(found(one))) == ["ahead: 1 element of buffer from the start"]
    soon = tuned(*[1] * 10)
    (its,) = soon.tuned
    early = replace(its, settled_after_steps=1, limit=1)
    assert list(describe_tuned(replace(soon, tuned=(early,)))) == [
        "decode: settled within 1 step at 1 of 1 call at once"
    ]


def test_steps_of_a_long_loop_are_counted_in_its_bins() -> None:
    few = replace(FIT, step_count=FIT.step_count + 1)  # not all of them were kept
    half = np.array([(FIT.start_ns + FIT.end_ns) // 2])
    exact, estimated = steps_ended(FIT, half), steps_ended(few, half)
    assert estimated == pytest.approx(exact, abs=2)


@pytest.mark.parametrize(
    ("budget", "cores", "limit", "warned"),
    [
        (8, 8, 2.0, (BudgetBeyondCores(planned=8, cores=2, by_container=True, advised=2),)),
        (16, 8, None, (BudgetBeyondCores(planned=16, cores=8, by_container=False, advised=8),)),
        (2, 8, 1.5, ()),  # no whole number of calls is nearer
        (8, 8, 8.0, ()),
        (8, 8, None, ()),
    ],
)
def test_a_budget_of_more_cores_than_there_are_is_reported(
    budget: int, cores: int, limit: float | None, warned: tuple[BudgetBeyondCores, ...]
) -> None:
    levels: dict[TfDataLevel | Level, int] = {TfDataLevel.CPU_BUDGET: budget}
    warnings = found(mapped(cost_ns=MS), cores=cores, limit=limit, levels=levels).warnings
    assert warnings == warned


def test_buffers_that_hold_more_than_a_fifth_of_the_memory_are_reported() -> None:
    full = {TfDataLevel.BUFFERED: 3 * GB, Level.MEMORY_ROOM: 12 * GB}
    shuffle = stage(
        "shuffle",
        StageKind.TF_DATA,
        step_bytes=1_000_000,
        during=FIT,
        location=None,
        starts=[(FIT.start_ns, FIT.start_ns + MS, 1, MS, 2_900)],
    )
    assert found(shuffle, levels=full).warnings == (
        FullBuffers(
            held_bytes=3 * GB, memory_bytes=12 * GB, largest=StageReference(name="shuffle")
        ),
    )
    assert found(shuffle, levels=full | {Level.MEMORY_ROOM: 16 * GB}).warnings == ()


def test_a_bottleneck_that_is_fixed_below_what_it_needs_is_reported() -> None:
    [said] = found(mapped()).warnings
    assert said == FixedParallelism(
        stage=StageReference(name="decode", location=DECODE),
        fixed=1,
        needed=4,
        free_cpu_ratio=pytest.approx(0.7),
        advised=None,
    )


def test_what_only_waits_is_reported_how_many_calls_it_needs_beyond_the_cores() -> None:
    [said] = found(mapped(cpu_ratio=0.02), cores=2, levels={TfDataLevel.CPU_BUDGET: 2}).warnings
    assert isinstance(said, FixedParallelism)
    assert said.advised == 4


@pytest.mark.parametrize(
    ("facts", "setting"),
    [
        ({"autotuned": True}, {}),  # AUTOTUNE's own choice
        ({"cost_ns": 9 * MS, "parallelism": 8}, {}),  # enough
        ({}, {"cpu_ratio": 0.97}),  # no core is free
        ({"parallelism": 8}, {"cpu_ratio": 0.8}),  # as many as there are cores
        ({"during": loop(wait_ns=0, fed_by=TF_DATA)}, {"during": loop(wait_ns=0, fed_by=TF_DATA)}),
    ],
)
def test_a_stage_that_would_gain_nothing_is_left_alone(
    facts: dict[str, Any], setting: dict[str, Any]
) -> None:
    assert found(mapped(**facts), **setting).warnings == ()


def test_autotune_that_is_switched_off_is_reported() -> None:
    off = loop(fed_by=replace(TF_DATA, autotune=False), wait_ns=None)
    said = found(during=off)
    assert not said.enabled
    assert said.cpu_budget is None
    assert said.warnings[0] == AutotuneOff()
    # Keras does so itself for a sequence with workers: that is nobody's mistake.
    sequence = loop(fed_by=Input(kind=InputKind.SEQUENCE, autotune=False))
    assert analyse(profile(loops=(sequence,))).autotune is None


def test_what_tf_data_did_not_feed_has_no_autotune() -> None:
    assert analyse(profile(stages=(stage(),))).autotune is None


def test_a_loop_that_waits_without_autotune_is_advised_to_switch_it_on() -> None:
    waits = [20 * MS if 5 <= step < 45 else -1 for step in range(100)]
    off = loop(
        fed_by=replace(TF_DATA, autotune=False),
        wait_ns=waits,
        compute_ns=[10 * MS if wait >= 0 else 25 * MS for wait in waits],
        waits_by=WaitSource.TRACE,
    )
    main = analyse(profile(loops=(off,))).main
    assert main is not None
    said = main.diagnosis
    assert said.measured_by is WaitSource.TRACE
    assert said.advice[-1].action == "autotune"
    [traced] = those(WaitsOfTracedSteps, said.evidence)
    assert traced.steps == 40
    assert 0.4 < said.confidence < 0.5  # the part of the time that was traced
    on = analyse(profile(loops=(replace(off, input=TF_DATA),))).main
    assert on is not None
    assert "autotune" not in [each.action for each in on.diagnosis.advice]
