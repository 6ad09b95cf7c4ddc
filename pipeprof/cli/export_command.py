"""``pipeprof export``: a recorded run as a trace for other viewers, or all runs as a table."""

from pathlib import Path
from typing import Annotated

import typer

from pipeprof.cli.options import LogdirArgument
from pipeprof.errors import UsageError
from pipeprof.runs.log_folder import DEFAULT_LOGDIR


def export(
    logdir: LogdirArgument = DEFAULT_LOGDIR,
    chrome: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write a trace for Perfetto and chrome://tracing there; packed if it ends in .gz.",
        ),
    ] = None,
    as_csv: Annotated[
        Path | None,
        typer.Option(
            "--csv", metavar="FILE", help="Write the numbers of all runs there, a line for each."
        ),
    ] = None,
    run: Annotated[
        str | None, typer.Option(metavar="NAME", help="The run's name; the latest without one.")
    ] = None,
) -> None:
    """Write a recorded run as a trace that other viewers open, or the numbers of all runs as CSV."""
    if chrome is None and as_csv is None:
        raise UsageError("expected --chrome FILE or --csv FILE, received neither.")
    if chrome is not None:
        from pipeprof.cli.files import write_chrome
        from pipeprof.loaded.recorded_run import load

        write_chrome(load(logdir, name=run).findings, chrome)
        typer.echo(f"Written to {chrome}: open it at https://ui.perfetto.dev", err=True)
    if as_csv is not None:
        from pipeprof.cli.files import write_text
        from pipeprof.cli.run_rows_of import rows_of_folder
        from pipeprof.report.runs_table import runs_csv

        write_text(runs_csv(rows_of_folder(logdir, run)), as_csv, "--csv")
        typer.echo(f"Written to {as_csv}", err=True)
