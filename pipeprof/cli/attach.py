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
    from pipeprof.analysis.glimpses import judge_glimpse
    from pipeprof.cli.screen import Screen
    from pipeprof.probes.glimpses import take_glimpse
    from pipeprof.surfaces.glimpses import glimpse_json, render_glimpse

    found = judge_glimpse(take_glimpse(pid, duration))
    if as_json:
        typer.echo(glimpse_json(found))
    else:
        typer.echo(render_glimpse(found, **asdict(Screen.of(sys.stdout))))
