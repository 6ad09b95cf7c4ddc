"""The part of a page in which a reader says what could be otherwise, and sees what is predicted."""

from pipeprof.report.figures.figure import Json, to_plain
from pipeprof.report.predicting.what_if_panel import Panel
from pipeprof.surfaces.webpages.markup import Markup, element, join_markup
from pipeprof.surfaces.webpages.page_figures import figure_view

_HOW = (
    "Choose one or two changes to see what a step would take with them: predicted from this run, with "
    "the interval in which the prediction lies. Steps count with the waiting where epochs begin."
)
_NOTHING = "Nothing is changed yet."
_TABLE = "Each change alone, as a table"


def what_if_section(panel: Panel) -> Markup:
    """Controls, sentence and the place of the picture; ``static/what_if.js`` makes them work."""
    if panel.figure is None:
        said = f"Nothing can be predicted from this run: {panel.problem}"
        return _section(element("p", said, class_="caption"), None)
    return _section(
        join_markup(
            element("p", _HOW, class_="caption"),
            element(
                "div", *(_control(*each) for each in panel.controls), class_="what-if-controls"
            ),
            element("p", _NOTHING, class_="what-if-said", role="status"),
            figure_view(panel.figure, _TABLE),
        ),
        panel.figure.key,
    )


def what_if_data(panel: Panel) -> Json | None:
    """What ``static/what_if.js`` needs; None without controls."""
    if panel.figure is None:
        return None
    return {"figure": to_plain(panel.figure), "predictions": panel.predictions, "nothing": _NOTHING}


def _section(content: Markup, key: str | None) -> Markup:
    head = element("div", element("h2", "What if"), class_="figure-head")
    return element("section", head, content, class_="figure what-if", data_figure=key)


def _control(name: str, choices: tuple[str, ...]) -> Markup:
    options = (element("option", each, value=str(number)) for number, each in enumerate(choices))
    select = element("select", element("option", "as today", value=""), *options)
    return element("label", element("span", name), select)
