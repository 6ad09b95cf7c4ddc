"""Runs beside each other as HTML: whether it was the same work, what changed, pictures and tables."""

from collections.abc import Iterator, Sequence

from pipeprof.analysis.comparing.gate import GateResult
from pipeprof.analysis.comparing.run_comparison import ComparedQuantity, Comparison
from pipeprof.analysis.comparing.work_sameness import Sameness
from pipeprof.analysis.findings.findings import Findings
from pipeprof.report.figures.changes import changes_figure
from pipeprof.report.figures.comparison import MOST_RUNS, comparison_figures
from pipeprof.report.figures.figure import Figure
from pipeprof.report.one_run.run_text import troubles
from pipeprof.report.plain_text import clean
from pipeprof.report.runs.run_comparison_text import (
    change_of,
    compared_groups,
    compared_row,
    names_of,
    noise_sentence,
    outcome_sentence,
    outcome_word,
    range_text,
    verdict_sentence,
    whole_sentences,
    work_sentences,
)
from pipeprof.report.runs.run_rows import run_cells
from pipeprof.surfaces.webpages.markup import Markup, element, join_markup
from pipeprof.surfaces.webpages.page_figures import figure_places, table
from pipeprof.surfaces.webpages.webpage import whole_page

# The key of the figure that belongs to the verdict.
_AT_THE_TOP = "compared-changes"

_COLUMNS = ("", "before", "after", "change", "it lies within (95 %)", "")


def render_comparison_page(comparison: Comparison, outcomes: Sequence[GateResult] = ()) -> str:
    """The whole file.

    Args:
        comparison: the runs.
        outcomes: what became of the conditions of a gate.
    """
    before, after = names_of(comparison.before), names_of(comparison.after)
    figures = compared_figures(comparison)
    body = compared_body(comparison, figures, outcomes)
    return whole_page(f"{before} and {after}", body, figures)


def compared_figures(
    comparison: Comparison, names: Sequence[str] | None = None
) -> tuple[Figure, ...]:
    """The pictures of a comparison; of groups with more runs than have room, those of the first.

    Args:
        comparison: the runs.
        names: what the runs are called, the first group's first; None for their own names.
    """
    changes = changes_figure(comparison)
    first = () if changes is None else (changes,)
    return (*first, *comparison_figures(_named(comparison, names)))


def compared_body(
    comparison: Comparison,
    figures: Sequence[Figure],
    outcomes: Sequence[GateResult] = (),
    names: Sequence[str] | None = None,
) -> Markup:
    """Everything that is said of the runs; the pictures are drawn into their places later.

    Args:
        comparison: the runs.
        figures: what `compared_figures` gives of them.
        outcomes: what became of the conditions of a gate.
        names: as of `compared_figures`.
    """
    called, named = names or _own_names(comparison), _named(comparison, names)
    change = change_of(comparison)
    return join_markup(
        element(
            "header",
            element(
                "div",
                element(
                    "dl",
                    *_side("before", called[: len(comparison.before)]),
                    *_side("after", called[len(comparison.before) :]),
                ),
                class_="sides",
            ),
            element(
                "h1",
                element("span", change.value, class_="badge"),
                " ",
                element("span", clean(verdict_sentence(comparison)), class_="share-text"),
            ),
            *(element("p", each, class_="made-of") for each in whole_sentences(comparison)),
            _troubles(named),
            element("div", _work(comparison), _gate(outcomes), class_="columns"),
            figure_places(each for each in figures if each.key == _AT_THE_TOP),
            class_="verdict",
            data_change=change.name.lower(),
        ),
        element(
            "section",
            element("h2", "Everything that was measured"),
            _table(comparison),
            element("p", noise_sentence(comparison), class_="caption"),
            class_="compared",
        ),
        figure_places(each for each in figures if each.key != _AT_THE_TOP),
        element(
            "section",
            element("h2", "The runs beside each other"),
            table(("", *(name for name, _ in named)), run_cells([each for _, each in named])),
            class_="compared",
        ),
    )


def _own_names(comparison: Comparison) -> list[str]:
    return [each.profile.run.name for each in (*comparison.before, *comparison.after)]


def _named(comparison: Comparison, names: Sequence[str] | None) -> list[tuple[str, Findings]]:
    """Runs of both groups with their names, as many as a picture has room for."""
    called = names or _own_names(comparison)
    first = len(comparison.before)
    before = zip(called[:first], comparison.before, strict=True)
    after = zip(called[first:], comparison.after, strict=True)
    most = MOST_RUNS // 2
    return [
        *((f"before: {name}", findings) for name, findings in list(before)[:most]),
        *((f"after: {name}", findings) for name, findings in list(after)[:most]),
    ]


def _side(side: str, names: Sequence[str]) -> Iterator[Markup]:
    yield element("dt", side)
    yield element("dd", clean(", ".join(names)))


def _troubles(named: Sequence[tuple[str, Findings]]) -> Markup | None:
    found = [
        f"{clean(name)}: {trouble}"
        for name, findings in named
        for trouble in troubles(findings.profile.run)
    ]
    if not found:
        return None
    return element("ul", *(element("li", each) for each in found), class_="troubles")


def _work(comparison: Comparison) -> Markup:
    first, *others = (clean(sentence) for sentence in work_sentences(comparison))
    differs = comparison.work.sameness is Sameness.DIFFERENT
    return element(
        "section",
        element("h2", "Was it the same work?"),
        element("p", first, class_="other-work" if differs else None),
        *(element("p", sentence) for sentence in others),
    )


def _gate(outcomes: Sequence[GateResult]) -> Markup | None:
    if not outcomes:
        return None
    items = [f"{outcome_word(each)}: {clean(outcome_sentence(each))}" for each in outcomes]
    return element(
        "section",
        element("h2", "Gate"),
        element("ul", *(element("li", item) for item in items)),
    )


def _table(comparison: Comparison) -> Markup:
    head = element("tr", *(element("th", column, scope="col") for column in _COLUMNS))
    rows: list[Markup] = []
    for title, kept in compared_groups(comparison):
        if title:
            wide = element("th", title, scope="rowgroup", colspan=str(len(_COLUMNS)))
            rows.append(element("tr", wide, class_="group"))
        rows += [_row(row, indented=bool(title)) for row in kept]
    inner = element("table", element("thead", head), element("tbody", *rows), class_="changes")
    return element("div", inner, class_="scroll")


def _row(row: ComparedQuantity, *, indented: bool) -> Markup:
    shown = compared_row(row, is_part=indented)
    cells = (shown.before, shown.after, shown.change, range_text(row))
    mark = shown.mark.value if shown.mark else ""
    return element(
        "tr",
        element("th", clean(shown.name), scope="row", class_="part" if shown.is_part else None),
        *(element("td", clean(cell)) for cell in cells),
        element("td", mark, class_=f"mark-{mark}" if mark else None),
    )
