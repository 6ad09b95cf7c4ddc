"""Which samples an epoch has twice or does not have, in bounded memory."""

from collections import Counter

import numpy as np

from pipeprof.capture.probes.delivery.batch_content import Hashes
from pipeprof.recording.light_dataclasses import dataclass

MOST_FOLLOWED = 1 << 15


@dataclass(frozen=True, slots=True)
class FollowedEpoch:
    """What became of the followed samples in an epoch; attributes as of `DeliveredEpoch`."""

    level: int
    followed: int
    repeated: int
    known: int
    missing: int


class FollowedSamples:
    """Follows samples by their hashes over the epochs of one loop.

    While there are few different samples, all of them are followed. Whenever they are more than
    `most`, only those stay whose hash can be divided by the next power of two, about half of them.

    Args:
        most: how many different samples are followed.
    """

    def __init__(self, most: int = MOST_FOLLOWED) -> None:
        self._most = most
        self._level = 0
        self._before: set[int] = set()
        self._now: Counter[int] = Counter()

    def add(self, hashes: Hashes) -> None:
        """Adds the samples of a batch."""
        if self._level:
            hashes = hashes[hashes % np.uint64(1 << self._level) == 0]
        self._now.update(hashes.tolist())
        while len(self._now) + len(self._before) > 2 * self._most:
            self._follow_fewer()

    def end_epoch(self) -> FollowedEpoch:
        """Ends an epoch; the next begins."""
        now = self._now.keys()
        epoch = FollowedEpoch(
            level=self._level,
            followed=len(now),
            repeated=sum(count > 1 for count in self._now.values()),
            known=len(now & self._before),
            missing=len(self._before - now),
        )
        self._before |= now
        self._now = Counter()
        while len(self._before) > self._most:
            self._follow_fewer()
        return epoch

    def _follow_fewer(self) -> None:
        self._level += 1
        step = 1 << self._level
        self._before = {each for each in self._before if each % step == 0}
        self._now = Counter({each: n for each, n in self._now.items() if each % step == 0})
