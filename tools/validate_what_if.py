"""Predicts what changes of planted trainings give, and measures the changed trainings beside it.

Each training is recorded once as it is. What is supposed of it is predicted from that recording, and
measured on the training that is so changed, by a clock of its own and without pipeprof. Prints a line for
each; exit code 1 where the median error, or one error, is larger than it may be.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pipeprof
from pipeprof.capture.free_input import repeated
from pipeprof.errors import UsageError
from pipeprof.loaded.recorded_run import RecordedRun
from pipeprof.scenarios.conditions import describe_conditions
from pipeprof.scenarios.validation.tables import markdown_table
from pipeprof.scenarios.what_if_cases import CASES, STEPS, Trained, WhatIfCase, make_model, run_on
from pipeprof.scenarios.what_if_results import (
    FREE_ERROR,
    HEADER,
    LARGEST_ERROR,
    MEDIAN_ERROR,
    Prediction,
    all_right,
    median_error,
)

WARM_UP = 20
KEPT_BATCHES = 8


def train(trained: Trained, callbacks: tuple[Any, ...] = ()) -> None:
    """Trains a new model."""
    run_on(trained.cores)
    dataset = trained.make()
    arguments: dict[str, Any] = {"epochs": trained.epochs}
    if trained.free:
        batches = [batch for batch, _ in zip(dataset, range(KEPT_BATCHES), strict=False)]
        dataset, arguments = repeated(batches, "tensorflow"), {"steps_per_epoch": STEPS}
    make_model().fit(dataset, verbose=0, callbacks=[*trained.callbacks(), *callbacks], **arguments)


def measure_ms(trained: Trained) -> float:
    """Milliseconds a step, behind the warm-up or the first of several epochs; their beginnings count."""
    import keras

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.last = 0.0
            self.steps: list[list[float]] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.steps.append([])
            self.last = time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            now = time.perf_counter()
            self.steps[-1].append(now - self.last)
            self.last = now

    clock = Clock()
    train(trained, (clock,))
    first, *others = clock.steps
    counted = [step for epoch in others for step in epoch] or first[WARM_UP:]
    return statistics.fmean(counted) * 1e3


def predictions(case: WhatIfCase, turns: int) -> Iterator[Prediction]:
    """All that is supposed of a training, predicted and measured."""
    with tempfile.TemporaryDirectory(prefix="what-if-") as folder:
        with pipeprof.profile(logdir=folder) as session:
            train(case.today)
        run = RecordedRun(session.result)
        for supposed in case.supposed:
            try:
                found = run.what_if(supposed.text)
            except UsageError as error:
                sys.exit(f"{case.name}: {supposed.text}: {error}")
            measured = [measure_ms(supposed.twin) for _ in range(turns)]
            yield Prediction(
                training=case.name,
                text=supposed.text,
                today_ms=found.today_ms,
                predicted_ms=found.step_ms,
                low_ms=found.interval.low,
                high_ms=found.interval.high,
                measured_ms=statistics.median(measured),
            )


PAGE = """\
# What-if, validated

`tools/validate_what_if` records trainings, predicts what changes of them would give, and measures
trainings that are so changed: {turns} turns of each, without pipeprof and by a clock of their own; the
medians stand here. The trainings are in `pipeprof/scenarios/what_if_cases.py`. Right is an error of at most
{largest:.0%}, {free:.0%} for input for free, or an interval that holds what was measured; the median of all
errors may be {median:.0%}. The tool wrote this page, misses included:

```console
tools/validate_what_if --markdown docs/what-if.md
```

{right} of {count} predictions right, {held} with what was measured in their interval; the median error is
{error:.1%}.

{table}

{conditions}
"""


def page(found: list[Prediction], turns: int) -> str:
    """The page of results, in Markdown."""
    return PAGE.format(
        turns=turns,
        largest=LARGEST_ERROR,
        free=FREE_ERROR,
        median=MEDIAN_ERROR,
        right=sum(each.is_right for each in found),
        held=sum(each.is_held for each in found),
        count=len(found),
        error=median_error(found),
        table=markdown_table(HEADER, [each.row for each in found]),
        conditions=describe_conditions(),
    )


def main() -> int:
    """Predicts and measures what was asked for; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of the names of trainings; all without one")
    parser.add_argument("--turns", type=int, default=3, help="times that each change is measured")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="keep results there, beside those of other trainings",
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the page of results")
    options = parser.parse_args()
    kept = json.loads(options.json.read_text()) if options.json and options.json.exists() else {}
    for case in CASES:
        if options.names and not any(name in case.name for name in options.names):
            continue
        kept[case.name] = []
        for found in predictions(case, options.turns):
            print("  ".join(found.row), flush=True)
            kept[case.name].append(asdict(found))
        if options.json:
            options.json.write_text(json.dumps(kept, indent=1))
    all_found = [Prediction(**row) for case in CASES for row in kept.get(case.name, ())]
    if not all_found:
        sys.exit("No training has such a name.")
    print(f"Median error {median_error(all_found):.1%} of {len(all_found)} predictions.")
    if options.markdown:
        options.markdown.write_text(page(all_found, options.turns), encoding="utf-8")
    return int(not all_right(all_found))


if __name__ == "__main__":
    sys.exit(main())
