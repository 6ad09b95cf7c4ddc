import numpy as np
import pytest

from pipeprof.capture.collector.accumulator import Accumulator
from pipeprof.capture.probes.delivery.deliveries import FIRST_EPOCHS, Deliveries
from pipeprof.capture.probes.delivery.hand_deliveries import HandDeliveries
from pipeprof.capture.probes.loops.loop_tracker import LoopTracker
from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.recorder.facts import DeliveryUpdate, InputFacts
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.ring import RingReader
from pipeprof.recording.delivered_content import Delivery, TrainedModel
from pipeprof.recording.loop import LoopKind

X = np.arange(24.0).reshape(12, 2)


def collected(recorder: Recorder, loop: int = 0) -> Delivery | None:
    """What a collector makes of what was recorded."""
    accumulator = Accumulator.begin(start_ns=0, warmup=0)
    accumulator.add_names(recorder.pid, recorder.names.lines)
    for ring in recorder.rings:
        accumulator.add(recorder.pid, ring.number, RingReader(ring.memory).read())
    return accumulator.registry.loops[loop].delivery.freeze()


def give(deliveries: Deliveries, loop: OpenLoop, rows: slice) -> None:
    deliveries.deliver(loop, deliveries.hash((X[rows],)))


def test_batches_epochs_and_losses_are_collected() -> None:
    recorder = Recorder(None)
    loop = LoopTracker(recorder).open(LoopKind.FIT)
    deliveries = Deliveries(recorder)
    for _ in range(2):
        loop.begin_epoch(0)
        for number, rows in enumerate((slice(0, 8), slice(8, 12))):
            give(deliveries, loop, rows)
            deliveries.loss(loop, 0.5 + number)
        deliveries.end_epoch(loop)
    found = collected(recorder)
    assert found is not None
    assert found.batch_count == 4
    assert found.batches[:, :3].tolist() == [[0, 0, 8], [1, 0, 4], [2, 1, 8], [3, 1, 4]]
    assert found.batches[:2, 3].tolist() == found.batches[2:, 3].tolist()
    assert found.losses[:, :2].tolist() == [[0, 8], [1, 12], [2, 8], [3, 12]]
    assert found.losses[:, 2].copy().view(np.float64).tolist() == [0.5, 1.5, 0.5, 1.5]
    assert [epoch.trained_steps for epoch in found.epochs] == [0, 2]
    assert found.epochs[0].ordered == found.epochs[1].ordered


class Computing:
    """A scalar of JAX, which knows whether it is computed."""

    def __init__(self, value: float) -> None:
        self.value, self.ready = value, False

    def is_ready(self) -> bool:
        return self.ready

    def __float__(self) -> float:
        assert self.ready, "somebody waits for the device"
        return self.value


class OnDevice:
    """A scalar of TensorFlow, which does not know it: reading one waits for all work of its device."""

    def __init__(self, value: float, device: str) -> None:
        self.value, self.device, self.reads = value, device, 0

    def __float__(self) -> float:
        self.reads += 1
        return self.value


def recorded_losses(recorder: Recorder) -> list[float]:
    found = collected(recorder)
    assert found is not None
    values: list[float] = found.losses[:, 2].copy().view(np.float64).tolist()
    return values


def test_a_loss_that_is_not_computed_yet_is_not_waited_for() -> None:
    recorder = Recorder(None)
    loop = LoopTracker(recorder).open(LoopKind.FIT)
    loop.begin_epoch(0)
    deliveries = Deliveries(recorder)
    first, second = Computing(1.0), Computing(2.0)
    for rows, loss in ((slice(0, 4), first), (slice(4, 8), second)):
        give(deliveries, loop, rows)
        deliveries.loss(loop, loss)
    assert recorded_losses(recorder) == []
    first.ready = True
    give(deliveries, loop, slice(8, 12))
    deliveries.loss(loop, 3.0)
    assert recorded_losses(recorder) == [1.0]
    second.ready = True
    deliveries.end_epoch(loop)
    assert recorded_losses(recorder) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("device", "before_the_end"),
    [
        ("/job:localhost/replica:0/task:0/device:CPU:0", [1.0, 2.0]),
        ("/job:localhost/replica:0/task:0/device:GPU:0", []),
        ("cpu", [1.0, 2.0]),
        ("cuda:0", []),
    ],
)
def test_a_loss_on_a_device_is_read_when_its_epoch_is_over(
    device: str, before_the_end: list[float]
) -> None:
    recorder = Recorder(None)
    loop = LoopTracker(recorder).open(LoopKind.FIT)
    loop.begin_epoch(0)
    deliveries = Deliveries(recorder)
    losses = [OnDevice(1.0, device), OnDevice(2.0, device)]
    for number, loss in enumerate(losses):
        give(deliveries, loop, slice(4 * number, 4 * number + 4))
        deliveries.loss(loop, loss)
    assert recorded_losses(recorder) == before_the_end
    deliveries.end_epoch(loop)
    assert recorded_losses(recorder) == [1.0, 2.0]
    assert [loss.reads for loss in losses] == [1, 1]


