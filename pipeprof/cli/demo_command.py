"""``pipeprof demo``: one training with each kind of input, side by side."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeprof.cli.options import LogdirOption
from pipeprof.errors import UsageError
from pipeprof.runs.log_folder import DEFAULT_LOGDIR

if TYPE_CHECKING:
    from rich.progress import Progress

    from pipeprof.analysis.findings.findings import Findings
    from pipeprof.scenarios import Scenario


def demo(
    ways: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WAY",
            help="generator, threads, processes, tf.data; or all. Or compare: the classic questions.",
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Photographs of your own, JPEG or PNG.")
    ] = None,
    logdir: LogdirOption = DEFAULT_LOGDIR,
) -> None:
    """Train on the same photographs through a generator, a Sequence and tf.data, and compare.

    'pipeprof demo compare' answers the classic questions about Keras's losses by measuring them.
    It takes one to two minutes; the photographs are made once and kept in the user's cache folder.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from pipeprof.cli.program import INTERRUPTED
    from pipeprof.cli.screen import write_side_by_side

    # TensorFlow would write messages about the machine when it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if ways == ["compare"]:
        _answer(logdir)
        return
    named: list[tuple[str, Findings]] = []
    code = 0
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
    )
    # Rarely redrawn, because it shares the processors with the training that is measured.
    with Progress(
        *columns, console=Console(stderr=True), refresh_per_second=2, transient=True
    ) as progress:
        try:
            chosen = _choose(_load(data, progress), ways)
            task = progress.add_task("Training", total=len(chosen))
            for scenario in chosen:
                progress.update(task, description=f"Training: {scenario.title}")
                named.append((scenario.title, _train(scenario, logdir)))
                progress.advance(task)
        except KeyboardInterrupt:
            code = INTERRUPTED
    if named:
        write_side_by_side(named, sys.stdout)
        typer.echo(f"\n  All of it in TensorBoard:  pipeprof view {shlex.quote(str(logdir))}")
    sys.exit(code)


def _answer(logdir: Path) -> None:
    """Answers the classic questions, one after the other as they are measured."""
    from pipeprof.cli.screen import write_answers
    from pipeprof.scenarios import classic_answers

    answers = classic_answers(logdir, lambda what: typer.echo(f"Training: {what}", err=True))
    for number, answer in enumerate(answers):
        if number:
            typer.echo()
        write_answers([answer], sys.stdout)


def _load(data: Path | None, progress: "Progress") -> tuple["Scenario", ...]:
    from pipeprof.scenarios import demo_scenarios

    task = progress.add_task("Loading TensorFlow", total=None)

    def made(number: int, of: int) -> None:
        progress.update(task, description="Making photographs", completed=number, total=of)

    scenarios = demo_scenarios(data, on_progress=made)
    progress.remove_task(task)
    return scenarios


def _choose(scenarios: Sequence["Scenario"], ways: Sequence[str] | None) -> list["Scenario"]:
    known = [scenario.name for scenario in scenarios]
    unknown = [way for way in ways or () if way not in known]
    if unknown:
        raise UsageError(f"expected some of {', '.join(known)}, received {', '.join(unknown)}.")
    return [scenario for scenario in scenarios if not ways or scenario.name in ways]


def _train(scenario: "Scenario", logdir: Path) -> "Findings":
    from pipeprof.capture.session import profile

    workload = scenario.prepare()
    with profile(workload.dataset, logdir=logdir, name=f"demo-{scenario.name}") as session:
        workload.train(session.dataset)
    return session.findings
