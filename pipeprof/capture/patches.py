"""Replaces public attributes of other packages while a profile is on, and restores them.

Everything that pipeprof patches goes through here. `Patches.undo` restores all attributes exactly, in the
reverse order, also when the profile ends in an exception.
"""

import importlib.abc
import importlib.machinery
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from pipeprof.capture.passed_frames import pass_over

_MISSING = object()


class Patches:
    """Attributes that were replaced on classes and modules of other packages, with their old values."""

    def __init__(self) -> None:
        self._undo: list[tuple[Any, str, Any]] = []

    def replace(self, owner: Any, name: str, value: Any) -> None:
        """Sets ``owner.name``; `undo` deletes it where ``owner`` had only inherited the attribute.

        Warnings pass over a function that is set so: they name who called it.
        """
        pass_over(value)
        before = vars(owner).get(name, _MISSING)
        setattr(owner, name, value)
        self._undo.append((owner, name, before))

    def undo(self) -> None:
        """Restores all attributes. When one cannot be restored, the others still are; then it raises."""
        with ExitStack() as giving_back:
            for owner, name, before in self._undo:
                giving_back.callback(_set, owner, name, before)
            self._undo = []


def _set(owner: Any, name: str, value: Any) -> None:
    if value is _MISSING:
        delattr(owner, name)
    else:
        setattr(owner, name, value)


class ImportHook(importlib.abc.MetaPathFinder):
    """Calls a function once a module has been imported, or at once if it is imported already.

    Args:
        module: full name of a top-level module.
        then: called without arguments, once, after the module's code has run.
    """

    def __init__(self, module: str, then: Callable[[], None]) -> None:
        self._module = module
        self._then = then
        self._looking = threading.local()

    def start(self) -> None:
        """Calls the function if the module is imported, else begins to wait for it."""
        module = sys.modules.get(self._module)
        spec = getattr(module, "__spec__", None)
        if module is not None and not getattr(spec, "_initializing", False):
            self._then()
        else:
            sys.meta_path.insert(0, self)

    def stop(self) -> None:
        """Stops waiting for the module."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """Finds the module as Python does, with a loader that calls back after the import."""
        if fullname != self._module or getattr(self._looking, "now", False):
            return None
        self._looking.now = True
        try:
            spec = find_spec(fullname)
        finally:
            self._looking.now = False
        if spec is not None and spec.loader is not None:
            spec.loader = _ReportingLoader(spec.loader, self._done)
        return spec

    def _done(self) -> None:
        self.stop()
        self._then()


class _ReportingLoader(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader, done: Callable[[], None]) -> None:
        self._loader = loader
        self._done = done

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None:
            spec.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._done()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
