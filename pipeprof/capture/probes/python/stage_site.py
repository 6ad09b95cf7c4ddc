"""Records the work of a stage: of a named function, block or generator.

Own work excludes the work of stages called from within. Each thread keeps the time spent in inner stages so
far; a stage saves this time before its work and restores it afterwards.
"""

import functools
import inspect
from time import thread_time_ns
from types import GeneratorType
from typing import Any, Protocol

from pipeprof.capture.probes.python.cpu_sampling import CpuSampling
from pipeprof.capture.recorder.facts import StageFacts
from pipeprof.capture.recorder.recorder import OUTSIDE, LaneWriter, Recorder, location_of
from pipeprof.capture.recorder.records import NOT_READ, Kind, code, cpu_value
from pipeprof.clock import now_ns
from pipeprof.recording.source_code import Location
from pipeprof.recording.stage import StageKind

_MOST_ITEMS = 1 << 62


class StageSite:
    """A timed place in the code; it knows its stage's facts and records its work.

    Args:
        name: name of the stage.
        kind: kind of the stage.
        function: qualified name of the user's function, or None.
        location: line of that function, or None.
        workers: processes or threads that it may run in at once, where the user chose that number.

    Attributes:
        cpu: chooses the calls in which CPU time is read.
        root_code: code of a span's record, called from outside any stage; 0 before `number`.
    """

    __slots__ = (
        "_called_code",
        "_nested_code",
        "_owed_ns",
        "_serial",
        "_work_code",
        "cpu",
        "function",
        "kind",
        "location",
        "name",
        "root_code",
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
        self.cpu = CpuSampling()
        self._owed_ns = 0
        self._serial = 0  # of the recorder that gave the numbers
        self.root_code = 0
        self._nested_code = 0
        self._work_code = 0
        self._called_code = 0

    def facts(self) -> StageFacts:
        """The stage's facts for the name log."""
        return StageFacts(
            name=self.name,
            kind=self.kind,
            function=self.function,
            location=self.location,
            workers=self.workers,
        )

    def _take_number(self, recorder: Recorder) -> None:
        number = recorder.names.number(self.facts())
        self.root_code = code(Kind.ROOT_SPAN, number)
        self._nested_code = code(Kind.NESTED_SPAN, number)
        self._work_code = code(Kind.WORK, number)
        self._called_code = code(Kind.CALLED, number)
        self._serial = recorder.serial

    def begin(self, lane: LaneWriter) -> "Begun":
        """Begins work of this stage in a thread; pass the result to `finish`."""
        cpu = self.cpu
        begun: Begun
        if cpu.left > 0:
            cpu.left -= 1
            begun = (lane.inner_ns, lane.inner_cpu_ns, lane.block, None, now_ns())
        else:
            before_ns = now_ns()
            cpu_ns = thread_time_ns()
            start_ns = now_ns()
            reading = (cpu_ns, start_ns - before_ns, cpu.weight)
            begun = (lane.inner_ns, lane.inner_cpu_ns, lane.block, reading, start_ns)
        lane.inner_ns = lane.inner_cpu_ns = 0
        lane.block = None
        return begun

    def called(self, recorder: Recorder, lane: LaneWriter, begun: "Begun", item: Any) -> None:
        """Records which item the work makes that has begun, so that a worker that hangs can be reported."""
        if self._serial != recorder.serial:
            self._take_number(recorder)
        start_ns = begun[4]
        number = item if type(item) is int and 0 <= item < _MOST_ITEMS else NOT_READ
        lane.write(self._called_code, start_ns, start_ns, 0, number)

    def finish(self, recorder: Recorder, lane: LaneWriter, begun: "Begun") -> int:
        """Ends and records the work since `begin`; returns when it ended."""
        end_ns = now_ns()
        outer_ns, outer_cpu_ns, outer_block, reading, start_ns = begun
        if self._serial != recorder.serial:
            self._take_number(recorder)
        if lane.block is not None:
            warn_of_open_blocks(recorder, lane.block)
        lane.block = outer_block
        inner_ns = lane.inner_ns
        duration_ns = end_ns - start_ns
        own_ns = duration_ns - inner_ns
        own_cpu_ns, value = -1, NOT_READ
        if reading is not None:
            own_cpu_ns = self._read(lane, own_ns, end_ns, reading)
            value = cpu_value(own_cpu_ns, reading[2])
        elif own_ns > self.cpu.long_ns:
            self.cpu.ran_long(own_ns)
        if outer_ns < 0:
            lane.inner_ns = OUTSIDE
            lane.write(self.root_code, start_ns, end_ns, inner_ns, value)
            return end_ns
        if own_cpu_ns < 0:
            own_cpu_ns = int(own_ns * self.cpu.ratio)
        lane.inner_ns = outer_ns + duration_ns
        lane.inner_cpu_ns += outer_cpu_ns + own_cpu_ns
        lane.write(self._nested_code, start_ns, end_ns, inner_ns, value)
        return end_ns

    def _read(self, lane: LaneWriter, own_ns: int, end_ns: int, begun: tuple[int, int, int]) -> int:
        """Reads the CPU time of the work that ends; returns its own part."""
        cpu_ns, cost_ns, _ = begun
        whole_ns = thread_time_ns() - cpu_ns
        cost_ns += now_ns() - end_ns
        # Of each reading about one half lies between the two moments that it reads.
        whole_ns -= min(cost_ns, self.cpu.cost_ns) >> 1
        # The CPU time of inner stages may be an estimate: its error is carried to the next reading.
        wanted_ns = whole_ns - lane.inner_cpu_ns + self._owed_ns
        own_cpu_ns = max(min(wanted_ns, own_ns), 0)
        self._owed_ns = wanted_ns - own_cpu_ns
        self.cpu.read(own_ns, own_cpu_ns, cost_ns)
        return own_cpu_ns

    def finish_last(self, recorder: Recorder, lane: LaneWriter, begun: "Begun") -> None:
        """Ends and records the work of the last resume of a generator, which gives no element."""
        end_ns = now_ns()
        outer_ns, start_ns, inner_ns = begun[0], begun[4], lane.inner_ns
        if self._serial != recorder.serial:
            self._take_number(recorder)
        leave(recorder, lane, begun)
        if outer_ns >= 0:
            lane.inner_ns = outer_ns + end_ns - start_ns
        lane.write(self._work_code, start_ns, end_ns, 0, max(end_ns - start_ns - inner_ns, 0))


def leave(recorder: Recorder, lane: LaneWriter, begun: "Begun") -> None:
    """Ends the work since `StageSite.begin` without recording it."""
    if lane.block is not None:
        warn_of_open_blocks(recorder, lane.block)
    lane.inner_ns, lane.inner_cpu_ns, lane.block = begun[:3]


# From `StageSite.begin` to `StageSite.finish`: the lane's values before (time and CPU time of inner stages,
# innermost open block), what was read of CPU time or None, and the clock at the begin. What was read is the
# thread's CPU time, what this cost, and the number of calls that the reading stands for.
Begun = tuple[int, int, Any, tuple[int, int, int] | None, int]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


# An open ``with stage(...)`` block: its stage, its site, and the result of `StageSite.begin`.
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
    """The site of a function, with its name and first line as far as these are known.

    Args:
        function: a function, or another object that can be called.
        kind: kind of the stage.
        name: name of the stage; None for the function's name.
    """
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
    """The site of a generator object, with the name and first line of its function."""
    return StageSite(
        generator.__name__,
        StageKind.GENERATOR,
        generator.__qualname__,
        location_of(generator.gi_code),
    )
