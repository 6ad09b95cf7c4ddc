"""What is found of processes that train together, as values; `pipeprof.report` has the words."""

from collections.abc import Mapping
from dataclasses import field
from enum import Enum
from typing import TypeAlias

from pipeprof.analysis.findings.rank_summary import RankSummary, StageBrief
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.series import FloatArray, IntArray


class Synchrony(Enum):
    """Whether the steps of all ranks end together."""

    LOCK_STEP = "lock_step"
    """Each step ends at the same moment on all ranks, as an all-reduce makes it."""
    FREE = "free"
    """Each rank goes at its own pace."""
    UNKNOWN = "unknown"


class StragglerCause(Enum):
    """Why one rank's input takes longer than that of the others."""

    MORE_DATA = "more_data"
    """Its steps take more elements: the shards are uneven."""
    FEWER_CORES = "fewer_cores"
    FEWER_WORKERS = "fewer_workers"
    OTHER_LOAD = "other_load"
    """Other programs use its machine, or its container's limit stops it."""
    SLOW_STORAGE = "slow_storage"
    """The same work needs the same CPU time and waits longer: for files, network or sleep."""
    MORE_CPU_WORK = "more_cpu_work"
    """The same elements need more CPU time: a slower processor, or other data."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Straggler:
    """A rank whose input makes the others wait.

    Attributes:
        rank: its number.
        wait_ms: what its steps wait for data, on average.
        usual_wait_ms: what the steps of the other ranks wait; the median of them.
        stage: the stage that it waits for, or None where none is known.
        usual_stage: that stage on the other ranks (medians), or None where they have no such stage.
        cause: why the stage takes longer there.
        usual_processors: cores' worth of CPU that the other ranks may use; the median.
        last_ratio: the part of the steps in which it waited longest of all ranks.
    """

    rank: int
    wait_ms: float
    usual_wait_ms: float
    stage: StageBrief | None
    usual_stage: StageBrief | None
    cause: StragglerCause
    usual_processors: float
    last_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunVerdict:
    """The verdict on all ranks together.

    Attributes:
        bound: what the speed of the training hangs on.
        synchrony: whether the ranks' steps end together.
        wait_ratio: the part of the steps in which some rank waits for data, so that all of them wait; of
            ranks that go at their own pace, that of the slowest one. None where no wait is known.
        stragglers: ranks whose input makes the others wait, worst first.
        in_turn_ms: what a step waits because another rank is the last one from step to step.
        step_ms: what a step takes, on average.
        others_wait_ms: what a rank that is no straggler waits inside its step for the slowest one.
        without_ms: what a step would take if the stragglers' input were like that of the others, or None.
        waits_shared: whether the ranks wait for each other's inputs as they ask for a batch; if not, they
            do so in the all-reduce of their steps.
        slowest: the rank with the longest steps, of ranks that go at their own pace; else None.
        usual_step_ms: the median of the ranks' step times.
        steps: how many steps were compared.
    """

    bound: Bound
    synchrony: Synchrony
    wait_ratio: float | None
    stragglers: tuple[Straggler, ...] = ()
    in_turn_ms: float = 0.0
    step_ms: float | None = None
    others_wait_ms: float = 0.0
    without_ms: float | None = None
    waits_shared: bool = False
    slowest: int | None = None
    usual_step_ms: float | None = None
    steps: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RankFinding:
    """One rank among the others.

    Attributes:
        number: its rank.
        summary: what it found itself.
        step_ms: mean duration of the compared steps, or None.
        wait_ms: mean wait of them, or None.
        held_ms: what it waits for slower ranks: inside its steps, where that looks like computing, or
            as it asks for a batch (`RunVerdict.waits_shared`); None where the ranks do not wait for each
            other.
        last_ratio: the part of the steps in which it waited longest, or None.
        straggles: whether its input makes the others wait.
        clock_ahead_ms: how far its machine's clock is ahead of the median of all, or None.
    """

    number: int
    summary: RankSummary
    step_ms: float | None = None
    wait_ms: float | None = None
    held_ms: float | None = None
    last_ratio: float | None = None
    straggles: bool = False
    clock_ahead_ms: float | None = None


class HostAspect(Enum):
    """In what machines may differ."""

    CORES = "cores"
    LIMIT = "cpu_limit"
    MEMORY = "memory"
    SYSTEM = "system"
    VERSION = "version"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostDifference:
    """Ranks that differ from most in one aspect.

    Attributes:
        aspect: in what.
        name: of a version, the package; else empty.
        usual: what most ranks have; None for nothing of it.
        values: what other ranks have, each with their numbers.
    """

    aspect: HostAspect
    usual: str | float | None
    values: tuple[tuple[str | float | None, tuple[int, ...]], ...]
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RanksMissing:
    """Ranks of which there is no recording."""

    ranks: tuple[int, ...]
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RanksEmpty:
    """Ranks whose folders are there, but no recordings in them."""

    ranks: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankTwice:
    """Several recordings of one rank; the one with more steps is used."""

    rank: int
    recordings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RankDied:
    """A rank whose process did not come to its end."""

    rank: int
    step: int
    ended_by: str | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RanksRunning:
    """Ranks that are still being recorded."""

    ranks: tuple[int, ...]


class OtherFact(Enum):
    """By what a recording shows that it belongs to another training."""

    JOB = "job"
    """The launcher's job number is another one."""
    CODE = "code"
    MODEL = "model"
    DATA = "data"
    TIME = "time"
    """It began after the others had ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherTraining:
    """Recordings of another training in the folder; they are left out."""

    ranks: tuple[int, ...]
    fact: OtherFact
    value: str
    usual: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LateStart:
    """A rank that began long after the first one."""

    rank: int
    late_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClocksApart:
    """A machine whose clock is not that of the others."""

    host: str
    ahead_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A rank's files that cannot be read.

    Attributes:
        name: what cannot be read.
        reason: a sentence.
        rank: the rank, where it is known.
    """

    name: str
    reason: str
    rank: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unnumbered:
    """Recordings without a rank of their own, which are numbered in the order of their files."""

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnevenShards:
    """Ranks whose steps, or samples a step, are not those of the others.

    Attributes:
        fewest: the rank with the fewest.
        fewest_count: how many it has.
        most: the rank with the most.
        most_count: how many it has.
        of_samples: whether samples are counted, or steps.
    """

    fewest: int
    fewest_count: int
    most: int
    most_count: int
    of_samples: bool


