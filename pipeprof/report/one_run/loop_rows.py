"""The loops of a run as rows of a table: the main one first, models of one line, small ones folded."""

from collections.abc import Iterator, Sequence

from pipeprof.analysis.findings.findings import Findings, Grouping, LoopFinding, LoopGroup
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import Loop
from pipeprof.report.headings import Holds, headings
from pipeprof.report.names.verdict_names import VERDICTS
from pipeprof.report.numbers import count, duration, percent, wait_percent
from pipeprof.report.one_run.run_text import kind_of

LOOP_COLUMNS = headings(
    loop=Holds.NAME,
    where=Holds.PLACE,
    calls=Holds.NUMBER,
    steps=Holds.NUMBER,
    time=Holds.NUMBER,
    waits=Holds.NUMBER,
    host=Holds.NUMBER,
    verdict=Holds.TEXT,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopRow:
    """A loop, or several that cost little; None where something is not known or does not apply.

    Attributes:
        label: what it is.
        where: the user's line.
        calls: how many calls, or stretches of a hand-written loop.
        steps: how many steps.
        wall_ns: its time.
        waits: the part of its training time that waits for data.
        host: the part of it that is the host's.
        verdict: its verdict.
    """

    label: str
    where: str | None
    calls: int | None
    steps: int
    wall_ns: int
    waits: str | None = None
    host: str | None = None
    verdict: str | None = None

    @property
    def cells(self) -> tuple[str | None, ...]:
        """Its texts, one for each of `LOOP_COLUMNS`."""
        return (
            self.label,
            self.where,
            None if self.calls is None else f"{self.calls:,}",
            f"{self.steps:,}",
            duration(self.wall_ns / 1e6),
            self.waits,
            self.host,
            self.verdict,
        )


def loop_rows(findings: Findings, most: int) -> list[LoopRow]:
    """Rows of all loops, at most so many and one more for all others; none where the main loop is alone."""
    rows = [row for group in findings.groups for row in _rows(group, findings.profile.loops)]
    if len(rows) < 2:
        return []
    shown, left_out = rows[:most], rows[most:]
    if left_out:
        rest = LoopRow(
            label=f"and {count(len(left_out), 'more loop')}",
            where=None,
            calls=sum(row.calls or 0 for row in left_out) or None,
            steps=sum(row.steps for row in left_out),
            wall_ns=sum(row.wall_ns for row in left_out),
        )
        return [*shown, rest]
    return shown


def _rows(group: LoopGroup, loops: Sequence[Loop]) -> Iterator[LoopRow]:
    match group.grouping:
        case Grouping.ALONE:
            yield from (_row(found, _label(found, loops)) for found in group.loops)
        case Grouping.MODELS if group.kind.trains:
            in_time = sorted(group.loops, key=lambda found: found.index)
            for number, found in enumerate(in_time, 1):
                yield _row(found, f"{_label(found, loops)}, model {number} of {len(in_time)}")
        case Grouping.MODELS | Grouping.FOLDED:
            yield LoopRow(
                label=f"{count(group.passes, 'call')} of {group.kind.value}",
                where=group.location.short if group.location else None,
                calls=group.passes,
                steps=sum(found.loop.step_count for found in group.loops),
                wall_ns=sum(found.account.wall_ns for found in group.loops),
            )


def _label(found: LoopFinding, loops: Sequence[Loop]) -> str:
    parent = found.loop.parent
    inside = "" if parent is None else f" in {kind_of(loops[parent])}"
    return f"{kind_of(found.loop)}{inside}"


def _row(found: LoopFinding, label: str) -> LoopRow:
    loop, wall = found.loop, found.diagnosis.wall
    waits = None if wall is None or wall.wait_ratio is None else wait_percent(wall.wait_ratio)
    known = found.diagnosis.bound is not Bound.UNKNOWN
    return LoopRow(
        label=label,
        where=loop.location.short if loop.location else None,
        calls=loop.account.pass_count or None,
        steps=loop.step_count,
        wall_ns=found.account.wall_ns,
        waits=waits,
        host=None if wall is None else percent(wall.host_ratio),
        verdict=VERDICTS[found.diagnosis.bound] if known else None,
    )
