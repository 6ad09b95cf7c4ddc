from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeprof.analysis.findings.delivery_findings import Conversion, Order, Recurrence
from pipeprof.analysis.findings.losses import losses_of
from pipeprof.analysis.measures.consumed import describe_consumed, pair_evaluations
from pipeprof.recording.delivered_content import (
    DeliveredEpoch,
    DeliveredShape,
    Delivery,
    ModeKind,
    ModeLayer,
    TrainedModel,
)
from pipeprof.recording.loop import LoopKind
from tests import builders

SHAPE = DeliveredShape(dtypes=("float32", "int64"), shapes=((8, 2), (8,)), batches=2)


def epoch(number: int, **changed: Any) -> DeliveredEpoch:
    usual = DeliveredEpoch(
        epoch=number,
        trained_steps=3 * number,
        batches=3,
        samples=20,
        short_batches=1,
        last_samples=4,
        size_bytes=300,
        ordered=11,
        unordered=12,
        ordered_arrays=(1, 2),
        unordered_arrays=(3, 4),
        level=0,
        followed=20,
        repeated=0,
        known=20 if number else 0,
        missing=0,
        shapes=(SHAPE,),
    )
    return replace(usual, **changed)


def losses(*rows: tuple[int, int, float]) -> Delivery:
    """Losses as they are recorded: number of the batch, samples of the mean, loss."""
    table = [(ordinal, samples, np.float64(loss).view(np.int64)) for ordinal, samples, loss in rows]
    sizes = {1: 4}  # all other batches have 8 samples
    batches = [(ordinal, 0, sizes.get(ordinal, 8), 0) for ordinal, _, _ in rows]
    return Delivery(
        losses=np.array(table, np.int64).reshape(-1, 3),
        batches=np.array(batches, np.int64).reshape(-1, 4),
    )


def consumed(*epochs: DeliveredEpoch, **of_delivery: Any) -> Any:
    delivery = Delivery(batch_count=6, cost_ns=6_000_000, epochs=epochs, **of_delivery)
    loop = replace(builders.loop(steps=6), delivery=delivery)
    return describe_consumed(loop, None)


def test_equal_epochs_are_equal() -> None:
    found = consumed(epoch(0), epoch(1))
    assert (found.order, found.recurrence) == (Order.EQUAL, Recurrence.SAME)
    assert (found.batches, found.samples, found.batch_size, found.last_samples) == (3, 20, 8, 4)
    assert found.cost_ms == 1.0


def test_a_shuffle_is_seen() -> None:
    found = consumed(epoch(0), epoch(1, ordered=5, ordered_arrays=(8, 9)))
    assert (found.order, found.recurrence) == (Order.DIFFERENT, Recurrence.SAME)


@pytest.mark.parametrize(
    ("ordered_arrays", "order"), [((9, 2), Order.EQUAL), ((9, 7), Order.DIFFERENT)]
)
def test_an_augmented_array_is_named(ordered_arrays: tuple[int, ...], order: Order) -> None:
    again = epoch(1, ordered=5, unordered=6, known=0, unordered_arrays=(9, 4))
    found = consumed(epoch(0), replace(again, ordered_arrays=ordered_arrays))
    assert (found.recurrence, found.changing, found.order) == (Recurrence.AUGMENTED, (0,), order)


def test_data_that_never_come_back_are_new() -> None:
    found = consumed(epoch(0), epoch(1, unordered=6, known=0, unordered_arrays=(9, 8)))
    assert (found.recurrence, found.order) == (Recurrence.NEW, Order.UNKNOWN)


def test_numbers_of_followed_samples_are_projected() -> None:
    later = epoch(1, unordered=6, level=2, followed=5, known=4, missing=1, repeated=2)
    found = consumed(epoch(0), later)
    assert (found.recurrence, found.missing, found.repeated) == (Recurrence.PARTLY, 4, 8)
    assert found.followed_ratio == 0.25


def test_an_epoch_that_was_cut_off_is_not_compared() -> None:
    found = consumed(epoch(0), epoch(1), epoch(2, batches=1, unordered=1, known=5))
    assert (found.recurrence, found.epochs) == (Recurrence.SAME, 3)


def test_one_epoch_says_nothing_of_another() -> None:
    found = consumed(epoch(0))
    assert (found.order, found.recurrence) == (Order.UNKNOWN, Recurrence.UNKNOWN)


def test_conversions_are_named() -> None:
    found = consumed(epoch(0), given_dtypes=("float64", "int64"))
    assert found.conversions == (Conversion(array=0, given="float64", consumed="float32"),)


def test_without_a_recording_there_is_nothing() -> None:
    assert describe_consumed(builders.loop(), None) is None


def test_the_loss_of_each_batch_is_the_difference_of_means() -> None:
    found = losses_of(losses((0, 8, 1.0), (1, 12, 2.0), (2, 8, 5.0), (3, 16, 4.0)))
    assert found.raw.tolist() == pytest.approx([1.0, 4.0, 5.0, 3.0])
    assert found.shown.tolist() == [1.0, 2.0, 5.0, 4.0]


def test_the_loss_of_a_batch_by_itself_is_its_own() -> None:
    found = losses_of(losses((0, 8, 1.0), (1, 4, 2.0), (2, 8, 3.0)))
    assert found.raw.tolist() == [1.0, 2.0, 3.0]


def test_a_loss_behind_a_hole_or_without_samples_is_not_known() -> None:
    found = losses_of(
        losses((0, 8, 1.0), (1, 12, 1.0), (90, 800, 2.0), (91, 808, 2.0), (92, 0, 3.0))
    )
    assert np.isnan(found.raw).tolist() == [False, False, True, False, True]
    assert not len(losses_of(Delivery()).raw)


def test_validation_and_evaluate_are_put_side_by_side() -> None:
    layers = (ModeLayer(name="drop", class_name="Dropout", kind=ModeKind.DROPOUT),)
    fit = replace(
        builders.loop(),
        model=1,
        trained_model=TrainedModel(name="m", mode_layers=layers),
    )
    evaluation = builders.loop(LoopKind.EVALUATE)
    inside = replace(evaluation, parent=0, model=1, delivery=Delivery(epochs=(epoch(0),)))
    other = epoch(0, trained_steps=9, ordered=77)
    alone = replace(evaluation, parent=None, model=1, delivery=Delivery(epochs=(other,)))
    [pair] = pair_evaluations((fit, inside, alone), fit)
    assert (pair.same_samples, pair.same_order) == (True, False)
    assert (pair.inside.trained_steps, pair.alone.trained_steps) == (0, 9)
    assert pair.mode_layers == layers
    assert pair_evaluations((fit, replace(inside, model=2)), fit) == ()
