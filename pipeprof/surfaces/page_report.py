"""The report as HTML: verdict, why and next step, then the pictures' places, then the tables."""

from collections.abc import Iterator, Sequence

from pipeprof.analysis.findings import (
    Advice,
    Bound,
    Diagnosis,
    Findings,
    LaneFinding,
    LoopFinding,
    OverheadFinding,
)
from pipeprof.figures.figure import Figure
from pipeprof.surfaces.markup import Markup, element, joined
from pipeprof.surfaces.page_figures import figure_places, table
from pipeprof.surfaces.run_rows import RUN_ROWS
from pipeprof.surfaces.sentences import (
    advised,
    heading,
    hot_lines,
    how_measured,
    how_to_see,
    input_pieces,
    loop_line,
    reasons,
    troubles,
    tuning,
    waiting,
)
from pipeprof.wording import (
    VERDICTS,
    clean,
    count,
    duration,
    percent,
    printable,
    rate,
    size,
    started,
    times,
)

MOST_HOT_LINES = 6
MOST_LANES = 60
MOST_LOOPS = 20

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
            element("div", _why(said), _next(said), class_="columns"),
            _hot_lines(findings),
            class_="verdict",
            data_bound=said.bound.value if said else Bound.UNKNOWN.value,
        ),
        figure_places(figures),
        _details(findings),
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
        aria_label=f"{percent(said.wait_ratio)} of a step is waiting.",
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
        faster = "" if said.speedup_limit is None else f"{times(said.speedup_limit)} as fast"
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


def _next(said: Diagnosis | None) -> Markup | None:
    items = [_advice(each) for each in said.advice] if said else []
    remedy = how_to_see(said)
    if not items and remedy:
        items = [element("li", remedy)]
    if not items:
        return None
    return element("section", element("h2", "Next"), element("ol", *items))


def _advice(advice: Advice) -> Markup:
    code = None
    if advice.how:
        lines = (printable(line.expandtabs(4)).rstrip() for line in advice.how.splitlines())
        code = element("pre", element("code", "\n".join(lines)))
    return element("li", advised(advice), code)


def _details(findings: Findings) -> Markup:
    main = findings.main
    fed = _BETWEEN.join(input_pieces(main)) if main else ""
    return element(
        "section",
        element("h2", "Details"),
        element(
            "dl",
            *_fact("Input", fed),
            *_fact("Tuned", *(tuning(findings.autotune) if findings.autotune else ())),
            *_fact("Other loops", *_other_loops(findings)),
            *_fact("Machine", _BETWEEN.join(_machine(findings))),
            *_fact("Delivered", _delivered(findings)),
            *_fact("Measured", _BETWEEN.join(how_measured(findings))),
            *_fact("Recorded", _overhead(findings.overhead)),
            *_fact("Started", _started(findings)),
            *_fact("Command", " ".join(map(clean, findings.profile.run.argv))),
            *_fact("Versions", _versions(findings)),
            class_="facts",
        ),
        _lanes(findings.lanes),
        class_="details",
    )


def _fact(name: str, *values: str) -> Iterator[Markup]:
    told = [value for value in values if value]
    if told:
        yield element("dt", name)
        yield from (element("dd", value) for value in told)


def _other_loops(findings: Findings) -> list[str]:
    others = [found for found in findings.loops if found is not findings.main]
    lines = [loop_line(found, findings.profile.loops) for found in others[:MOST_LOOPS]]
    more = len(others) - MOST_LOOPS
    return [*lines, f"and {count(more, 'loop')} more"] if more > 0 else lines


def _machine(findings: Findings) -> Iterator[str]:
    cpu, used = findings.cpu, findings.resources
    if cpu.machine_ratio is not None:
        yield f"{percent(cpu.machine_ratio)} of its CPUs in use by all programs"
    if cpu.throttled_ratio:
        yield f"stopped by the container's limit {percent(cpu.throttled_ratio)} of the time"
    if used.most_memory_bytes is not None:
        yield f"memory up to {size(used.most_memory_bytes)}"
    if used.disk_read_bytes_per_s is not None:
        yield f"{size(used.disk_read_bytes_per_s)}/s read from disk"
    for what, per_s in (
        ("written to disk", used.disk_written_bytes_per_s),
        ("received", used.received_bytes_per_s),
        ("sent", used.sent_bytes_per_s),
    ):
        if per_s:
            yield f"{size(per_s)}/s {what}"


def _delivered(findings: Findings) -> str:
    found = findings.delivery
    if found is None:
        return ""
    pieces = ["1 batch" if found.batches == 1 else f"{found.batches:,} batches"]
    if found.samples is not None:
        pieces.append(count(found.samples, "sample"))
    if found.shapes and found.dtypes:
        arrays = zip(found.dtypes, found.shapes, strict=False)
        pieces.append(", ".join(f"{dtype} {list(shape)}" for dtype, shape in arrays))
    if found.bytes_per_step is not None:
        pieces.append(f"{size(found.bytes_per_step)} a step")
    return clean(_BETWEEN.join(pieces))


def _overhead(found: OverheadFinding) -> str:
    each = "" if found.probe_ns is None else f", {found.probe_ns:,.0f} ns each"
    return f"{count(found.events, 'event')}{each}"


def _started(findings: Findings) -> str:
    began = started(findings.profile.run)
    return began.strftime("%Y-%m-%d %H:%M:%S UTC") if began else ""


def _versions(findings: Findings) -> str:
    return clean(
        ", ".join(f"{name} {value}" for name, value in findings.profile.run.versions.items())
    )


def _lanes(lanes: Sequence[LaneFinding]) -> Markup | None:
    if not lanes:
        return None
    shown = sorted(lanes, key=lambda lane: (-(lane.busy_ratio or 0), -(lane.cpu_ratio or 0)))
    rows = (
        (
            lane.name,
            lane.role.value,
            str(lane.pid),
            None if lane.tid is None else str(lane.tid),
            None if lane.busy_ratio is None else percent(lane.busy_ratio),
            None if lane.cpu_ratio is None else percent(lane.cpu_ratio),
            None if lane.gil_ratio is None else percent(lane.gil_ratio),
            ", ".join(lane.stages) or None,
        )
        for lane in shown[:MOST_LANES]
    )
    columns = (
        "lane",
        "role",
        "process",
        "thread",
        "in stages",
        "on a CPU",
        "held the GIL",
        "stages",
    )
    return element(
        "details",
        element("summary", f"Threads and processes ({len(lanes)})"),
        table(columns, rows),
    )
