"""``pipeprof tune``: tries changes of an input, and shows what each of them gained."""

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from pipeprof.errors import UsageError

if TYPE_CHECKING:
    from pipeprof.recording.tuning_outcome import Change, Description, Trial

_BUDGET_S = 60.0


def tune(
    function: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:FUNCTION",
            help="Returns a dataset, or (model, dataset); for example train:make_dataset.",
        ),
    ],
    budget: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long all trials together may take.")
    ] = _BUDGET_S,
) -> None:
    """Try changes of an input pipeline in short trials, and show what makes it faster.

    The user's code stays as it is; the changes that helped are printed as code to write. A change that
    delivers other batches is not kept.
    """
    if budget <= 0:
        raise UsageError(f"expected a budget in seconds, received {budget:g}.")
    from pipeprof.cli.screen import write_tuning
    from pipeprof.tuning.bench_process import ProcessBench
    from pipeprof.tuning.tuner import Tuner

    with ProcessBench(function, budget) as bench:
        sys.stderr.write(f"pipeprof looks at {function} …\n")
        progress = _Progress()
        tuner = Tuner(
            bench,
            int(budget * 1e9),
            time.monotonic_ns,
            on_progress=progress.show,
            on_described=progress.start,
        )
        outcome = tuner.run()
    sys.stderr.write("\n")
    write_tuning(outcome, sys.stdout)


class _Progress:
    """A line on standard error for each trial."""

    def start(self, described: "Description") -> None:
        self._described = described

    def show(self, event: "Change | Trial") -> None:
        from pipeprof.report.edit_names import change_name
        from pipeprof.report.tuning_text import describe_trial

        if isinstance(event, tuple):
            sys.stderr.write(f"  {change_name(event, self._described)} …\n")
        else:
            sys.stderr.write(f"    {describe_trial(event, self._described)}\n")
