"""``pipeprof export``: a recorded run as a trace for other viewers."""

from pathlib import Path
from typing import Annotated

import typer

from pipeprof.cli.options import LogdirArgument
from pipeprof.runs.log_folder import DEFAULT_LOGDIR


def export(
    chrome: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Write a trace for Perfetto and chrome://tracing there; packed if it ends in .gz.",
        ),
    ],
    logdir: LogdirArgument = DEFAULT_LOGDIR,
    run: Annotated[
        str | None, typer.Option(metavar="NAME", help="The run's name; the latest without one.")
    ] = None,
) -> None:
    """Write a recorded run as a trace that other viewers open."""
    from pipeprof.cli.files import write_chrome
    from pipeprof.recorded_run import load

    write_chrome(load(logdir, name=run).findings, chrome)
    typer.echo(f"Written to {chrome}: open it at https://ui.perfetto.dev", err=True)
