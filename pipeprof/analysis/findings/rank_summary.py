"""What one process of many found in its own recording: all that the verdict on all of them needs.

Each process writes its own summary beside its recording. Its size depends neither on the length of the
training nor on the number of processes.
"""

from collections.abc import Mapping

import numpy as np

from pipeprof.analysis.findings.spread import Spread
from pipeprof.analysis.findings.verdict_kinds import Bound, Cause
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import LOOP_CHANNELS
from pipeprof.recording.rank import Machine, Rank
from pipeprof.recording.series import IntArray

# Single steps that a summary has of the beginning of the main loop, and of its end.
FIRST_STEPS = 256
LAST_STEPS = 256
# Blocks of steps that it has of the whole loop.
MOST_BLOCKS = 256

# Columns of `StepSeries.steps`: number of the step, nanoseconds since 1970 at its end, its duration, its
# wait (`UNKNOWN_NS` where that is not known).
STEP_COLUMNS = ("ordinal", "end_unix_ns", "step_ns", "wait_ns")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSeries:
    """The steps of a loop.

    Attributes:
        steps: the first and the last ones, in the order of time; columns of `STEP_COLUMNS`.
        block_steps: how many steps a block has, a power of two.
        blocks: blocks of `block_steps` steps from step 0 on; the channels of `LOOP_CHANNELS`. Of a long
            loop they are interpolated between sums over time.
    """

    steps: IntArray
    block_steps: int
    blocks: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class StageBrief:
    """A stage of a process's input.

    Attributes:
        name: its name.
        kind: its kind.
        location: its line, ``file.py:12``, or None.
        cost_ms: its own work per step.
        elements: elements that it gave per step.
        cpu_ratio: own CPU time over own wall time, or None.
        parallelism: how many of its calls ran at once, or None.
    """

    name: str
    kind: str
    location: str | None
    cost_ms: float
    elements: float
    cpu_ratio: float | None
    parallelism: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Processors:
    """The processors of a process's machine while it trained; None: not known.

    Attributes:
        cores: processors that the process might use.
        limit: cores' worth of CPU that its container allows, or None without a limit.
        process_ratio: CPU that the process and its workers used, over what they might use.
        machine_ratio: CPU that anybody used, over those processors.
        throttled_ratio: the part of its scheduling periods in which the container's limit stopped it.
    """

    cores: int
    limit: float | None
    process_ratio: float | None
    machine_ratio: float | None
    throttled_ratio: float | None

    @property
    def usable(self) -> float:
        """Cores' worth of CPU that the process might use."""
        return self.cores if self.limit is None else min(self.limit, self.cores)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFacts:
    """Facts by which two trainings differ; None: not known.

    Attributes:
        script: file name of the program.
        loop: kind of the main loop, and its line.
        model: optimizer of its model, and how many numbers its weights have.
        data: kind of its input, data types and shapes of its batches without their first axis.
    """

    script: str | None
    loop: str | None
    model: str | None
    data: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RankSummary:
    """What one process found in its own recording.

    Attributes:
        rank: its place, or None where it is not known.
        host: its machine's name.
        pid: its process, or None where the recording does not show it.
        run: name of the run.
        finished: whether it came to its end; False while it is recorded, and where it died.
        ended_by: the signal that ended it, or None.
        error: the exception that ended it, in one line, or None.
        exit_code: what it returned, or None where that is not known.
        start_unix_ns: when its recording began, by its machine's clock.
        end_unix_ns: when it ended.
        versions: package name to version.
        machine: what is known of its machine.
        processors: its processors.
        facts: by which another training differs.
        epochs: epochs of its main loop.
        steps: steps of it.
        warmup_steps: how many of them count as warm-up.
        samples: samples of it, or None.
        wall_ns: its wall time.
        bound: its own verdict.
        cause: why.
        wait_ratio: waiting over the loop's wall time, or None.
        host_ratio: the host's part of that time, or None.
        step_ms: durations of its steps, or None.
        wait_ms: their waits, or None.
        compute_ms: the rest of them, or None.
        callback_ms: what callbacks took of them, or None.
        bottleneck: the stage that holds it up, or None.
        stages: its dearest stages.
        account_ns: the parts of its whole time, by name.
        series: its steps.
        dropped_events: events that were lost.
    """

    rank: Rank | None
    host: str
    pid: int | None
    run: str
    finished: bool
    ended_by: str | None
    error: str | None
    exit_code: int | None
    start_unix_ns: int
    end_unix_ns: int
    versions: Mapping[str, str]
    machine: Machine
    processors: Processors
    facts: TrainingFacts
    epochs: int
    steps: int
    warmup_steps: int
    samples: int | None
    wall_ns: int
    bound: Bound
    cause: Cause
    wait_ratio: float | None
    host_ratio: float | None
    step_ms: Spread | None
    wait_ms: Spread | None
    compute_ms: Spread | None
    callback_ms: Spread | None
    bottleneck: StageBrief | None
    stages: tuple[StageBrief, ...]
    account_ns: Mapping[str, int]
    series: StepSeries | None
    dropped_events: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RankRecord:
    """A process's summary as it was found in a run's folder.

    Attributes:
        summary: what the process found.
        running: whether it is still being recorded.
    """

    summary: RankSummary
    running: bool = False


def is_sound(summary: RankSummary) -> bool:
    """Whether the series of a summary fit together: a file may come from anywhere."""
    series = summary.series
    if series is None:
        return True
    width = series.block_steps
    if not 0 < width <= 2**40 or width & (width - 1):
        return False
    if series.steps.ndim != 2 or series.steps.shape[1] != len(STEP_COLUMNS):
        return False
    if series.blocks.ndim != 2 or series.blocks.shape[1] != len(LOOP_CHANNELS):
        return False
    if len(series.steps) > FIRST_STEPS + LAST_STEPS or len(series.blocks) > MOST_BLOCKS:
        return False
    return bool((np.diff(series.steps[:, 0]) > 0).all() and (series.blocks >= 0).all())
