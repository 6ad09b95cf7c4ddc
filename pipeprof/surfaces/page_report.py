"""The report as HTML: verdict, why and next step, then the pictures' places, then the tables."""

from collections.abc import Iterator, Sequence

from pipeprof.analysis.advice_kinds import Advice
from pipeprof.analysis.findings import Diagnosis, Findings, LoopFinding
from pipeprof.analysis.verdict_kinds import Bound, Cause
from pipeprof.report.advice_code import remedy_code
from pipeprof.report.advice_text import describe_advice
from pipeprof.report.figures.figure import Figure
from pipeprof.report.numbers import count, duration, percent, rate, times, wait_percent
from pipeprof.report.plain_text import clean, printable
from pipeprof.report.run_rows import RUN_ROWS
from pipeprof.report.run_text import heading, troubles
from pipeprof.report.verdict_names import VERDICTS
from pipeprof.report.verdict_text import hot_lines, how_to_see, notes, reasons, waiting
from pipeprof.surfaces.markup import Markup, element, joined
from pipeprof.surfaces.page_details import details
from pipeprof.surfaces.page_figures import figure_places, table

MOST_HOT_LINES = 6

_BETWEEN = " · "


def report_body(findings: Findings, figures: Sequence[Figure]) -> Markup:
    """Everything of the report on one run; the pictures are drawn into their places later."""
    main = findings.main
    said = main.diagnosis if main else None
    return joined(
        element(
            "header",
            element("p", _BETWEEN.join(heading(findings)), class_="run"),
            _verdict(said),
            _troubles(troubles(findings.profile.run)),
            element("div", _why(said), _next(findings), class_="columns"),
            _notes(said),
            _hot_lines(findings),
            class_="verdict",
            data_bound=said.bound.value if said else Bound.UNKNOWN.value,
        ),
        figure_places(figures),
        details(findings, figures),
    )


def comparison_body(named: Sequence[tuple[str, Findings]], figures: Sequence[Figure]) -> Markup:
    """Several runs beside each other."""
    problems = [
        f"{clean(name)}: {trouble}"
        for name, findings in named
        for trouble in troubles(findings.profile.run)
    ]
    rows = [
        ("verdict", *(VERDICTS[_bound(findings.main)] for _, findings in named)),
        *(
            (label, *(say(findings.main) if findings.main else None for _, findings in named))
            for label, say in RUN_ROWS
        ),
    ]
    columns = ("", *(name for name, _ in named))
    return joined(
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


def _verdict(said: Diagnosis | None) -> Markup:
    bound = said.bound if said else Bound.UNKNOWN
    told = waiting(said) if said else "no training loop was seen"
    return joined(
        element(
            "h1",
            element("span", VERDICTS[bound], class_="badge"),
            " ",
            element("span", told, class_="told"),
        ),
        _share_bar(said) if said else None,
        element("dl", *_numbers(said), class_="numbers") if said else None,
    )


def _share_bar(said: Diagnosis) -> Markup | None:
    if said.wait_ratio is None or said.wait_ms is None or said.compute_ms is None:
        return None
    wait = f"{100 * said.wait_ratio:.2f}%"
    return element(
        "div",
        element("div", class_="wait", style=f"width:{wait}"),
        class_="share",
        role="img",
        aria_label=f"{wait_percent(said.wait_ratio)} of a step is waiting.",
    )


def _numbers(said: Diagnosis) -> Iterator[Markup]:
    if said.wait_ms is not None:
        yield _number("wait", duration(said.wait_ms.mean), "mean of a step", "wait")
    if said.compute_ms is not None:
        yield _number("compute", duration(said.compute_ms.mean), "mean of a step", "compute")
    if said.step_ms is not None:
        slow = f"1 in 20 over {duration(said.step_ms.p95)}"
        yield _number("step", duration(said.step_ms.mean), slow)
    if said.samples_per_s is not None:
        yield _number("speed", rate(said.samples_per_s), "samples a second")
    gains = said.bound in (Bound.INPUT, Bound.BALANCED)
    if gains and said.ideal_step_ms is not None:
        starts = ", epoch starts included" if said.cause is Cause.EPOCH_START else ""
        faster = (
            "" if said.speedup_limit is None else f"{times(said.speedup_limit)} as fast{starts}"
        )
        yield _number("with input for free", duration(said.ideal_step_ms), faster)


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


def _why(said: Diagnosis | None) -> Markup | None:
    sentences = reasons(said) if said else []
    if not sentences:
        return None
    return element("section", element("h2", "Why"), *(element("p", each) for each in sentences))


def _notes(diagnosis: Diagnosis | None) -> Markup | None:
    sentences = notes(diagnosis) if diagnosis else []
    if not sentences:
        return None
    return element("section", element("h2", "Note"), *(element("p", each) for each in sentences))


def _hot_lines(findings: Findings) -> Markup | None:
    lines = hot_lines(findings)[:MOST_HOT_LINES]
    if not lines:
        return None
    rows = ((line.location.short, percent(line.share), line.text or None) for line in lines)
    return element(
        "section",
        element("h2", "Where the bottleneck's time goes"),
        table(("line", "share", "code"), rows),
        class_="hot-lines",
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
