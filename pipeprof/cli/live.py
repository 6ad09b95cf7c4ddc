"""The live view: the state of a training, shown below its own output."""

import os
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

from pipeprof.cli.status_area import StatusArea
from pipeprof.recording.profile import Profile

if TYPE_CHECKING:
    from pipeprof.analysis.findings import Findings

EVERY_S = 1.0

# The verdict on the whole run costs most of what is shown, and changes more slowly the longer the run is.
# It is found again after this part of the run's time, and at the latest after so long.
_VERDICT_AFTER = 0.25
_LONGEST_VERDICT_NS = 10_000_000_000

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
        self._findings: Findings | None = None
        self._over = False

    def show(self, profile: Profile) -> None:
        """Shows the state of a recording; does nothing once writing to the terminal has failed.

        It also does nothing while the program runs in the background of the terminal.
        """
        from pipeprof.analysis.recent import count_totals, describe_recent
        from pipeprof.cli.screen import Screen
        from pipeprof.surfaces.live_view import live_lines

        if self._over or not self._in_foreground():
            return
        now = count_totals(profile)
        while len(self._seen) > 1 and now.at_ns - self._seen[1].at_ns > _RECENT_NS:
            self._seen.popleft()
        recent = describe_recent(self._seen[0] if self._seen else now, now)
        self._seen.append(now)
        findings = self._analyse(profile)
        try:
            self._area.show(live_lines(findings, recent, Screen.of(self._stream).width))
        except OSError:
            self._over = True

    def _in_foreground(self) -> bool:
        try:
            return os.tcgetpgrp(self._stream.fileno()) == os.getpgrp()
        except OSError:  # it is not the terminal that this process is controlled by
            return True

    def _analyse(self, profile: Profile) -> "Findings":
        """What the analysis finds, at times what it found a short while ago."""
        from pipeprof.analysis.analyse import analyse

        run, known = profile.run, self._findings
        if known is not None:
            age_ns = run.end_ns - known.profile.run.end_ns
            due_ns = min(_VERDICT_AFTER * (run.end_ns - run.start_ns), _LONGEST_VERDICT_NS)
            if age_ns < due_ns:
                return replace(known, profile=profile)
        self._findings = analyse(profile)
        return self._findings

    def close(self) -> None:
        """Restores the terminal."""
        self._over = True
        try:
            self._area.close()
        except OSError:
            return
