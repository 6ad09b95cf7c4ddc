"""What holds of the findings of every recording, however odd."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.findings import Bottleneck, Diagnosis, Findings
from pipeprof.recording.lane import Cpu, Lane, Role
from pipeprof.recording.loop import Input, InputKind, Loop, LoopKind
from pipeprof.recording.profile import Profile
from pipeprof.recording.series import Binned
from pipeprof.recording.stage import STAGE_CHANNELS, Stage, StageKind
from tests.builders import MS, START_NS, evenly, lane, loop, profile, stage


@st.composite
def inputs(draw: st.DrawFn) -> Input:
    return Input(
        kind=draw(st.none() | st.sampled_from(InputKind)),
        workers=draw(st.none() | st.integers(0, 8)),
        multiprocessing=draw(st.none() | st.booleans()),
    )


@st.composite
def loops(draw: st.DrawFn, start_ns: int = START_NS, parent: int | None = None) -> Loop:
    steps = draw(st.integers(0, 60))
    waits = draw(
        st.none()
        | st.lists(st.integers(-1, 50 * MS), min_size=steps, max_size=steps)
        | st.integers(0, 50 * MS)
    )
    made = loop(
        draw(st.sampled_from(LoopKind)),
        steps=steps,
        wait_ns=waits,
        compute_ns=draw(st.integers(1, 30 * MS)),
        epochs=draw(st.integers(1, 4)),
        warmup=draw(st.integers(0, 10)),
        batch_size=draw(st.none() | st.integers(1, 64)),
        start_ns=start_ns,
        parent=parent,
        fed_by=draw(inputs()),
        lane=draw(st.none() | st.just(0)),
        input_work_ns=draw(st.integers(0, 100)),
        input_work_in_wait_ns=draw(st.integers(0, 100)),
    )
    if draw(st.booleans()):
        return made
    kept = {
        field.name: getattr(made.steps, field.name)[:20] for field in dataclasses.fields(made.steps)
    }
    return dataclasses.replace(made, steps=dataclasses.replace(made.steps, **kept))


@st.composite
def stages(draw: st.DrawFn, number: int, count: int, lanes: int, during: Loop) -> Stage:
    kind = draw(st.sampled_from(StageKind))
    return (
        stage(
            f"stage{number}",
            kind,
            cost_ns=draw(st.integers(0, 90 * MS)),
            calls=draw(st.none() | st.integers(0, 500)),
            cpu_ratio=draw(st.none() | st.floats(0, 1)),
            step_bytes=draw(st.sampled_from([0, 4_096])),
            during=during,
            parent=draw(st.sampled_from([None, *range(number)])),
            lanes=draw(
                st.dictionaries(st.integers(0, lanes - 1), st.integers(0, 10**9), max_size=lanes)
            ),
            most_parallelism=draw(st.none() | st.integers(1, 8)),
            autotuned=draw(st.none() | st.booleans()),
            workers=draw(st.none() | st.integers(0, 8)),
        )
        if during.end_ns > during.start_ns
        else _idle(number, kind)
    )


def _idle(number: int, kind: StageKind) -> Stage:
    nothing = Binned(
        start_ns=START_NS, width_ns=MS, sums=np.zeros((0, len(STAGE_CHANNELS)), np.int64)
    )
    return Stage(name=f"stage{number}", kind=kind, work=nothing)


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    made: list[Loop] = []
    for _ in range(draw(st.integers(0, 3))):
        start_ns = made[-1].end_ns if made else START_NS
        made.append(draw(loops(start_ns)))
    if made and draw(st.booleans()):
        middle = (made[0].start_ns + made[0].end_ns) // 2
        made.append(draw(loops(middle, parent=0)))
    whole = loop()
    lanes: list[Lane] = [lane()]
    for number in range(draw(st.integers(0, 4))):
        life = draw(st.sampled_from(made or [whole]))
        if life.end_ns > life.start_ns:
            lanes.append(
                lane(
                    f"lane {number}",
                    draw(st.sampled_from(Role)),
                    pid=draw(st.integers(1, 2)),
                    tid=draw(st.none() | st.integers(1, 9)),
                    busy_ns=draw(st.integers(0, 10**9)),
                    cpu_ns=draw(st.none() | st.integers(0, 10**9)),
                    during=life,
                )
            )
    count = draw(st.integers(0, 5))
    during = st.sampled_from(made or [whole])
    used = draw(st.none() | st.integers(0, 10**10))
    return profile(
        loops=tuple(made),
        stages=tuple(
            draw(stages(number, count, len(lanes), draw(during))) for number in range(count)
        ),
        lanes=tuple(lanes),
        cpu=Cpu(
            cores=draw(st.integers(1, 16)),
            limit=draw(st.none() | st.floats(0.1, 16)),
            used=None if used is None else evenly((used,), whole.start_ns, whole.end_ns),
        ),
    )


@given(profiles())
def test_every_valid_recording_can_be_analysed(recorded: Profile) -> None:
    assert recorded.check() == ()

    found = analyse(recorded)

    shown = [
        loop
        for loop in recorded.loops
        if loop is recorded.main_loop
        or not (loop.step_count <= (loop.kind is LoopKind.CUSTOM) or loop.predicts_single_batches)
    ]
    assert list(map(id, shown)) == [id(each.loop) for each in found.loops]
    assert (found.main is None) == (not recorded.loops)


@given(profiles())
def test_ratios_are_within_0_and_1(recorded: Profile) -> None:
    found = analyse(recorded)

    assert [ratio for ratio in _ratios(found) if not 0 <= ratio <= 1] == []


@given(profiles())
def test_no_prediction_is_better_than_input_for_free(recorded: Profile) -> None:
    for each in analyse(recorded).loops:
        ideal_ms = each.diagnosis.ideal_step_ms
        for found in filter(None, (advice.prediction for advice in each.diagnosis.advice)):
            assert ideal_ms is not None
            assert found.step_ms >= ideal_ms
            assert found.speedup > 1
            assert 0 <= found.low_ms <= found.step_ms <= found.high_ms
        for free in filter(None, (each.diagnosis.free_input,)):
            assert free.speedup >= 1
            assert free.wall_s <= each.account.wall_ns / 1e9


@given(profiles(), st.randoms(use_true_random=False))
def test_verdicts_do_not_depend_on_the_order_of_stages(recorded: Profile, random: object) -> None:
    order = list(range(len(recorded.stages)))
    random.shuffle(order)  # type: ignore[attr-defined]
    moved = {old: new for new, old in enumerate(order)}
    shuffled = dataclasses.replace(
        recorded,
        stages=tuple(
            dataclasses.replace(
                recorded.stages[old],
                parent=moved.get(recorded.stages[old].parent),
            )
            for old in order
        ),
    )

    assert _verdicts(analyse(shuffled)) == _verdicts(analyse(recorded))


@given(st.lists(st.integers(3 * MS, 90 * MS), min_size=1, max_size=6))
def test_costs_of_stages_add_up_to_the_input_work(costs_ns: list[int]) -> None:
    fit = loop()
    found = analyse(
        profile(
            loops=(fit,),
            stages=tuple(
                stage(f"stage{number}", cost_ns=cost_ns, during=fit)
                for number, cost_ns in enumerate(costs_ns)
            ),
        )
    )

    assert sum(each.cost_ms for each in found.stages) == pytest.approx(sum(costs_ns) / MS)
    worst = found.main.diagnosis.bottleneck if found.main else None
    assert worst is not None
    assert worst.share == pytest.approx(max(costs_ns) / sum(costs_ns))


def test_the_order_of_loops_does_not_change_the_main_verdict() -> None:
    fit = loop(steps=100)
    later = loop(LoopKind.EVALUATE, steps=60, wait_ns=MS, start_ns=fit.end_ns)
    worked = stage(during=fit)
    one, other = (
        analyse(profile(loops=each, stages=(worked,))) for each in ((fit, later), (later, fit))
    )

    assert one.main is not None
    assert other.main is not None
    assert _verdict(one.main.diagnosis) == _verdict(other.main.diagnosis)


def _verdicts(found: Findings) -> list[object]:
    return [_verdict(each.diagnosis) for each in found.loops]


def _verdict(said: Diagnosis) -> object:
    worst: Bottleneck | None = said.bottleneck
    return (
        said.bound,
        said.cause,
        worst and (worst.stage, round(worst.cost_ms, 6)),
        said.evidence,
        [
            (advice.action, round(advice.prediction.step_ms if advice.prediction else 0, 6))
            for advice in said.advice
        ],
    )


def _ratios(found: Findings) -> list[float]:
    ratios: list[float | None] = [found.cpu.process_ratio, found.overhead.ratio]
    for each in found.loops:
        ratios += [each.diagnosis.confidence, each.diagnosis.wait_ratio, each.input.overlap_ratio]
        ratios += [each.input.queue_empty_ratio]
        if each.diagnosis.bottleneck:
            ratios.append(each.diagnosis.bottleneck.share)
    ratios += [each.cpu_ratio for each in found.stages]
    for thread in found.lanes:
        ratios += [thread.busy_ratio, thread.cpu_ratio]
    return [ratio for ratio in ratios if ratio is not None]
