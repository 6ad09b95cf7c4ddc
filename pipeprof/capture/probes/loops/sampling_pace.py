"""When the training thread is sampled: often at first, and never for more than a share of a core.

The times are random and fixed before, so that they hang on nothing that the training does. A look can still
come late: while the training keeps the GIL in one long call, no other Python code runs.
"""

import random

from pipeprof.recording.light_dataclasses import dataclass

# The mean pause before a sample at first, and after so many samples.
QUICK_S, USUAL_S = 1 / 60, 1 / 20
_QUICK_SAMPLES = 2000
# The mean pause after so many looks in a row that nothing needed, and while few samples are enough.
_IDLE_S, _IDLE_LOOKS = 0.2, 20
# A look costs this share of a core at the most, all looks together.
_MOST_COST_RATIO = 0.0025
# What was saved allows quick looks while it is worth so many of them. So much is there from the begin.
_RESERVE_LOOKS = 10
_FIRST_SAVED_S = 0.02
# Pauses differ by so much from their mean, up and down.
_SPREAD = 0.5
# Of looks that were missed, so many are told apart.
_MOST_MISSED = 64
# What a look is taken to cost before that is known.
_FIRST_COST_S = 0.000_1


@dataclass(frozen=True, slots=True)
class MissedLooks:
    """Looks that could not be taken when they were due.

    Attributes:
        age_s: how long ago they were due.
        weight: so many samples they stand for, together.
    """

    age_s: float
    weight: int


class SamplingPace:
    """Decides the pauses between the looks of a sampler.

    Attributes:
        due_s: when the next look is due, or the latest one was.
        missed: the looks that were due after the latest one and before it could be taken.
        weight: how much longer the mean pause before the look that is due is than the shortest: so many
            samples does the look stand for.
    """

    def __init__(self) -> None:
        self.weight = 1
        self.missed: tuple[MissedLooks, ...] = ()
        self.due_s = 0.0
        self._drawn_s: float | None = None  # when the look after that is due, where it is known
        self._samples = 0
        self._needless = 0
        self._look_s = _FIRST_COST_S
        self._saved_s = _FIRST_SAVED_S
        self._seldom = False
        # One of its own: a training must not draw other numbers because it is profiled.
        self._random = random.Random()

    @property
    def is_idle(self) -> bool:
        """Whether nothing has needed its looks for some time."""
        return self._needless > _IDLE_LOOKS

    def begin(self, now_s: float) -> None:
        """The looks begin; times are those of a monotonic clock."""
        self.due_s = now_s

    def next_due_s(self) -> float:
        """When the next look is due."""
        mean_s = self._mean_s()
        self.weight = 1 if self.is_idle else _weight(mean_s)
        drawn_s, self._drawn_s = self._drawn_s, None
        self.due_s = self.due_s + self._pause_s(mean_s) if drawn_s is None else drawn_s
        return self.due_s

    def taken(self, now_s: float) -> None:
        """The look that is due is about to be taken.

        What kept it from being taken in time, a long call that holds the GIL, has kept the looks that were
        due since. It shows what they would have shown.
        """
        missed: list[MissedLooks] = []
        mean_s = self._mean_s()
        while now_s - self.due_s > mean_s * (1 - _SPREAD):
            due_s = self.due_s + self._pause_s(mean_s)
            if due_s > now_s:
                self._drawn_s = due_s
                break
            self.due_s = due_s
            missed.append(MissedLooks(now_s - due_s, _weight(mean_s)))
        self.missed = _fewer(missed)

    def _pause_s(self, mean_s: float) -> float:
        return mean_s * self._random.uniform(1 - _SPREAD, 1 + _SPREAD)

    def looked(self, *, needed: bool, seldom: bool = False) -> None:
        """A look was taken.

        Args:
            needed: whether something needed it.
            seldom: whether that needs but few looks.
        """
        self._needless = 0 if needed else self._needless + 1
        self._samples += needed and not seldom
        self._seldom = seldom

    def cost(self, cpu_s: float, passed_s: float, looks: int) -> None:
        """So many looks cost so much CPU time in so much time."""
        self._look_s = cpu_s / max(looks, 1)
        self._saved_s += _MOST_COST_RATIO * passed_s - cpu_s

    def _mean_s(self) -> float:
        if self.is_idle or self._seldom:
            return _IDLE_S
        quick = self._samples < _QUICK_SAMPLES
        if quick and self._saved_s > _RESERVE_LOOKS * self._look_s:
            return QUICK_S
        # What was spent too much is earned back.
        least_s = self._look_s / _MOST_COST_RATIO * (1.5 if self._saved_s < 0 else 1.0)
        return max(least_s, QUICK_S if quick else USUAL_S)


def _weight(mean_s: float) -> int:
    return max(round(mean_s / QUICK_S), 1)


def _fewer(missed: list[MissedLooks]) -> tuple[MissedLooks, ...]:
    """The looks; of many only some, which stand for the others."""
    together = -(-len(missed) // _MOST_MISSED) or 1
    groups = (missed[start : start + together] for start in range(0, len(missed), together))
    return tuple(
        MissedLooks(group[len(group) // 2].age_s, sum(look.weight for look in group))
        for group in groups
    )
