"""When the training thread is sampled: often at first, and never for more than a share of a core.

The times are random and fixed before, so that they hang on nothing that the training does.
"""

import random

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
# What a look is taken to cost before that is known.
_FIRST_COST_S = 0.000_1


class SamplingPace:
    """Decides the pauses between the looks of a sampler.

    Attributes:
        weight: how much longer the mean pause before the look that is due is than the shortest: so many
            samples does the look stand for.
    """

    def __init__(self) -> None:
        self.weight = 1
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

    def next_pause_s(self) -> float:
        """The pause before the next look."""
        mean_s = self._mean_s()
        self.weight = 1 if self.is_idle else max(round(mean_s / QUICK_S), 1)
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
