"""The report as one HTML file that needs nothing else, for browsers and notebooks."""

import html
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from pipeprof.analysis.findings.findings import Findings
from pipeprof.errors import UsageError
from pipeprof.report.figures.figure import Figure, Json, to_plain
from pipeprof.report.figures.of_run import figures_of
from pipeprof.report.figures.theme import TEMPLATES
from pipeprof.report.plain_text import clean
from pipeprof.report.predicting.what_if_panel import what_if_panel
from pipeprof.surfaces.webpages.markup import Markup, element, join_markup, json_text
from pipeprof.surfaces.webpages.page_report import report_body
from pipeprof.surfaces.webpages.page_what_if import what_if_data, what_if_section

STATIC = Path(__file__).parent / "static"

_NOTEBOOK_HEIGHT_PX = 720
_DRAW = """
const data = JSON.parse(document.getElementById("figures").textContent);
const supposed = data.what_if ? [data.what_if.figure] : [];
showFigures(document, [...data.figures, ...supposed], data.templates);
if (data.what_if) showWhatIf(document, data.what_if);
"""


def render_page(findings: Findings) -> str:
    """The whole file."""
    figures = figures_of(findings)
    panel = what_if_panel(findings.profile)
    body = report_body(findings, figures, what_if_section(panel) if panel else None)
    what_if = what_if_data(panel) if panel else None
    return whole_page(findings.profile.run.name, body, figures, what_if)


def whole_page(
    title: str, body: Markup, figures: Sequence[Figure], what_if: Json | None = None
) -> str:
    """A file with a body and the pictures that have places in it.

    Args:
        title: of the window.
        body: what is shown.
        figures: the pictures.
        what_if: what `what_if_data` gives, for the part of the body that `what_if_section` gives.
    """
    data = {
        "figures": [to_plain(figure) for figure in figures],
        "templates": TEMPLATES,
        "what_if": what_if,
    }
    head = join_markup(
        Markup('<meta charset="utf-8">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", f"{clean(title)} - pipeprof"),
        element("style", Markup(read_static("page.css"))),
    )
    script = "".join((read_static("figures.js"), read_static("what_if.js"), _DRAW))
    content = join_markup(
        element("main", body),
        element("script", json_text(data), id="figures", type="application/json"),
        element("script", Markup(plotly_js().read_text(encoding="utf-8"))),
        element("script", Markup(script), type="module"),
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
