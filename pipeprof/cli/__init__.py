"""The command line: one file for each command, which calls the library and shows the result.

May know all other packages; none of them may know it. Modules that take long to import are imported inside
the commands that need them.
"""

import sys
from typing import Annotated

import typer
from typer.main import get_command

from pipeprof.cli import attach_command as attach
from pipeprof.cli import ceiling_command as ceiling
from pipeprof.cli import compare_command as compare
from pipeprof.cli import demo_command as demo
from pipeprof.cli import doctor_command as doctor
from pipeprof.cli import export_command as export
from pipeprof.cli import merge_command as merge
from pipeprof.cli import repair_command as repair
from pipeprof.cli import report_command as report
from pipeprof.cli import run_command as run
from pipeprof.cli import tune_command as tune
from pipeprof.cli import view_command as view
from pipeprof.errors import PipeprofError

__all__ = ["main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# Everything after the script's name belongs to the script, options too.
app.command(context_settings={"allow_interspersed_args": False})(run.run)
app.command(context_settings={"allow_interspersed_args": False})(ceiling.ceiling)
app.command()(tune.tune)
app.command()(report.report)
app.command(cls=compare.ComparingCommand)(compare.compare)
app.command()(merge.merge)
app.command()(export.export)
app.command()(view.view)
app.command()(attach.attach)
app.command()(repair.repair)
app.command()(demo.demo)
app.command()(doctor.doctor)


def main() -> None:
    """Runs the command line; a `PipeprofError` becomes one sentence on standard error and exit code 2."""
    try:
        # Not `app()`: typer would replace the script's own hook for exceptions.
        get_command(app)(prog_name="pipeprof")
    except PipeprofError as error:
        sys.stderr.write(f"pipeprof: {error}\n")
        sys.exit(2)


def _show_version(wanted: bool) -> None:
    if wanted:
        from pipeprof import __version__

        typer.echo(f"pipeprof {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_show_version, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Is your training waiting for its data, which line makes it wait, and what would fixing it gain?"""
