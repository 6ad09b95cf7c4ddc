"""The command line: one file for each command, which calls the library and shows the result.

May know all other packages; none of them may know it. Modules that take long to import are imported inside
the commands that need them.
"""

import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.main import get_command

from pipeprof.cli.interrupts import ScriptInterruptedError, end_by_interrupt
from pipeprof.errors import PipeprofError

__all__ = ["main"]

# Everything after a script's name belongs to the script, options too.
_RUNS_SCRIPT = {"context_settings": {"allow_interspersed_args": False}}

# In the order of the help. The command `run` is the function `run` of the module `run_command`, which may
# have a class for it.
_COMMANDS: dict[str, dict[str, Any]] = {
    "run": _RUNS_SCRIPT,
    "ceiling": _RUNS_SCRIPT,
    "tune": {},
    "report": {},
    "compare": {},
    "merge": {},
    "export": {},
    "view": {},
    "attach": {},
    "repair": {},
    "demo": {},
    "doctor": {},
}


def _with_commands(names: Iterable[str]) -> typer.Typer:
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for name in names:
        module = import_module(f"pipeprof.cli.{name}_command")
        kind = getattr(module, "COMMAND_CLASS", None)
        app.command(cls=kind, **_COMMANDS[name])(getattr(module, name))
    return app


def main() -> None:
    """Runs the command line; a `PipeprofError` becomes one sentence on standard error and exit code 2."""
    # Only the command that is asked for: a script should not wait until the other ones are imported.
    names = [name for name in sys.argv[1:2] if name in _COMMANDS] or _COMMANDS
    try:
        # Not `app()`: typer would replace the script's own hook for exceptions.
        get_command(_with_commands(names))(prog_name="pipeprof")
    except PipeprofError as error:
        sys.stderr.write(f"pipeprof: {error}\n")
        sys.exit(2)
    except ScriptInterruptedError:
        end_by_interrupt()


def _show_version(wanted: bool) -> None:
    if wanted:
        from pipeprof import __version__

        typer.echo(f"pipeprof {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_show_version, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Is your training waiting for its data, which line makes it wait, and what would fixing it gain?"""
