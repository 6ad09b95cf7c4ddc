"""The tables of a page: what fed the training, its machine, its stages, threads and processes."""

from collections.abc import Iterator, Sequence

from pipeprof.analysis.findings.findings import Findings
from pipeprof.analysis.findings.machine_findings import LaneFinding, OverheadFinding
from pipeprof.report.figures.figure import Figure
from pipeprof.report.headings import titles
from pipeprof.report.many_hosts.service_text import worker_sentences
from pipeprof.report.numbers import count, percent, size
from pipeprof.report.one_run.device_text import devices
from pipeprof.report.one_run.input_text import input_pieces, tuning
from pipeprof.report.one_run.loop_rows import LOOP_COLUMNS, loop_rows
from pipeprof.report.one_run.run_facts import started
from pipeprof.report.one_run.run_text import how_measured, trace_windows
from pipeprof.report.plain_text import clean
from pipeprof.surfaces.webpages.markup import Markup, element
from pipeprof.surfaces.webpages.page_figures import table

MOST_LANES = 60
MOST_LOOPS = 20
MOST_NAMES = 6
MOST_STAGES_OPEN = 40

_BETWEEN = " · "


def details(findings: Findings, figures: Sequence[Figure]) -> Markup:
    """The part of the page beside verdict and pictures: tables and details."""
    main = findings.main
    fed = _BETWEEN.join(input_pieces(main)) if main else ""
    return element(
        "section",
        element("h2", "Details"),
        element(
            "dl",
            *_fact("Input", fed),
            *_fact("Tuned", *(tuning(findings.autotune) if findings.autotune else ())),
            *_fact("Devices", *devices(findings)),
            *_fact("Traced", *trace_windows(findings)),
            *_fact("Data workers", *worker_sentences(findings)),
            *_fact("Machine", _BETWEEN.join(_machine(findings))),
            *_fact("Delivered", _delivered(findings)),
            *_fact("Measured", _BETWEEN.join(how_measured(findings))),
            *_fact("Recorded", _overhead(findings.overhead)),
            *_fact("Started", _started(findings)),
            *_fact("Command", " ".join(map(clean, findings.profile.run.argv))),
            *_fact("Versions", _versions(findings)),
            class_="facts",
        ),
        _loops(findings),
        _stages(figures, len(findings.stages)),
        _lanes(findings.lanes),
        class_="details",
    )


def _loops(findings: Findings) -> Markup | None:
    """A table of the run's loops; nothing where there is only the main one."""
    rows = loop_rows(findings, MOST_LOOPS)
    if not rows:
        return None
    return element(
        "details",
        element("summary", f"Loops ({len(rows)})"),
        table(titles(LOOP_COLUMNS), (row.cells for row in rows)),
        open=True,
    )


def _stages(figures: Sequence[Figure], stages: int) -> Markup | None:
    """The table of the pipeline, in sight and on paper where it is not long."""
    held = next((figure.views[0].table for figure in figures if figure.key == "pipeline"), None)
    if held is None:
        return None
    return element(
        "details",
        element("summary", f"Stages ({stages})"),
        table(held.columns, held.rows),
        open=len(held.rows) <= MOST_STAGES_OPEN,
    )


def _fact(name: str, *values: str) -> Iterator[Markup]:
    known = [value for value in values if value]
    if known:
        yield element("dt", name)
        yield from (element("dd", value) for value in known)


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
    pieces = [count(found.batches, "batch")]
    if found.samples is not None:
        pieces.append(count(found.samples, "sample"))
    if found.shapes and found.dtypes:
        arrays = zip(found.dtypes, found.shapes, strict=False)
        pieces.append(", ".join(f"{dtype} {list(shape)}" for dtype, shape in arrays))
    if found.bytes_per_step is not None:
        pieces.append(f"{size(found.bytes_per_step)} per step")
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


def _some(names: Sequence[str]) -> str | None:
    more = len(names) - MOST_NAMES
    return ", ".join((*names[:MOST_NAMES], *((f"and {more} more",) if more > 0 else ()))) or None


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
            _some(lane.stages),
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
