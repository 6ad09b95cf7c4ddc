import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pipeprof.recording.profile import Profile
from pipeprof.surfaces.webpages.notebook import show_profiles_as_pages
from tests.builders import profile


class Formatter:
    """As much of IPython's as is used."""

    def __init__(self) -> None:
        self.shown: dict[type, Callable[[Any], str]] = {}

    def for_type(self, kind: type, show: Callable[[Any], str]) -> None:
        self.shown[kind] = show


def test_ipython_shows_a_recording_as_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    formatter = Formatter()
    shell = SimpleNamespace(display_formatter=SimpleNamespace(formatters={"text/html": formatter}))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    show_profiles_as_pages()
    page = formatter.shown[Profile](profile())
    assert page.startswith("<iframe srcdoc=")
    assert "INPUT-BOUND" in page


@pytest.mark.parametrize("module", [None, SimpleNamespace(get_ipython=lambda: None)])
def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch, module: object) -> None:
    monkeypatch.setitem(sys.modules, "IPython", module)
    show_profiles_as_pages()
