"""``pipeprof ceiling``: a script's training with input for free, the measured limit."""

import json as json_module
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeprof.capture.settings import MOST_KEPT_BATCHES
from pipeprof.cli.options import LogdirOption, ModuleOption, ScriptArgument, ScriptsArguments
from pipeprof.errors import PipeprofError
from pipeprof.runs.log_folder import DEFAULT_LOGDIR

if TYPE_CHECKING:
    from pipeprof.recording.ceiling import Ceiling


def ceiling(
    script: ScriptArgument,
    arguments: ScriptsArguments = None,
    module: ModuleOption = False,
    logdir: LogdirOption = DEFAULT_LOGDIR,
    steps: Annotated[int, typer.Option(metavar="N", help="Measure so many steps.")] = 100,
    batches: Annotated[
        int, typer.Option(metavar="N", help="Keep at most so many batches.")
    ] = MOST_KEPT_BATCHES,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the result there as JSON, too.")
    ] = None,
) -> None:
    """Run a script's training with input for free: the measured limit of a faster input.

    The first batches of its first training are kept in memory and fed again and again for some steps;
    then the script ends. The result is shown beside the latest run of that script, too.
    """
    from pipeprof.capture.ceiling_run import measure_ceiling
    from pipeprof.cli.files import require_writable
    from pipeprof.cli.program import exit_code, find_module, find_script, show_end

    program = (find_module if module else find_script)(script, arguments or ())
    if json is not None:
        require_writable(json, "--json")
    folder = logdir.absolute()
    json = json and json.absolute()
    raised: list[BaseException] = []

    def train() -> None:
        program.load()
        try:
            program.run()
        except BaseException as error:
            raised.append(error)
            raise

    try:
        measured = measure_ceiling(train, steps, batches)
    except PipeprofError:
        raise
    except BaseException as error:
        if error not in raised and not isinstance(error, SyntaxError):
            raise
        show_end(error)
        sys.exit(exit_code(error))
    _show(measured, folder, program.argv, json)


def _show(measured: "Ceiling", logdir: Path, argv: tuple[str, ...], json: Path | None) -> None:
    """Writes the result on standard error, beside the script's latest run, and into a file."""
    from pipeprof.cli.files import write_text
    from pipeprof.report.one_run.ceiling_text import describe_ceiling
    from pipeprof.runs.ceiling_file import write_ceiling
    from pipeprof.runs.run_reading import find_run_of
    from pipeprof.surfaces.json_report.as_json import ceiling_to_dict

    run = find_run_of(logdir, argv)
    sys.stderr.write("\n")
    for line in describe_ceiling(measured, run.name if run is not None else None):
        sys.stderr.write(f"  {line}\n")
    if json is not None:
        write_text(f"{json_module.dumps(ceiling_to_dict(measured))}\n", json, "--json")
    if run is not None:
        try:
            write_ceiling(run, measured)
        except OSError as error:
            raise PipeprofError(
                f"the result could not be written to {run} ({error.strerror or error})."
            ) from error
