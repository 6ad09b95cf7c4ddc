"""The tab as TensorBoard loads it: its paths, its files, and its answers as JSON.

Importing this is fast: the code that reads runs is imported at the first request.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensorboard.backend import http_util
from tensorboard.plugins import base_plugin
from werkzeug import wrappers

if TYPE_CHECKING:
    from pipeprof.tensorboard_plugin.answers import Answers

_STATIC = Path(__file__).parent / "static"
_CACHED_S = 86_400


class InputPipelinePlugin(base_plugin.TBPlugin):
    """TensorBoard's tab 'Input pipeline'.

    Args:
        context: TensorBoard's context, of which only the log folder is used.
    """

    plugin_name = "pipeprof"

    def __init__(self, context: base_plugin.TBContext) -> None:
        self._logdir = context.logdir or ""
        self._had_runs = False

    def get_plugin_apps(self) -> Mapping[str, Any]:
        """Handlers by path. No part of a request is ever used in a file's name."""
        return {
            "/index.js": _file(lambda: _STATIC / "index.js", "text/javascript"),
            "/make.js": _file(lambda: _STATIC / "make.js", "text/javascript"),
            "/runs_table.js": _file(lambda: _STATIC / "runs_table.js", "text/javascript"),
            "/tab.css": _file(lambda: _STATIC / "tab.css", "text/css"),
            "/page.css": _file(lambda: _of_page("page.css"), "text/css"),
            "/figures.js": _file(lambda: _of_page("figures.js"), "text/javascript"),
            "/what_if.js": _file(lambda: _of_page("what_if.js"), "text/javascript"),
            "/plotly.min.js": _file(_plotly_js, "text/javascript", expires=_CACHED_S),
            "/runs": _answer(lambda _: self._answers.runs()),
            "/summaries": _answer(lambda asked: self._answers.summaries(asked.getlist("run"))),
            "/chosen": _answer(lambda asked: self._answers.chosen(asked.getlist("where"))),
            "/run": _answer(
                lambda asked: self._answers.run(asked.get("run", ""), asked.get("rank"))
            ),
            "/what_if": _answer(
                lambda asked: self._answers.what_if(asked.get("run", ""), asked.get("rank"))
            ),
            "/comparison": _answer(
                lambda asked: self._answers.comparison(asked.getlist("run"), asked.getlist("after"))
            ),
        }

    def is_active(self) -> bool:
        """Whether there is a run to show."""
        self._had_runs = self._had_runs or bool(self._answers.runs()["runs"])
        return self._had_runs

    def frontend_metadata(self) -> base_plugin.FrontendMetadata:
        """The tab's name and the module that draws it."""
        return base_plugin.FrontendMetadata(
            es_module_path="/index.js", tab_name="Input pipeline", disable_reload=True
        )

    @cached_property
    def _answers(self) -> "Answers":
        from pipeprof.tensorboard_plugin.answers import Answers
        from pipeprof.tensorboard_plugin.library import Library

        return Answers(Library(self._logdir))


def _of_page(name: str) -> Path:
    from pipeprof.surfaces.webpages.webpage import STATIC

    return STATIC / name


def _plotly_js() -> Path:
    from pipeprof.surfaces.webpages.webpage import plotly_js

    return plotly_js()


def _file(path: Callable[[], Path], mimetype: str, expires: int = 0) -> Any:
    def serve(request: wrappers.Request) -> Any:
        return http_util.Respond(request, path().read_bytes(), mimetype, expires=expires)

    return wrappers.Request.application(serve)


def _answer(make: Callable[[Any], Mapping[str, Any]]) -> Any:
    def serve(request: wrappers.Request) -> Any:
        return http_util.Respond(request, make(request.args), "application/json")

    return wrappers.Request.application(serve)
