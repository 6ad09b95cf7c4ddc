"""Two groups of runs beside each other, in words."""

from collections.abc import Iterator, Sequence
from enum import Enum

from pipeprof.analysis.comparing.gate import GateResult
from pipeprof.analysis.comparing.run_comparison import ComparedQuantity, Comparison
from pipeprof.analysis.comparing.run_noise import RUN_TO_RUN
from pipeprof.analysis.comparing.run_quantities import Group, StepPart, Unit
from pipeprof.analysis.comparing.work_sameness import Aspect, Differs, Sameness
from pipeprof.analysis.findings.findings import Findings
from pipeprof.recording.account import Part
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.report.names.part_names import PART_NAMES
from pipeprof.report.numbers import (
    changed_between,
    changed_by,
    count,
    duration,
    percent,
    points,
    points_between,
    rate,
    times,
)
from pipeprof.report.one_run.run_text import troubles
from pipeprof.report.plain_text import MISSING

COMPARED_COLUMNS = ("", "before", "after", "change", "")

_ASPECTS = {
    Aspect.BACKEND: "backend",
    Aspect.CORES: "cores",
    Aspect.DEVICES: "devices",
    Aspect.PARAMETERS: "parameters of the model",
    Aspect.COMPUTE_DTYPE: "data type of computing",
    Aspect.OPTIMIZER: "optimizer",
    Aspect.BATCH_SIZE: "batch size",
    Aspect.ARRAYS: "arrays of a batch",
    Aspect.LOOP: "kind of loop",
    Aspect.INPUT: "kind of input",
    Aspect.STEPS: "steps",
    Aspect.EPOCHS: "epochs",
    Aspect.SAMPLES: "samples in all",
    Aspect.HOST: "host",
    Aspect.VERSIONS: "versions",
    Aspect.CONTENT: "samples",
    Aspect.ORDER: "order of the samples",
    Aspect.LOSSES: "losses",
}
# Of these the values are hashes, which mean nothing to a reader.
_HASHES = (Aspect.CONTENT, Aspect.ORDER)

_LABELS = {
    "step_ms": "step",
    "wait_ms": "wait",
    "compute_ms": "compute",
    "callback_ms": "callbacks",
    "step_ms_p10": "step, 10th percentile",
    "samples_per_s": "samples/s",
    "wall_step_ms": "all time per step",
    "wall_wait_ratio": "waits for data",
    "wall_host_ratio": "host's own time",
}
_MOST_NAMED = 3
_OF_A_STEP = (StepPart.WAIT, StepPart.COMPUTE, StepPart.CALLBACKS)
_TITLES = {Group.STAGE: "stage", Group.LANE: "lane busy", Group.ACCOUNT: "training's time"}
_MOST_OF_A_GROUP = {Group.STAGE: 12, Group.LANE: 6}


class Change(Enum):
    """What became of a step's time, as a word for a badge."""

    FASTER = "FASTER"
    SLOWER = "SLOWER"
    NONE = "NO DIFFERENCE"
    UNKNOWN = "UNKNOWN"


def change_of(comparison: Comparison) -> Change:
    """What became of a step's time, or of all time per step where steps were not counted."""
    row = _judged(comparison)
    if row is None or row.change is None:
        return Change.UNKNOWN
    if not row.beyond_noise:
        return Change.NONE
    return Change.FASTER if row.change < 0 else Change.SLOWER


def _judged(comparison: Comparison) -> ComparedQuantity | None:
    return comparison.row("step_ms") or comparison.row("wall_step_ms")


def names_of(runs: Sequence[Findings]) -> str:
    """The names of the runs of a group."""
    return ", ".join(findings.profile.run.name for findings in runs)


def trouble_sentences(comparison: Comparison) -> list[str]:
    """What to know of single runs before trusting their times, each with the runs that it is true of."""
    runs: dict[str, list[str]] = {}
    for findings in (*comparison.before, *comparison.after):
        for trouble in troubles(findings.profile.run):
            runs.setdefault(trouble, []).append(findings.profile.run.name)
    return [f"{', '.join(names)}: {trouble}" for trouble, names in runs.items()]


def work_sentences(comparison: Comparison) -> list[str]:
    """Whether both groups did the same work, and what differs."""
    return [*_same(comparison), *map(_differs, comparison.work.differs), *_losses(comparison)]


def _same(comparison: Comparison) -> Iterator[str]:
    match comparison.work.sameness:
        case Sameness.SAME:
            yield "Both did the same work: equal samples in one order, in equal batches."
        case Sameness.OTHER_ORDER:
            yield "Both consumed the same samples, in another order."
        case Sameness.DIFFERENT:
            yield "They did not do the same work."
        case Sameness.UNKNOWN:
            yield (
                "Nothing shows that they did other work, but what the models consumed was not recorded: "
                "record it with --fingerprint (or fingerprint=True)."
            )


def _differs(each: Differs) -> str:
    name = _ASPECTS[each.aspect]
    if each.aspect in _HASHES:
        return f"The {name} differ." if each.aspect is Aspect.CONTENT else f"The {name} differs."
    return f"Another {name}: {each.before} before, {each.after} after."


