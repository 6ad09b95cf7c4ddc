"""The report as HTML: verdict, why, next and account, then the other pictures' places, then the tables."""

from collections.abc import Iterator, Sequence

from pipeprof.analysis.findings.advice_kinds import Advice
from pipeprof.analysis.findings.findings import Diagnosis, Findings, LoopFinding
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.report.figures.figure import Figure
from pipeprof.report.headings import titles
from pipeprof.report.many_hosts.ranks_text import (
    RANK_COLUMNS,
    chosen_ranks,
    host_lines,
    rank_cells,
    rank_problem_sentences,
    reasons_of_run,
    run_verdict,
)
from pipeprof.report.names.verdict_names import VERDICTS
from pipeprof.report.numbers import count, duration, percent, rate
from pipeprof.report.one_run.account_tables import host_cells
from pipeprof.report.one_run.account_text import headline, training_time
from pipeprof.report.one_run.advice_code import remedy_code
from pipeprof.report.one_run.advice_text import describe_advice
from pipeprof.report.one_run.host_rows import HOST_COLUMNS, host_rows
from pipeprof.report.one_run.run_text import heading, troubles
from pipeprof.report.one_run.verdict_text import (
    dearest_lines,
    gain_with_free_input,
    how_to_see,
    notes,
    reasons,
)
from pipeprof.report.plain_text import clean, printable
from pipeprof.report.runs.run_rows import run_cells
from pipeprof.surfaces.webpages.markup import Markup, element, join_markup
from pipeprof.surfaces.webpages.page_details import details
from pipeprof.surfaces.webpages.page_figures import figure_places, table

MOST_HOT_LINES = 6
MOST_PLACES = 20

# The key of the figure that belongs to the verdict.
_AT_THE_TOP = "account"
_PIPELINE = "pipeline"
# The key of the figure that belongs to the verdict on all ranks.
_OF_RANKS = "ranks"

_BETWEEN = " · "


def report_body(
    findings: Findings, figures: Sequence[Figure], what_if: Markup | None = None
) -> Markup:
    """Everything of the report on one run; the pictures are drawn into their places later.

    Args:
        findings: what was found.
        figures: what `figures_of` gives of them.
        what_if: the part in which a reader supposes changes; it stands behind the pipeline.
    """
    below = [each for each in figures if each.key not in (_AT_THE_TOP, _OF_RANKS)]
    behind = next((n + 1 for n, each in enumerate(below) if each.key == _PIPELINE), len(below))
    main = findings.main
    diagnosis = main.diagnosis if main else None
    return join_markup(
        _all_ranks(findings, [each for each in figures if each.key == _OF_RANKS]),
        element(
            "header",
            _above(findings),
            _verdict(main),
            _troubles(troubles(findings.profile.run)),
            element("div", _why(diagnosis), _next(findings), class_="columns"),
            figure_places(each for each in figures if each.key == _AT_THE_TOP),
            _notes(diagnosis),
            _hot_lines(findings),
            _host(findings),
            class_="verdict",
            data_bound=diagnosis.bound.value if diagnosis else Bound.UNKNOWN.value,
        ),
        figure_places(below[:behind]),
        what_if,
        figure_places(below[behind:]),
        details(findings, figures),
    )


def _above(findings: Findings) -> Markup:
    """What stands above the verdict on one process: the run, or its rank where the run stands above all."""
    if findings.ranks is None:
        return element("p", _BETWEEN.join(heading(findings)), class_="run")
    shown = findings.ranks.shown
    return element("p", f"Rank {shown:,} by itself", class_="run", data_rank=str(shown))


def _all_ranks(findings: Findings, figures: Sequence[Figure]) -> Markup | None:
    """The verdict on all processes that train together, above the report on one of them."""
    ranks = findings.ranks
    if ranks is None:
        return None
    first, *rest = run_verdict(ranks)
    rows = (rank_cells(remark, each) for remark, each in chosen_ranks(ranks))
    why = [element("p", each) for each in reasons_of_run(ranks)]
    hosts = [element("p", each) for each in host_lines(ranks)]
    return element(
        "header",
        element("p", _BETWEEN.join(heading(findings)), class_="run"),
        element(
            "h1",
            element("span", VERDICTS[ranks.verdict.bound], class_="badge"),
            " ",
            element("span", first, class_="share-text"),
        ),
        *(element("p", line, class_="made-of") for line in rest),
        _troubles(rank_problem_sentences(ranks)),
        element("section", element("h2", "Why"), *why) if why else None,
        element(
            "section",
            element("h2", "Ranks"),
            table(titles(RANK_COLUMNS), rows),
            class_="ranks",
        ),
        element("section", element("h2", "Hosts"), *hosts) if hosts else None,
        figure_places(figures),
        class_="verdict",
        data_bound=ranks.verdict.bound.value,
    )