# What is wrong with the recordings themselves, and what happened to the ranks.
RecordingProblem: TypeAlias = (
    RanksMissing | RanksEmpty | RankTwice | OtherTraining | Unreadable | Unnumbered
)
TrainingProblem: TypeAlias = RankDied | RanksRunning | LateStart | ClocksApart | UnevenShards
RankProblem: TypeAlias = RecordingProblem | TrainingProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitMap:
    """Waits of all ranks over the training.

    Attributes:
        ranks: number of the rank of each row.
        first_step: number of the first step of each column.
        wait_ms: mean wait of the steps of each column; not a number where it is not known.
    """

    ranks: tuple[int, ...]
    first_step: IntArray
    wait_ms: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOfRanks:
    """All that is found of processes that train together.

    Attributes:
        ranks: the ranks in the order of their numbers.
        size: how many ranks the launcher started, or as many as there are.
        verdict: the verdict on all of them.
        shown: number of the rank that the rest of the report is about.
        spreads: over the ranks, of quantities of their steps: ``step_ms``, ``wait_ms``, ``compute_ms``.
        differences: in what machines and versions differ.
        problems: what a reader must know.
        waits: the waits over the training.
    """

    ranks: tuple[RankFinding, ...]
    size: int
    verdict: RunVerdict
    shown: int
    spreads: Mapping[str, "RankSpread"] = field(default_factory=dict)
    differences: tuple[HostDifference, ...] = ()
    problems: tuple[RankProblem, ...] = ()
    waits: WaitMap | None = None

    def rank(self, number: int) -> RankFinding | None:
        """The rank with a number, or None."""
        return next((each for each in self.ranks if each.number == number), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RankSpread:
    """A quantity over all ranks, each with the rank that has it."""

    least: float
    least_rank: int
    median: float
    most: float
    most_rank: int
