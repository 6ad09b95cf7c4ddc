"""What the probes of one profile share."""

import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any
from weakref import WeakSet

from pipeprof.capture.probes.delivery.deliveries import Deliveries
from pipeprof.capture.probes.delivery.hand_deliveries import HandDeliveries
from pipeprof.capture.probes.loops.batch_origins import BatchOrigins
from pipeprof.capture.probes.loops.batch_shapes import BatchInspector
from pipeprof.capture.probes.loops.loop_tracker import LoopTracker
from pipeprof.capture.recorder import recorder as recording
from pipeprof.capture.recorder.facts import InputFacts
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.recording.code_owner import CodeOwner, owner_of_module


class ProbeContext:
    """The recorder of a profile, the loops that are open, and the thread that trains.

    Attributes:
        recorder: where to record.
        loops: the loops that are open.
        inspector: reads the shapes of batches.
        origins: knows which work made a batch.
        warmup: steps of each loop that count as warm-up.
        given: what the dataset given to the profile is, for loops whose own feed was not seen.
        in_framework: whether a framework's own loop (``fit``) runs, so that a batch taken is its.
        timed: generators and generator functions that are timed already.
        data_workers: addresses of workers of a tf.data service, where the user gave some.
        fingerprint: whether the content of what models consume is recorded.
        deliveries: records what models consume.
        by_hand_deliveries: records what hand-written loops give to their models, or None.
        validating: whether what is observed now feeds an evaluation.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        warmup: int,
        fingerprint: bool = False,
        data_workers: Sequence[str] = (),
    ) -> None:
        self.recorder = recorder
        self.warmup = warmup
        self.given: InputFacts | None = None
        self.loops = LoopTracker(recorder)
        self.inspector = BatchInspector(recorder)
        self.origins = BatchOrigins()
        self.timed: WeakSet[Any] = WeakSet()
        self.validating = False
        self.fingerprint = fingerprint
        self.data_workers = tuple(data_workers)
        self.deliveries = Deliveries(recorder)
        self.by_hand_deliveries = (
            HandDeliveries(self.deliveries, self.loops.hand) if fingerprint else None
        )
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._framework_depth = 0
        self._framework_thread = self._thread

    def close_deliveries(self) -> None:
        """Records what is left of the deliveries, at the end of the profile."""
        if self.by_hand_deliveries is not None:
            self.deliveries.guard.run(self.by_hand_deliveries.close)
        self.deliveries.close()

    @property
    def on(self) -> bool:
        """Whether its profile is on, in this very process and not in one forked from it."""
        return recording.current is self.recorder

    @property
    def in_framework(self) -> bool:
        """Whether a framework's own loop runs."""
        return self._framework_depth > 0

    @property
    def framework_elsewhere(self) -> bool:
        """Whether a framework's own loop runs in another thread than the calling one."""
        return self.in_framework and threading.get_ident() != self._framework_thread

    @property
    def training_thread(self) -> int:
        """The thread that trains, as `threading.get_ident` gives it."""
        return self._framework_thread if self.in_framework else self._thread

    def enter_framework_loop(self) -> bool:
        """A framework's own loop begins; False when one runs in another thread.

        Where it is True, `leave_framework_loop` must follow.
        """
        with self._lock:
            if self.framework_elsewhere:
                return False
            self._framework_thread = threading.get_ident()
            self._framework_depth += 1
            self.loops.hand.steady = None
        return True

    def leave_framework_loop(self) -> None:
        """It has ended."""
        with self._lock:
            self._framework_depth -= 1

    def marks_steps(self) -> bool:
        """Whether a step that the calling thread marks counts; the first that does so trains."""
        if not self.loops.hand.running:
            self._thread = threading.get_ident()
        return self.by_hand()

    def by_hand(self) -> bool:
        """Whether the calling thread is the training's, and in no framework's loop."""
        if self._framework_depth or not self.on or threading.get_ident() != self._thread:
            return False
        # A `fit` that was taken hold of before the profile began looks at the first batches unseen.
        return self.loops.hand.running or not called_from_framework()


def called_from_framework() -> bool:
    """Whether Keras's code is among what called the function that asks."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if owner_of_module(frame.f_globals.get("__name__")) is CodeOwner.KERAS:
            return True
        frame = frame.f_back
    return False