def comparison_body(named: Sequence[tuple[str, Findings]], figures: Sequence[Figure]) -> Markup:
    """Several runs beside each other."""
    problems = [
        f"{clean(name)}: {trouble}"
        for name, findings in named
        for trouble in troubles(findings.profile.run)
    ]
    rows = run_cells([findings for _, findings in named])
    columns = ("", *(name for name, _ in named))
    return join_markup(
        element("h1", f"{count(len(named), 'run')} side by side"),
        _troubles(problems),
        element("section", table(columns, rows), class_="compared"),
        figure_places(figures),
    )


def message(title: str, sentence: str) -> Markup:
    """A page's content where there is nothing else to show."""
    return element("section", element("h1", title), element("p", clean(sentence)), class_="message")


def _bound(main: LoopFinding | None) -> Bound:
    return main.diagnosis.bound if main else Bound.UNKNOWN


def _verdict(main: LoopFinding | None) -> Markup:
    bound = _bound(main)
    share = headline(main) if main else "no training loop was seen"
    return join_markup(
        element(
            "h1",
            element("span", VERDICTS[bound], class_="badge"),
            " ",
            element("span", share, class_="share-text"),
        ),
        element("p", training_time(main), class_="made-of")
        if main and main.loop.step_count
        else None,
        element("dl", *_numbers(main.diagnosis), class_="numbers") if main else None,
    )


def _numbers(diagnosis: Diagnosis) -> Iterator[Markup]:
    if diagnosis.wait_ms is not None:
        yield _number("wait", duration(diagnosis.wait_ms.mean), "mean per step", "wait")
    if diagnosis.callback_ms is not None and diagnosis.callback_ms.mean > 0:
        mean = duration(diagnosis.callback_ms.mean)
        yield _number("callbacks", mean, "mean per step", "callbacks")
    if diagnosis.compute_ms is not None:
        yield _number("compute", duration(diagnosis.compute_ms.mean), "mean per step", "compute")
    if diagnosis.step_ms is not None:
        slow = f"1 in 20 over {duration(diagnosis.step_ms.p95)}"
        yield _number("step", duration(diagnosis.step_ms.mean), slow)
    if diagnosis.samples_per_s is not None:
        yield _number("speed", rate(diagnosis.samples_per_s), "samples a second")
    gains = diagnosis.bound in (Bound.INPUT, Bound.BALANCED)
    free = diagnosis.free_input
    if gains and free is not None:
        took = duration(1e3 * free.wall_s)
        yield _number("training with input for free", took, gain_with_free_input(free))


def _number(name: str, value: str, note: str, kind: str | None = None) -> Markup:
    return element(
        "div",
        element("dt", name),
        element("dd", value),
        element("dd", note, class_="note"),
        class_=kind,
    )


def _troubles(sentences: Sequence[str]) -> Markup | None:
    if not sentences:
        return None
    return element("ul", *(element("li", each) for each in sentences), class_="troubles")


def _why(diagnosis: Diagnosis | None) -> Markup | None:
    sentences = reasons(diagnosis) if diagnosis else []
    if not sentences:
        return None
    return element("section", element("h2", "Why"), *(element("p", each) for each in sentences))


def _notes(diagnosis: Diagnosis | None) -> Markup | None:
    sentences = notes(diagnosis) if diagnosis else []
    if not sentences:
        return None
    return element("section", element("h2", "Note"), *(element("p", each) for each in sentences))


def _hot_lines(findings: Findings) -> Markup | None:
    lines = dearest_lines(findings)[:MOST_HOT_LINES]
    if not lines:
        return None
    rows = ((line.location.short, percent(line.share), line.text or None) for line in lines)
    return element(
        "section",
        element("h2", "Where most of the time goes, line by line"),
        table(("line", "share", "code"), rows),
        class_="hot-lines",
    )


def _host(findings: Findings) -> Markup | None:
    rows = host_rows(findings)[:MOST_PLACES]
    if not rows:
        return None
    return element(
        "section",
        element("h2", "Where the host's time goes"),
        table(titles(HOST_COLUMNS), map(host_cells, rows)),
        class_="host-places",
    )


def _next(findings: Findings) -> Markup | None:
    items = [_advice(each) for each in findings.main.diagnosis.advice] if findings.main else []
    remedy = how_to_see(findings)
    if not items and remedy:
        items = [element("li", remedy)]
    if not items:
        return None
    return element("section", element("h2", "Next"), element("ol", *items))


def _advice(advice: Advice) -> Markup:
    code, written = None, remedy_code(advice.remedy)
    if written:
        lines = (printable(line.expandtabs(4)).rstrip() for line in written.splitlines())
        code = element("pre", element("code", "\n".join(lines)))
    return element("li", describe_advice(advice), code)
