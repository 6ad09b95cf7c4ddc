"""What makes a hand-written loop's next batch: the user's functions and generators that it calls for that.

The training thread notes from where it trains. The sampler asks whether a thread that it meets is in code
which the loop called to make what it trains on next. Knows no framework.
"""

import inspect
import linecache
from types import CodeType, FrameType

from pipeprof.capture.probes.python.batch_lines import TrainingLine, batch_lines
from pipeprof.capture.probes.python.thread_places import ThreadPlace
from pipeprof.recording.account import HostState
from pipeprof.recording.code_owner import is_users_file

# So many places that train are remembered, and so many callers of each.
_MOST_PLACES = 64
_MOST_CALLERS = 16
# Longer sources are not read: that would hold up the training.
_MOST_LINES = 20_000


class BatchMakers:
    """Knows which lines of the user's functions make the batches that they train on."""

    def __init__(self) -> None:
        self._users: dict[str, bool] = {}
        # By identity, for a code's own hash takes as long as it is large; the codes are kept alive.
        self._noted: dict[tuple[int, int, int, int], tuple[CodeType, CodeType | None]] = {}
        self._trains: dict[CodeType, set[TrainingLine]] = {}
        self._lines: dict[tuple[CodeType, TrainingLine], frozenset[int]] = {}

    def trained_from(self, frame: FrameType | None) -> None:
        """Notes that a call which trains has run.

        Args:
            frame: that of the call, or one inside it.
        """
        called = ""
        while frame is not None and not self._is_users(frame):
            called, frame = frame.f_code.co_name, frame.f_back
        if frame is None:
            return
        before = frame.f_back
        if before is None:
            key = id(frame.f_code), frame.f_lasti, 0, 0
        else:
            key = id(frame.f_code), frame.f_lasti, id(before.f_code), before.f_lasti
        if key not in self._noted and len(self._noted) < _MOST_PLACES:
            self._noted[key] = frame.f_code, None if before is None else before.f_code
            self._note(frame, called)

    def _note(self, frame: FrameType | None, called: str) -> None:
        for _ in range(_MOST_CALLERS):
            if frame is None:
                return
            if self._is_users(frame):
                line = TrainingLine(line=frame.f_lineno or 0, called=called)
                # The sampler reads this from another thread: sets do not change, they are replaced.
                known = self._trains.get(frame.f_code, set())
                self._trains[frame.f_code] = {*known, line}
            called, frame = frame.f_code.co_name, frame.f_back

    def makes(self, innermost: FrameType, place: ThreadPlace) -> bool:
        """Whether a thread is at work on the batch that a loop trains on next.

        Args:
            innermost: its innermost frame.
            place: where it is. What it is blocked for, somebody else makes. A model that a plain function
                calls works for the training; one that a generator calls works for its batches.
        """
        if place.state is HostState.WAITING:
            return False
        maker: FrameType | None = None
        frame: FrameType | None = innermost
        while frame is not None:
            if frame.f_code in self._trains:
                break
            if self._is_users(frame):
                maker = frame
            frame = frame.f_back
        if maker is None or frame is None:
            return False
        if place.calls_model and not maker.f_code.co_flags & inspect.CO_GENERATOR:
            return False
        code, line = frame.f_code, frame.f_lineno
        return any(line in self._lines_of(code, each) for each in self._trains[code])

    def _lines_of(self, code: CodeType, trains: TrainingLine) -> frozenset[int]:
        known = self._lines.get((code, trains))
        if known is None:
            lines = linecache.getlines(code.co_filename)
            source = "".join(lines) if len(lines) <= _MOST_LINES else ""
            known = batch_lines(source, code.co_name, code.co_firstlineno, trains)
            self._lines[code, trains] = known
        return known

    def _is_users(self, frame: FrameType) -> bool:
        file = frame.f_code.co_filename
        known = self._users.get(file)
        if known is None:
            known = self._users[file] = is_users_file(file)
        return known
