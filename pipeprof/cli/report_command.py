"""``pipeprof report``: the report on a recorded run."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeprof.cli.options import LogdirArgument
from pipeprof.errors import UsageError
from pipeprof.runs.log_folder import DEFAULT_LOGDIR

if TYPE_CHECKING:
    from pipeprof.loaded.recorded_run import RecordedRun


def report(
    logdir: LogdirArgument = DEFAULT_LOGDIR,
    run: Annotated[
        str | None, typer.Option(metavar="NAME", help="The run's name; the latest without one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    as_html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="Write the report there as a web page instead."
        ),
    ] = None,
    what_if: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="Predict instead what a step would take, for example 'stage=decode parallelism=4'.",
        ),
    ] = None,
    rank: Annotated[
        int | None,
        typer.Option(metavar="N", help="Of a run of many processes, report on this one."),
    ] = None,
    ranks: Annotated[
        str | None,
        typer.Option(metavar="all", help="With --json: all ranks, also where there are many."),
    ] = None,
    list_all: Annotated[bool, typer.Option("--list", help="List the runs instead.")] = False,
    sort: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="With --list: sort by it (step_ms); -NAME for most first."
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION", help="With --list: only runs like 'bound=input' or 'step_ms>10'."
        ),
    ] = None,
) -> None:
    """Report whether the training of a recorded run waits for its data, and why."""
    from pipeprof.loaded.recorded_run import load

    if list_all:
        from pipeprof.cli.run_rows_of import rows_of_folder
        from pipeprof.cli.screen import write_runs
        from pipeprof.report.runs.runs_table import chosen_rows

        write_runs(chosen_rows(rows_of_folder(logdir, run), where or (), sort), sys.stdout)
        return
    if sort is not None or where:
        raise UsageError("expected --sort and --where beside --list, received them without it.")
    if ranks not in (None, "all") or (ranks and not as_json):
        raise UsageError(f"expected '--ranks all' beside --json, received --ranks {ranks}.")
    recorded = load(logdir, name=run, rank=rank)
    if what_if:
        for supposed in what_if:
            _predict(recorded, supposed)
        return
    findings = recorded.findings
    if as_json:
        from pipeprof.surfaces.json_report.as_json import to_json

        typer.echo(to_json(findings, all_ranks=ranks is not None))
    elif as_html is None:
        from pipeprof.cli.screen import write_report

        write_report(findings, sys.stdout)
    if as_html is not None:
        from pipeprof.cli.files import write_page

        write_page(findings, as_html)
        typer.echo(f"Written to {as_html}", err=True)


def _predict(recorded: "RecordedRun", supposed: str) -> None:
    from pipeprof.analysis.predicting.what_if_expressions import read_suppositions
    from pipeprof.report.predicting.what_if_text import describe_prediction

    prediction = recorded.what_if(supposed)
    typer.echo(" ".join(describe_prediction(read_suppositions(supposed), prediction)))
