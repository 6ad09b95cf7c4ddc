"""What the host's own work went to, as rows of a table: callbacks, functions, lines."""

import math
from collections import defaultdict

from pipeprof.analysis.findings.account_findings import FrameworkWork, PlaceName
from pipeprof.analysis.findings.findings import Findings
from pipeprof.analysis.verdicts.wall_shares import HOST_PARTS
from pipeprof.recording.account import Part
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.source_code import Location
from pipeprof.report.headings import Holds, headings
from pipeprof.report.names.part_names import PART_NAMES, place_name

# The host's work is listed from this part of the run on, or where the verdict is about it.
_SHOWN_FROM = 0.05
# A place that takes less of the run is not listed.
_ROW_FROM = 0.005

HOST_COLUMNS = headings(
    host=Holds.NAME, where=Holds.PLACE, calls=Holds.NUMBER, time=Holds.NUMBER, share=Holds.NUMBER
)


_Place = tuple[Part, PlaceName | None, Location | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRow:
    """A place that the host's time went to.

    Attributes:
        name: the callback's class and method, or the function; None for the rest of a part.
        framework: whether it is a framework's own work.
        part: what its time counts as.
        location: the user's line, or None.
        calls: how often it ran, or None.
        ns: its time.
        ratio: its part of the run.
        error: how far off that may be by chance, where samples show it, or None.
    """

    name: str | None
    framework: bool
    part: Part
    location: Location | None
    calls: int | None
    ns: int
    ratio: float
    error: float | None = None

    @property
    def label(self) -> str:
        """Its name; of the rest of a part the part's name in brackets."""
        return self.name or f"({PART_NAMES[self.part]})"


def host_rows(findings: Findings) -> tuple[HostRow, ...]:
    """The places of the whole run, dearest first; none where the host takes little."""
    account, main = findings.account, findings.main
    wall = main.diagnosis.wall if main else None
    ratios = (account.ratio(*HOST_PARTS), wall.host_ratio if wall else 0.0)
    if max(ratios) < _SHOWN_FROM or not account.wall_ns:
        return ()
    times: defaultdict[_Place, int] = defaultdict(int)
    calls: defaultdict[_Place, int] = defaultdict(int)
    errors: defaultdict[_Place, list[int]] = defaultdict(list)
    for row in account.rows:
        if row.part in HOST_PARTS:
            place = row.part, row.name, row.location
            times[place] += row.ns
            calls[place] += row.count or 0
            if row.error_ns is not None:
                errors[place].append(row.error_ns)
    rows = [
        HostRow(
            name=None if name is None else place_name(name),
            framework=isinstance(name, FrameworkWork),
            part=part,
            location=location,
            calls=calls[place] or None,
            ns=ns,
            ratio=ns / account.wall_ns,
            error=math.hypot(*errors[place]) / account.wall_ns if errors[place] else None,
        )
        for place, ns in times.items()
        for part, name, location in (place,)
    ]
    listed = [row for row in rows if row.ratio >= _ROW_FROM]
    return tuple(sorted(listed, key=lambda row: -row.ns))
