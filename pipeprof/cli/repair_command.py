"""``pipeprof repair``: gives existing Keras 3 profiles the step markers that XProf needs."""

from pathlib import Path
from typing import Annotated

import typer

from pipeprof.errors import PipeprofError


def repair(
    logdir: Annotated[
        Path, typer.Argument(metavar="LOGDIR", help="TensorBoard's log folder.", show_default=False)
    ],
) -> None:
    """Give recorded Keras 3 profiles the step markers without which XProf has no verdict.

    The recorded profile stays as it is: the repaired copy is a run of its own beside it.
    """
    from pipeprof.report.runs.repair_text import describe_repair
    from pipeprof.xspace.step_repair import repair_profiles

    try:
        for each in repair_profiles(logdir):
            typer.echo(describe_repair(each, logdir))
    except OSError as error:
        raise PipeprofError(
            f"a repaired profile could not be written to {error.filename or logdir} "
            f"({error.strerror or error}): copy the folder to where you may write, and repair it there."
        ) from error
