"""Where the work of a stage is recorded: a function, a block or a generator with a name.

Own work is recorded apart from that of stages called from within: every thread carries the time spent
in inner stages so far, and a stage saves and restores it around its work.
"""

import functools
import inspect
from time import thread_time_ns
from types import GeneratorType
from typing import Any, Protocol

from pipeprof.capture.recorder.facts import StageFacts
from pipeprof.capture.recorder.recorder import OUTSIDE, LaneWriter, Recorder, location_of
from pipeprof.capture.recorder.records import NOT_READ, Kind, code
from pipeprof.clock import now_ns
from pipeprof.recording.source_code import Location
from pipeprof.recording.stage import StageKind

# Calls at least this long also have their CPU time read, which costs more than all the rest; once one
# was, so have some after it, because long and short ones may alternate.
_CPU_FROM_NS = 50_000
_CPU_CALLS = 32

_MOST_ITEMS = 1 << 62


class StageSite:
    """A place whose work is timed: knows what to call itself and how to record a piece of work.

    Attributes:
        slow: how many of the next calls have their CPU time read.
    """

    __slots__ = (
        "_called_code",
        "_nested_code",
        "_root_code",
        "_told",
        "_work_code",
        "function",
        "kind",
        "location",
        "name",
        "slow",
        "workers",
    )

    def __init__(
        self,
        name: str,
        kind: StageKind,
        function: str | None = None,
        location: Location | None = None,
        workers: int | None = None,
    ) -> None:
        self.name = name
        self.kind = kind
        self.function = function
        self.location = location
        self.workers = workers
        self.slow = 0
        self._told = 0  # the recorder whose numbers these are
        self._root_code = 0
        self._nested_code = 0
        self._work_code = 0
        self._called_code = 0

    def facts(self) -> StageFacts:
        """What is written about it into the name log."""
        return StageFacts(
            name=self.name,
            kind=self.kind,
            function=self.function,
            location=self.location,
            workers=self.workers,
        )

    def _take_number(self, recorder: Recorder) -> None:
        number = recorder.names.number(self.facts())
        self._root_code = code(Kind.ROOT_SPAN, number)
        self._nested_code = code(Kind.NESTED_SPAN, number)
        self._work_code = code(Kind.WORK, number)
        self._called_code = code(Kind.CALLED, number)
        self._told = recorder.serial

    def begin(self, lane: LaneWriter) -> "Begun":
        """Turns the thread over to this stage; the result goes to `finish`."""
        cpu_ns = thread_time_ns() if self.slow else NOT_READ
        begun = (lane.inner_ns, lane.inner_cpu_ns, lane.block, cpu_ns, now_ns())
        lane.inner_ns = lane.inner_cpu_ns = 0
        lane.block = None
        return begun

    def called(self, recorder: Recorder, lane: LaneWriter, begun: "Begun", item: Any) -> None:
        """Records that the work begun is on a certain item, for whoever wants to know meanwhile."""
        if self._told != recorder.serial:
            self._take_number(recorder)
        start_ns = begun[4]
        number = item if type(item) is int and 0 <= item < _MOST_ITEMS else NOT_READ
        lane.write(self._called_code, start_ns, start_ns, 0, number)

    def finish(self, recorder: Recorder, lane: LaneWriter, begun: "Begun") -> int:
        """Records the work since `begin` and gives the thread back; returns when it ended."""
        end_ns = now_ns()
        outer_ns, outer_cpu_ns, outer_block, cpu_ns, start_ns = begun
        if self._told != recorder.serial:
            self._take_number(recorder)
        if lane.block is not None:
            warn_of_open_blocks(recorder, lane.block)
        lane.block = outer_block
        inner_ns = lane.inner_ns
        duration_ns = end_ns - start_ns
        if cpu_ns != NOT_READ:
            whole_cpu_ns = thread_time_ns() - cpu_ns
            own_cpu_ns = max(whole_cpu_ns - lane.inner_cpu_ns, 0)
            self.slow -= 1
        else:
            # Too short to be worth a reading: what is short seldom sleeps.
            whole_cpu_ns, own_cpu_ns = duration_ns, NOT_READ
        if duration_ns > _CPU_FROM_NS:
            self.slow = _CPU_CALLS
        if outer_ns < 0:
            lane.inner_ns = OUTSIDE
            lane.write(self._root_code, start_ns, end_ns, inner_ns, own_cpu_ns)
        else:
            lane.inner_ns = outer_ns + duration_ns
            lane.inner_cpu_ns = outer_cpu_ns + whole_cpu_ns
            lane.write(self._nested_code, start_ns, end_ns, inner_ns, own_cpu_ns)
        return end_ns

    def finish_last(self, recorder: Recorder, lane: LaneWriter, begun: "Begun") -> None:
        """Like `finish`, for the resume in which a generator ends: work, but no element."""
        end_ns = now_ns()
        outer_ns, start_ns, inner_ns = begun[0], begun[4], lane.inner_ns
        if self._told != recorder.serial:
            self._take_number(recorder)
        leave(recorder, lane, begun)
        if outer_ns >= 0:
            lane.inner_ns = outer_ns + end_ns - start_ns
        lane.write(self._work_code, start_ns, end_ns, 0, max(end_ns - start_ns - inner_ns, 0))


def leave(recorder: Recorder, lane: LaneWriter, begun: "Begun") -> None:
    """Gives the thread back without a record of the stage."""
    if lane.block is not None:
        warn_of_open_blocks(recorder, lane.block)
    lane.inner_ns, lane.inner_cpu_ns, lane.block = begun[:3]


# What `StageSite.begin` hands to `StageSite.finish`: what the lane held before (time and CPU time of
# inner stages, innermost open block), CPU time and clock at the begin.
Begun = tuple[int, int, Any, int, int]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


# An open ``with stage(...)`` block: whose it is, and since when.
Block = tuple[_Named, StageSite, Begun]


def warn_of_open_blocks(
    recorder: Recorder, innermost: Block, outermost: Block | None = None
) -> None:
    """Warns of blocks that were entered and not left, from the innermost out to ``outermost``."""
    block: Block | None = innermost
    while block is not None:
        recorder.warn(
            f"Stage '{block[0].name}' was left open across a yield, so its time is not shown: "
            "close the block before yielding."
        )
        block = block[2][2] if block is not outermost else None


def site_of_function(function: Any, kind: StageKind, name: str | None = None) -> StageSite:
    """The site of a function: its name and where it begins, as far as it has that."""
    plain = inspect.unwrap(function)
    while isinstance(plain, functools.partial):
        plain = inspect.unwrap(plain.func)
    code_object = getattr(plain, "__code__", None)
    if code_object is None:  # an object that can be called
        code_object = getattr(vars(type(plain)).get("__call__"), "__code__", None)
    qualified = getattr(plain, "__qualname__", None)
    shown = str(name or getattr(plain, "__name__", type(plain).__name__))
    return StageSite(shown, kind, qualified, location_of(code_object) if code_object else None)


def site_of_generator(generator: "GeneratorType[Any, Any, Any]") -> StageSite:
    """The site of a generator object: its function's name and where that begins."""
    return StageSite(
        generator.__name__,
        StageKind.GENERATOR,
        generator.__qualname__,
        location_of(generator.gi_code),
    )
