"""Which lines the time of each stage and of the host's functions goes to, from samples of stacks."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from pipeprof.analysis.findings.findings import HotLine
from pipeprof.recording.profile import Profile
from pipeprof.recording.source_code import CodeLine, Location, StackSamples
from pipeprof.recording.stage import Stage, StageKind

# Fewer samples than this are no evidence on a stage.
LEAST_SAMPLES = 10
_LEAST_SHARE = 0.02
_MOST_LINES = 8


def hot_lines(profile: Profile) -> Mapping[int, tuple[HotLine, ...]]:
    """For each stage that was sampled often enough, the lines that its time goes to, dearest first.

    A sample counts for the innermost stage on its stack, and there for the innermost line of the
    user's code: what a library does counts for the line that calls it. Python functions that tf.data
    calls count for the one stage that has such a function: of several it is not known which calls.
    Shares are of the stage's own time, work and waiting alike.
    """
    callers = [
        index
        for index, stage in enumerate(profile.stages)
        if stage.kind is StageKind.TF_DATA_PYTHON and stage.function is not None
    ]
    counts: dict[int, dict[CodeLine, int]] = defaultdict(lambda: defaultdict(int))
    for stack in profile.stacks:
        index = _stage_of(stack, profile.stages)
        if index is None and stack.in_function and len(callers) == 1:
            (index,) = callers
        if index is not None:
            counts[index][stack.lines[0]] += stack.samples
    return {index: _shares(lines) for index, lines in sorted(counts.items())}


def hot_lines_of(profile: Profile, function: str, location: Location) -> tuple[HotLine, ...]:
    """The lines that the time of one function goes to, and of what it calls, dearest first.

    Args:
        profile: the recording.
        function: its name, with that of its class where it has one.
        location: some line of it.
    """
    counts: dict[CodeLine, int] = defaultdict(int)
    for stack in profile.stacks:
        if any(
            line.location.file == location.file and _same_function(line.function, function)
            for line in stack.lines
        ):
            counts[stack.lines[0]] += stack.samples
    return _shares(counts)


def _shares(lines: Mapping[CodeLine, int]) -> tuple[HotLine, ...]:
    total = sum(lines.values())
    if total < LEAST_SAMPLES:
        return ()
    dearest = sorted(lines.items(), key=lambda each: (-each[1], str(each[0].location)))
    return tuple(
        HotLine(
            location=line.location,
            function=line.function,
            text=line.text,
            share=samples / total,
            samples=samples,
        )
        for line, samples in dearest[:_MOST_LINES]
        if samples >= _LEAST_SHARE * total
    )


def _stage_of(stack: StackSamples, stages: Sequence[Stage]) -> int | None:
    for line in stack.lines:
        found = [index for index, stage in enumerate(stages) if _is_in(line, stage)]
        if found:
            return max(found, key=lambda index: _depth(line, stages[index]))
    return None


def _is_in(line: CodeLine, stage: Stage) -> bool:
    where = stage.location
    if where is None or stage.function is None or where.file != line.location.file:
        return False
    if stage.kind is StageKind.BLOCK:
        return where.line in line.blocks
    return where.line <= line.location.line and _same_function(line.function, stage.function)


def _same_function(one: str, other: str) -> bool:
    """Whether two names are of one function: up to Python 3.10 stacks name it without its class."""
    if "." in one and "." in other:
        return one == other
    return one.rpartition(".")[2] == other.rpartition(".")[2]


def _depth(line: CodeLine, stage: Stage) -> tuple[int, int]:
    """Blocks stand inside functions, and of two blocks or functions the later begins inside."""
    assert stage.location is not None
    return stage.kind is StageKind.BLOCK, stage.location.line
