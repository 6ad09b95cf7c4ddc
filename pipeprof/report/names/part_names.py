"""What the parts of an account are called on every surface, and which of them are shown by name."""

from pipeprof.analysis.findings.account_findings import (
    Account,
    FeederPlace,
    FrameworkWork,
    PlaceName,
)
from pipeprof.recording.account import FeedingLane, Part
from pipeprof.recording.light_dataclasses import dataclass

PART_NAMES = {
    Part.STARTUP: "start-up",
    Part.COMPILE: "compile",
    Part.EPOCH_START: "epoch starts",
    Part.WAIT: "wait",
    Part.COMPUTE: "compute",
    Part.CALLBACKS: "callbacks",
    Part.VALIDATION: "validation",
    Part.BETWEEN_EPOCHS: "between epochs",
    Part.OWN_CODE: "own code",
    Part.SHUTDOWN: "shut-down",
    Part.OTHER: "other",
}

_FRAMEWORK_NAMES = {
    FrameworkWork.EPOCH_START: "TensorFlow's start of an epoch",
    FrameworkWork.ITERATOR_END: "TensorFlow's end of an iterator",
    FrameworkWork.BETWEEN_EPOCHS: "Keras's own work",
}


def place_name(name: PlaceName) -> str:
    """The name of a place in an account for readers."""
    match name:
        case FrameworkWork():
            return _FRAMEWORK_NAMES[name]
        case FeederPlace():
            return f"{feeder_name(name.feeder)}: {name.function}"
    return name


def feeder_name(feeder: FeedingLane | None) -> str:
    """``thread loader``: who feeds a loop."""
    if feeder is None:
        return "another thread"
    return feeder.kind.value if feeder.name is None else f"{feeder.kind.value} {feeder.name}"


# Parts that are less of the whole are folded into one.
_FOLDED_BELOW = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPart:
    """A part of an account under its name; ``part`` is `Part.OTHER` for those that were folded."""

    part: Part
    ns: int

    @property
    def name(self) -> str:
        """The name of a part for readers."""
        return PART_NAMES[self.part]


def shown_parts(account: Account, *left_out: Part) -> tuple[ShownPart, ...]:
    """The parts of an account in their order, small ones folded into the last.

    Args:
        account: the account.
        left_out: parts that are not to be shown and do not count.
    """
    whole_ns = account.wall_ns - account.ns(*left_out)
    named, folded_ns = [], 0
    for part in Part:
        ns = 0 if part in left_out else account.ns(part)
        if part is Part.OTHER or ns < _FOLDED_BELOW * whole_ns:
            folded_ns += ns
        else:
            named.append(ShownPart(part=part, ns=ns))
    if folded_ns > 0:
        named.append(ShownPart(part=Part.OTHER, ns=folded_ns))
    return tuple(named)
