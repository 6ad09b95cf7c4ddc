"""What goes wrong in a training goes wrong as without pipeprof, and what was seen till then is kept."""

import gc
import re
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf

import pipeprof
from pipeprof.errors import UsageError
from pipeprof.recording.profile import Profile
from tests.integration.feeds import (
    BATCH,
    BATCHES,
    EPOCHS,
    STEPS,
    Digits,
    batch,
    batches,
    dataset,
    digits,
    model,
    train,
)

pytestmark = pytest.mark.integration

BROKEN = 15


class BrokenFileError(Exception):
    pass


def breaking() -> Iterator[Any]:
    yield from batches(BROKEN)
    raise BrokenFileError("photo 17 is cut off")


class BreakingDigits(Digits):
    def __getitem__(self, index: int) -> Any:
        if index == 7:
            raise BrokenFileError("photo 17 is cut off")
        return batch(index)


class Interrupts(keras.callbacks.Callback):
    """What Ctrl-C does in the middle of a step."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 6:
            raise KeyboardInterrupt


def fit(data: Any) -> None:
    train(model(), data, steps_per_epoch=BATCHES)


def fit_whole(data: Any) -> None:
    train(model(), data)


def train_on_batches(data: Any) -> None:
    made = model()
    for x, y in data:
        made.train_on_batch(x, y)


def raised_by(train_on: Callable[[], Any]) -> BaseException:
    try:
        train_on()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def profiled(logdir: Path, data: Any, train_on: Callable[[Any], Any]) -> tuple[Profile, Any]:
    """The recording of a training that fails, and what it raised."""
    prof = pipeprof.profile(data, logdir=logdir)

    def run() -> None:
        with prof:
            train_on(prof.dataset)

    error = raised_by(run)
    assert prof.result.check() == ()
    assert prof.result.run.complete
    return prof.result, error


def said(error: BaseException) -> str:
    """What an exception says, without the numbers and lines that differ from run to run."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept = [line for line in lines if re.match(r"[\w.]+(Error|Interrupt)\b", line)]
    return "\n".join([*lines[:1], *kept])


FAILING = {
    "generator in fit": (breaking, fit, 14, BROKEN),
    "generator in a loop": (breaking, train_on_batches, BROKEN, BROKEN),
    "PyDataset": (BreakingDigits, fit_whole, 6, 7),
    "PyDataset with threads": (lambda: BreakingDigits(workers=2), fit_whole, 6, 7),
    "PyDataset with processes": (
        lambda: BreakingDigits(workers=2, use_multiprocessing=True),
        fit_whole,
        6,
        7,
    ),
}


@pytest.mark.quick
@pytest.mark.parametrize("name", FAILING)
def test_the_users_exception_comes_through_and_stands_in_the_run(name: str, tmp_path: Path) -> None:
    data, train_on, least, most = FAILING[name]
    expected = raised_by(lambda: train_on(data()))
    result, error = profiled(tmp_path, data(), train_on)

    assert type(error) is type(expected)
    assert said(error) == said(expected)
    assert "photo 17 is cut off" in str(error)
    assert result.run.error is not None
    assert result.run.error.startswith(type(error).__name__)
    assert "photo 17 is cut off" in result.run.error
    assert least <= result.loops[0].step_count <= most


def test_the_report_names_the_exception_and_the_run_is_written(tmp_path: Path) -> None:
    with pytest.raises(BrokenFileError), pipeprof.profile(breaking(), logdir=tmp_path) as prof:
        train_on_batches(prof.dataset)
    assert "photo 17 is cut off" in " ".join(prof.report(width=200).split())
    assert list(tmp_path.glob("plugins/pipeprof/*/*"))


def test_ctrl_c_in_a_fit_comes_through(tmp_path: Path) -> None:
    def fit_until_stopped(data: Any) -> None:
        train(model(), data, callbacks=[Interrupts()])

    result, error = profiled(tmp_path, dataset(), fit_until_stopped)
    assert type(error) is KeyboardInterrupt
    assert result.run.error == "KeyboardInterrupt"
    assert result.loops[0].step_count == 7


def test_ctrl_c_in_a_generator_comes_through(tmp_path: Path) -> None:
    def interrupted() -> Iterator[Any]:
        yield from batches(BROKEN)
        raise KeyboardInterrupt

    result, error = profiled(tmp_path, interrupted(), train_on_batches)
    assert type(error) is KeyboardInterrupt
    assert result.loops[0].step_count == BROKEN


def test_an_empty_generator_fails_in_fit_as_without_pipeprof(tmp_path: Path) -> None:
    expected = raised_by(lambda: fit(batches(0)))
    result, error = profiled(tmp_path, batches(0), fit)
    assert (type(error), said(error)) == (type(expected), said(expected))
    assert [loop for loop in result.loops if loop.step_count] == []


def test_a_loop_over_an_empty_generator_has_no_steps(tmp_path: Path) -> None:
    with pipeprof.profile(batches(0), logdir=tmp_path) as prof:
        train_on_batches(prof.dataset)
    assert [loop for loop in prof.result.loops if loop.step_count] == []
    assert prof.result.check() == ()
    assert prof.report()


