"""``pipeprof attach``: a look at a training that is already running, from outside."""

import sys
from dataclasses import asdict
from typing import Annotated

import typer


def attach(
    pid: Annotated[int, typer.Argument(metavar="PID", help="The process of the training.")],
    duration: Annotated[
        int, typer.Option(min=1, max=60, metavar="S", help="Seconds to watch it.")
    ] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Look at a training that is already running, unprepared, without halting it."""
    from pipeprof.attach.attached_report import glimpse_json, render_glimpse
    from pipeprof.attach.attached_verdict import judge_glimpse
    from pipeprof.attach.observer import take_glimpse
    from pipeprof.cli.screen import Screen

    found = judge_glimpse(take_glimpse(pid, duration))
    if as_json:
        typer.echo(glimpse_json(found))
    else:
        typer.echo(render_glimpse(found, **asdict(Screen.of(sys.stdout))))
