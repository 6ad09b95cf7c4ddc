"""The waits of a loop from the gaps of the iterator that feeds it: whose batch each gap follows."""

from collections import deque
from collections.abc import Iterator

from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.probes.tfdata.iterators import TrackedIterator
from pipeprof.capture.probes.tfdata.model_snapshots import GAP_WINDOW


class FollowedLoop:
    """A framework's loop, the iterator that was found to feed it, and whose batch each gap follows.

    Attributes:
        iterator: feeds the loop in this epoch, once that is known.
        in_epoch: whether steps of this epoch have been seen.
        epoch_began_ns: when the first of them began.
        batches: batches taken since the last reading.
        latest_batches: batches that the latest step took.
        batch_steps: the step that took each of the latest batches; None where what follows the
            batch is no step's (the end of an epoch).
        elements: what the iterator gave in this epoch.
        waits_before: waits in generators before the loop began.
        traced: whether some of its steps are traced, because no gaps are counted.
        estimating: whether a step took more batches than there are gaps to be read.
    """

    def __init__(self, now: int, waits_before: int) -> None:
        self.iterator: TrackedIterator | None = None
        self.in_epoch = False
        self.epoch_began_ns = now
        self.batches = self.latest_batches = 0
        self.batch_steps: deque[int | None] = deque(maxlen=2 * GAP_WINDOW)
        self.elements = 0
        self.read_ns = now
        self.waits_before = waits_before
        self.traced = False
        self.estimating = False
        self._epoch_batches = 0
        self._gaps: dict[int, list[int]] = {}
        self._batches_of: dict[int, int] = {}
        self._pause_after: dict[int, int] = {}
        self._left_after: dict[int, int] = {}
        self._ended_ns = 0

    def step_ended(
        self, step: int, batches: int, began_ns: int, ended_ns: int, before_ns: int
    ) -> None:
        """A step took some batches; the one before it ended at ``before_ns``."""
        if self.in_epoch:
            self._pause_after = {step - 1: began_ns - self._ended_ns}
            if began_ns > before_ns:
                self._left_after[step - 1] = began_ns - before_ns
        else:
            self.epoch_began_ns = began_ns
        self._ended_ns = ended_ns
        self.in_epoch = True
        self.batches += batches
        self._epoch_batches += batches
        self.latest_batches = self._batches_of[step] = batches
        self.batch_steps.extend([step] * min(batches, 2 * GAP_WINDOW))

    def begin_counting(self, iterator: TrackedIterator | None) -> None:
        """The iterator that feeds the loop was found, by the batches since the last reading."""
        self.iterator = iterator
        self.elements = 0
        self._epoch_batches = self.batches

    def tell_gaps(self, loop: OpenLoop, gaps_us: tuple[int, ...], *, at_most: bool) -> None:
        """Tells the loop the gaps of its steps that are complete.

        Args:
            loop: the loop.
            gaps_us: what was read of its iterator since the last reading.
            at_most: whether the latest step may have taken fewer batches than it said.
        """
        missing = self._missing_batches() if at_most else 0
        if missing:
            loop.correct_batches(self.latest_batches)
        # A gap ends as the next fetch begins. So the latest batch has none yet, unless the loop
        # went on and found that there is no more; then each try has added one.
        tries = (missing > 0) + loop.fetching
        batches, gaps = reversed(self.batch_steps), reversed(gaps_us)
        for _ in range(1 - tries):
            next(batches, None)
        for _ in range(tries - 1):
            next(gaps, None)
        for step, gap_us in zip(batches, gaps, strict=False):
            # The last batch of a step comes first; what the loop did outside of any step follows it.
            outside_ns = self._left_after.pop(step, 0) if step is not None else 0
            self._add_gap(step, max(gap_us * 1000 - outside_ns, 0))
        for step, gap_ns in self._complete_gaps():
            loop.gaps(step, (gap_ns,))

    def _missing_batches(self) -> int:
        """How many batches fewer than Keras said the latest step took; corrects it."""
        missing = max(self._epoch_batches - self.elements, 0)
        if missing >= self.latest_batches:
            return 0
        self.latest_batches -= missing
        self._epoch_batches -= missing
        if missing and self.batch_steps[-1] is not None:
            self._batches_of[self.batch_steps[-1]] = self.latest_batches
        for _ in range(missing):
            self.batch_steps.pop()
        return missing

    def _add_gap(self, step: int | None, gap_ns: int) -> None:
        """What the loop did after one batch of a step took so long."""
        if step in self._batches_of:
            self._gaps.setdefault(step, []).append(gap_ns)

    def _complete_gaps(self) -> Iterator[tuple[int, int]]:
        """Takes out the steps all of whose gaps are known, and the time of those together."""
        complete = {step: self._whole_gap(step) for step in sorted(self._gaps)}
        known = {step: gap_ns for step, gap_ns in complete.items() if gap_ns is not None}
        yield from known.items()
        newest = max(known, default=-1)
        for step in [step for step in self._batches_of if step <= newest]:
            del self._batches_of[step]
            self._gaps.pop(step, None)

    def _whole_gap(self, step: int) -> int | None:
        """The gaps of a step together, or None while some of them are not known."""
        gaps, batches = self._gaps[step], self._batches_of[step]
        if len(gaps) == batches:
            return sum(gaps)
        if batches <= GAP_WINDOW or step not in self._pause_after:
            return None
        # More batches than gaps are kept of: those of its end stand for all but the last batch's,
        # which reaches over the pause before the next step.
        self.estimating = True
        usual = sum(gaps) // len(gaps)
        return usual * (batches - 1) + max(usual, self._pause_after[step])

    def leave_epoch(self) -> None:
        """The epoch is over: its iterator may be too, and the last batch is followed by no step."""
        self.iterator = None
        self.in_epoch = False
        self._left_after.clear()
        self.elements = self._epoch_batches = self.latest_batches = 0
        if self.batch_steps:
            self.batch_steps[-1] = None
