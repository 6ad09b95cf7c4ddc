"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

LogdirArgument = Annotated[
    Path, typer.Argument(metavar="LOGDIR", help="A log folder, or a run's own folder.")
]
LogdirOption = Annotated[Path, typer.Option(metavar="DIR", help="TensorBoard's log folder.")]
