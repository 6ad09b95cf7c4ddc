"""Runs a user's program in this process as ``python SCRIPT`` and ``python -m MODULE`` would run it.

It does not know about profiling.
"""

import builtins
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import Any

from pipeprof.capture.shown_tracebacks import hide_own_frames, is_own, links_of, without_own
from pipeprof.errors import UsageError
from pipeprof.recording.light_dataclasses import dataclass

INTERRUPTED = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program, and the environment that Python would give it.

    Attributes:
        load: returns its code; raises SyntaxError where the code is not valid.
        argv: its ``sys.argv``.
        search_first: the first folder of its ``sys.path``.
        module: its ``__main__``, where spawned worker processes find the file or module to import.
    """

    load: Callable[[], CodeType]
    argv: tuple[str, ...]
    search_first: str
    module: ModuleType

    def run(self) -> None:
        """Runs the program to its end; its exceptions are passed on.

        ``__main__`` and ``sys.argv`` stay the program's own afterwards, because its exit handlers and
        threads may still use them.
        """
        sys.argv = list(self.argv)
        _search_first(self.search_first)
        sys.modules["__main__"] = self.module
        _execute(self.load(), vars(self.module))


def find_script(script: str, arguments: Sequence[str]) -> Program:
    """The program of a script.

    Args:
        script: the script's file.
        arguments: the script's arguments.

    Raises:
        UsageError: there is no such file, or it cannot be read.
    """
    path = os.path.join(os.getcwd(), script)  # noqa: PTH109, PTH118 - "./" stays, as it does in Python
    loader = SourceFileLoader("__main__", path)
    try:
        source = loader.get_data(path)
    except OSError as error:
        raise UsageError(
            f"expected a Python script, but {script} cannot be read ({error.strerror}): check "
            "the path; a module is run with 'pipeprof run -m MODULE'."
        ) from None
    return Program(
        load=lambda: loader.source_to_code(source, path),
        argv=(script, *arguments),
        search_first=str(Path(path).resolve().parent),
        module=_main_module(__loader__=loader, __file__=path),
    )


def find_module(name: str, arguments: Sequence[str]) -> Program:
    """The program of a module, or of a package's ``__main__``.

    As Python does, this puts the working folder first on the search path, and imports the packages
    around the module.

    Args:
        name: full name of the module.
        arguments: the program's arguments.

    Raises:
        UsageError: there is no such module, or it cannot be run.
    """
    folder = str(Path.cwd())
    _search_first(folder)
    spec = _find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = _find_spec(f"{name}.__main__")
    load = getattr(spec and spec.loader, "get_code", None)
    if spec is None or load is None:
        raise UsageError(
            f"expected a Python module that can be run, but there is none named {name}: check "
            "the name; a script is run with 'pipeprof run SCRIPT'."
        )
    file = spec.origin or name
    found = spec.name
    return Program(
        load=lambda: load(found),
        argv=(file, *arguments),
        search_first=folder,
        module=_main_module(
            __loader__=spec.loader,
            __file__=file,
            __spec__=spec,
            __package__=spec.parent,
            __cached__=spec.cached,
        ),
    )


def _find_spec(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            return None
        raise _not_imported(name, error) from error
    except Exception as error:  # the packages around the module may raise any exception
        raise _not_imported(name, error) from error


def _not_imported(name: str, error: Exception) -> UsageError:
    return UsageError(
        f"expected a module {name}, but a package it lies in cannot be imported "
        f"({type(error).__name__}: {error})."
    )


def _main_module(**attributes: Any) -> ModuleType:
    module = ModuleType("__main__")
    unset = dict.fromkeys(("__spec__", "__package__", "__cached__"))
    vars(module).update({**unset, "__annotations__": {}, "__builtins__": builtins, **attributes})
    return module


def _search_first(folder: str) -> None:
    # In Python's safe mode (-P) no script's folder is put first.
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = folder


def _execute(code: CodeType, namespace: dict[str, Any]) -> None:
    exec(code, namespace)


def exit_code(error: BaseException | None) -> int:
    """The exit code of a Python process whose program ended with this exception, or with none."""
    match error:
        case None | SystemExit(code=None):
            return 0
        case SystemExit(code=int(code)):
            return code
        case KeyboardInterrupt():
            return INTERRUPTED
        case _:
            return 1


def show_end(error: BaseException | None) -> None:
    """Writes to standard error what Python would: a traceback, or the message of ``sys.exit``.

    Writes nothing for an interrupt, which the user caused.
    """
    match error:
        case None | KeyboardInterrupt() | SystemExit(code=None | int()):
            return
        case SystemExit(code=message):
            sys.stderr.write(f"{message}\n")
        case _:
            traceback = own_traceback(error)
            hide_own_frames(error)
            sys.excepthook(type(error), error.with_traceback(traceback), traceback)


def own_traceback(error: BaseException) -> TracebackType | None:
    """An exception's traceback without the frames of pipeprof's code, or None without others.

    Where pipeprof could not even begin to run the program, no frame is the program's.
    """
    links = list(links_of(error.__traceback__))
    if links and not any(map(is_own, links)):
        return error.__traceback__  # the end of the profile has hidden pipeprof's frames already
    entered = [link.tb_frame.f_code is _execute.__code__ for link in links]
    return without_own(links[entered.index(True) :]) if True in entered else None
