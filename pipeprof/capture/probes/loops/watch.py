"""What the probes of one profile share."""

import itertools
import sys
import threading
from types import FrameType
from typing import Any
from weakref import WeakSet

from pipeprof.capture.probes.loops.batch_origins import BatchOrigins
from pipeprof.capture.probes.loops.batch_shapes import BatchShape, BatchSight
from pipeprof.capture.probes.loops.loop_tracker import LoopTracker
from pipeprof.capture.probes.python.stage_timing import Fetches
from pipeprof.capture.recorder import recorder as recording
from pipeprof.capture.recorder.recorder import Recorder

_FRAMEWORKS = ("keras.", "tf_keras.")


class Watch:
    """The recorder of a profile, the loops that are open, and the thread that trains.

    Attributes:
        recorder: where to record.
        loops: the loops that are open.
        sight: looks at batches.
        origins: tells which work made a batch.
        warmup: steps of each loop that count as warm-up.
        given: what the dataset given to the profile is, for loops whose own feed was not seen.
        in_framework: whether a framework's own loop (``fit``) runs, so that a batch taken is its.
        timed: generators and generator functions that are timed already.
        validating: whether what is put under watch now feeds an evaluation.
    """

    def __init__(self, recorder: Recorder, *, warmup: int) -> None:
        self.recorder = recorder
        self.warmup = warmup
        self.given: dict[str, Any] | None = None
        self.loops = LoopTracker(recorder)
        self.sight = BatchSight(recorder)
        self.origins = BatchOrigins()
        self.timed: WeakSet[Any] = WeakSet()
        self.validating = False
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._framework_depth = 0
        self._framework_thread = self._thread

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

    def enter_framework_loop(self) -> bool:
        """A framework's own loop begins; False when one runs in another thread.

        Where it is True, `leave_framework_loop` must follow.
        """
        with self._lock:
            if self.framework_elsewhere:
                return False
            self._framework_thread = threading.get_ident()
            self._framework_depth += 1
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
        return self.loops.hand.running or not _called_from_framework()


def _called_from_framework() -> bool:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith(_FRAMEWORKS):
            return True
        frame = frame.f_back
    return False


class HandFetches(Fetches):
    """Tells the tracker of each batch that a hand-written loop takes from one object.

    Args:
        watch: the profile's.
        fed_by: what the object is, as `pipeprof.capture.probes.loops.loop_tracker.describe_input` says it.
    """

    _sources = itertools.count(1)

    def __init__(self, watch: Watch, fed_by: dict[str, Any]) -> None:
        self._watch = watch
        self._fed_by = fed_by
        self._source = -next(self._sources)  # never the `id` of anything
        self._validates = watch.validating

    def asks(self) -> None:
        """A batch will be taken."""
        if self._watch.loops.marks is not None and self._watch.by_hand():
            self._watch.loops.hand.asks(self._source)

    def fetched(self, item: Any, start_ns: int, end_ns: int) -> None:
        """A batch was taken; whether by hand is seen from where."""
        watch = self._watch
        if watch.by_hand():
            shape = watch.sight.look(item)
            watch.loops.hand.fetched(self._source, self._fed_by, start_ns, end_ns, shape)
        elif watch.on:
            watch.origins.made(item, start_ns)
            self.note(item)

    def note(self, item: Any) -> BatchShape | None:
        """A batch goes to a framework's loop; gives its shape, None when it has no arrays."""
        return self._watch.sight.note(item, validation=self._validates)

    def exhausted(self, start_ns: int) -> None:
        """There was no more."""
        if self._watch.by_hand():
            self._watch.loops.hand.exhausted(self._source, start_ns)
