"""The page of a validation, in Markdown: how it was made, its tables, each training, each miss."""

import statistics
from collections.abc import Iterator, Sequence

from pipeprof.scenarios.validation.checking.report_check import Agreement, ReportCheck
from pipeprof.scenarios.validation.checking.report_keys import look_up
from pipeprof.scenarios.validation.expected import Planted
from pipeprof.scenarios.validation.kept_runs import KeptRun
from pipeprof.scenarios.validation.tables import Result, markdown_table, render_tables

_INTRODUCTION = """\
# Validation

`tools/validate` trains plain scripts that know nothing of pipeprof, each under `pipeprof run`, and
compares the reports with what is true of the trainings: with what is planted in them (bound, stage,
line, cause), with the clocks that the scripts keep of themselves (waits, costs, shares of the time), and
with the same training fed for free (the ceiling). The scripts are in
`pipeprof/scenarios/validation/scripts`. The tool wrote this page, misses included:

```console
tools/validate --rounds {rounds} --ceilings --json validation.jsonl --resume --markdown docs/validation.md
```

The same command goes on where it was stopped. {load}Right is a cost or a wait within 10 %, a share
within 3 points, and an ideal step within 15 % of the ceiling or with an interval that holds it."""

_LOAD = "In round {number} another program computes on one core for two seconds of every four. "


def render_document(
    planted: Sequence[Planted], runs: Sequence[KeptRun], results: Sequence[Result]
) -> str:
    """The whole page.

    Args:
        planted: all planted trainings.
        runs: those that were run.
        results: what the comparison of each run found, in the same order.
    """
    rounds = sorted({run.round for run in runs})
    loaded = sorted({run.round for run in runs if run.with_load})
    load = "".join(_LOAD.format(number=number) for number in loaded)
    blocks = [
        _INTRODUCTION.format(rounds=len(rounds), load=load),
        render_tables(results),
        conditions_text(runs),
        *_not_run(planted, runs),
        f"## Each training\n\n{_trainings(planted, results, rounds)}",
        f"## Misses\n\n{_misses(results)}",
    ]
    return "\n\n".join(blocks) + "\n"


def _not_run(planted: Sequence[Planted], runs: Sequence[KeptRun]) -> Iterator[str]:
    """Names those that are planted and were not run, where there are such."""
    ran = {run.name for run in runs}
    names = [f"`{each.name}`" for each in planted if each.name not in ran]
    if names:
        yield f"Of the {len(planted)} planted trainings these were not run: {', '.join(names)}."


def conditions_text(runs: Sequence[KeptRun]) -> str:
    """The machine and the versions, and how much of the machine other programs used meanwhile."""
    conditions = sorted({run.conditions for run in runs})
    others = [
        used for run in runs if not run.with_load and (used := _used_by_others(run)) is not None
    ]
    text = "; and ".join(conditions)
    if not others:
        return f"{text}."
    usual, most = statistics.median(others), max(others)
    return f"{text}. Other programs used {usual:.1f} cores in the median run and {most:.1f} at the most."


def _used_by_others(run: KeptRun) -> float | None:
    """Cores' worth of CPU, while the steps of the training ran."""
    cpu = look_up(run.report, "cpu")
    machine, own = look_up(cpu, "machine_ratio"), look_up(cpu, "process_ratio")
    if not isinstance(machine, float) or not isinstance(own, float):
        return None
    cores = float(cpu["cores"])
    return max(machine * cores - own * min(cores, cpu["limit"] or cores), 0.0)


def _trainings(planted: Sequence[Planted], results: Sequence[Result], rounds: Sequence[int]) -> str:
    by_key = {(result.name, result.round): result for result in results}
    names = {result.name for result in results}
    head = ["training", "kind", "bound", "cause", *(f"round {number}" for number in rounds)]
    rows = (
        [
            f"`{each.name}`",
            each.kind,
            " or ".join(each.bound),
            " or ".join(each.cause) or "·",
            *(_outcome(by_key.get((each.name, number))) for number in rounds),
        ]
        for each in planted
        if each.name in names
    )
    return markdown_table(head, rows)


def _outcome(result: Result | None) -> str:
    if result is None:
        return "not run"
    if result.failure is not None:
        return "failed"
    differing = len(result.differing)
    return f"{differing} of {len(result.checks)} differ" if differing else "right"


def _misses(results: Sequence[Result]) -> str:
    rows = [
        [f"`{result.name}`", str(result.round), what, found, expected]
        for result in sorted(results, key=lambda result: (result.name, result.round))
        for what, found, expected in _missed(result)
    ]
    if not rows:
        return "None."
    return markdown_table(["training", "round", "what", "reported", "true"], rows)


def _missed(result: Result) -> Iterator[tuple[str, str, str]]:
    if result.failure is not None:
        yield "the run", result.failure.splitlines()[0], "a report"
    for check in result.differing:
        yield _cell(check.what), _found(check), _cell(check.expected_text)


def _found(check: ReportCheck) -> str:
    return "missing" if check.outcome is Agreement.MISSING else _cell(check.found_text)


def _cell(text: str) -> str:
    one_line = " ".join(text.split()).replace("|", "\\|")
    return one_line if len(one_line) <= 80 else f"{one_line[:79]}…"
