"""The live view: what a training does right now, below its own output."""

from collections import deque
from typing import TextIO

from pipeprof.cli.status_area import StatusArea
from pipeprof.recording.profile import Profile

EVERY_S = 0.5

# How far back 'right now' reaches.
_RECENT_NS = 5_000_000_000


class LiveView:
    """Shows one recording after another; called from the thread that collects them.

    Args:
        stream: a terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        from pipeprof.analysis.recent import Totals
        from pipeprof.surfaces.live_view import LINES

        self._stream = stream
        self._area = StatusArea(stream, LINES)
        self._seen: deque[Totals] = deque()
        self._over = False

    def show(self, profile: Profile) -> None:
        """Shows how it stands; a terminal that is gone is left alone from then on."""
        from pipeprof.analysis.analyse import analyse
        from pipeprof.analysis.recent import count_totals, describe_recent
        from pipeprof.cli.screen import Screen
        from pipeprof.surfaces.live_view import live_lines

        if self._over:
            return
        now = count_totals(profile)
        while len(self._seen) > 1 and now.at_ns - self._seen[1].at_ns > _RECENT_NS:
            self._seen.popleft()
        recent = describe_recent(self._seen[0] if self._seen else now, now)
        self._seen.append(now)
        try:
            self._area.show(live_lines(analyse(profile), recent, Screen.of(self._stream).width))
        except OSError:
            self._over = True

    def close(self) -> None:
        """Gives the terminal back."""
        self._over = True
        try:
            self._area.close()
        except OSError:
            return
