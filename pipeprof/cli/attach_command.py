"""``pipeprof attach``: a verdict on a training that is already running, observed from outside."""

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
    from pipeprof.attach.attached_report import attached_json, render_attached
    from pipeprof.attach.attached_verdict import find_attached_verdict
    from pipeprof.attach.observer import observe
    from pipeprof.cli.screen import Screen

    found = find_attached_verdict(observe(pid, duration))
    if as_json:
        typer.echo(attached_json(found))
    else:
        typer.echo(render_attached(found, **asdict(Screen.of(sys.stdout))))
