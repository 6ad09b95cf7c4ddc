"""What is predicted if something were otherwise, on trainings whose answer is known."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeprof.analysis.analyse import predict
from pipeprof.analysis.findings.what_if_kinds import SupposedStep
from pipeprof.analysis.predicting.what_if_expressions import read_suppositions
from pipeprof.errors import UsageError
from pipeprof.recording.account import CallbackEvent, CallbackMethod, HostCall, Part
from pipeprof.recording.lane import Role
from pipeprof.recording.level_names import Level
from pipeprof.recording.loop import Input, InputKind, Loop
from pipeprof.recording.source_code import Location
from pipeprof.recording.stage import Stage, StageKind
from pipeprof.report.predicting.what_if_text import describe_prediction
from tests.analysis.test_diagnosis import cpu_in_use
from tests.builders import MS, SECOND, gauge, lane, loop, profile, stage

TF_DATA = Input(kind=InputKind.TF_DATA, name="_BatchDataset")
THREADS = Input(kind=InputKind.SEQUENCE, name="Photos", workers=2)


def predicted(text: str, *stages: Stage, during: Loop, **more: object) -> SupposedStep:
    return predict(
        profile(loops=(during,), stages=stages, **more),  # type: ignore[arg-type]
        read_suppositions(text),
    )


# A generator of 20 ms in the training's own thread before steps of 10 ms.
ON_MAIN = loop(lane=0, wait_ns=20 * MS, compute_ns=10 * MS)
GENERATOR = stage("decode", cost_ns=20 * MS, cpu_ratio=0.1, during=ON_MAIN)

# The same, ahead of the training: it waits for what the generator takes longer.
AHEAD = loop(lane=0, wait_ns=20 * MS, compute_ns=10 * MS)
AHEAD_LANES = (lane(), lane("input thread", Role.INPUT, tid=9))
BESIDE = stage("decode", cost_ns=30 * MS, cpu_ratio=0.1, lanes={1: SECOND}, during=AHEAD)


def test_input_for_free_leaves_the_computing() -> None:
    prediction = predicted("input=free", GENERATOR, during=ON_MAIN)
    assert prediction.step_ms == pytest.approx(10)
    assert prediction.today_ms == pytest.approx(30)
    assert prediction.speedup == pytest.approx(3)
    assert prediction.interval.low <= 10 <= prediction.interval.high


@pytest.mark.parametrize(
    ("text", "step_ms"),
    [
        ("stage=decode cost=0", 10),
        ("stage=decode cost=0.5", 20),
        ("stage=decode cost=1", 30),
        ("stage=decode cost=2", 50),
        ("prefetch=yes", 20),
        ("workers=2", 10),
        ("stage=decode cost=0.5, prefetch=yes", 10),
        ("cores=8", 30),
    ],
)
def test_work_in_the_trainings_own_thread(text: str, step_ms: float) -> None:
    prediction = predicted(text, GENERATOR, during=ON_MAIN)
    assert prediction.step_ms == pytest.approx(step_ms, rel=0.03)
    assert prediction.interval.low <= step_ms * 1.001
    assert prediction.interval.high >= step_ms * 0.999


@pytest.mark.parametrize(
    ("text", "step_ms"),
    [
        ("prefetch=yes", 30),  # it runs ahead already
        ("stage=decode cost=0.5", 15),
        ("stage=decode parallelism=2", 15),
        ("stage=decode parallelism=30", 10),
    ],
)
def test_work_ahead_of_the_training(text: str, step_ms: float) -> None:
    prediction = predicted(text, BESIDE, during=AHEAD, lanes=AHEAD_LANES)
    assert prediction.step_ms == pytest.approx(step_ms, rel=0.03)


def test_threads_that_compute_in_python_take_turns() -> None:
    computes = stage("decode", cost_ns=20 * MS, cpu_ratio=1.0, during=ON_MAIN)
    threads = predicted("workers=8", computes, during=ON_MAIN)
    processes = predicted("workers=8 processes=yes", computes, during=ON_MAIN)
    assert threads.step_ms == pytest.approx(20, rel=0.03)
    assert processes.step_ms < threads.step_ms


def test_what_is_known_to_wait_needs_no_turns_though_its_cpu_time_was_not_read() -> None:
    fed = stage("decode", cost_ns=20 * MS, cpu_ratio=None, during=ON_MAIN)
    idle = cpu_in_use(0.02, ON_MAIN)
    assert predicted("workers=8", fed, during=ON_MAIN, cpu=idle).step_ms == pytest.approx(10)


def test_processes_have_their_batches_to_send() -> None:
    def with_bytes(size: int) -> float:
        sends = stage("decode", cost_ns=20 * MS, cpu_ratio=0.1, step_bytes=size, during=ON_MAIN)
        return predicted("workers=8 processes=yes", sends, during=ON_MAIN).step_ms

    assert with_bytes(1000) == pytest.approx(10, rel=0.05)
    assert with_bytes(10_000_000) > 25


def test_a_cache_takes_away_what_is_beneath_it_and_needs_memory() -> None:
    during = replace(loop(lane=0, epochs=2), input=TF_DATA)
    read = stage("read", StageKind.TF_DATA, cost_ns=8 * MS, parent=1, during=during)
    decode = stage("decode", StageKind.TF_DATA, cost_ns=12 * MS, step_bytes=1 << 20, during=during)
    room = {Level.MEMORY_ROOM.value: gauge(1 << 30), Level.MEMORY.value: gauge(1 << 20)}
    prediction = predicted("cache=decode", read, decode, during=during, gauges=room)
    assert prediction.step_ms == pytest.approx(10, rel=0.05)
    assert prediction.memory_bytes == pytest.approx(50 * (1 << 20), rel=0.15)
    assert prediction.memory_fits is True
    small = {Level.MEMORY_ROOM.value: gauge(2 << 20), Level.MEMORY.value: gauge(1 << 20)}
    assert predicted("cache=decode", read, decode, during=during, gauges=small).memory_fits is False
    assert predicted("cache=read", read, decode, during=during).step_ms == pytest.approx(
        22, rel=0.05
    )


def test_epoch_starts_and_callbacks_can_be_taken_away() -> None:
    waits = [200 * MS if step % 20 == 0 else 0 for step in range(100)]
    starting = loop(lane=0, epochs=5, wait_ns=waits, compute_ns=10 * MS)
    assert predicted("epoch_starts=0", during=starting).step_ms == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("text", ["input=free, callback=Saver", "callback=Saver, input=free"])
def test_input_for_free_without_a_callback_saves_both(text: str) -> None:
    call = HostCall(
        part=Part.CALLBACKS,
        name="Saver.on_train_batch_end",
        location=Location("train.py", 3),
        calls=ON_MAIN.step_count,
        total_ns=4 * MS * ON_MAIN.step_count,
        callback=CallbackMethod(
            owner="Saver", method="on_train_batch_end", event=CallbackEvent.BATCH
        ),
    )
    during = replace(ON_MAIN, account=replace(ON_MAIN.account, calls=(call,)))
    prediction = predicted(text, GENERATOR, during=during)
    free = predicted("input=free", GENERATOR, during=during)
    assert prediction.step_ms == pytest.approx(free.step_ms - 4)
    assert prediction.interval.low <= prediction.step_ms <= prediction.interval.high


def test_what_the_model_does_not_explain_is_carried_along_or_nothing_is_predicted() -> None:
    some = stage("decode", cost_ns=16 * MS, cpu_ratio=0.1, during=ON_MAIN)  # 4 ms of 30 are missing
    prediction = predicted("stage=decode cost=0.5", some, during=ON_MAIN)
    assert prediction.unexplained_ms == pytest.approx(4, rel=0.05)
    assert prediction.step_ms == pytest.approx(22, rel=0.03)
    little = stage("decode", cost_ns=6 * MS, cpu_ratio=0.1, during=ON_MAIN)
    with pytest.raises(UsageError, match="the model explains 16 of 30 ms"):
        predicted("stage=decode cost=0.5", little, during=ON_MAIN)


def test_uneven_steps_wait_less_behind_a_longer_queue() -> None:
    """Steps of 2 and 38 ms by turns, five of each, for batches of 15 ms: a buffer of two is too short."""
    computes = ([2 * MS] * 5 + [38 * MS] * 5) * 10
    waits = [13 * MS if compute < 10 * MS else 0 for compute in computes]
    during = loop(lane=0, wait_ns=waits, compute_ns=computes)
    beside = stage("decode", cost_ns=15 * MS, cpu_ratio=0.1, lanes={1: SECOND}, during=during)
    short = predicted("stage=decode cost=1", beside, during=during, lanes=AHEAD_LANES)
    queue = replace(during, input=replace(during.input, queue_size=20))
    long = predicted("stage=decode cost=1", beside, during=queue, lanes=AHEAD_LANES)
    assert 20 <= long.step_ms < short.step_ms


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected what could be otherwise"),
        ("stage=decode", "expected what could be otherwise"),
        ("stage=decode speed=2", "expected what could be otherwise"),
        ("stage=paint cost=0", r"expected a stage of the main loop \(decode\), received paint"),
        ("callback=Paint", r"expected a callback of the main loop \(none\), received Paint"),
        ("stage=decode cost=-1", "expected a number of at least 0 for cost, received -1"),
        ("stage=decode parallelism=x", "expected a number of at least 1 for parallelism"),
        ("cores=nan", "expected a number of at least 0.1 for cores"),
        ("input=cheap", "expected input=free, received input=cheap"),
        (
            "workers=2 processes=maybe",
            "expected processes=yes or processes=no, received processes=",
        ),
        ("stage=decode stage=read cost=0", "expected what could be otherwise"),
    ],
)
def test_what_cannot_be_supposed_gets_one_sentence(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        predicted(text, GENERATOR, during=ON_MAIN)


def test_without_measured_waits_nothing_is_predicted() -> None:
    blind = loop(lane=0, wait_ns=None)
    with pytest.raises(UsageError, match="expected a run whose waits were measured"):
        predicted("cores=4", during=blind)
    with pytest.raises(UsageError, match="expected a run with a training"):
        predict(profile(loops=(), stages=()), read_suppositions("cores=4"))


@given(
    cost=st.integers(1, 60),
    factor=st.floats(0, 1),
    parallelism=st.integers(1, 32),
)
def test_less_work_and_more_hands_never_make_a_step_longer_nor_better_than_free(
    cost: int, factor: float, parallelism: int
) -> None:
    during = loop(lane=0, steps=30, wait_ns=cost * MS, compute_ns=10 * MS)
    planted = stage("decode", cost_ns=cost * MS, cpu_ratio=0.5, during=during)
    free = predicted("input=free", planted, during=during).step_ms
    for text in (f"stage=decode cost={factor}", f"stage=decode parallelism={parallelism}"):
        step_ms = predicted(text, planted, during=during).step_ms
        assert free - 1e-6 <= step_ms <= cost + 10 + 1e-6


def test_a_prediction_is_put_into_words() -> None:
    text = "stage=decode cost=0.5"
    prediction = predicted(text, GENERATOR, during=ON_MAIN)
    assert " ".join(describe_prediction(read_suppositions(text), prediction)) == (
        "With decode at 50 % of its cost a step would take 20.0 ms (20.0 to 20.0 ms), 1.5 times as "
        "fast as today's 30.0 ms. The whole training would take 2.0 s."
    )
