"""The live view: the state of a training, shown below its own output."""

from collections import deque
from typing import TextIO

from pipeprof.cli.status_area import StatusArea
from pipeprof.recording.profile import Profile

EVERY_S = 0.5

# The live view shows this much of the past.
_RECENT_NS = 5_000_000_000


class LiveView:
    """Shows a recording again and again; called in the collector's thread.

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
        """Shows the state of a recording; does nothing once writing to the terminal has failed."""
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
        """Restores the terminal."""
        self._over = True
        try:
            self._area.close()
        except OSError:
            return