def _losses(comparison: Comparison) -> Iterator[str]:
    match = comparison.work.losses
    if match is None:
        return
    if match.equal == match.compared:
        yield f"The losses of all {count(match.compared, 'batch')} are equal, batch by batch."
    elif match.equal:
        yield (
            f"The losses of the first {count(match.equal, 'batch')} are equal; later ones differ by up to "
            f"{percent(match.largest)}."
        )
    else:
        yield f"The losses differ from the first batch on, by up to {percent(match.largest)}."


def verdict_sentence(comparison: Comparison) -> str:
    """What changed, in one sentence."""
    row = _judged(comparison)
    if row is None or row.before is None or row.after is None or row.ratio is None:
        return "Too few steps were counted to compare their times."
    times = f"{duration(row.before)} before, {duration(row.after)} after"
    if not row.beyond_noise:
        noise = f" of {_noise(row)}" if row.noise is not None else ""
        unchanged = f"A step did not change beyond the noise{noise} ({times}, {_change(row)})"
        parts = _parts_beyond_noise(comparison)
        return f"{unchanged}; what did: {', '.join(parts)}." if parts else f"{unchanged}."
    faster = "shorter" if row.after < row.before else "longer"
    sentence = f"A step is {percent(abs(row.ratio))} {faster} ({times})"
    dearest = _dearest(comparison, longer=row.after > row.before)
    return f"{sentence}; most of it: {dearest}." if dearest else f"{sentence}."


def whole_sentences(comparison: Comparison) -> Iterator[str]:
    """What became of all time per step, where the verdict is on less than that."""
    row = comparison.row("wall_step_ms")
    if row is None or row.before is None or row.after is None or row is _judged(comparison):
        return
    times = f"{duration(row.before)} before, {duration(row.after)} after"
    noise = "" if row.beyond_noise else ", not more than the noise"
    yield f"With epoch starts and the time between epochs a step takes {times}{noise}."


def _parts_beyond_noise(comparison: Comparison) -> list[str]:
    """The parts of a step and the stages that changed beyond the noise, the largest change first."""
    found = [
        row
        for row in comparison.rows
        if row.beyond_noise
        and row.change is not None
        and (row.quantity.subject in _OF_A_STEP or row.quantity.group is Group.STAGE)
    ]
    found.sort(key=lambda row: -abs(row.change or 0.0))
    return [
        f"{'stage ' if row.quantity.group is Group.STAGE else ''}{row_label(row).strip()} {_change(row)}"
        for row in found[:_MOST_NAMED]
    ]


def _dearest(comparison: Comparison, *, longer: bool) -> str | None:
    """The part of a step or the stage that changed most in that direction."""
    found = [
        row
        for row in comparison.rows
        if row.beyond_noise
        and row.change is not None
        and (row.change > 0) is longer
        and row.quantity.subject in _OF_A_STEP
    ]
    if not found:
        return None
    part = max(found, key=lambda row: abs(row.change or 0.0))
    text = f"{_LABELS[part.quantity.what]} {_change(part)}"
    stages = [
        row
        for row in comparison.rows
        if row.quantity.group is Group.STAGE
        and row.beyond_noise
        and row.change is not None
        and (row.change > 0) is longer
    ]
    if stages:
        stage = max(stages, key=lambda row: abs(row.change or 0.0))
        text += f", with stage {row_label(stage)} {_change(stage)}"
    return text


class Mark(Enum):
    """What a change means, as a word beside it."""

    WORSE = "worse"
    BETTER = "better"
    DIFFERS = "differs"
    NOISE = "noise"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRow:
    """A row of the table: the title of a group, or a quantity.

    Attributes:
        name: the title, or what the quantity is called.
        before: its value in the first group; empty for a title, as what follows.
        after: its value in the second group.
        change: the second less the first.
        mark: what that means, or None.
        is_part: whether it is a part of what stands above it.
    """

    name: str
    before: str = ""
    after: str = ""
    change: str = ""
    mark: Mark | None = None
    is_part: bool = False

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """What stands under each of `COMPARED_COLUMNS`."""
        mark = "" if self.mark is None else self.mark.value
        return self.name, self.before, self.after, self.change, mark


def compared_rows(comparison: Comparison) -> list[ComparedRow]:
    """The table: a row for each quantity that is worth showing, under the titles of their groups."""
    found = []
    for title, rows in compared_groups(comparison):
        if title:
            found.append(ComparedRow(name=title))
        found += [compared_row(row, is_part=bool(title)) for row in rows]
    return found


def compared_groups(comparison: Comparison) -> Iterator[tuple[str, list[ComparedQuantity]]]:
    """The quantities that are worth showing, by groups with their titles (which may be empty)."""
    for group in Group:
        rows = [row for row in comparison.rows if row.quantity.group is group and _is_shown(row)]
        if group in _MOST_OF_A_GROUP:
            rows.sort(key=lambda row: -max(row.before or 0.0, row.after or 0.0))
            rows = rows[: _MOST_OF_A_GROUP[group]]
        if rows:
            yield _TITLES.get(group, ""), rows


