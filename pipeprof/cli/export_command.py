"""``pipeprof export``: a recorded run as a trace for other viewers, or all runs as a table."""

from pathlib import Path
from typing import Annotated

import typer

from pipeprof.cli.options import LogdirArgument
from pipeprof.errors import UsageError
from pipeprof.runs.log_folder import DEFAULT_LOGDIR
from pipeprof.runs.run_search import find_run


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
            "--csv",
            metavar="FILE",
            help="Write the numbers of all runs there, a line for each; - prints them.",
        ),
    ] = None,
    run: Annotated[
        str | None, typer.Option(metavar="NAME", help="The run's name; the latest without one.")
    ] = None,
    ranks: Annotated[
        str | None,
        typer.Option(metavar="all", help="With --chrome: all ranks, also where there are many."),
    ] = None,
) -> None:
    """Write a recorded run as a trace that other viewers open, or the numbers of all runs as CSV."""
    if ranks not in (None, "all"):
        raise UsageError(f"expected --ranks all, received --ranks {ranks}.")
    if chrome is None and as_csv is None:
        raise UsageError("expected --chrome FILE or --csv FILE, received neither.")
    if chrome is not None:
        from pipeprof.cli.files import write_chrome, write_trace
        from pipeprof.loaded.loaded_ranks import findings_of_ranks
        from pipeprof.loaded.recorded_run import load
        from pipeprof.surfaces.timelines.chrome import to_chrome_of_ranks

        findings = load(logdir, name=run).findings
        if findings.ranks is None:
            write_chrome(findings, chrome)
        else:
            folder = find_run(logdir, run)
            chosen = findings_of_ranks(folder, everyone=ranks == "all")
            write_trace(to_chrome_of_ranks(chosen), chrome)
            shown = f"{len(chosen)} of {len(findings.ranks.ranks)} ranks"
            more = " (all: --ranks all)" if len(chosen) < len(findings.ranks.ranks) else ""
            typer.echo(f"{shown}{more}", err=True)
        typer.echo(f"Written to {chrome}: open it at https://ui.perfetto.dev", err=True)
    if as_csv is not None:
        from pipeprof.cli.files import write_text
        from pipeprof.cli.run_rows_of import rows_of_folder
        from pipeprof.report.runs.runs_table import runs_csv

        table = runs_csv(rows_of_folder(logdir, run))
        if str(as_csv) == "-":
            typer.echo(table, nl=False)
            return
        write_text(table, as_csv, "--csv")
        typer.echo(f"Written to {as_csv}", err=True)
