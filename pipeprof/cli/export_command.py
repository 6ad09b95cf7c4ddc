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
    from pipeprof.analysis.analyse import analyse
    from pipeprof.cli.files import write_chrome
    from pipeprof.runs.run_reading import read_run
    from pipeprof.runs.run_search import find_run

    write_chrome(analyse(read_run(find_run(logdir, run))), chrome)
    typer.echo(f"Written to {chrome}: open it at https://ui.perfetto.dev", err=True)
