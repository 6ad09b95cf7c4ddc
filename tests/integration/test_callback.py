"""`pipeprof.Callback`: the same profile, for one ``fit``, also when the training does not end well."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pipeprof
from pipeprof.capture.session import active
from pipeprof.recording.loop import InputKind, LoopKind, WaitSource
from tests.integration.feeds import (
    BATCH,
    BATCHES,
    EPOCHS,
    SAMPLES,
    STEPS,
    Batch,
    Digits,
    batches,
    dataset,
    digits,
    model,
    train,
)

pytestmark = pytest.mark.integration

GAPS = WaitSource.GAP_TIMES
FEEDS: dict[str, tuple[Callable[[], Any], dict[str, Any], InputKind, WaitSource]] = {
    "arrays": (digits, {"batch_size": BATCH}, InputKind.ARRAYS, GAPS),
    "generator": (batches, {"steps_per_epoch": BATCHES}, InputKind.GENERATOR, GAPS),
    "PyDataset": (Digits, {}, InputKind.SEQUENCE, GAPS),
    "threads": (lambda: Digits(workers=2), {}, InputKind.SEQUENCE, WaitSource.TRACE),
    "processes": (
        lambda: Digits(workers=2, use_multiprocessing=True),
        {},
        InputKind.SEQUENCE,
        WaitSource.TRACE,
    ),
    "tf.data": (dataset, {}, InputKind.TF_DATA, GAPS),
}


@pytest.mark.quick
@pytest.mark.parametrize("name", FEEDS)
def test_a_fit_is_seen_by_a_callback(name: str, tmp_path: Path) -> None:
    make, arguments, kind, waits_by = FEEDS[name]
    data = make()
    given = data if isinstance(data, tuple) else (data,)
    callback = pipeprof.Callback(tmp_path, verbose=0)
    train(model(), *given, callbacks=[callback], **arguments)
    [loop] = callback.result.loops
    assert callback.result.check() == ()
    assert (loop.kind, loop.input.kind, loop.epochs) == (LoopKind.FIT, kind, EPOCHS)
    assert (loop.step_count, loop.batch_count, loop.sample_count) == (STEPS, STEPS, SAMPLES)
    assert loop.waits_by is waits_by
    # Keras makes its queue of workers before it asks the first callback.
    warnings = ["Waits are seen in short traces" in one for one in callback.result.run.warnings]
    assert warnings == ([True] if waits_by is WaitSource.TRACE else [])
    assert list(tmp_path.glob("plugins/pipeprof/*/*.json"))


def test_validation_is_seen_by_a_callback(tmp_path: Path) -> None:
    callback = pipeprof.Callback(tmp_path, verbose=0)
    train(model(), dataset(), validation_data=Digits(workers=2), callbacks=[callback])
    fit, evaluation = callback.result.loops
    assert (fit.step_count, fit.sample_count) == (STEPS, SAMPLES)
    assert (evaluation.kind, evaluation.parent) == (LoopKind.EVALUATE, 0)
    assert (evaluation.step_count, evaluation.sample_count) == (STEPS, SAMPLES)


def test_the_report_is_printed_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    callback = pipeprof.Callback(tmp_path, name="said")
    train(model(), dataset(), callbacks=[callback])
    out, err = capsys.readouterr()
    assert callback.report() in out
    assert "said" in out
    assert err == ""


def test_a_callback_may_be_used_again(tmp_path: Path) -> None:
    callback = pipeprof.Callback(tmp_path, verbose=0)
    for epochs in (1, 2):
        train(model(), dataset(), epochs=epochs, callbacks=[callback])
        [loop] = callback.result.loops
        assert loop.step_count == epochs * BATCHES
    assert len(list(tmp_path.glob("plugins/pipeprof/*"))) == 2


def test_a_callback_without_a_fit_has_nothing_to_say(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="finished training"):
        pipeprof.Callback(tmp_path).report()
    assert list(tmp_path.iterdir()) == []


def test_training_with_a_callback_is_the_same(tmp_path: Path) -> None:
    losses = [
        train(model(), Digits(), callbacks=callbacks).history["loss"]
        for callbacks in ([], [pipeprof.Callback(tmp_path, verbose=0)])
    ]
    assert losses[0] == losses[1]


def failing() -> Iterator[Batch]:
    yield from batches(15)
    raise ValueError("photo 17 is cut off")


def fail(callback: pipeprof.Callback) -> Exception:
    with pytest.raises(Exception, match="photo 17 is cut off") as caught:
        train(model(), failing(), steps_per_epoch=BATCHES, callbacks=[callback])
    return caught.value


def test_a_training_that_fails_is_written_as_far_as_it_came(tmp_path: Path) -> None:
    callback = pipeprof.Callback(tmp_path, verbose=0)
    fail(callback)
    [loop] = callback.result.loops
    assert 14 <= loop.step_count <= 15
    assert callback.result.check() == ()
    [warning] = callback.result.run.warnings
    assert warning.startswith("The training was cut short by an exception")
    assert active() is None


def test_a_training_that_failed_makes_way_for_the_next(tmp_path: Path) -> None:
    callback = pipeprof.Callback(tmp_path, verbose=0)
    kept = fail(callback)  # as a notebook keeps the last error, and with it the stack
    with pipeprof.profile(logdir=tmp_path) as prof:
        train(model(), dataset())
    assert kept.__traceback__ is not None
    assert prof.result.loops[0].step_count == STEPS
    assert 14 <= callback.result.loops[0].step_count <= 15


def test_two_callbacks_in_one_fit_are_refused_before_it_trains(tmp_path: Path) -> None:
    made = model()
    before = made.get_weights()
    first, second = (pipeprof.Callback(tmp_path / name, verbose=0) for name in ("one", "two"))
    with pytest.raises(pipeprof.PipeprofError, match="cannot be nested"):
        train(made, dataset(), callbacks=[first, second])
    assert all((a == b).all() for a, b in zip(before, made.get_weights(), strict=True))
    assert first.result.loops[0].step_count == 0
