"""What tuning an input is about and found: the input, the changes that were tried, what they gave."""

from dataclasses import asdict
from enum import Enum
from typing import Any

from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import InputKind
from pipeprof.recording.pipeline_edits import Edit

Change = tuple[Edit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSteps:
    """The steps of one trial.

    Attributes:
        step_ns: how long each took, with all that lay between it and the one before.
    """

    step_ns: tuple[int, ...]

    @property
    def mean_ns(self) -> float:
        """The mean of a step: what a training takes, over its steps."""
        return sum(self.step_ns) / len(self.step_ns)


class TransformationKind(Enum):
    """What a transformation of a dataset does, whatever TensorFlow calls its operation."""

    MAP = "map"
    FLAT_MAP = "flat_map"
    INTERLEAVE = "interleave"
    FILTER = "filter"
    BATCH = "batch"
    SHUFFLE = "shuffle"
    CACHE = "cache"
    PREFETCH = "prefetch"
    REPEAT = "repeat"
    OTHER = "other"


# How the names of TensorFlow's operations begin, by what they do.
_OPERATIONS = (
    ("MapDataset", TransformationKind.MAP),
    ("ParallelMapDataset", TransformationKind.MAP),
    ("FlatMapDataset", TransformationKind.FLAT_MAP),
    ("InterleaveDataset", TransformationKind.INTERLEAVE),
    ("ParallelInterleaveDataset", TransformationKind.INTERLEAVE),
    ("FilterDataset", TransformationKind.FILTER),
    ("BatchDataset", TransformationKind.BATCH),
    ("Shuffle", TransformationKind.SHUFFLE),
    ("Cache", TransformationKind.CACHE),
    ("Prefetch", TransformationKind.PREFETCH),
    ("Repeat", TransformationKind.REPEAT),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedTransformation:
    """A transformation of the pipeline that is tuned.

    Attributes:
        node: its name in the graph.
        op: its operation.
        inputs: names of those that it takes elements from.
        calls: how many calls it makes at once, -1 for AUTOTUNE, None for one by one.
        function: name of the user's function, or None.
        file: the function's file, or None.
        line: its first line, or None.
        opens_generator: whether it opens the one generator of a ``from_generator``.
        random: whether it, or what it takes elements from, gives other elements in each pass; the
            order that a shuffle gives is left out.
        elements: how many elements a pass has, or None where that is not known.
        element_bytes: bytes of an element, on average; None where that was not looked at.
    """

    node: str
    op: str
    inputs: tuple[str, ...]
    calls: int | None
    function: str | None = None
    file: str | None = None
    line: int | None = None
    opens_generator: bool = False
    random: bool = False
    elements: int | None = None
    element_bytes: float | None = None

    @property
    def kind(self) -> TransformationKind:
        """What it does."""
        known = (kind for begin, kind in _OPERATIONS if self.op.startswith(begin))
        return next(known, TransformationKind.OTHER)

    @property
    def one_by_one(self) -> bool:
        """Whether its operation makes one call after the other."""
        return not self.op.startswith("Parallel")


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """An input that is tuned.

    Attributes:
        kind: its kind.
        name: its class or function.
        has_model: whether a model is trained on it.
        places: the transformations of a tf.data pipeline, sources first.
        autotunes: whether tf.data tunes it; None for other kinds.
        workers: workers of a Sequence, or None.
        processes: whether those are processes.
        queue: their queue, or None.
        workers_of_fit: whether ``fit`` is given the workers, as in Keras 2, and not the Sequence.
        takes_shard: whether the function makes one part of the data where it is asked to.
        cores: processors that this process may use.
        free_bytes: memory that is free.
    """

    kind: InputKind
    name: str
    has_model: bool
    places: tuple[TunedTransformation, ...] = ()
    autotunes: bool | None = None
    workers: int | None = None
    processes: bool = False
    queue: int | None = None
    workers_of_fit: bool = False
    takes_shard: bool = False
    cores: int
    free_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A change that was tried.

    Attributes:
        change: what was added to what was best at that time.
        against_ns: the step time of what was best, measured in turns with it, or None.
        step_ns: the step time with the change, or None where it was not measured.
        speedup: how many times as fast, with its interval; None where it was not measured.
        low: of the interval.
        high: of the interval.
        predicted_ns: the step time that was expected, or None.
        kept: whether it is part of what is best from then on.
        refused: why it was not measured, or thrown away, or None.
    """

    change: Change
    against_ns: float | None = None
    step_ns: float | None = None
    speedup: float | None = None
    low: float | None = None
    high: float | None = None
    predicted_ns: float | None = None
    kept: bool = False
    refused: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningOutcome:
    """What tuning found.

    Attributes:
        described: the input.
        today_ns: step time of today's input: at the end in turns with the best, else at the beginning.
        ceiling_ns: step time with input for free, or None without a model.
        last_ceiling_ns: the same at the end.
        best: the changes that made it fastest, together.
        best_ns: step time with them.
        trials: all that was tried, in order.
        stopped: whether it was interrupted or had no time left before everything was tried.
        interrupted: whether it was interrupted.
    """

    described: Description
    today_ns: float
    ceiling_ns: float | None
    last_ceiling_ns: float | None
    best: Change
    best_ns: float
    trials: tuple[Trial, ...]
    stopped: bool
    interrupted: bool = False

    @property
    def speedup(self) -> float:
        """Today's step time over the best one."""
        return self.today_ns / self.best_ns


def plain(description: Description) -> dict[str, Any]:
    """A description as JSON has it."""
    return {**asdict(description), "kind": description.kind.value}


def described(document: dict[str, Any]) -> Description:
    """The description that `plain` made a document of."""
    values = dict(document)
    places = tuple(
        TunedTransformation(**{**one, "inputs": tuple(one["inputs"])})
        for one in values.pop("places")
    )
    return Description(**{**values, "kind": InputKind(values["kind"]), "places": places})