def _is_shown(row: ComparedQuantity) -> bool:
    if row.quantity.group is Group.ACCOUNT and row.quantity.unit is Unit.RATIO:
        return False  # seconds are shown, and expressions may name the ratio
    return bool(row.before or row.after)


def compared_row(row: ComparedQuantity, *, is_part: bool = False) -> ComparedRow:
    """One quantity; ``is_part`` for one that stands under the title of a group."""
    return ComparedRow(
        name=row_label(row),
        before=value_text(row, row.before),
        after=value_text(row, row.after),
        change=_change(row),
        mark=_mark(row),
        is_part=is_part or row.quantity.subject in _OF_A_STEP,
    )


def row_label(row: ComparedQuantity) -> str:
    """What a quantity is called."""
    subject = row.quantity.subject
    match subject:
        case Part():
            return PART_NAMES[subject]
        case str():
            return subject
    return _LABELS.get(row.quantity.what, row.quantity.what)


def value_text(row: ComparedQuantity, value: float | None) -> str:
    """A value in the unit of its quantity."""
    if value is None:
        return MISSING
    match row.quantity.unit:
        case Unit.MS:
            return duration(value)
        case Unit.S:
            return duration(1000 * value)
        case Unit.RATIO:
            return percent(value)
        case Unit.PER_S:
            return rate(value)


def _change(row: ComparedQuantity) -> str:
    if row.change is None:
        return "new" if row.before is None else "gone"
    if row.quantity.unit is Unit.RATIO or row.ratio is None:
        if row.quantity.unit is Unit.RATIO:
            return points(row.change)
        return f"{'+' if row.change >= 0 else '-'}{value_text(row, abs(row.change))}"
    if abs(row.ratio) >= 1.0:
        return times(row.after / row.before) if row.before and row.after else "new"
    return changed_by(row.ratio)


def range_text(row: ComparedQuantity) -> str:
    """Where the change lies at 95 %, in the unit of the change."""
    found = row.difference
    if found is None or row.change is None:
        return MISSING
    if row.quantity.unit is Unit.RATIO:
        return points_between(found.low, found.high)
    if not row.before:
        return MISSING
    return changed_between(found.low / row.before, found.high / row.before)


def _mark(row: ComparedQuantity) -> Mark | None:
    if row.is_worse is not None:
        return Mark.WORSE if row.is_worse else Mark.BETTER
    if row.beyond_noise:
        return Mark.DIFFERS
    return Mark.NOISE if row.change else None


def noise_sentence(comparison: Comparison) -> str:
    """How large the noise is, and how it is known."""
    row = _judged(comparison)
    noise = f"{_noise(row)} of a step" if row and row.noise and row.before else "not known"
    runs = len(comparison.before) + len(comparison.after)
    if runs > 2:
        return (
            f"{_QUIETER} Noise: {noise}, by how much the {runs} runs differ, and blocks of steps in each "
            "run."
        )
    return (
        f"{_QUIETER} Noise: {noise}, by how much blocks of steps differ in each run, and "
        f"{percent(RUN_TO_RUN)} that single runs are assumed to differ by. {_SEVERAL}"
    )


_QUIETER = "Steps are those of the quieter half of each run."
_SEVERAL = "Three runs on each side show more: compare A1 A2 A3 -- B1 B2 B3."


def _noise(row: ComparedQuantity) -> str:
    """The noise of a quantity that has one, as a part of its value where it has a value."""
    assert row.noise is not None
    if row.quantity.unit is Unit.RATIO or not row.before:
        return f"±{value_text(row, row.noise)}"
    return f"±{100 * row.noise / row.before:.1f} %"


def outcome_sentence(outcome: GateResult) -> str:
    """What became of a condition of the gate."""
    row = outcome.row
    values = f"{value_text(row, row.before)} before, {value_text(row, row.after)} after"
    text = f"{outcome.condition.text}: {values}"
    if outcome.fails:
        return f"{text}, beyond the noise."
    if outcome.reached:
        return f"{text}, but not beyond the noise{_of_noise(row)}."
    if _is_too_fine(outcome):
        return f"{text}; the noise{_of_noise(row)} hides such a change. Compare more runs."
    return f"{text}."


def _of_noise(row: ComparedQuantity) -> str:
    return "" if row.noise is None else f" ({_noise(row)})"


def _is_too_fine(outcome: GateResult) -> bool:
    """Whether a change as large as a condition forbids would not be seen."""
    condition, row = outcome.condition, outcome.row
    if row.beyond_noise or not condition.change or row.noise is None or row.before is None:
        return False
    limit = abs(condition.limit * (row.before if condition.relative else 1.0))
    return limit < row.noise


def outcome_word(outcome: GateResult) -> str:
    """Whether a condition lets the gate fail."""
    return "FAIL" if outcome.fails else "pass"
