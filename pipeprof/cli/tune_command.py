"""``pipeprof tune``: tries changes of an input, and shows what each of them gained."""

import json as json_module
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeprof.cli.options import LogdirOption
from pipeprof.errors import UsageError
from pipeprof.runs.log_folder import DEFAULT_LOGDIR

if TYPE_CHECKING:
    from pipeprof.recording.tuning_outcome import Change, Description, Trial, TuningOutcome

_BUDGET_S = 60.0


def tune(
    function: Annotated[
        str | None,
        typer.Argument(
            metavar="MODULE:FUNCTION",
            help="Returns a dataset, or (model, dataset); for example train:make_dataset.",
        ),
    ] = None,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARGS", help="With --script: its own arguments.")
    ] = None,
    script: Annotated[
        Path | None,
        typer.Option(metavar="SCRIPT", help="Tune the first training of a script, unchanged."),
    ] = None,
    logdir: LogdirOption = DEFAULT_LOGDIR,
    budget: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long all trials together may take.")
    ] = _BUDGET_S,
    patch: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --script: write the diff there, for 'patch -p1'."),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the result there as JSON, too.")
    ] = None,
) -> None:
    """Try changes of an input pipeline in short trials, and show what makes it faster.

    The user's code stays as it is; the changes that helped are printed as code to write, or as a diff of
    the script. A change that delivers other batches is not kept.
    """
    from pipeprof.cli.files import require_writable
    from pipeprof.cli.program import find_script
    from pipeprof.cli.screen import write_tuning
    from pipeprof.cli.script_trials import of_script
    from pipeprof.tuning.bench_process import ProcessBench, of_function
    from pipeprof.tuning.budget import require_budget
    from pipeprof.tuning.tuner import Tuner

    require_budget(budget)
    if json is not None:
        require_writable(json, "--json")
    if patch is not None:
        if script is None:
            raise UsageError(
                "expected --script SCRIPT beside --patch, received no script to change."
            )
        require_writable(patch, "--patch")
    given = [part for part in (function, *(arguments or ())) if part is not None]
    if script is None:
        if len(given) != 1:
            raise UsageError(
                "expected one MODULE:FUNCTION that returns a dataset, or --script SCRIPT, received "
                f"{' '.join(given) or 'neither'}."
            )
        serves = of_function(given[0])
    else:
        find_script(str(script), given)
        serves = of_script(str(script), tuple(given))
    progress = _Progress()
    with ProcessBench(serves, budget) as bench:
        sys.stderr.write(f"pipeprof looks at {script or given[0]} …\n")
        bench.describe()
        run = bench.record(logdir.absolute())
        outcome = Tuner(
            bench,
            int(budget * 1e9),
            time.monotonic_ns,
            on_described=progress.start,
            on_progress=progress.show,
        ).run()
    sys.stderr.write("\n")
    write_tuning(outcome, sys.stdout, script)
    if run is not None:
        _keep(outcome, logdir, run)
    if json is not None:
        _write_json(outcome, json)
    if patch is not None and script is not None:
        _write_diff(outcome, script, patch)


def _keep(outcome: "TuningOutcome", logdir: Path, name: str) -> None:
    """Keeps the result beside the recorded run, whose report then shows it."""
    from pipeprof.errors import PipeprofError
    from pipeprof.runs.run_search import find_run
    from pipeprof.runs.tuning_file import keep_tuning

    folder = find_run(logdir, name)
    try:
        keep_tuning(folder, outcome)
    except OSError as error:
        raise PipeprofError(
            f"the result could not be written to {folder} ({error.strerror or error})."
        ) from error
    sys.stdout.write(f"\n  Saved with run {name}. Show it again: pipeprof report\n")


def _write_diff(outcome: "TuningOutcome", script: Path, file: Path) -> None:
    from pipeprof.cli.files import write_text
    from pipeprof.cli.screen import read_script
    from pipeprof.report.tuning.tuning_patch import write_patch

    patch = write_patch(read_script(script), str(script), outcome.described, outcome.best)
    write_text(patch.diff, file, "--patch")


def _write_json(outcome: "TuningOutcome", file: Path) -> None:
    from pipeprof.cli.files import write_text
    from pipeprof.surfaces.json_report.tuning_as_json import tuning_dict

    write_text(f"{json_module.dumps(tuning_dict(outcome), indent=1)}\n", file, "--json")


class _Progress:
    """A line on standard error for each trial."""

    def __init__(self) -> None:
        self._described: Description | None = None

    def start(self, described: "Description") -> None:
        """Notes what is tuned."""
        self._described = described

    def show(self, event: "Change | Trial") -> None:
        """Shows what is tried, or what it gave."""
        from pipeprof.report.names.edit_names import change_name
        from pipeprof.report.tuning.tuning_text import describe_trial

        if self._described is None:
            return
        if isinstance(event, tuple):
            sys.stderr.write(f"  {change_name(event, self._described)} …\n")
        else:
            sys.stderr.write(f"    {describe_trial(event, self._described)}\n")
        sys.stderr.flush()
