"""``pipeprof doctor``: what this machine lets pipeprof see, and how to get the rest."""

from typing import TYPE_CHECKING, Annotated

import typer

from pipeprof.cli.options import LogdirOption
from pipeprof.runs.log_folder import DEFAULT_LOGDIR

if TYPE_CHECKING:
    from pipeprof.cli.machine_checks import MachineCheck


def doctor(
    logdir: LogdirOption = DEFAULT_LOGDIR,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say what this machine lets pipeprof see, and how to get the rest."""
    from pipeprof.cli.machine_checks import examine

    checks = examine(logdir)
    if as_json:
        import json
        from dataclasses import asdict

        listed = [{**asdict(check), "state": check.state.value} for check in checks]
        typer.echo(json.dumps(listed, indent=2))
    else:
        _show(checks)


def _show(checks: "tuple[MachineCheck, ...]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pipeprof.cli.machine_checks import State

    styles = {State.GOOD: "green", State.GAP: "yellow", State.BROKEN: "bold red"}
    table = Table.grid(padding=(0, 2))
    for check in checks:
        remedy = f"\n{check.remedy}" if check.remedy else ""
        table.add_row(
            Text(check.state.value, styles[check.state]),
            Text(check.name),
            Text.assemble(check.found, (remedy, "cyan")),
        )
    Console(highlight=False).print(table)
