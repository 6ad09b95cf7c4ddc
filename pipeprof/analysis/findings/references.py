"""How evidence and advice refer to a stage or a lane: by what a reader needs to find it."""

from pipeprof.recording.lane import Lane, Role
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.source_code import Location
from pipeprof.recording.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class StageReference:
    """A stage.

    Attributes:
        name: its name.
        location: its line, or None.
        made_by: the library's function that made it for the user's line, or None.
    """

    name: str
    location: Location | None = None
    made_by: str | None = None

    @classmethod
    def of(cls, stage: Stage) -> "StageReference":
        """The reference to a recorded stage."""
        return cls(name=stage.name, location=stage.location, made_by=stage.made_by)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneReference:
    """A lane.

    Attributes:
        name: its name.
        role: what it does.
        named: whether the name is its own; else it says what the lane is.
    """

    name: str
    role: Role
    named: bool = True

    @classmethod
    def of(cls, lane: Lane) -> "LaneReference":
        """The reference to a recorded lane."""
        return cls(name=lane.name, role=lane.role, named=lane.named)
