"""``pipeprof view``: TensorBoard on a log folder."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from pipeprof.cli.options import LogdirArgument
from pipeprof.errors import RunError, UsageError
from pipeprof.runs.log_folder import DEFAULT_LOGDIR


def view(
    logdir: LogdirArgument = DEFAULT_LOGDIR,
    port: Annotated[
        int | None, typer.Option(help="Its port; the first free one from 6006 on without one.")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="The address it listens on; this machine only without one.")
    ] = None,
) -> None:
    """Show the runs of a log folder in TensorBoard, until Ctrl-C."""
    from rich.console import Console

    from pipeprof.cli.server import read_address, read_to_end, tensorboard
    from pipeprof.cli.signals import exit_on_sigterm
    from pipeprof.runs.run_search import find_run, list_runs

    latest, runs = find_run(logdir), list_runs(logdir)
    shown = _logdir_of(latest) if latest.samefile(logdir) else logdir
    exit_on_sigterm()
    console = Console(stderr=True, highlight=False)
    with suppress(KeyboardInterrupt):
        with console.status("Writing what TensorBoard needs …"):
            remarks = list(_complete_exports(runs))
        if find_spec("xprof") is None:
            remarks.append('TensorBoard has no Profile page: pip install "pipeprof[xprof]"')
        for remark in remarks:
            typer.echo(remark, err=True)
        with tensorboard(shown, host, port) as lines:
            with console.status("Starting TensorBoard …"):
                address = read_address(lines)
            typer.echo(f"TensorBoard shows {shown} at {address} (Ctrl-C ends it)")
            read_to_end(lines)


def _logdir_of(run: Path) -> Path:
    """The log folder that a run lies in."""
    folder = run.resolve()
    if folder.parts[-3:-1] != ("plugins", "pipeprof"):
        raise UsageError(
            f"expected a log folder, received the run {run}, which lies in none: "
            f"move it to LOGDIR/plugins/pipeprof/{folder.name}."
        )
    return folder.parents[2]


def _complete_exports(runs: Iterable[Path]) -> Iterator[str]:
    """Exports the runs without an export, for example those cut off; yields a sentence for each failure."""
    for run in runs:
        if _exported(run):
            continue
        try:
            _export(run)
        except (RunError, UsageError, OSError, ValueError) as error:
            # ValueError: figures that do not fit into the other formats.
            yield f"Run {run.name} is not shown: {error}"


def _exported(run: Path) -> bool:
    """Whether a run has an export that is no older than the run's files."""
    traces = (run.parent.parent / "profile" / run.name).glob("*.xplane.pb")
    exported_ns = max((trace.stat().st_mtime_ns for trace in traces), default=0)
    return exported_ns >= max(file.stat().st_mtime_ns for file in run.glob("*-*.json"))


def _export(run: Path) -> None:
    from pipeprof.loaded.recorded_run import load
    from pipeprof.surfaces.timelines.tensorboard import write_run

    recorded = load(run)
    write_run(recorded.findings, _logdir_of(run), recorded.report(width=100))
