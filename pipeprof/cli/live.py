"""The live view: the state of a training, shown below its own output."""

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from pipeprof.cli.status_area import StatusArea
from pipeprof.recording.profile import Profile

if TYPE_CHECKING:
    from pipeprof.analysis.findings.findings import Findings
    from pipeprof.analysis.recent import LiveState, Recent

EVERY_S = 1.0

# The verdict on the whole run costs most of what is shown, and changes more slowly the longer the run is.
# It is found again after this part of the run's time, and at the latest after so long.
_VERDICT_AFTER = 0.25
_LONGEST_VERDICT_NS = 10_000_000_000

# The live view shows this much of the past.
_RECENT_NS = 5_000_000_000


# A rank that has written nothing for so long is over.
_GONE_NS = 5_000_000_000


class RanksHere:
    """The states of the ranks that share a terminal, each in a file of its own.

    Args:
        terminal: name of the terminal.
    """

    def __init__(self, terminal: str) -> None:
        self._terminal = terminal
        self._own: Path | None = None

    def exchange(
        self, profile: Profile, recent: "Recent", folder: Path | None
    ) -> "Sequence[LiveState]":
        """Writes the state of this rank and reads those of the others here, by their numbers.

        Empty where the process trains alone, or where the files cannot be written.
        """
        from pipeprof.analysis.recent import live_state
        from pipeprof.runs.live_file import read_states, write_state
        from pipeprof.runs.shared_folder import rank_folder

        now_ns = time.time_ns()
        state = live_state(profile, recent, self._terminal, now_ns)
        if state is None or folder is None:
            return ()
        own = rank_folder(folder, state.rank)
        try:
            write_state(own, state)
            self._own = own
        except OSError:
            return ()
        return [
            each
            for each in read_states(folder, type(state), around=state.rank)
            if (each.host, each.terminal) == (state.host, state.terminal)
            and now_ns - each.at_unix_ns < _GONE_NS
        ]

    def leave(self) -> None:
        """Takes the state of this rank away."""
        from pipeprof.runs.live_file import remove_state

        if self._own is not None:
            remove_state(self._own)


def _terminal_of(stream: TextIO) -> str:
    try:
        return os.ttyname(stream.fileno())
    except OSError:
        return ""


def _number(profile: Profile) -> int | None:
    return profile.run.rank.number if profile.run.rank is not None else None


class LiveView:
    """Shows a recording again and again; called in the collector's thread.

    Several ranks on one terminal write their states beside their recordings; the first of them shows all.

    Args:
        stream: a terminal.
        folder: returns the folder of the run, or None where there is none.
    """

    def __init__(self, stream: TextIO, folder: Callable[[], Path | None] = lambda: None) -> None:
        from pipeprof.analysis.recent import Totals
        from pipeprof.surfaces.texts.live_view import LINES

        self._stream = stream
        self._folder = folder
        self._ranks = RanksHere(_terminal_of(stream))
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
        from pipeprof.surfaces.texts.live_view import live_lines

        if self._over or not self._in_foreground():
            return
        now = count_totals(profile)
        while len(self._seen) > 1 and now.at_ns - self._seen[1].at_ns > _RECENT_NS:
            self._seen.popleft()
        recent = describe_recent(self._seen[0] if self._seen else now, now)
        self._seen.append(now)
        ranks = self._ranks.exchange(profile, recent, self._folder())
        try:
            if ranks and ranks[0].rank != _number(profile):
                self._area.close()  # another rank shows all
                return
            findings = self._analyse(profile)
            width = Screen.of(self._stream).width
            self._area.show(live_lines(findings, recent, width, ranks if len(ranks) > 1 else ()))
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
        self._ranks.leave()
        try:
            self._area.close()
        except OSError:
            return
