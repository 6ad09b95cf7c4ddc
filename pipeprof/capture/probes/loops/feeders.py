"""Finds the threads and processes that make what the training thread waits for, with their functions.

Knows no framework. A thread that is itself blocked, or has no code of the user's, feeds nobody.
"""

import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from types import FrameType
from typing import Any

from pipeprof.capture.probes.python.thread_places import (
    PlaceReader,
    blocked_for_room,
    qualified_name,
)
from pipeprof.capture.recorder.facts import PlaceFacts
from pipeprof.capture.recorder.own_thread import OwnThread
from pipeprof.capture.recorder.recorder import location_of
from pipeprof.recording.account import FeederKind, FeedingLane, HostState
from pipeprof.recording.code_owner import is_users_file
from pipeprof.recording.source_code import Location


class Feeders:
    """Finds who is at work while the training thread waits.

    Args:
        places: reads the stacks of threads.
    """

    def __init__(self, places: PlaceReader) -> None:
        self._places = places

    def find(
        self,
        frames: Mapping[int, FrameType],
        training: int,
        waits_at: Location | None,
        children: Iterable[Any] | None = None,
    ) -> Iterator[PlaceFacts]:
        """The places at which others work; processes count where no thread of this one is at work.

        Args:
            frames: the innermost frame of each thread.
            training: the training thread.
            waits_at: the line at which it waits; None where it does not, and no process is of interest.
            children: processes that the user's code started, for tests.
        """
        threads = {thread.ident: thread for thread in threading.enumerate()}
        found = False
        for ident, innermost in frames.items():
            thread = threads.get(ident)
            if ident == training or isinstance(thread, OwnThread) or blocked_for_room(innermost):
                continue
            place = self._places.read(innermost, _sleeps)
            if place is not None and place.state is not HostState.WAITING:
                found = True
                yield PlaceFacts(
                    function=place.function,
                    location=place.location,
                    feeder=_lane_of(thread),
                )
        if not found and waits_at is not None:
            for child in _children() if children is None else children:
                yield _place_of(child, waits_at)


def _lane_of(thread: threading.Thread | None) -> FeedingLane:
    if thread is None:
        return FeedingLane(kind=FeederKind.NATIVE_THREAD)
    return FeedingLane(kind=FeederKind.THREAD, name=thread.name)


def _sleeps() -> bool:
    """True: in other threads, each call named like ``lock.acquire`` counts as waiting."""
    return True


def _children() -> tuple[Any, ...]:
    """The processes that multiprocessing started; asking it for them would also clear ended ones up."""
    module = sys.modules.get("multiprocessing.process")
    return tuple(getattr(module, "_children", ()))


def _place_of(child: Any, waits_at: Location) -> PlaceFacts:
    """What a process runs, by its target, or by its name where that is no function of the user's."""
    code = getattr(getattr(child, "_target", None), "__code__", None)
    feeder = FeedingLane(kind=FeederKind.PROCESS, name=child.name)
    if code is None or not is_users_file(code.co_filename):
        return PlaceFacts(function=child.name, location=waits_at, feeder=feeder)
    return PlaceFacts(function=qualified_name(code, {}), location=location_of(code), feeder=feeder)
