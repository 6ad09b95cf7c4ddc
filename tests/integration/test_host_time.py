"""Planted host time in real trainings, held against their own clock: callbacks, epoch ends, compiling."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import pipeprof
from pipeprof.analysis.measures.accounting import Account, epoch_accounts, loop_account
from pipeprof.recording.account import COMPILATION_COLUMNS, Part
from pipeprof.recording.loop import Loop
from pipeprof.recording.profile import Profile
from tests.integration.feeds import BATCH, BATCHES, EPOCHS, STEPS, batch, digits, model, train

pytestmark = [
    pytest.mark.integration,
    # Keras's own, when it writes weights.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

# Of the loop's wall time; the frame around a call is not the call's.
CLOSE = 0.03
LATE_S = 1.0


class OwnClock:
    """What a training measures of itself, in seconds by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def add(self, name: str, since: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - since


def callbacks_of(package: Any, clock: OwnClock, folder: Path) -> list[Any]:
    """A dashboard at each batch, a retrieval at each epoch, two functions and a checkpoint."""

    class Dashboard(package.callbacks.Callback):  # type: ignore[misc, name-defined]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            start = time.monotonic()
            time.sleep(0.01)
            clock.add("Dashboard.on_train_batch_end", start)

    class Retrieval(package.callbacks.Callback):  # type: ignore[misc, name-defined]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            start = time.monotonic()
            time.sleep(0.2)
            clock.add("Retrieval.on_epoch_end", start)

    class Checkpoint(package.callbacks.ModelCheckpoint):  # type: ignore[misc, name-defined]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            start = time.monotonic()
            super().on_train_batch_end(batch, logs)
            clock.add("Checkpoint.on_train_batch_end", start)

    def begin_line(epoch: int, logs: Any) -> None:
        start = time.monotonic()
        time.sleep(0.1)
        clock.add("LambdaCallback.on_epoch_begin", start)

    path = str(folder / f"{package.__name__}.weights.h5")
    return [
        Dashboard(),
        Retrieval(),
        package.callbacks.LambdaCallback(on_epoch_begin=begin_line),
        Checkpoint(path, save_weights_only=True, save_freq=1),
    ]


class Trained:
    """A training with such callbacks, under a profile, and what it measured of itself."""

    def __init__(self, package: Any, folder: Path) -> None:
        self.clock = OwnClock()
        callbacks = callbacks_of(package, self.clock, folder)
        before = [vars(each).copy() for each in callbacks]
        self.model = model(package)
        with pipeprof.profile(logdir=folder / "run") as prof:
            start = time.monotonic()
            self.history = train(self.model, *digits(), batch_size=BATCH, callbacks=callbacks)
            self.wall_s = time.monotonic() - start
        self.profile = prof.result
        self.left = [
            set(vars(each)) ^ set(was) for each, was in zip(callbacks, before, strict=True)
        ]

    @property
    def loop(self) -> Loop:
        [loop] = self.profile.loops
        return loop

    @property
    def account(self) -> Account:
        return loop_account(self.profile, 0)


@pytest.fixture(scope="module", params=[keras, tf_keras], ids=["keras3", "keras2"])
def package(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(scope="module")
def trained(package: Any, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained(package, tmp_path_factory.mktemp("trained"))


def test_each_method_has_its_time_name_and_line(trained: Trained) -> None:
    calls = {call.name: call for call in trained.loop.account.calls}
    for name, seconds in trained.clock.seconds.items():
        assert abs(calls[name].total_ns / 1e9 - seconds) <= CLOSE * trained.wall_s, name
        location = calls[name].location
        assert location is not None, name
        assert location.file.endswith("test_host_time.py")
        assert calls[name].part is Part.CALLBACKS
        assert calls[name].calls == (STEPS if "batch" in name else EPOCHS)
    assert len(trained.clock.seconds) == 4


def test_callbacks_have_their_share_and_all_parts_add_up(trained: Trained) -> None:
    account = trained.account
    truth = sum(trained.clock.seconds.values()) / trained.wall_s
    assert abs(account.ratio(Part.CALLBACKS) - truth) <= CLOSE
    assert abs(account.wall_ns / 1e9 - trained.wall_s) <= CLOSE * trained.wall_s
    assert abs(sum(row.ns for row in account.rows) - account.wall_ns) <= 0.01 * account.wall_ns
    assert trained.profile.check() == ()
    assert trained.profile.run.warnings == ()


def test_a_step_is_wait_callbacks_and_compute(trained: Trained) -> None:
    times = trained.loop
    step, wait, callbacks, compute = (
        histogram.sum_ns / histogram.count
        for histogram in (
            times.step_times,
            times.wait_times,
            times.callback_times,
            times.compute_times,
        )
    )
    assert abs(step - wait - callbacks - compute) <= CLOSE * step
    assert callbacks >= 10e6


def test_each_epoch_has_its_callbacks(trained: Trained) -> None:
    epochs = epoch_accounts(trained.loop)
    assert [(each.epoch, each.steps) for each in epochs] == [(n, BATCHES) for n in range(EPOCHS)]
    least_ns = 1e9 * (0.01 * BATCHES + 0.2 + 0.1)
    assert all(each.account.ns(Part.CALLBACKS) >= least_ns for each in epochs)


def test_callbacks_and_training_stay_as_they_were(
    trained: Trained, package: Any, tmp_path: Path
) -> None:
    assert all(not {"on_train_batch_end", "on_epoch_end"} & left for left in trained.left)
    other = model(package)
    callbacks = callbacks_of(package, OwnClock(), tmp_path)
    history = train(other, *digits(), batch_size=BATCH, callbacks=callbacks)
    assert history.history == trained.history.history
    for mine, theirs in zip(trained.model.get_weights(), other.get_weights(), strict=True):
        assert np.array_equal(mine, theirs)


def profiled(made: Any, *data: Any, **arguments: Any) -> Profile:
    with pipeprof.profile(sample_hz=0) as prof:
        train(made, *data, **arguments)
    return prof.result


def test_cheap_callbacks_are_no_part_of_the_account(package: Any) -> None:
    class Counts(package.callbacks.Callback):  # type: ignore[misc, name-defined]
        seen = 0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.seen += 1

    counts = Counts()
    profile = profiled(model(package), *digits(), batch_size=BATCH, callbacks=[counts])
    assert counts.seen == STEPS
    assert loop_account(profile, 0).ratio(Part.CALLBACKS) < CLOSE
    [call] = [c for c in profile.loops[0].account.calls if c.name == "Counts.on_train_batch_end"]
    assert call.calls == STEPS


def test_the_end_of_an_epoch_in_the_dataset_is_time_between_epochs(package: Any) -> None:
    sequence = package.utils.PyDataset if package is keras else package.utils.Sequence
    took: list[float] = []

    class Pairs(sequence):  # type: ignore[misc, valid-type]
        def __len__(self) -> int:
            return BATCHES

        def __getitem__(self, index: int) -> Any:
            return batch(index)

        def on_epoch_end(self) -> None:
            start = time.monotonic()
            time.sleep(0.3)
            took.append(time.monotonic() - start)

    profile = profiled(model(package), Pairs())
    account = loop_account(profile, 0)
    named = [row for row in account.rows if row.name == "Pairs.on_epoch_end"]
    # Keras 3 also calls it once before the training begins: that is start-up.
    [row] = [row for row in named if row.part is not Part.STARTUP]
    assert row.part is Part.BETWEEN_EPOCHS
    assert row.location is not None
    assert row.location.file.endswith("test_host_time.py")
    assert row.count is not None
    assert EPOCHS - 1 <= row.count <= len(took) <= row.count + 1
    assert abs(row.ns / 1e9 - sum(took[-row.count :])) <= CLOSE * account.wall_ns / 1e9
    quick = profiled(model(package), *digits(), batch_size=BATCH)
    assert loop_account(quick, 0).ns(Part.BETWEEN_EPOCHS) < account.ns(Part.BETWEEN_EPOCHS) / 2


class Ends:
    """Clocks what passes at the ends of epochs; its ``callback`` belongs first in the list.

    Attributes:
        seconds: from the last batch on.
        checking_s: from the first sign of an evaluation on.
    """

    def __init__(self, package: Any) -> None:
        self.seconds = self.checking_s = 0.0
        self.checks: float | None = None
        outer = self

        class Clock(package.callbacks.Callback):  # type: ignore[misc, name-defined]
            latest = 0.0

            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                self.latest = time.monotonic()
                outer.checks = None

            def on_test_begin(self, logs: Any = None) -> None:
                outer.begins_to_check()

            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                now = time.monotonic()
                outer.seconds += now - self.latest
                outer.checking_s += now - (outer.checks or now)

        self.callback = Clock()

    def begins_to_check(self) -> None:
        self.checks = self.checks or time.monotonic()


def slow_pairs(
    package: Any, *, seconds: float, workers: int, asked: Callable[[], None] = lambda: None
) -> tuple[Any, dict[str, int]]:
    """Batches that take their time, and what Keras 2 takes on ``fit`` for them."""
    sequence = package.utils.PyDataset if package is keras else package.utils.Sequence
    given = {"workers": workers}

    class Pairs(sequence):  # type: ignore[misc, valid-type]
        def __len__(self) -> int:
            return BATCHES

        def __getitem__(self, index: int) -> Any:
            asked()
            time.sleep(seconds)
            return batch(index)

    return (Pairs(**given), {}) if package is keras else (Pairs(), given)


def test_validation_has_all_its_time_from_its_first_batches_on(package: Any) -> None:
    ends = Ends(package)
    pairs, given = slow_pairs(package, seconds=0.03, workers=1, asked=ends.begins_to_check)
    profile = profiled(
        model(package),
        *digits(),
        batch_size=BATCH,
        validation_data=pairs,
        callbacks=[ends.callback],
        **given,
    )
    account = loop_account(profile, 0)
    truth = ends.checking_s / (account.wall_ns / 1e9)
    assert truth > 0.4
    assert abs(account.ratio(Part.VALIDATION) - truth) <= CLOSE
    validation = loop_account(profile, 1)
    least_ns = EPOCHS * BATCHES * 0.03e9
    assert validation.ns(Part.WAIT, Part.EPOCH_START, Part.COMPILE) >= least_ns


def test_an_evaluation_in_a_callback_is_the_callbacks_time(package: Any) -> None:
    pairs, given = slow_pairs(package, seconds=0.01, workers=1)
    made = model(package)

    class Checks(package.callbacks.Callback):  # type: ignore[misc, name-defined]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            made.evaluate(pairs, verbose=0, **given)

    profile = profiled(made, *digits(), batch_size=BATCH, callbacks=[Checks()])
    account = loop_account(profile, 0)
    assert account.ns(Part.VALIDATION) == 0
    assert account.ns(Part.CALLBACKS) >= EPOCHS * BATCHES * 0.01e9


def test_workers_that_end_and_start_anew_are_the_inputs_time(package: Any) -> None:
    pairs, given = slow_pairs(package, seconds=0.002, workers=2)
    ends = Ends(package)
    profile = profiled(model(package), pairs, callbacks=[ends.callback], **given)
    account = loop_account(profile, 0)
    # Keras 3 looks for a tenth of a second whether more is to come.
    assert ends.seconds >= EPOCHS * (0.1 if package is keras else 0.0)
    assert account.ns(Part.EPOCH_START) / 1e9 >= 0.9 * ends.seconds
    assert account.ns(Part.BETWEEN_EPOCHS) <= account.ns(Part.EPOCH_START) / 2


# Compiling.


class StepTimes(keras.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []
        self.began = 0.0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.began = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.times.append(time.monotonic() - self.began)


def late() -> Iterator[Any]:
    time.sleep(LATE_S)
    for index in range(BATCHES):
        yield batch(index)


def test_the_first_step_is_its_wait_and_compiling() -> None:
    steps = StepTimes()
    x, y = digits()
    signature = (
        tf.TensorSpec((BATCH, *x.shape[1:]), x.dtype),
        tf.TensorSpec((BATCH,), y.dtype),
    )
    with pipeprof.profile(sample_hz=0) as prof:
        data = tf.data.Dataset.from_generator(late, output_signature=signature)
        train(model(), data, steps_per_epoch=BATCHES, epochs=1, callbacks=[steps])
    account = loop_account(prof.result, 0)
    first, *others = steps.times
    close = CLOSE * account.wall_ns / 1e9
    assert abs(account.ns(Part.EPOCH_START) / 1e9 - LATE_S) <= close
    compiled = first - LATE_S - float(np.median(others))
    assert abs(account.ns(Part.COMPILE) / 1e9 - compiled) <= close


@pytest.mark.parametrize("compiled", [{"steps_per_execution": 5}, {"jit_compile": True}])
def test_the_first_call_compiles_however_the_model_was_compiled(compiled: Any) -> None:
    profile = profiled(model(**compiled), *digits(), batch_size=BATCH)
    [loop] = profile.loops
    assert loop.account.compile_steps == 1
    assert loop.account.reasons == ()
    account = loop_account(profile, 0)
    assert account.ns(Part.COMPILE) > account.ns(Part.COMPUTE)


def test_passes_of_one_loop_that_trace_again_say_which_shape_changed() -> None:
    made, (x, y) = model(), digits()
    with pipeprof.profile(sample_hz=0) as prof:
        for count in (len(x), len(x) - 3, len(x)):
            train(made, x[:count], y[:count], batch_size=BATCH, epochs=1)
    [loop] = prof.result.loops
    assert (loop.account.pass_count, loop.epochs, loop.step_count) == (3, 3, STEPS)
    assert loop.account.compile_steps == 2
    [reason] = loop.account.reasons
    assert f"float32 ({BATCH}, 8, 8, 1) → float32 (None, 8, 8, 1)" in reason
    column = COMPILATION_COLUMNS.index("reason")
    assert loop.account.compilations[:, column].tolist() == [-1, 0]


# Loops that belong together.


def test_models_at_one_line_and_predictions_in_a_for_are_the_loops_they_are() -> None:
    x, y = digits()
    with pipeprof.profile(sample_hz=0) as prof:
        for _ in range(2):
            made = model()
            train(made, x, y, batch_size=BATCH, epochs=1)
            for _ in range(5):
                made.predict(x[:BATCH], verbose=0)
    kinds = [(loop.kind.value, loop.account.pass_count) for loop in prof.result.loops]
    assert kinds == [("fit", 1), ("predict", 5)] * 2
    fits = prof.result.loops[::2]
    assert fits[0].location == fits[1].location
    assert fits[0].model != fits[1].model


# Keras on JAX; the backend is chosen once for a process.

JAX_SCRIPT = """
import json, sys, time
import keras, numpy as np, pipeprof
from pipeprof.analysis.measures.accounting import loop_account
from pipeprof.recording.account import Part

took = dict.fromkeys(("Slow.on_train_batch_end", "Slow.on_epoch_end"), 0.0)
compiling = []  # of the first epoch's first step, and of its last, whose batch is short

class Slow(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        self.began = time.monotonic()
    def on_train_batch_end(self, batch, logs=None):
        start = time.monotonic()
        if batch in (0, 9) and len(compiling) < 2:
            compiling.append(start - self.began)
        time.sleep(0.01)
        took["Slow.on_train_batch_end"] += time.monotonic() - start
    def on_epoch_end(self, epoch, logs=None):
        start = time.monotonic()
        time.sleep(0.2)
        took["Slow.on_epoch_end"] += time.monotonic() - start

class Elsewhere(keras.callbacks.Callback):
    async_safe = True
    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.01)

def model():
    keras.utils.set_random_seed(7)
    made = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
    made.compile("sgd", "mse")
    return made

x, y = np.ones((150, 4), np.float32), np.ones((150, 1), np.float32)
trained, plain, aside = model(), model(), model()
with pipeprof.profile(sample_hz=0) as prof:
    start = time.monotonic()
    history = trained.fit(x, y, batch_size=16, epochs=3, verbose=0, callbacks=[Slow()])
    wall = time.monotonic() - start
    aside.fit(x, y, batch_size=16, epochs=3, verbose=0, callbacks=[Elsewhere()])
seconds = dict(took)
other = plain.fit(x, y, batch_size=16, epochs=3, verbose=0, callbacks=[Slow()])
loop, beside = prof.result.loops
account = loop_account(prof.result, 0)
found = {
    "wall": wall, "truth": seconds, "compiling": compiling,
    "calls": {call.name: call.total_ns / 1e9 for call in loop.account.calls},
    "beside": [call.name for call in beside.account.calls],
    "callbacks": account.ns(Part.CALLBACKS) / 1e9,
    "compile": account.ns(Part.COMPILE) / 1e9,
    "account_wall": account.wall_ns / 1e9,
    "parts": sum(row.ns for row in account.rows) / 1e9,
    "compile_steps": loop.account.compile_steps,
    "reasons": loop.account.reasons,
    "equal": [history.history == other.history,
              all(map(np.array_equal, trained.get_weights(), plain.get_weights()))],
    "warnings": prof.result.run.warnings,
}
json.dump(found, open(sys.argv[1], "w"))
"""


@pytest.fixture(scope="module")
def on_jax(tmp_path_factory: pytest.TempPathFactory) -> Any:
    if find_spec("jax") is None:  # imported here, it would warn in every later fork of this process
        pytest.skip("JAX is not installed")
    found = tmp_path_factory.mktemp("jax") / "found.json"
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", JAX_SCRIPT, str(found)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    return json.loads(found.read_text())


def test_on_jax_callbacks_have_their_time(on_jax: Any) -> None:
    close = CLOSE * on_jax["wall"]
    for name, seconds in on_jax["truth"].items():
        assert abs(on_jax["calls"][name] - seconds) <= close, name
    assert abs(on_jax["callbacks"] - sum(on_jax["truth"].values())) <= close
    assert abs(on_jax["account_wall"] - on_jax["wall"]) <= close
    assert abs(on_jax["parts"] - on_jax["account_wall"]) <= 0.01 * on_jax["wall"]
    assert on_jax["equal"] == [True, True]
    assert on_jax["warnings"] == []


def test_on_jax_a_callback_that_keras_calls_in_another_thread_holds_up_nobody(on_jax: Any) -> None:
    assert "Elsewhere.on_train_batch_end" not in on_jax["beside"]


def test_on_jax_the_first_step_and_the_short_batch_are_compiled(on_jax: Any) -> None:
    assert on_jax["compile_steps"] == 2
    assert abs(on_jax["compile"] - sum(on_jax["compiling"])) < 0.2 * sum(on_jax["compiling"])
    [reason] = on_jax["reasons"]
    assert reason == "float32 (16, 4) → float32 (6, 4); float32 (16, 1) → float32 (6, 1)"
