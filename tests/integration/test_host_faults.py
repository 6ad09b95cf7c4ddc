"""What goes wrong around callbacks goes wrong as without pipeprof, and its time is accounted for."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import keras
import pytest
import tf_keras

import pipeprof
from pipeprof.analysis.measures.accounting import loop_account
from pipeprof.recording.account import Part, PassContext
from pipeprof.recording.profile import Profile
from pipeprof.runs.run_reading import read_run
from tests.integration.feeds import BATCH, BATCHES, digits, model, train

pytestmark = pytest.mark.integration


def fit(made: Any, *callbacks: Any, epochs: int = 2) -> None:
    train(made, *digits(), batch_size=BATCH, epochs=epochs, callbacks=list(callbacks))


def calls_of(profile: Profile, loop: int = 0) -> dict[str, int]:
    return {call.name: call.calls for call in profile.loops[loop].account.calls}


class Raises(keras.callbacks.Callback):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        time.sleep(0.3)
        raise self.error


@pytest.mark.parametrize("error", [ValueError("mine"), SystemExit(3)])
def test_an_exception_in_a_callback_is_the_users_and_the_account_ends_there(
    error: BaseException,
) -> None:
    made, raises = model(), Raises(error)
    with pytest.raises(type(error)) as caught, pipeprof.profile(sample_hz=0) as prof:
        fit(made, raises)
    assert caught.value is error
    profile = prof.result
    assert profile.check() == ()
    [loop] = profile.loops
    assert (loop.step_count, loop.account.pass_count) == (BATCHES, 1)
    assert calls_of(profile)["Raises.on_epoch_end"] == 1
    account = loop_account(profile, 0)
    assert account.ns(Part.CALLBACKS) >= 0.3e9
    assert sum(row.ns for row in account.rows) == pytest.approx(account.wall_ns, rel=0.01)
    assert "on_epoch_end" not in vars(raises)


KILLED_SCRIPT = """
import os, signal, sys, time
import keras, numpy as np, pipeprof

class Slow(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        time.sleep(1.5)
        if epoch == 1:
            os.kill(os.getpid(), signal.SIGKILL)

model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
x, y = np.zeros((160, 4), np.float32), np.zeros((160, 1), np.float32)
pipeprof.profile(logdir=sys.argv[1], name="killed").__enter__()
model.fit(x, y, batch_size=16, epochs=3, verbose=0, callbacks=[Slow()])
"""


def test_a_training_that_dies_in_a_callback_keeps_what_was_recorded(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED_SCRIPT, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, timeout=300)
    assert ran.returncode == -signal.SIGKILL, ran.stderr.decode()
    profile = read_run(tmp_path / "plugins" / "pipeprof" / "killed")
    assert profile.check() == ()
    [loop] = profile.loops
    assert (loop.step_count, loop.epochs, loop.account.pass_count) == (20, 2, 1)
    assert calls_of(profile)["Slow.on_epoch_end"] == 2  # it died in the second
    account = loop_account(profile, 0)
    assert account.ns(Part.CALLBACKS) >= 1.5e9 + 0.5e9
    assert sum(row.ns for row in account.rows) == pytest.approx(account.wall_ns, rel=0.01)


class Late(tf_keras.callbacks.Callback):  # type: ignore[misc]
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        pass


def test_a_callback_added_while_the_training_runs_is_timed_from_the_next_epoch_on() -> None:
    class Adds(tf_keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 0:
                callbacks = sys._getframe(2).f_locals["self"].callbacks
                callbacks.append(late)

    late = Late()
    with pipeprof.profile(sample_hz=0) as prof:
        fit(model(tf_keras), Adds(), epochs=3)
    found = calls_of(prof.result)
    assert (found["Adds.on_epoch_end"], found["Late.on_epoch_end"]) == (3, 2)
    assert "on_epoch_end" not in vars(late)


class Own:
    """A callback without Keras's base class."""

    async_safe = True

    def __init__(self) -> None:
        self.epochs: list[int] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epochs.append(epoch)

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("on_", "set_")):
            return lambda *_, **__: None
        raise AttributeError(name)


def test_a_callback_without_the_base_class_is_timed() -> None:
    own = Own()
    with pipeprof.profile(sample_hz=0) as prof:
        fit(model(), own)
    assert own.epochs == [0, 1]
    assert calls_of(prof.result)["Own.on_epoch_end"] == 2
    assert vars(own) == {"epochs": [0, 1]}


def test_a_fit_inside_a_callback_is_a_loop_inside_and_the_callbacks_time() -> None:
    inner = model()

    class Counts(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            pass

    class Retrains(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            fit(inner, Counts(), epochs=1)

    with pipeprof.profile(sample_hz=0) as prof:
        fit(model(), Retrains())
    outer, nested = prof.result.loops
    assert (outer.parent, nested.parent) == (None, 0)
    assert (outer.step_count, nested.step_count) == (2 * BATCHES, 2 * BATCHES)
    inside_ns = nested.account.pass_ns[PassContext.IN_CALLBACK]
    assert inside_ns == sum(nested.account.pass_ns) > 0
    assert calls_of(prof.result, 1)["Counts.on_train_batch_end"] == 2 * BATCHES
    account = loop_account(prof.result, 0)
    assert account.ns(Part.CALLBACKS) >= inside_ns
    assert account.ns(Part.VALIDATION) == 0
    assert sum(row.ns for row in account.rows) == pytest.approx(account.wall_ns, rel=0.01)


def test_of_two_threads_that_train_at_once_one_is_shown_and_the_run_says_so() -> None:
    both = threading.Barrier(2, timeout=60)

    class Meets(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            both.wait()

    made = [model(), model()]
    threads = [threading.Thread(target=fit, args=(each, Meets())) for each in made]
    with pipeprof.profile(sample_hz=0) as prof:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    [loop] = prof.result.loops
    assert (loop.step_count, calls_of(prof.result)["Meets.on_epoch_begin"]) == (2 * BATCHES, 2)
    assert prof.result.run.warnings == (
        "Several trainings ran at the same time, each in a thread: only one of them is shown.",
    )


def test_a_fit_that_fails_before_its_first_step_is_no_loop_but_start_up() -> None:
    x, y = digits()
    made = model()
    with pipeprof.profile(sample_hz=0) as prof:
        with pytest.raises(ValueError, match="input"):
            made.fit(x[:, :4], y, batch_size=BATCH, verbose=0)
        fit(model())
    failed, main = prof.result.loops
    assert (failed.step_count, main.step_count) == (0, 2 * BATCHES)
    assert [found.index for found in prof.findings.loops] == [1]
    account = loop_account(prof.result, 0)
    assert account.ns(Part.STARTUP) == pytest.approx(account.wall_ns, rel=0.01)
    assert account.wall_ns > 0
