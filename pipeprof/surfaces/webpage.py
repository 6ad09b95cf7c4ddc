"""The report as one HTML file that needs nothing else, for browsers and notebooks."""

import html
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from pipeprof.analysis.findings import Findings
from pipeprof.errors import UsageError
from pipeprof.report.figures.figure import Figure, to_plain
from pipeprof.report.figures.of_run import figures_of
from pipeprof.report.figures.theme import TEMPLATES
from pipeprof.report.plain_text import clean
from pipeprof.surfaces.markup import Markup, element, joined, json_text
from pipeprof.surfaces.page_report import report_body

STATIC = Path(__file__).parent / "static"

_NOTEBOOK_HEIGHT_PX = 720
_DRAW = """
const {figures, templates} = JSON.parse(document.getElementById("figures").textContent);
showFigures(document, figures, templates);
"""


def render_page(findings: Findings) -> str:
    """The whole file."""
    figures = figures_of(findings)
    return whole_page(findings.profile.run.name, report_body(findings, figures), figures)


def whole_page(title: str, body: Markup, figures: Sequence[Figure]) -> str:
    """A file with a body and the pictures that have places in it."""
    data = {"figures": [to_plain(figure) for figure in figures], "templates": TEMPLATES}
    head = joined(
        Markup('<meta charset="utf-8">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", f"{clean(title)} - pipeprof"),
        element("style", Markup(read_static("page.css"))),
    )
    content = joined(
        element("main", body),
        element("script", json_text(data), id="figures", type="application/json"),
        element("script", Markup(plotly_js().read_text(encoding="utf-8"))),
        element("script", Markup(read_static("figures.js") + _DRAW), type="module"),
    )
    page = element("html", element("head", head), element("body", content), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def render_in_notebook(findings: Findings) -> str:
    """The page for a notebook's cell, in a frame: styles of page and notebook do not reach each other."""
    return in_frame(render_page(findings))


def in_frame(content: str) -> str:
    """A page in a frame of its own, for a notebook's cell."""
    page = html.escape(content)
    style = f"width:100%;height:{_NOTEBOOK_HEIGHT_PX}px;border:0"
    return f'<iframe srcdoc="{page}" style="{style}" title="pipeprof"></iframe>'


@cache
def read_static(name: str) -> str:
    """One of the files that pages are made of."""
    return (STATIC / name).read_text(encoding="utf-8")


def plotly_js() -> Path:
    """plotly.js as the installed package brings it; the package itself is not imported.

    Raises:
        UsageError: there is none.
    """
    spec = find_spec("plotly")
    for folder in spec.submodule_search_locations or () if spec else ():
        path = Path(folder) / "package_data" / "plotly.min.js"
        if path.is_file():
            return path
    raise UsageError("expected the package plotly to be installed, found none: pip install plotly")
