"""Tunes inputs that are set up badly and some that are set up well, and measures what came of it.

Each is measured as it is, as `pipeprof.tune` made it, and as its author could by hand, in turns. Right is a
result of at least 95 % of the speed by hand, ten times as fast where that is to be had, and none that is
slower than before beyond the noise. Prints a line for each; exit code 1 where one is not right.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pipeprof
from pipeprof.scenarios.conditions import describe_conditions
from pipeprof.scenarios.tuning_cases import MISCONFIGURED, WELL_MADE, TuningCase
from pipeprof.scenarios.validation.tables import markdown_table

NEAR_HAND = 0.95
# So much slower may a well-made input be by chance: the spread of equal turns on a shared machine.
NOISE = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Milliseconds a step: as it is, as tuned, as tuned by hand (None for a well-made input)."""

    case: TuningCase
    before_ms: float
    tuned_ms: float
    by_hand_ms: float | None
    changes: str

    @property
    def right(self) -> bool:
        """Whether it is as it has to be."""
        if self.by_hand_ms is None:
            return self.tuned_ms <= (1.0 + NOISE) * self.before_ms
        fast_enough = self.tuned_ms <= self.by_hand_ms / NEAR_HAND
        return fast_enough and self.before_ms / self.tuned_ms >= self.case.least_speedup

    @property
    def row(self) -> tuple[str, ...]:
        """A row of the table."""
        by_hand = "" if self.by_hand_ms is None else f"{self.by_hand_ms:.2f}"
        return (
            self.case.name,
            f"{self.before_ms:.2f}",
            f"{self.tuned_ms:.2f}",
            by_hand,
            f"{self.before_ms / self.tuned_ms:.1f}",
            self.changes or "nothing",
            "right" if self.right else "**not right**",
        )


HEADER = ("input", "ms a step", "tuned", "by hand", "times as fast", "what was changed", "")


def measure_ms(case: TuningCase, made: Any) -> float:
    """Milliseconds a step of a small training, without its first steps, or its first epoch of several."""
    import keras

    ends: list[float] = []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: ends.append(time.perf_counter())
    )
    case.model().fit(
        made[1] if isinstance(made, tuple) else made,
        epochs=case.epochs,
        steps_per_epoch=case.steps,
        verbose=0,
        callbacks=[note],
    )
    steps = len(ends) // case.epochs
    first = steps - 1 if case.epochs > 1 else min(10, steps // 4)
    return (ends[-1] - ends[first]) / (len(ends) - 1 - first) * 1e3


def validate(case: TuningCase, budget: float, turns: int) -> Result:
    """Tunes an input and measures what came of it."""
    tuned = pipeprof.tune(case.make, budget=budget)
    makes = [case.make, lambda: fresh(tuned)]
    if case.by_hand is not None:
        makes.append(case.by_hand)
    times: list[list[float]] = [[] for _ in makes]
    for _ in range(turns):
        for make, measured in zip(makes, times, strict=True):
            measured.append(measure_ms(case, make()))  # type: ignore[no-untyped-call]
    before, after, *by_hand = map(statistics.median, times)
    changes = "; ".join(line for line in tuned.code.splitlines() if not line.startswith("#"))
    return Result(
        case=case,
        before_ms=before,
        tuned_ms=after,
        by_hand_ms=by_hand[0] if by_hand else None,
        changes=changes,
    )


def fresh(tuned: Any) -> Any:
    """What was found; a generator is made anew."""
    return (
        tuned.best()
        if callable(tuned.best) and not hasattr(tuned.best, "__getitem__")
        else tuned.best
    )


def results(cases: tuple[TuningCase, ...], budget: float, turns: int) -> Iterator[Result]:
    for case in cases:
        found = validate(case, budget, turns)
        print("  ".join(found.row), flush=True)
        yield found


PAGE = """\
# Tuning, validated

`tools/validate_tuning` tunes inputs that are set up badly, and some that are set up well, with
`pipeprof.tune`, and measures each as it was, as it was tuned, and as its author could set it up by hand:
{turns} turns of each, one after the other; the medians stand here. The inputs are in
`pipeprof/scenarios/tuning_cases.py`. Right is at least {near:.0%} of the speed by hand, where ten times as
fast is to be had at least that, and for what is well made no step longer by more than {noise:.0%}. The tool
wrote this page, misses included:

```console
tools/validate_tuning --markdown docs/tuning.md
```

{right} of {count} inputs right; {budget:g} s for each tuning.

{table}

{conditions}
"""


def page(found: list[Result], options: argparse.Namespace) -> str:
    """The page of results, in Markdown."""
    return PAGE.format(
        turns=options.turns,
        near=NEAR_HAND,
        noise=NOISE,
        right=sum(each.right for each in found),
        count=len(found),
        budget=options.budget,
        table=markdown_table(HEADER, [each.row for each in found]),
        conditions=describe_conditions(),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of the names of cases; all without one")
    parser.add_argument("--budget", type=float, default=40.0, help="seconds for each tuning")
    parser.add_argument("--turns", type=int, default=5, help="times that each is measured")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the page of results")
    options = parser.parse_args()
    cases = tuple(
        case
        for case in (*MISCONFIGURED, *WELL_MADE)
        if not options.names or any(name in case.name for name in options.names)
    )
    found = list(results(cases, options.budget, options.turns))
    if options.markdown:
        options.markdown.write_text(page(found, options), encoding="utf-8")
    return int(not all(each.right for each in found))


if __name__ == "__main__":
    sys.exit(main())