def test_of_many_epochs_some_and_the_last_are_reported() -> None:
    recorder = Recorder(None)
    loop = LoopTracker(recorder).open(LoopKind.FIT)
    deliveries = Deliveries(recorder)
    epochs = 150
    for _ in range(epochs):
        loop.begin_epoch(0)
        give(deliveries, loop, slice(0, 4))
        deliveries.end_epoch(loop)
    deliveries.close()
    found = collected(recorder)
    assert found is not None
    assert found.batch_count == epochs
    assert [epoch.epoch for epoch in found.epochs] == [*range(FIRST_EPOCHS), 63, 127, 149]


def test_a_failure_ends_the_recording_and_warns() -> None:
    class Strange:
        @property
        def shape(self) -> tuple[int, ...]:
            raise RuntimeError("no")

        def __array__(self) -> None:
            raise RuntimeError("no")

    recorder = Recorder(None)
    deliveries = Deliveries(recorder)
    assert deliveries.hash(Strange()) is None
    assert deliveries.hash((X,)) is None
    assert any("could not be recorded" in str(facts) for _, facts in recorder.names.lines)


def test_the_model_of_a_loop_is_known_without_batches() -> None:
    recorder = Recorder(None)
    loop = LoopTracker(recorder).open(LoopKind.FIT)
    model = TrainedModel(name="small", parameters=3)
    Deliveries(recorder).note(DeliveryUpdate(loop=loop.number, model=model))
    accumulator = Accumulator.begin(start_ns=0, warmup=0)
    accumulator.add_names(recorder.pid, recorder.names.lines)
    frozen = accumulator.registry.loops[0].freeze()
    assert (frozen.trained_model, frozen.delivery) == (model, None)


class Hand:
    """A hand-written loop that is followed, with a clock of its own."""

    def __init__(self) -> None:
        self.now = 0
        self.recorder = Recorder(None)
        self.loops = LoopTracker(self.recorder, clock=lambda: self.now)
        self.deliveries = Deliveries(self.recorder)
        self.by_hand = HandDeliveries(self.deliveries, self.loops.hand)

    def fetch(self, rows: slice, source: int = 7) -> None:
        self.now += 20
        self.loops.hand.fetched(source, InputFacts(), self.now - 10, self.now, None)
        self.by_hand.fetched(source, (X[rows],))

    def exhaust(self, source: int = 7) -> None:
        self.now += 10
        self.by_hand.exhausted()
        self.loops.hand.exhausted(source, self.now)

    def train(self, rows: slice) -> None:
        batch = self.deliveries.hash((X[rows],))
        self.now += 10
        self.loops.hand.trained_on_batch(self.now - 5, self.now, None)
        self.by_hand.called(batch)

    def close(self) -> Delivery | None:
        self.by_hand.close()
        self.deliveries.close()
        self.loops.close_all()
        return collected(self.recorder)


def test_what_a_hand_written_loop_fetches_is_consumed() -> None:
    hand = Hand()
    for _ in range(2):
        for first in (0, 4, 8):
            hand.fetch(slice(first, first + 4))
        hand.exhaust()
    found = hand.close()
    assert found is not None
    assert [(epoch.batches, epoch.samples) for epoch in found.epochs] == [(3, 12), (3, 12)]
    assert found.epochs[0].ordered == found.epochs[1].ordered


def test_what_train_on_batch_is_given_is_consumed_and_not_what_was_fetched() -> None:
    hand = Hand()
    for first in (0, 4, 8):
        hand.fetch(slice(first, first + 4))
        hand.train(slice(first, first + 2))
    found = hand.close()
    assert found is not None
    assert found.batches[:, 2].tolist() == [2, 2, 2]
