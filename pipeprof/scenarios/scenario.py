"""What a scenario is: a training to watch, and what is known beforehand of what will be seen."""

import inspect
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import InputKind
from pipeprof.recording.source_code import Location
from pipeprof.recording.stage import StageKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A training that is ready to start.

    Attributes:
        dataset: what feeds it; to be wrapped, or given to `train` as it is.
        model: the Keras model that is trained.
        train: trains it on that dataset, or on what wraps it, from beginning to end.
        steps: how many steps that takes.
        samples: how many samples it takes.
    """

    dataset: Any
    model: Any
    train: Callable[[Any], object]
    steps: int
    samples: int


class Sleep:
    """Sleeps, and knows how long that really took; in one process.

    Args:
        seconds: how long to sleep.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._took_ms: list[float] = []

    def __call__(self) -> None:
        """Sleeps once."""
        begin_ns = time.perf_counter_ns()
        time.sleep(self._seconds)
        self._took_ms.append((time.perf_counter_ns() - begin_ns) / 1e6)

    def forget(self) -> None:
        """What comes now is another training."""
        self._took_ms.clear()

    @property
    def mean_ms(self) -> float:
        """What a sleep took."""
        return statistics.fmean(self._took_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What was planted, and so has to be found.

    Attributes:
        bound: what each step waits for.
        function: the user's function that does the work of the bottleneck, where a function does.
        stage: the name of that stage, where the user gave it one.
        kind: what kind of stage it is, where no function of the user's does the work.
        sleep: what its own work is, where that does not depend on the machine.
        sleeps_per_step: how often a step takes that.
    """

    bound: Bound
    function: Callable[..., Any] | None = None
    stage: str | None = None
    kind: StageKind | None = None
    sleep: Sleep | None = None
    sleeps_per_step: int = 1

    @property
    def cost_ms(self) -> float | None:
        """Its own work per step, after the training, where it does not depend on the machine."""
        return None if self.sleep is None else self.sleep.mean_ms * self.sleeps_per_step

    @property
    def location(self) -> Location | None:
        """The line where the function begins; ``file`` has no folders."""
        if self.function is None:
            return None
        code = inspect.unwrap(self.function).__code__
        return Location(Path(code.co_filename).name, code.co_firstlineno)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One training, distinguished from others by how it is fed.

    Attributes:
        name: short, for the command line and for the names of runs.
        title: for people.
        input: what kind of object feeds it.
        prepare: makes the dataset and a new model.
        truth: what is known of it beforehand, where anything is.
    """

    name: str
    title: str
    input: InputKind
    prepare: Callable[[], Workload]
    truth: Truth | None = None
