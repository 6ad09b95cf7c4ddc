"""Two groups of runs beside each other: was it the same work, and did it get better?"""

from collections.abc import Iterator, Sequence

from pipeprof.analysis.comparing.run_noise import (
    RUN_TO_RUN,
    Measured,
    Range,
    range_of,
    range_of_difference,
    value_of,
)
from pipeprof.analysis.comparing.run_quantities import (
    Group,
    Quantities,
    Quantity,
    Unit,
    quantities_of,
)
from pipeprof.analysis.comparing.work_sameness import Work, compare_work
from pipeprof.analysis.findings.findings import Findings
from pipeprof.errors import UsageError
from pipeprof.recording.light_dataclasses import dataclass

# How much single runs differ in a quantity that does not show how much it varies within a run.
UNKNOWN_NOISE = 0.10
# A stage's work is measured less closely than steps are.
STAGE_NOISE = 0.05

# A difference counts only if it is that large a part of a step, or of the whole.
_LEAST_OF_STEP = 0.01
_LEAST_RATIO = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedQuantity:
    """A quantity of both groups.

    Attributes:
        quantity: what it is.
        before: its value in the first group, or None where it was not measured there.
        after: its value in the second group, or None.
        difference: where the second less the first lies, or None without one of them.
        after_range: where the second lies, or None without it.
        least: differences below that do not count, however exactly they are known.
    """

    quantity: Quantity
    before: float | None
    after: float | None
    difference: Range | None
    after_range: Range | None
    least: float

    @property
    def change(self) -> float | None:
        """The second less the first."""
        if self.before is None or self.after is None:
            return None
        return self.after - self.before

    @property
    def ratio(self) -> float | None:
        """The change as a part of the first; None where that is nothing."""
        change = self.change
        return None if change is None or not self.before else change / self.before

    @property
    def noise(self) -> float | None:
        """The least change that would be beyond the noise; None where it is not known."""
        if self.difference is None:
            return None
        return max((self.difference.high - self.difference.low) / 2, self.least)

    @property
    def beyond_noise(self) -> bool:
        """Whether the difference is larger than what such runs vary by themselves."""
        if self.difference is None or self.change is None or abs(self.change) < self.least:
            return False
        return self.difference.low > 0 or self.difference.high < 0

    @property
    def is_worse(self) -> bool | None:
        """Whether the second is worse beyond the noise; None where it is neither worse nor better."""
        if not self.beyond_noise or self.quantity.more_is_worse is None or self.change is None:
            return None
        return (self.change > 0) is self.quantity.more_is_worse


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two groups of runs beside each other.

    Attributes:
        before: the runs of the first group.
        after: those of the second.
        work: whether they did the same work.
        rows: the quantities, in the order in which they are shown.
    """

    before: tuple[Findings, ...]
    after: tuple[Findings, ...]
    work: Work
    rows: tuple[ComparedQuantity, ...]

    def row(self, name: str) -> ComparedQuantity | None:
        """The quantity of a name, or None without it."""
        return next((row for row in self.rows if row.quantity.name == name), None)


def compare_runs(before: Sequence[Findings], after: Sequence[Findings]) -> Comparison:
    """Compares two groups of runs.

    Raises:
        UsageError: a group is empty, a run has no training loop with steps, or one run is in both groups.
    """
    if not before or not after:
        raise UsageError("expected runs on both sides, received none on one.")
    for findings in (*before, *after):
        _require_steps(findings)
    ours = {id(findings.profile) for findings in before}
    names = {_identity(findings) for findings in before}
    for findings in after:
        if id(findings.profile) in ours or _identity(findings) in names:
            raise UsageError(
                f"expected different runs on both sides, received "
                f"{findings.profile.run.name!r} on both."
            )
    rows = _rows([quantities_of(each) for each in before], [quantities_of(each) for each in after])
    return Comparison(
        before=tuple(before),
        after=tuple(after),
        work=compare_work(before, after),
        rows=tuple(rows),
    )


def _identity(findings: Findings) -> tuple[object, ...]:
    run = findings.profile.run
    return (run.name, run.hosts, run.start_ns, run.anchor)


def _require_steps(findings: Findings) -> None:
    if findings.main is None or not findings.main.loop.step_count:
        raise UsageError(
            f"expected a training in the run {findings.profile.run.name!r}, found no steps: it was "
            "cut off before its first step, or nothing was trained in it."
        )


def _rows(before: Sequence[Quantities], after: Sequence[Quantities]) -> Iterator[ComparedQuantity]:
    known: dict[str, Quantity] = {}
    for run in (*before, *after):
        for name, (quantity, _) in run.items():
            known.setdefault(name, quantity)
    steps = [run["step_ms"][1].value for run in before if "step_ms" in run]
    step_ms = sum(steps) / len(steps) if steps else 0.0
    for group in Group:
        for name, quantity in known.items():
            if quantity.group is group:
                yield _row(quantity, _measured(before, name), _measured(after, name), step_ms)


def _measured(runs: Sequence[Quantities], name: str) -> list[Measured]:
    return [run[name][1] for run in runs if name in run]


def _row(
    quantity: Quantity, before: Sequence[Measured], after: Sequence[Measured], step_ms: float
) -> ComparedQuantity:
    assumed = _assumed(quantity, [*before, *after])
    least = {
        Unit.MS: _LEAST_OF_STEP * step_ms,
        Unit.RATIO: _LEAST_RATIO,
        Unit.S: 0.0,
        Unit.PER_S: 0.0,
    }[quantity.unit]
    return ComparedQuantity(
        quantity=quantity,
        before=value_of(before) if before else None,
        after=value_of(after) if after else None,
        difference=range_of_difference(before, after, assumed) if before and after else None,
        after_range=range_of(after, assumed) if after else None,
        least=least,
    )


def _assumed(quantity: Quantity, runs: Sequence[Measured]) -> float:
    if any(len(run.blocks) < 2 for run in runs):
        return UNKNOWN_NOISE
    return STAGE_NOISE if quantity.group in (Group.STAGE, Group.LANE) else RUN_TO_RUN
