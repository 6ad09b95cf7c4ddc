"""The search: which changes make an input faster, by trials in turns with what is best so far.

Knows no framework and no process: the trials are those of a bench. Time is an argument.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Protocol

from pipeprof.errors import PipeprofError, UsageError, describe_error
from pipeprof.recording.pipeline_edits import AddCache, Edit
from pipeprof.recording.tuning_outcome import Change, Description, Trial, TrialSteps, TuningOutcome
from pipeprof.tuning.candidates import candidates, merged
from pipeprof.tuning.consuming import Limits

# What a change has to gain to be kept, and how near to input for free nothing more is tried.
_LEAST_GAIN = 1.03
_NEAR_CEILING = 1.05

# Trials in turns, until the difference is certain: this many pairs at the most. First each change gets one
# short pair, for most help much or not at all; those in between get their pairs behind.
_MOST_PAIRS = 4
_CERTAIN = 2.0  # standard errors
_BLOCKS = 5
_LEAST_SPREAD = 0.01
# Two runs of one input differ by more than their steps show: one pair is enough for a large gain only.
_LARGE_GAIN = 1.10

# Room in the budget that a trial needs beside what is measured: it begins, and warms up.
_SHARE_OF_BUDGET = 0.04
_SHORTEST_NS, _LONGEST_NS = 400_000_000, 4_000_000_000


class Bench(Protocol):
    """Where trials run."""

    def describe(self) -> Description:
        """What the input consists of."""

    def trial(self, edits: Sequence[Edit], limits: Limits) -> TrialSteps:
        """Consumes the input with changes."""

    def ceiling(self, limits: Limits) -> TrialSteps | None:
        """Trains with input for free; None without a model."""

    def compare(self, edits: Sequence[Edit]) -> str | None:
        """What is delivered differently with these changes, or None."""

    def predict(self, edits: Sequence[Edit]) -> float | None:
        """The step time to expect of these changes, in nanoseconds; None where that is not known."""


class Tuner:
    """Looks for the changes that make an input fastest.

    Args:
        bench: where trials run.
        budget_ns: how long all trials together may take.
        now_ns: the time.
        on_described: called with what the input is.
        on_progress: called with what is tried next, and with each trial.
    """

    def __init__(
        self,
        bench: Bench,
        budget_ns: int,
        now_ns: Callable[[], int],
        on_described: Callable[[Description], None] = lambda described: None,
        on_progress: Callable[[Change | Trial], None] = lambda event: None,
    ) -> None:
        self._bench = bench
        self._budget_ns = budget_ns
        self._now_ns = now_ns
        self._on_described = on_described
        self._on_progress = on_progress
        self._start_ns = now_ns()
        self._took_ns: list[int] = []
        self._trials: list[Trial] = []
        self._differences: dict[Change, str | None] = {}

    def run(self) -> TuningOutcome:
        """Measures today's input, tries changes, and measures what is best.

        Raises:
            UsageError: the budget is too small for two trials.
            TuningRefused: today's input cannot be measured.
        """
        described = self._bench.describe()
        self._on_described(described)
        self._start_ns = self._now_ns()  # what starts the other process is not of the budget
        ceiling = self._bench.ceiling(self._limits(()))
        today = self._timed((), self._limits(()))
        if self._left_ns < 2 * self._typical_ns:
            needed_s = (self._now_ns() - self._start_ns + 2 * self._typical_ns) / 1e9
            raise UsageError(
                f"expected a budget for two trials or more, received {self._budget_ns / 1e9:.0f} s: "
                f"this input needs at least {math.ceil(needed_s)} s."
            )
        best: Change = ()
        best_ns = today.mean_ns
        stopped = interrupted = False
        try:
            best, best_ns, stopped = self._search(described, best_ns, ceiling)
        except KeyboardInterrupt:
            best, best_ns = self._kept(best_ns)
            stopped = interrupted = True
        today_ns, last = today.mean_ns, None
        try:
            if not stopped:
                today_ns, best_ns = self._proof(best, today_ns, best_ns)
                if ceiling is not None and self._left_ns > self._typical_ns:
                    last = self._last_ceiling()
        except KeyboardInterrupt:
            stopped = interrupted = True
        if best and best_ns >= today_ns:
            best, best_ns = (), today_ns
            self._trials = [replace(trial, kept=False) for trial in self._trials]
        return TuningOutcome(
            described=described,
            today_ns=today_ns,
            ceiling_ns=ceiling.mean_ns if ceiling else None,
            last_ceiling_ns=last.mean_ns if last else None,
            best=best,
            best_ns=best_ns,
            trials=tuple(self._trials),
            stopped=stopped,
            interrupted=interrupted,
        )

    def _search(
        self, described: Description, best_ns: float, ceiling: TrialSteps | None
    ) -> tuple[Change, float, bool]:
        best: Change = ()
        pending = self._in_order(candidates(described), best_ns)
        for first in (True, False):
            unsure: list[Trial] = []
            for change in pending:
                if ceiling is not None and best_ns <= _NEAR_CEILING * ceiling.mean_ns:
                    return best, best_ns, False
                if self._left_ns < 2 * self._typical_ns:
                    self._trials += unsure
                    return best, best_ns, True
                trial = self._try(best, best_ns, change, first=first)
                if first and trial.step_ns is not None and not _is_certain(trial, 1):
                    unsure.append(trial)
                    continue
                self._trials.append(trial)
                self._on_progress(trial)
                if trial.kept and trial.step_ns is not None:
                    best, best_ns = merged(best, change), trial.step_ns
            pending = [one.change for one in sorted(unsure, key=lambda one: -(one.speedup or 0.0))]
        return best, best_ns, False

    def _proof(self, best: Change, today_ns: float, best_ns: float) -> tuple[float, float]:
        """Today's step time and the best one, measured once more in turns where there is time."""
        if not best or self._left_ns < 2 * self._typical_ns:
            return today_ns, best_ns
        try:
            return (
                self._timed((), self._limits(())).mean_ns,
                self._timed(best, self._limits(best)).mean_ns,
            )
        except Exception:  # it ran before: what was measured then stands
            return today_ns, best_ns

    def _last_ceiling(self) -> TrialSteps | None:
        try:
            return self._bench.ceiling(self._limits(()))
        except Exception:  # that of the beginning stands
            return None

    def _in_order(self, changes: Sequence[Change], today_ns: float) -> list[Change]:
        """The most promising first; those of which nothing is known before those that promise no gain."""

        def place(expected_ns: float | None) -> tuple[int, float]:
            if expected_ns is None:
                return (1, 0.0)
            return (0 if today_ns >= _LEAST_GAIN * expected_ns else 2, expected_ns)

        return sorted(changes, key=lambda change: place(self._predicted(change)))

    def _predicted(self, change: Change) -> float | None:
        try:
            return self._bench.predict(change)
        except Exception:  # nothing is known of it then
            return None

    def _kept(self, best_ns: float) -> tuple[Change, float]:
        best: Change = ()
        for trial in self._trials:
            if trial.kept and trial.step_ns is not None:
                best, best_ns = merged(best, trial.change), trial.step_ns
        return best, best_ns

    @property
    def _left_ns(self) -> int:
        return self._budget_ns - (self._now_ns() - self._start_ns)

    @property
    def _typical_ns(self) -> float:
        """How long a trial takes, its beginning included."""
        return statistics.median(self._took_ns)

    def _limits(self, edits: Sequence[Edit], *, short: bool = False) -> Limits:
        whole_ns = int(min(max(_SHARE_OF_BUDGET * self._budget_ns, _SHORTEST_NS), _LONGEST_NS))
        measured_ns = _SHORTEST_NS if short else whole_ns
        fills_cache = any(isinstance(edit, AddCache) for edit in edits)
        return Limits(
            measured_ns=measured_ns,
            epochs=1 if fills_cache else 0,
            latest_ns=max(int(0.25 * self._budget_ns), 2 * whole_ns),
        )

    def _timed(self, edits: Sequence[Edit], limits: Limits) -> TrialSteps:
        start_ns = self._now_ns()
        steps = self._bench.trial(edits, limits)
        self._took_ns.append(self._now_ns() - start_ns)
        return steps

    def _expected(self, best: Change, best_ns: float, change: Change) -> float | None:
        """What a change on top of what is best should give.

        Where the model does not know all that is best, the gain that it predicts of what it knows is
        applied to what was measured.
        """
        expected_ns = self._predicted(merged(best, change))
        if expected_ns is not None or not best:
            return expected_ns
        known = tuple(edit for edit in best if self._predicted((edit,)) is not None)
        before_ns, after_ns = self._predicted(known), self._predicted(merged(known, change))
        return best_ns * after_ns / before_ns if before_ns and after_ns else None

    def _try(self, best: Change, best_ns: float, change: Change, *, first: bool) -> Trial:
        """One change on top of what is best, in turns with that.

        Args:
            best: what is best.
            best_ns: its step time.
            change: the change.
            first: whether one short pair is enough for now; else until the difference is certain.
        """
        self._on_progress(change)
        whole = merged(best, change)
        blank = Trial(change=change)
        try:
            blank = replace(blank, predicted_ns=self._expected(best, best_ns, change))
            differs = self._compared(whole)
            if differs is not None:
                return replace(blank, refused=differs)
            return self._measure(best, whole, blank, first=first)
        except PipeprofError as refused:
            return replace(blank, refused=str(refused))
        except Exception as error:  # whatever the user's code raises in a trial
            return replace(blank, refused=f"it raised {describe_error(error)}")

    def _compared(self, whole: Change) -> str | None:
        """What is delivered differently, or None; looked at once."""
        if whole not in self._differences:
            self._differences[whole] = self._bench.compare(whole)
        return self._differences[whole]

    def _pair(
        self, best: Change, whole: Change, number: int, *, short: bool
    ) -> tuple[TrialSteps, TrialSteps]:
        """Both measured once; the other one first in each next pair, so that drifts cancel."""
        of_best, of_whole = (self._limits(edits, short=short) for edits in (best, whole))
        if number % 2 == 0:
            changed = self._timed(whole, of_whole)
            return self._timed(best, of_best), changed
        return self._timed(best, of_best), self._timed(whole, of_whole)

    def _measure(self, best: Change, whole: Change, blank: Trial, *, first: bool) -> Trial:
        pairs: list[tuple[TrialSteps, TrialSteps]] = []
        trial = blank
        for number in range(1 if first else _MOST_PAIRS):
            pairs.append(self._pair(best, whole, number, short=first))
            trial = _in_turns(pairs, blank)
            if _is_certain(trial, len(pairs)) or self._left_ns < 2 * self._typical_ns:
                break
        return replace(
            trial,
            kept=_gains(trial, len(pairs) if first else _MOST_PAIRS),
        )


