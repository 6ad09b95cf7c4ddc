"""Places for pictures in a page: heading, sentence, choice of view, and the table of its values."""

from collections.abc import Iterable, Sequence

from pipeprof.report.figures.figure import Figure, View
from pipeprof.report.plain_text import clean
from pipeprof.surfaces.webpages.markup import Markup, element, join_markup

_AS_TABLE = "As a table"


def figure_places(figures: Iterable[Figure]) -> Markup:
    """A section for each; ``static/figures.js`` draws in it what `to_plain` gives it."""
    return join_markup(*(_place(figure) for figure in figures))


def _place(figure: Figure) -> Markup:
    choice = _choice(figure) if len(figure.views) > 1 else None
    return element(
        "section",
        element("div", element("h2", figure.title), choice, class_="figure-head"),
        *(_view(figure, number, view) for number, view in enumerate(figure.views)),
        class_="figure",
        data_figure=figure.key,
    )


def _choice(figure: Figure) -> Markup:
    options = (
        element("option", clean(view.name), value=str(number), selected=number == 0)
        for number, view in enumerate(figure.views)
    )
    select = element("select", *options, class_="choose-view")
    return element("label", element("span", f"{figure.choice}"), select)


def figure_view(figure: Figure, table_name: str = _AS_TABLE) -> Markup:
    """The place of a figure's first view, for a section that has more in it."""
    return _view(figure, 0, figure.views[0], table_name)


def _view(figure: Figure, number: int, view: View, table_name: str = _AS_TABLE) -> Markup:
    height = int(view.layout.get("height", 300))
    return element(
        "div",
        element("p", view.caption, class_="caption") if view.caption else None,
        element(
            "div",
            class_="plot",
            role="img",
            aria_label=f"{figure.title}. The table below shows the same.",
            style=f"min-height:{height}px",
        ),
        element(
            "details",
            element("summary", table_name),
            table(view.table.columns, view.table.rows),
            class_="as-table",
        ),
        class_="view",
        data_view=str(number),
        hidden=number > 0,
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[str | None]]) -> Markup:
    """A table of text; None is shown as missing."""
    head = element("tr", *(element("th", clean(column), scope="col") for column in columns))
    body = (
        element(
            "tr", *(element("td", "\N{EN DASH}" if cell is None else clean(cell)) for cell in row)
        )
        for row in rows
    )
    inner = element("table", element("thead", head), element("tbody", *body))
    return element("div", inner, class_="scroll")
