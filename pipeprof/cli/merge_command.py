"""``pipeprof merge``: brings the recordings of processes that trained together into one run."""

import shlex
from pathlib import Path
from typing import Annotated

import typer


def merge(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="DIR...", help="Folders of runs; of a log folder its latest run."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Log folder of the new run.")],
    name: Annotated[
        str | None, typer.Option(help="Name of the new run; that of the first without one.")
    ] = None,
) -> None:
    """Bring recordings of processes that trained together without a shared folder into one run."""
    from pipeprof.loaded.merging import merge_runs

    run = merge_runs(folders, out, name)
    typer.echo(f"Written to {run}. Show it: pipeprof report {shlex.quote(str(out))}")
