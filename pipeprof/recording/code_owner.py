"""Whose code a module or a source file is: the user's, pipeprof's, or that of a known package.

All code that must distinguish the user's code from a framework's uses this module. It imports no framework.
"""

import re
from enum import Enum, auto
from pathlib import Path


class CodeOwner(Enum):
    """Who wrote some code."""

    KERAS = auto()
    TENSORFLOW = auto()
    JAX = auto()
    TORCH = auto()
    GRAIN = auto()
    PANDAS = auto()
    PIPEPROF = auto()
    PYTHON = auto()
    OTHER = auto()  # the user, or a package that needs no treatment of its own


_BY_PACKAGE = {
    "keras": CodeOwner.KERAS,
    "tf_keras": CodeOwner.KERAS,
    "tensorflow": CodeOwner.TENSORFLOW,
    "jax": CodeOwner.JAX,
    "torch": CodeOwner.TORCH,
    "grain": CodeOwner.GRAIN,
    "pandas": CodeOwner.PANDAS,
    "pipeprof": CodeOwner.PIPEPROF,
    "builtins": CodeOwner.PYTHON,
}

# Folders of installed packages and of Python's own modules, whichever interpreter it is.
_INSTALLED = re.compile(r"/(?:site|dist)-packages/|/lib(?:64)?/python3\.\d+t?/|^<frozen ")
_PIPEPROF_FOLDER = f"{Path(__file__).parents[1]}/"
# Trainings that pipeprof brings along: they stand for a user's.
_SCENARIOS_FOLDER = f"{_PIPEPROF_FOLDER}scenarios/"


def owner_of_module(name: object) -> CodeOwner:
    """Who wrote a module.

    Args:
        name: the module's full name, from ``__module__`` of a function or class or from ``__name__``
            of a frame's globals. For a name that is no text the owner is `CodeOwner.OTHER`.
    """
    if not isinstance(name, str):
        return CodeOwner.OTHER
    return _BY_PACKAGE.get(name.partition(".")[0], CodeOwner.OTHER)


def is_pipeprofs_file(file: str) -> bool:
    """Whether a source file, by its full path, is pipeprof's."""
    return file.startswith(_PIPEPROF_FOLDER)


def is_users_file(file: str) -> bool:
    """Whether a source file, by its full path, is the user's.

    A file of an installed package, of Python itself or of pipeprof is not; one of pipeprof's scenarios is.
    """
    if file.startswith(_SCENARIOS_FOLDER):
        return True
    return not _INSTALLED.search(file) and not is_pipeprofs_file(file)
