"""The account of a stretch of time: disjoint parts that add up to the whole, with the places in them."""

from enum import Enum
from typing import TypeAlias

from pipeprof.recording.account import CallbackMethod, FeedingLane, Part
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.source_code import Location


class FrameworkWork(Enum):
    """Time between the steps that a framework takes, and neither the input nor the user's code."""

    EPOCH_START = "epoch start"
    """TensorFlow takes it where epochs begin."""
    ITERATOR_END = "iterator end"
    """TensorFlow takes it to destroy the iterator of the epoch before."""
    BETWEEN_EPOCHS = "between epochs"
    """Keras takes it between epochs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeederPlace:
    """A function in which somebody worked while the training waited.

    Attributes:
        function: the function.
        feeder: the thread or process; None where it was not recorded.
    """

    function: str
    feeder: FeedingLane | None


PlaceName: TypeAlias = str | FrameworkWork | FeederPlace


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRow:
    """A part of an account, or what one place holds of it.

    Attributes:
        part: what the time was.
        ns: how much it was.
        count: how often the place was called, or None.
        name: the place (``ModelCheckpoint.on_epoch_end``), or the framework's work that it is; None for
            the rest of the part.
        location: the user's line, or None.
        calls_fit: whether this is the line that calls a model's ``fit``.
        calls_predict: whether this is nothing but calls of a model's ``predict``.
        callback: the callback's method that the place is, or None.
        error_ns: how far off ``ns`` may be by chance, either way, where samples show it; None of what a
            clock shows. It is the half of an interval that holds the truth nine times in ten.
    """

    part: Part
    ns: int
    count: int | None = None
    name: PlaceName | None = None
    location: Location | None = None
    calls_fit: bool = False
    calls_predict: bool = False
    callback: CallbackMethod | None = None
    error_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The parts of a stretch of time, which add up to ``wall_ns``.

    Attributes:
        wall_ns: the whole.
        rows: the parts in the order of `Part`; those of one part with the dearest place first.
    """

    wall_ns: int
    rows: tuple[AccountRow, ...]

    def ns(self, *parts: Part) -> int:
        """The time of some parts together."""
        return sum(row.ns for row in self.rows if row.part in parts)

    @property
    def training_ns(self) -> int:
        """The time that a longer training would have more of.

        It is the whole without validation, start-up, compiling and shut-down.
        """
        once = (Part.VALIDATION, Part.STARTUP, Part.COMPILE, Part.SHUTDOWN)
        return self.wall_ns - self.ns(*once)

    @property
    def wait_ratio(self) -> float | None:
        """The part of `training_ns` in which the training waits for data; None where `training_ns` is 0."""
        waits_ns = self.ns(Part.EPOCH_START, Part.WAIT)
        return waits_ns / self.training_ns if self.training_ns > 0 else None

    def ratio(self, *parts: Part) -> float:
        """The time of some parts together as a part of the whole time; 0 where the whole is 0."""
        return self.ns(*parts) / self.wall_ns if self.wall_ns else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochAccount:
    """The account of one epoch of a loop, and how many steps it had."""

    epoch: int
    steps: int
    account: Account


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPlace:
    """A place that the host's time of a loop went to.

    Attributes:
        name: the callback's class and method, or the function, or the framework's work that it is.
        location: the user's line, or None.
        ratio: its part of the training's time.
        error: how far off ``ratio`` may be by chance, as `AccountRow.error_ns`.
    """

    name: PlaceName
    location: Location | None
    ratio: float
    error: float | None = None
