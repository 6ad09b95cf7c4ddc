"""What is patched is given back exactly; a module that comes later is noticed as it comes."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeprof.capture.patches import ImportHook, Patches


class Base:
    def inherited(self) -> str:
        return "base"


class Model(Base):
    def own(self) -> str:
        return "own"

    @staticmethod
    def static() -> str:
        return "static"


@pytest.fixture
def before() -> Iterator[dict[str, Any]]:
    members = dict(vars(Model))
    yield members
    assert dict(vars(Model)) == members


def test_everything_is_given_back_exactly(before: dict[str, Any]):
    patches = Patches()
    for name in ("own", "static", "inherited", "new", "own"):
        patches.replace(Model, name, lambda *_: "patched")
    assert Model().own() == Model().inherited() == "patched"
    patches.undo()
    assert Model().own() == "own"
    assert isinstance(vars(Model)["static"], staticmethod)
    patches.undo()


def test_one_that_cannot_be_given_back_does_not_keep_the_rest(before: dict[str, Any]):
    class Stubborn(type):
        def __setattr__(cls, name: str, value: Any) -> None:
            if value is not patched and getattr(cls, "closed", False):
                raise AttributeError("closed")
            super().__setattr__(name, value)

    def patched() -> None: ...

    def original() -> None: ...

    odd = Stubborn("odd", (), {"call": original})
    patches = Patches()
    patches.replace(Model, "own", patched)
    patches.replace(odd, "call", patched)
    odd.closed = patched  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="closed"):
        patches.undo()
    assert vars(Model)["own"] is before["own"]


# Modules that come later


@pytest.fixture
def make_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Makes a module that can be imported, and takes it away again."""
    monkeypatch.syspath_prepend(tmp_path)
    made: list[str] = []

    def make(name: str, text: str = "value = 5") -> str:
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        made.append(name)
        return name

    yield make
    for name in made:
        sys.modules.pop(name, None)


class Heard:
    """Counts how often it was called, and what the module held by then."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.values: list[Any] = []

    def __call__(self) -> None:
        self.values.append(getattr(sys.modules[self.module], "value", None))


def test_a_module_is_noticed_once_its_code_has_run(make_module: Callable[..., str]):
    heard = Heard(make_module("awaited_later"))
    watch = ImportHook("awaited_later", heard)
    watch.start()
    assert heard.values == []
    module = importlib.import_module("awaited_later")
    assert heard.values == [5]
    assert watch not in sys.meta_path
    assert type(module.__spec__.loader) is type(module.__loader__)
    assert type(module.__loader__).__module__.startswith("_frozen_importlib")
    importlib.reload(module)
    assert heard.values == [5]


def test_a_module_that_is_there_is_noticed_at_once(make_module: Callable[..., str]):
    heard = Heard(make_module("awaited_there"))
    importlib.import_module("awaited_there")
    watch = ImportHook("awaited_there", heard)
    watch.start()
    assert heard.values == [5]
    watch.stop()


def test_nobody_is_reported_after_the_watch_has_stopped(make_module: Callable[..., str]):
    heard = Heard(make_module("awaited_no_more"))
    watch = ImportHook("awaited_no_more", heard)
    watch.start()
    watch.stop()
    importlib.import_module("awaited_no_more")
    assert heard.values == []


def test_an_import_that_fails_fails_as_without_a_watch_and_may_succeed_later(
    make_module: Callable[..., str],
):
    heard = Heard(make_module("awaited_broken", "raise ValueError('mine')"))
    watch = ImportHook("awaited_broken", heard)
    watch.start()
    with pytest.raises(ValueError, match="mine"):
        importlib.import_module("awaited_broken")
    assert heard.values == []
    make_module("awaited_broken", "value = 5  # repaired")
    importlib.import_module("awaited_broken")
    assert heard.values == [5]


def test_a_module_that_does_not_exist_stays_missing():
    watch = ImportHook("awaited_never", lambda: None)
    watch.start()
    try:
        with pytest.raises(ModuleNotFoundError, match="awaited_never"):
            importlib.import_module("awaited_never")
        assert importlib.util.find_spec("awaited_never") is None
    finally:
        watch.stop()


def test_other_modules_are_left_alone(make_module: Callable[..., str]):
    make_module("not_awaited")
    watch = ImportHook("awaited", lambda: None)
    watch.start()
    module = importlib.import_module("not_awaited")
    watch.stop()
    assert type(module.__loader__).__name__ == "SourceFileLoader"