class CountsBatches(keras.callbacks.Callback):
    count = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.count += 1


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_a_generator_that_runs_out_ends_each_epoch_early(tmp_path: Path) -> None:
    """Keras gives the two batches that it looked at before once more in the last epoch."""
    counts = CountsBatches()
    with pipeprof.profile(batches(BROKEN), logdir=tmp_path) as prof:
        train(model(), prof.dataset, steps_per_epoch=BATCHES, callbacks=[counts])
    (loop,) = prof.result.loops
    assert prof.result.check() == ()
    assert (loop.epochs, loop.step_count) == (EPOCHS, counts.count)
    assert loop.sample_count == counts.count * BATCH


def test_a_generator_that_is_exhausted_trains_nothing(tmp_path: Path) -> None:
    exhausted = batches(2)
    assert len(list(exhausted)) == 2
    with pipeprof.profile(exhausted, logdir=tmp_path) as prof:
        train_on_batches(prof.dataset)
    assert [loop for loop in prof.result.loops if loop.step_count] == []


def test_a_folder_that_cannot_be_written_does_not_stop_the_training(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    with pipeprof.profile(dataset(), logdir=tmp_path / "logs") as prof:
        fit_whole(prof.dataset)
    (warning,) = prof.result.run.warnings
    assert warning.startswith("The run could not be written to ")
    assert prof.result.loops[0].step_count == STEPS
    assert prof.folder is None


def test_tensorflows_profiler_may_be_on_already(tmp_path: Path) -> None:
    tf.profiler.experimental.start(str(tmp_path / "theirs"))
    try:
        with pipeprof.profile(dataset(), logdir=tmp_path / "ours") as prof:
            fit_whole(prof.dataset)
    finally:
        tf.profiler.experimental.stop()
    assert prof.result.run.warnings == ()
    assert prof.result.loops[0].step_count == STEPS
    assert list(tmp_path.glob("theirs/plugins/profile/*/*.xplane.pb"))


@pytest.mark.parametrize("with_callback", [False, True])
def test_profiles_cannot_be_nested(with_callback: bool, tmp_path: Path) -> None:
    made = model()
    before = made.get_weights()

    def train_inside() -> None:
        callbacks = [pipeprof.Callback(tmp_path / "inner")] if with_callback else []
        inner: AbstractContextManager[Any] = (
            nullcontext() if with_callback else pipeprof.profile(logdir=tmp_path / "inner")
        )
        with inner:
            train(made, dataset(), callbacks=callbacks)

    with pipeprof.profile(logdir=tmp_path / "outer") as prof:
        with pytest.raises(UsageError, match="nested"):
            train_inside()
        assert all((a == b).all() for a, b in zip(before, made.get_weights(), strict=True))
        train(made, dataset())
    assert prof.result.loops[-1].step_count == STEPS
    assert not (tmp_path / "inner").exists()


def test_a_profile_is_entered_once(tmp_path: Path) -> None:
    prof = pipeprof.profile(logdir=tmp_path)
    with prof:
        pass
    with pytest.raises(UsageError, match="entered before"), prof:
        pass


@pytest.mark.parametrize("nothing", [42, "train", object(), BATCH])
def test_what_is_no_dataset_is_refused_before_training(nothing: Any, tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="expected a dataset"),
        pipeprof.profile(nothing, logdir=tmp_path),
    ):
        raise AssertionError("entered")


def test_keras_own_refusals_come_through(tmp_path: Path) -> None:
    def misuse(data: Any) -> None:
        model().fit(data, epochs=1, no_such_argument=1)

    expected = raised_by(lambda: misuse(batches()))
    result, error = profiled(tmp_path, batches(), misuse)
    assert (type(error), str(error)) == (type(expected), str(expected))
    assert result.loops == ()


def _iterators() -> int:
    gc.collect()
    return sum(type(thing).__name__ == "OwnedIterator" for thing in gc.get_objects())


# Keras and TensorFlow themselves keep generators and PyDatasets, with pipeprof and without.
@pytest.mark.parametrize("make", [dataset, lambda: digits()[0].copy()])
def test_what_is_trained_on_goes_when_the_user_lets_go_of_it(
    make: Callable[[], Any], tmp_path: Path
) -> None:
    with pipeprof.profile(logdir=tmp_path):
        data, before = make(), _iterators()
        model().predict(data, verbose=0)
        gone = weakref.ref(data)
        del data
        assert _iterators() == before
        assert gone() is None


def test_an_iterator_taken_by_hand_goes_when_its_loop_is_over(tmp_path: Path) -> None:
    with pipeprof.profile(dataset(), logdir=tmp_path) as prof:
        made, iterator = model(), iter(prof.dataset)
        for _ in range(3):
            made.train_on_batch(*next(iterator))
        gone = weakref.ref(iterator)
        del iterator
        assert gone() is None
