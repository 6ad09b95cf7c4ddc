"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

LogdirArgument = Annotated[
    Path, typer.Argument(metavar="LOGDIR", help="A log folder, or a run's own folder.")
]
LogdirOption = Annotated[Path, typer.Option(metavar="DIR", help="TensorBoard's log folder.")]
ScriptArgument = Annotated[
    str, typer.Argument(metavar="SCRIPT", help="The script, or with -m the module.")
]
ScriptsArguments = Annotated[
    list[str] | None, typer.Argument(metavar="ARGS", help="Its own arguments.")
]
ModuleOption = Annotated[bool, typer.Option("-m", help="Run a module, as 'python -m' does.")]
