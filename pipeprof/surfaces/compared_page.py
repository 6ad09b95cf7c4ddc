"""Runs beside each other as one HTML file that needs nothing else."""

from collections.abc import Sequence

from pipeprof.analysis.gate import Outcome
from pipeprof.analysis.run_comparison import Comparison
from pipeprof.report.plain_text import clean
from pipeprof.report.run_comparison_text import (
    COMPARED_COLUMNS,
    compared_cells,
    names_of,
    noise_sentence,
    outcome_sentence,
    outcome_word,
    verdict_sentence,
    work_sentences,
)
from pipeprof.surfaces.markup import Markup, element, joined
from pipeprof.surfaces.webpage import read_static


def render_comparison_page(comparison: Comparison, outcomes: Sequence[Outcome] = ()) -> str:
    """The whole file.

    Args:
        comparison: the runs.
        outcomes: what became of the conditions of a gate.
    """
    before, after = clean(names_of(comparison.before)), clean(names_of(comparison.after))
    head = joined(
        Markup('<meta charset="utf-8">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", f"{before} and {after} - pipeprof"),
        element("style", Markup(read_static("page.css"))),
    )
    main = element(
        "main",
        element("h1", f"{before} and {after}"),
        element("p", clean(verdict_sentence(comparison))),
        _gate(outcomes),
        element("h2", "Was it the same work?"),
        *(element("p", clean(sentence)) for sentence in work_sentences(comparison)),
        element("h2", "What changed"),
        _table(comparison),
        element("p", noise_sentence(comparison)),
    )
    page = element("html", element("head", head), element("body", main), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _gate(outcomes: Sequence[Outcome]) -> Markup | None:
    if not outcomes:
        return None
    items = [f"{outcome_word(each)}: {clean(outcome_sentence(each))}" for each in outcomes]
    return element("ul", *(element("li", item) for item in items))


def _table(comparison: Comparison) -> Markup:
    head = element("tr", *(element("th", column, scope="col") for column in COMPARED_COLUMNS))
    rows = [
        element(
            "tr",
            element("th", clean(row[0].strip()), scope="row"),
            *(element("td", clean(cell)) for cell in row[1:]),
        )
        for row in compared_cells(comparison)
    ]
    return element("table", element("thead", head), element("tbody", *rows))
