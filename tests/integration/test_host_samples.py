"""What hand-written loops spend their time on, met by samples, against the loop's own clock."""

import queue
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf

import pipeprof
from pipeprof.analysis.measures.accounting import Account, loop_account
from pipeprof.recording.account import FeederKind, FeedingLane, HostState, Part
from pipeprof.recording.loop import LoopKind
from pipeprof.recording.profile import Profile
from tests.integration.feeds import batch, dataset, model, train

pytestmark = pytest.mark.integration

STEPS = 150
# Some hundred samples lie this near, nineteen in twenty times.
NEAR = 0.05


class Clock:
    """The loop's own clock: the time of each of its pieces."""

    def __init__(self) -> None:
        self.spent: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.spent[name] += time.perf_counter() - begin

    def share(self, name: str) -> float:
        return self.spent[name] / sum(self.spent.values())


def score() -> None:
    time.sleep(0.03)


def note_down() -> None:
    time.sleep(0.002)


def read_batch(seconds: float, full: "queue.Queue[object]") -> None:
    for index in range(STEPS):
        time.sleep(seconds)
        full.put(batch(index))


def trained(clock: Clock, logdir: Path, read_s: float) -> Profile:
    """A loop that is fed by a thread and a queue, and has code of its own between its steps."""
    net = model()
    with pipeprof.profile(logdir=logdir) as prof:
        full: queue.Queue[object] = queue.Queue(2)
        loader = threading.Thread(target=read_batch, args=(read_s, full), name="loader")
        loader.start()
        for step in range(STEPS):
            with clock.of("wait") if step else Clock().of("wait"):
                x, y = full.get()  # type: ignore[misc]  # a batch
            with clock.of("score"):
                score()
            with clock.of("note_down"):
                note_down()
            with clock.of("train") if step else Clock().of("train"):
                net.train_on_batch(x, y)
        loader.join()
    return prof.result


def share(account: Account, part: Part, function: str | None = None) -> float:
    """What a part, or one function in it, takes of a loop's time without compiling."""
    its = [row for row in account.rows if row.part is part and function in (None, row.name)]
    return sum(row.ns for row in its) / (account.wall_ns - account.ns(Part.COMPILE))


@pytest.mark.parametrize(("read_s", "waits"), [(0.08, True), (0.0, False)])
def test_waiting_for_a_queue_and_own_code_have_their_shares(
    read_s: float, waits: bool, tmp_path: Path
) -> None:
    clock = Clock()
    profile = trained(clock, tmp_path, read_s)
    (loop,) = profile.loops
    account = loop_account(profile, 0)
    assert (loop.kind, loop.step_count) == (LoopKind.TRAIN_ON_BATCH, STEPS)
    assert share(account, Part.WAIT) == pytest.approx(clock.share("wait"), abs=NEAR)
    assert share(account, Part.OWN_CODE, "score") == pytest.approx(clock.share("score"), abs=NEAR)
    assert share(account, Part.OWN_CODE, "note_down") == pytest.approx(
        clock.share("note_down"), abs=NEAR
    )
    feeding = [s for s in loop.account.samples if s.state is HostState.FEEDING]
    loader = FeedingLane(kind=FeederKind.THREAD, name="loader")
    assert {(s.function, s.feeder) for s in feeding} == (
        {("read_batch", loader)} if waits else set()
    )


@pytest.mark.parametrize("by_generator", [True, False])
def test_what_a_loop_calls_for_its_next_batch_is_waited_for(
    by_generator: bool, tmp_path: Path
) -> None:
    def read(index: int) -> Any:
        time.sleep(0.03)
        return batch(index)

    def batches() -> Iterator[Any]:
        for index in range(60):
            yield read(index)

    net = model()
    with pipeprof.profile(logdir=tmp_path) as prof:
        if by_generator:
            for x, y in batches():
                net.train_on_batch(x, y)
                score()
        else:
            for index in range(60):
                x, y = read(index)
                net.train_on_batch(x, y)
                score()
    account = loop_account(prof.result, 0)
    own, waits = (
        {str(row.name).rpartition(".")[2] for row in account.rows if row.part is part and row.name}
        for part in (Part.OWN_CODE, Part.WAIT)
    )
    assert (own, waits) == ({"score"}, {"read"})
    assert min(share(account, Part.WAIT), share(account, Part.OWN_CODE)) > 0.25


def test_predictions_inside_own_code_belong_to_it(tmp_path: Path) -> None:
    net, (x, y) = model(), batch(0)

    def act() -> None:
        net.predict(x, verbose=0)

    with pipeprof.profile(logdir=tmp_path) as prof:
        for _ in range(12):
            act()
            net.train_on_batch(x, y)
    training, *predictions = sorted(prof.result.loops, key=lambda loop: not loop.kind.trains)
    assert (training.kind, training.step_count) == (LoopKind.TRAIN_ON_BATCH, 12)
    assert [loop.parent for loop in predictions if loop.step_count > 1] == [
        prof.result.loops.index(training)
    ]
    states = {(s.function.rpartition(".")[2], s.detail) for s in training.account.samples}
    assert ("act", "Model.predict") in states


def test_a_function_that_trains_is_a_loop_without_any_mark(tmp_path: Path) -> None:
    weights = tf.Variable(tf.ones((8, 8)))

    @tf.function
    def train_step(rows: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.matmul(rows, weights) ** 2)
        weights.assign_sub(0.01 * tape.gradient(loss, weights))
        return loss

    with pipeprof.profile(logdir=tmp_path) as prof:
        for rows in (4,) * 20 + (6,) * 20:
            score()
            train_step(tf.ones((rows, 8)))
    (loop,) = prof.result.loops
    assert (loop.kind, loop.step_count) == (LoopKind.CUSTOM, 40)
    assert loop.account.compile_steps == 2
    assert "float32 (4, 8) → float32 (6, 8)" in loop.account.reasons
    account = loop_account(prof.result, 0)
    assert share(account, Part.OWN_CODE, "score") > 0.5


def test_a_look_and_a_layer_that_adapts_are_no_loops(tmp_path: Path) -> None:
    rows = tf.data.Dataset.from_tensor_slices(tf.ones((64, 4))).batch(8)
    with pipeprof.profile(logdir=tmp_path) as prof:
        for _ in rows.take(1):
            pass
        next(iter(rows))
        keras.layers.Normalization().adapt(rows)
        train(model(), dataset(), epochs=1)
    assert [loop.kind for loop in prof.result.loops] == [LoopKind.FIT]
