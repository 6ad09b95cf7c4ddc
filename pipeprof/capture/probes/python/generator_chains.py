"""Times the generators inside a generator one by one, without wrapping them: Python 3.12 and later.

The interpreter reports every resume and every yield of chosen code (``sys.monitoring``); other code does
not become slower. The inner generators are found when the outer one has given an element: its frame refers
to them, in a variable or in a running ``for``.
"""

import gc
import sys
from collections.abc import Iterator
from threading import get_ident
from types import CodeType, GeneratorType
from typing import Any, NamedTuple, TypeAlias

from pipeprof.capture.probes.python import timed_generators
from pipeprof.capture.probes.python.stage_site import Begun, StageSite, leave, site_of_generator
from pipeprof.capture.probes.python.timed_generators import timing_of
from pipeprof.capture.recorder import recorder as recording
from pipeprof.capture.recorder.recorder import LaneWriter
from pipeprof.clock import now_ns
from pipeprof.recording.code_owner import CodeOwner, owner_of_module
from pipeprof.recording.light_dataclasses import dataclass

_AnyGenerator: TypeAlias = "GeneratorType[Any, Any, Any]"

_MONITORING: Any = getattr(sys, "monitoring", None)

_DEEPEST = 8
_MOST_OBJECTS = 200
_MOST_CODES = 64
_MOST_OPEN = 64
_MOST_ZIPPED = 16
# Elements between two searches for inner generators: a new epoch may have other ones.
_FIRST_LOOKS, _LATER_LOOKS = 16, 256

# Ids that a tool may take: 2 is meant for profilers, the others are for any tool.
_TOOLS = (2, 3, 4)
_NAME = "pipeprof"
_NOT_FOLLOWED = (CodeOwner.PIPEPROF, CodeOwner.KERAS, CodeOwner.TENSORFLOW)

# Timing an element takes about 3 us, so a generator with faster elements than this is not timed. This is
# decided after so many elements, or after this much time in them.
LEAST_NS = 100_000
_TRIALS = 64
_TRIAL_NS = 400_000


