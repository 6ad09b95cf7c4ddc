"""The waits of a loop from the gaps of the iterator that feeds it: whose batch each gap follows."""

from collections import deque
from collections.abc import Iterator, Sequence
from statistics import median_low

from pipeprof.capture.probes.loops.new_shapes import NewShapes
from pipeprof.capture.probes.loops.open_loop import OpenLoop
from pipeprof.capture.probes.tfdata.iterators import TrackedIterator
from pipeprof.capture.probes.tfdata.reading_budget import ReadingBudget
from pipeprof.capture.probes.tfdata.running.model_snapshots import GAP_WINDOW, LONGEST_GAP_NS

# TensorFlow reads the clock a little later than pipeprof does.
_CLOCK_SLACK_NS = 100_000_000
# A gap that tf.data did not count is used only where the step waited for at most this part of its time.
_MOST_WAIT_RATIO = 0.2
# So many gaps of steps show how long the loop usually works after a batch; of no more the latest are kept.
_FEWEST_USUAL, _MOST_USUAL = 3, 100
# A step that compiles works at least for so long, and for so many times as long as usual.
_LEAST_COMPILING_NS = 30_000_000
_FAR_LONGER = 3


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
        budget: what readings of its iterator's model may cost.
        compiled_by_shape: whether XLA compiles its step anew for each new shape of a batch.

    Args:
        now: when it begins.
        waits_before: as the attribute.
        new_shapes: shapes of batches that no step is known to have taken.
    """

    def __init__(self, now: int, waits_before: int, new_shapes: NewShapes | None = None) -> None:
        self.compiled_by_shape = False
        self._new_shapes = new_shapes or NewShapes()
        # Of the steps whose gap is not known: begin, end, and the batches made when its last one was.
        self._span_of: dict[int, tuple[int, int, int]] = {}
        self._made = self._new_shapes.made
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
        self.budget = ReadingBudget(now)
        self._epoch_batches = 0
        self._gaps: dict[int, list[int]] = {}
        self._batches_of: dict[int, int] = {}
        self._pause_after: dict[int, int] = {}
        self._left_after: dict[int, int] = {}
        self._batch_began_ns: deque[int] = deque(maxlen=2 * GAP_WINDOW)
        self._long_gaps: dict[int, int] = {}
        self._long_pauses: dict[int, tuple[int, int]] = {}
        self._steps_unread = self._latest_ns = self._ready = 0
        self._ended_ns = 0
        self._latest_gaps: deque[int] = deque(maxlen=_MOST_USUAL)

    def step_ended(
        self, step: int, batches: int, began_ns: int, ended_ns: int, before_ns: int
    ) -> None:
        """A step took some batches; the one before it ended at ``before_ns``."""
        if self.in_epoch:
            pause_ns = began_ns - self._ended_ns
            self._pause_after = {step - 1: pause_ns}
            if pause_ns > LONGEST_GAP_NS - _CLOCK_SLACK_NS:
                self._long_pauses[step - 1] = pause_ns, self._latest_ns
            if began_ns > before_ns:
                self._left_after[step - 1] = began_ns - before_ns
        else:
            self.epoch_began_ns = began_ns
        self._ended_ns = ended_ns
        self.in_epoch = True
        self.batches += batches
        self._epoch_batches += batches
        self.latest_batches = self._batches_of[step] = batches
        # What Keras made before the loop began, to look at it, is among these batches.
        self._made += batches
        self._span_of[step] = began_ns, ended_ns, self._made
        if step == 0:  # it is traced, so that what is compiled in it is seen
            self._new_shapes.take(batches, self._made)
        self.batch_steps.extend([step] * min(batches, 2 * GAP_WINDOW))
        self._batch_began_ns.extend([began_ns] * min(batches, 2 * GAP_WINDOW))
        self._steps_unread += 1
        self._latest_ns = ended_ns - began_ns

    def begin_counting(self, iterator: TrackedIterator | None) -> None:
        """The iterator that feeds the loop was found, by the batches since the last reading."""
        self.iterator = iterator
        self.elements = 0
        self._epoch_batches = self.batches

    def model_read(self, step: int, ready: int, work_ns: int) -> None:
        """The model was read at the end of a step; limits the wait of a step whose gap is not counted.

        Such a gap was longer than `LONGEST_GAP_NS`, so the step waited for less than the rest of its time.
        It did not wait at all if its batches were ready before, else at most as long as the stages worked.

        Args:
            step: the latest step.
            ready: batches that lie ready now.
            work_ns: what all stages together worked since the reading before.
        """
        if self._steps_unread == 1 and self._latest_ns > LONGEST_GAP_NS:
            waited_ns = 0 if self._ready >= self.latest_batches else work_ns
            waited_ns = min(waited_ns, self._latest_ns - LONGEST_GAP_NS)
            if waited_ns <= _MOST_WAIT_RATIO * self._latest_ns:
                self._long_gaps[step] = self._latest_ns - waited_ns
        self._ready = ready
        self._steps_unread = 0

    def record_gaps(
        self, loop: OpenLoop, gaps_us: tuple[int, ...], fetches: int, now: int, *, at_most: bool
    ) -> None:
        """Hands the loop the gaps of its steps that are complete, to record them.

        Args:
            loop: the loop.
            gaps_us: what was read of its iterator since the last reading.
            fetches: how many batches it gave since then; its very first, which follows no gap, left out.
            now: when it was read.
            at_most: whether the latest step may have taken fewer batches than it reported.
        """
        missing = self._missing_batches() if at_most else 0
        if missing:
            loop.correct_batches(self.latest_batches)
        # A gap ends as the next fetch begins. So the latest batch has none yet, unless the loop
        # went on and found that there is no more; then each try has added one.
        tries = (missing > 0) + loop.fetching
        first, surplus = max(1 - tries, 0), max(tries - 1, 0)
        steps = list(reversed(self.batch_steps))[first:]
        counted = list(reversed(gaps_us))[surplus:]
        holes = min(fetches + min(tries, 1), GAP_WINDOW - surplus) - len(counted)
        gaps = _with_holes(counted, holes, self._spans(now)[first:] if holes > 0 else ())
        for step, gap_us in zip(steps, gaps, strict=False):
            # The last batch of a step comes first; what the loop did outside of any step follows it.
            outside_ns = self._left_after.pop(step, 0) if step is not None else 0
            if gap_us is not None:
                # Less than nothing where the clocks differ a little: that cancels with other steps.
                self._add_gap(step, gap_us * 1000 - outside_ns)
            elif step in self._long_gaps:
                self._add_gap(step, self._long_gaps.pop(step))
            elif step in self._long_pauses and len(self._latest_gaps) >= _FEWEST_USUAL:
                # It was over when the pause came: as for an epoch's last step, only its wait is open.
                pause_ns, lasted_ns = self._long_pauses.pop(step)
                self._add_gap(step, pause_ns + self._usual_of(lasted_ns) - outside_ns)
        for step, gap_ns in self._complete_gaps():
            if not self._compiles(loop, step, gap_ns):
                self._latest_gaps.append(gap_ns)
            loop.gaps(step, (gap_ns,))

    def _compiles(self, loop: OpenLoop, step: int, gap_ns: int) -> bool:
        """Whether XLA compiled in a step, for a batch of a new shape; records that."""
        if not self.compiled_by_shape or step == 0 or gap_ns < self._least_compiling_ns():
            return False
        began_ns, ended_ns, made = self._span_of[step]
        change = self._new_shapes.take(self._batches_of[step], made)
        if change is None:
            return False
        loop.compiled_untraced(max(began_ns, ended_ns - gap_ns), ended_ns, began_ns, change)
        return True

    def _least_compiling_ns(self) -> int:
        """From when on a step is taken to have compiled, where there is a new shape."""
        if len(self._latest_gaps) < _FEWEST_USUAL:
            return _LEAST_COMPILING_NS
        return max(_LEAST_COMPILING_NS, _FAR_LONGER * median_low(self._latest_gaps))

    def _spans(self, now: int) -> list[int]:
        """For each of the latest batches, from its step's begin to the next one's; latest first."""
        spans = []
        next_ns = end_ns = now
        for began_ns in reversed(self._batch_began_ns):
            if began_ns != end_ns:
                next_ns, end_ns = end_ns, began_ns
            spans.append(next_ns - began_ns)
        return spans

    def _missing_batches(self) -> int:
        """How many batches fewer than Keras reported the latest step took; corrects the step."""
        missing = max(self._epoch_batches - self.elements, 0)
        if missing >= self.latest_batches:
            return 0
        self.latest_batches -= missing
        self._epoch_batches -= missing
        if missing and self.batch_steps[-1] is not None:
            self._batches_of[self.batch_steps[-1]] = self.latest_batches
        for _ in range(missing):
            self.batch_steps.pop()
            self._batch_began_ns.pop()
        return missing

    def _add_gap(self, step: int | None, gap_ns: int) -> None:
        """Adds how long the loop worked after one batch of a step."""
        if step in self._batches_of:
            self._gaps.setdefault(step, []).append(gap_ns)

    def _complete_gaps(self) -> Iterator[tuple[int, int]]:
        """Takes out the steps all of whose gaps are known, and the time of those together."""
        complete = {step: self._whole_gap(step) for step in sorted(self._gaps)}
        known = {step: gap_ns for step, gap_ns in complete.items() if gap_ns is not None}
        yield from known.items()
        newest = max(known, default=-1)
        for step in [step for step in self._batches_of if step <= newest]:
            self._forget(step)

    def _forget(self, step: int) -> None:
        del self._batches_of[step], self._span_of[step]
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

    def leave_epoch(self, loop: OpenLoop) -> None:
        """The epoch is over: its iterator may be too, and the last batch is followed by no step.

        So the last batch may have no gap. How long the loop usually works after one stands for it: what
        the last step took beyond that was waiting.
        """
        last = self.batch_steps[-1] if self.batch_steps else None
        if (
            self.iterator is not None
            and last in self._batches_of
            and len(self._latest_gaps) >= _FEWEST_USUAL
        ):
            loop.gaps(last, (self._usual_of(self._latest_ns),))
            self._forget(last)
        self.iterator = None
        self.in_epoch = False
        self._left_after.clear()
        self._long_gaps.clear()
        self._long_pauses.clear()
        self._steps_unread = self._ready = 0
        self.elements = self._epoch_batches = self.latest_batches = 0
        if self.batch_steps:
            self.batch_steps[-1] = None

    def _usual_of(self, lasted_ns: int) -> int:
        """How long the loop usually works after a batch, and no longer than a step lasted."""
        return min(median_low(self._latest_gaps), lasted_ns)


def _with_holes(counted_us: list[int], holes: int, spans_ns: Sequence[int]) -> Sequence[int | None]:
    """Gaps with None where tf.data did not count one, because it was over `LONGEST_GAP_NS`.

    Args:
        counted_us: the gaps that were counted, latest first.
        holes: how many are missing.
        spans_ns: the time that each gap can have had, latest first.

    Returns:
        The gaps, latest first; none where it is not clear which are missing.
    """
    fits = [
        index
        for index, span_ns in enumerate(spans_ns[: len(counted_us) + holes])
        if span_ns > LONGEST_GAP_NS - _CLOCK_SLACK_NS
    ]
    if not fits:
        return counted_us  # none was that long: what is missing are the oldest
    if len(fits) != holes:
        return ()
    gaps: list[int | None] = [*counted_us]
    for index in fits:
        gaps.insert(index, None)
    return gaps