def _gains(trial: Trial, pairs: int) -> bool:
    """Whether a change is worth keeping: beyond the noise, and one pair shows that of a large gain only."""
    if pairs == 1:
        return trial.low is not None and trial.low > _LARGE_GAIN
    return trial.low is not None and trial.low > 1.0 and (trial.speedup or 0) >= _LEAST_GAIN


def _is_certain(trial: Trial, pairs: int) -> bool:
    if trial.low is None or trial.high is None:
        return False
    gains = trial.low > (_LEAST_GAIN if pairs > 1 else _LARGE_GAIN)
    return gains or trial.high < _LEAST_GAIN


def _in_turns(pairs: Sequence[tuple[TrialSteps, TrialSteps]], blank: Trial) -> Trial:
    """How many times as fast, with an interval from the pairs and from how uneven the steps are."""
    logs = [math.log(best.mean_ns / changed.mean_ns) for best, changed in pairs]
    within = math.fsum(_variance(best) + _variance(changed) for best, changed in pairs)
    error = math.sqrt(max(within / len(pairs) ** 2, _LEAST_SPREAD**2 / len(pairs)))
    if len(logs) > 1:
        error = max(error, statistics.stdev(logs) / math.sqrt(len(logs)))
    middle = statistics.fmean(logs)
    return replace(
        blank,
        against_ns=statistics.fmean(best.mean_ns for best, _ in pairs),
        step_ns=statistics.fmean(changed.mean_ns for _, changed in pairs),
        speedup=math.exp(middle),
        low=math.exp(middle - _CERTAIN * error),
        high=math.exp(middle + _CERTAIN * error),
    )


def _variance(steps: TrialSteps) -> float:
    """Of the logarithm of a trial's mean step: from the means of blocks, because neighbours are alike."""
    count = min(_BLOCKS, len(steps.step_ns))
    if count < 2:
        return 0.0
    # All steps are in a block: the last one is often the longest, for it ends a trial.
    edges = [number * len(steps.step_ns) // count for number in range(count + 1)]
    blocks = [statistics.fmean(steps.step_ns[start:end]) for start, end in pairwise(edges)]
    return statistics.variance(blocks) / (len(blocks) * steps.mean_ns**2)