class ChainMonitor:
    """Times the generators inside timed generators, from `install` to `remove`."""

    def __init__(self) -> None:
        self._tool: int | None = None
        self._followed: dict[CodeType, _Followed] = {}
        self._timed: set[CodeType] = set()
        self._open: dict[int, list[_Opened]] = {}
        self._looks = 0

    def install(self) -> None:
        """Begins, if the interpreter supports it and other tools have left an id free."""
        if _MONITORING is None:
            return
        free = [tool for tool in _TOOLS if _MONITORING.get_tool(tool) is None]
        if not free:
            return
        self._tool = free[0]
        _MONITORING.use_tool_id(self._tool, _NAME)
        events = _MONITORING.events
        for event, callback in (
            (events.PY_START, self._begins),
            (events.PY_RESUME, self._begins),
            (events.PY_YIELD, self._yields),
            (events.PY_RETURN, self._returns),
        ):
            _MONITORING.register_callback(self._tool, event, callback)
        timed_generators.follow = self._look

    def remove(self) -> None:
        """Ends the timing."""
        timed_generators.follow = None
        if self._tool is None:
            return
        events = _MONITORING.events
        for each in self._followed:
            self._request_events(each, events.NO_EVENTS)
        for event in (events.PY_START, events.PY_RESUME, events.PY_YIELD, events.PY_RETURN):
            _MONITORING.register_callback(self._tool, event, None)
        _MONITORING.free_tool_id(self._tool)
        self._tool = None

    def _look(self, source: _AnyGenerator) -> int:
        """Follows the generators inside a timed one; returns after how many elements to search again."""
        self._looks += 1
        self._timed.add(source.gi_code)
        for inner in inner_generators(source):
            self._follow(inner)
        return 1 if self._looks < _FIRST_LOOKS else _LATER_LOOKS

    def _follow(self, generator: _AnyGenerator) -> None:
        if self._tool is None:
            return
        its_code = generator.gi_code
        known = its_code in self._followed or its_code in self._timed
        if known or len(self._followed) >= _MOST_CODES or generator.gi_frame is None:
            return
        if owner_of_module(generator.gi_frame.f_globals.get("__name__")) in _NOT_FOLLOWED:
            return
        self._followed[its_code] = _Followed(site_of_generator(generator))
        events = _MONITORING.events
        chosen = events.PY_START | events.PY_RESUME | events.PY_YIELD | events.PY_RETURN
        self._request_events(its_code, chosen)

    def _request_events(self, its_code: CodeType, events: int) -> None:
        """Asks the interpreter to report these events in a generator's code."""
        _MONITORING.set_local_events(self._tool, its_code, events)

    # Called by the interpreter.

    def _begins(self, its_code: CodeType, offset: int) -> None:
        recorder, ident = recording.current, get_ident()
        lane = recorder.lanes.get(ident) if recorder is not None else None
        followed = self._followed.get(its_code)
        if lane is None or followed is None or lane.inner_ns < 0:
            return  # no timed generator called it
        opened = self._open.get(ident)
        if opened is None or len(opened) >= _MOST_OPEN:
            opened = self._open[ident] = []  # drops what exceptions left open
        begun = followed.site.begin(lane) if followed.accepted else None
        opened.append(_Opened(followed, lane, begun, now_ns() if begun is None else 0))

    def _yields(self, its_code: CodeType, offset: int, value: object) -> None:
        ended = self._close(its_code)
        if ended is None:
            return
        followed, lane, begun, start_ns = ended
        if begun is None:
            self._try_out(followed, its_code, now_ns() - start_ns)
        elif recording.current is not None:
            followed.site.finish(recording.current, lane, begun)

    def _returns(self, its_code: CodeType, offset: int, value: object) -> None:
        ended = self._close(its_code)
        if ended is not None and ended.begun is not None and recording.current is not None:
            ended.followed.site.finish_last(recording.current, ended.lane, ended.begun)

    def _close(self, its_code: CodeType) -> "_Opened | None":
        """Removes and returns the open resume of this code, and ends those that an exception left open."""
        recorder, opened = recording.current, self._open.get(get_ident())
        followed = self._followed.get(its_code)
        if not opened or recorder is None:
            return None
        if opened[-1].followed is not followed and all(e.followed is not followed for e in opened):
            return None
        while (ended := opened.pop()).followed is not followed:
            if ended.begun is not None:
                leave(recorder, ended.lane, ended.begun)
        return ended

    def _try_out(self, followed: "_Followed", its_code: CodeType, took_ns: int) -> None:
        """Decides whether a generator's elements take long enough to be timed at little cost."""
        followed.tried += 1
        followed.tried_ns += took_ns
        mean_ns = followed.tried_ns / followed.tried
        if mean_ns >= LEAST_NS and followed.tried_ns >= _TRIAL_NS:
            followed.accepted = True
        elif followed.tried >= _TRIALS:
            self._request_events(its_code, _MONITORING.events.NO_EVENTS)
            if recording.current is not None:
                recording.current.warn(
                    f"The generator {followed.site.name} ({followed.site.location}) gives an element "
                    f"every {mean_ns / 1e3:.0f} us: too fast to be timed by itself; its work counts "
                    "for the one that takes them."
                )


@dataclass(slots=True)
class _Followed:
    """Code of a generator: its stage, and the trial of whether its elements take long enough."""

    site: StageSite
    accepted: bool = False
    tried: int = 0
    tried_ns: int = 0


class _Opened(NamedTuple):
    """A running resume: recorded since ``begun``, or, during the trial, measured since ``start_ns``."""

    followed: _Followed
    lane: LaneWriter
    begun: Begun | None
    start_ns: int


def inner_generators(source: _AnyGenerator) -> Iterator[_AnyGenerator]:
    """The generators that a suspended generator takes its elements from, directly or through others.

    Generators of marked stages are searched but not returned: they are timed already.
    """
    seen = {id(source)}
    pending: list[tuple[Any, int]] = [(source, 0)]
    while pending and len(seen) < _MOST_OBJECTS:
        holder, depth = pending.pop(0)
        timing = timing_of(holder) if isinstance(holder, GeneratorType) else None
        for held in gc.get_referents(holder):
            if id(held) in seen or depth >= _DEEPEST or not _leads_on(holder, held):
                continue
            seen.add(id(held))
            pending.append((held, depth + 1))
            wrapped = timing is not None  # a marked generator holds the one that it stands for
            if isinstance(held, GeneratorType) and timing_of(held) is None and not wrapped:
                yield held


def _leads_on(holder: Any, held: Any) -> bool:
    """Whether elements may come from ``held``: an iterator, or the tuple of iterators of a ``zip``."""
    if type(held) is tuple:
        return not isinstance(holder, GeneratorType) and len(held) <= _MOST_ZIPPED
    return hasattr(type(held), "__next__")
