"""Findings as text for a terminal, a pipe or a log: verdict, why, next, then the tables.

Returns text and never prints. Names that come from the run are shown as text and nothing else.
"""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from pipeprof.analysis.findings.advice_kinds import Advice
from pipeprof.analysis.findings.findings import Diagnosis, Findings, LoopFinding
from pipeprof.analysis.findings.input_findings import AutotuneFinding
from pipeprof.analysis.findings.rank_findings import RunOfRanks
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.report.headings import Holds
from pipeprof.report.many_hosts.ranks_text import (
    RANK_COLUMNS,
    chosen_ranks,
    host_lines,
    rank_cells,
    rank_problem_sentences,
    reasons_of_run,
    run_verdict,
)
from pipeprof.report.many_hosts.service_table import service_table
from pipeprof.report.names.verdict_names import VERDICT_STYLES, VERDICTS
from pipeprof.report.numbers import count
from pipeprof.report.one_run.account_tables import host_table, loop_table
from pipeprof.report.one_run.account_text import epoch_pieces, headline, time_pieces, training_time
from pipeprof.report.one_run.advice_code import remedy_code
from pipeprof.report.one_run.advice_text import describe_advice
from pipeprof.report.one_run.delivery_text import delivery_sentences
from pipeprof.report.one_run.device_text import devices
from pipeprof.report.one_run.hot_line_table import hot_line_table
from pipeprof.report.one_run.input_text import input_pieces, tuning
from pipeprof.report.one_run.run_text import heading, how_measured, trace_windows, troubles
from pipeprof.report.one_run.stage_table import stage_table
from pipeprof.report.one_run.verdict_text import (
    dearest_lines,
    how_to_see,
    notes,
    reasons,
    speed,
    with_free_input,
)
from pipeprof.report.plain_text import clean, printable, shorten, shorten_location, shown
from pipeprof.report.runs.run_rows import RUN_ROWS
from pipeprof.report.text_layout import (
    GAP,
    INDENT,
    Column,
    cells,
    code_block,
    column_table,
    flow,
    indented,
    labelled,
    page,
)
from pipeprof.report.tuning.tuning_text import describe_tried

LEAST_WIDTH = 40

_LABEL_WIDTH = 5
_RUN_WIDTH = 16

_MOST_ADVICE = 3
_MOST_CODE_LINES = 8  # of code in all, so that verdict, why and next fit on one screen
_MOST_HOT_LINES = 3
_MOST_DEVICES = 4


def render_report(
    findings: Findings, *, width: int = 80, color: bool = False, ascii_only: bool = False
) -> str:
    """The report on one run, without a line end after its last line.

    Args:
        findings: the run.
        width: columns of the screen; fewer than `LEAST_WIDTH` count as that many.
        color: whether to write ANSI colours.
        ascii_only: whether the screen shows nothing but ASCII.
    """
    width = max(width, LEAST_WIDTH)
    main = findings.main
    sections = (
        _paragraph(heading(findings), width),
        *_all_ranks(findings.ranks, width),
        _problems(troubles(findings.profile.run)),
        _verdict(main, width),
        _reasons(main.diagnosis) if main else None,
        _hot_lines(findings, width),
        _next_steps(findings),
        _tried(findings),
        _together(
            _time(findings, width),
            _notes(main.diagnosis) if main else None,
            _input(main, width) if main else None,
            _delivery(findings),
            _tuning(findings.autotune, main),
            _devices(findings),
            _traces(findings),
        ),
        host_table(findings, width),
        stage_table(findings.stages, main.diagnosis.bottleneck if main else None, width),
        service_table(findings, width),
        loop_table(findings, width),
        _paragraph(how_measured(findings), width, "dim"),
    )
    return page(sections, width=width, color=color, ascii_only=ascii_only)


def render_side_by_side(
    named: Sequence[tuple[str, Findings]],
    *,
    width: int = 80,
    color: bool = False,
    ascii_only: bool = False,
) -> str:
    """Several runs in one table, a column each; what does not fit beside goes below.

    Args:
        named: the runs, each with the name to show.
        width: columns of the screen; fewer than `LEAST_WIDTH` count as that many.
        color: whether to write ANSI colours.
        ascii_only: whether the screen shows nothing but ASCII.
    """
    width = max(width, LEAST_WIDTH)
    problems = [
        f"{shorten(clean(name), _RUN_WIDTH)}: {trouble}"
        for name, findings in named
        for trouble in troubles(findings.profile.run)
    ]
    beside = max(1, (width - INDENT - len("wait of a step")) // (_RUN_WIDTH + GAP))
    tables = (
        _run_table(named[first : first + beside], width) for first in range(0, len(named), beside)
    )
    return page((_problems(problems), *tables), width=width, color=color, ascii_only=ascii_only)


def _together(*sections: RenderableType | None) -> RenderableType | None:
    """Sections without an empty line between them."""
    shown_ones = [section for section in sections if section is not None]
    return Group(*shown_ones) if shown_ones else None


def _paragraph(pieces: Iterable[str], width: int, style: str = "") -> RenderableType:
    return indented(Text("\n".join(flow(pieces, width - INDENT)), style))


def _section(label: str, lines: Iterable[Text]) -> RenderableType:
    return labelled(Text(f"{label:{_LABEL_WIDTH}}", "bold"), lines)


def _problems(sentences: Sequence[str]) -> RenderableType | None:
    if not sentences:
        return None
    return Group(*(labelled(Text("!", "bold red"), [Text(each)]) for each in sentences))


def _all_ranks(ranks: RunOfRanks | None, width: int) -> Iterator[RenderableType | None]:
    """The verdict on all processes that train together, before one of them is looked at."""
    if ranks is None:
        return
    yield _problems(rank_problem_sentences(ranks))
    bound = ranks.verdict.bound
    label = Text(f"{VERDICTS[bound]} ", VERDICT_STYLES[bound])
    yield labelled(label, map(Text, run_verdict(ranks)))
    reasons_ = reasons_of_run(ranks)
    yield _section("Why", map(Text, reasons_)) if reasons_ else None
    yield _rank_table(ranks, width)
    hosts = host_lines(ranks)
    yield _section("Hosts", map(Text, hosts)) if hosts else None
    yield _paragraph([f"Rank {ranks.shown:,} by itself (another one: --rank N)"], width, "bold")


def _rank_table(ranks: RunOfRanks, width: int) -> RenderableType:
    rows = [rank_cells(remark, each) for remark, each in chosen_ranks(ranks)]
    late = ["bold red" if each.straggles else "" for _, each in chosen_ranks(ranks)]
    columns = [
        Column(
            header=heading.title,
            cells=cells(row[place] for row in rows),
            styles=tuple(late),
            right=heading.holds is Holds.NUMBER,
            least=8 if heading.holds is Holds.NAME else None,
        )
        for place, heading in enumerate(RANK_COLUMNS)
    ]
    table = column_table(columns, width - INDENT)
    left_out = len(ranks.ranks) - len(rows)
    if not left_out:
        return indented(table)
    rest = Text(f"and {count(left_out, 'more rank')}: pipeprof report --json --ranks all", "dim")
    return indented(Group(table, indented(rest)))


def _verdict(main: LoopFinding | None, width: int) -> RenderableType:
    bound = main.diagnosis.bound if main else Bound.UNKNOWN
    label = Text(f"{VERDICTS[bound]} ", VERDICT_STYLES[bound])
    room = width - INDENT - GAP - len(label)
    lines = _verdict_lines(main, room) if main else ["no training loop was seen"]
    return labelled(label, map(Text, lines))


def _verdict_lines(main: LoopFinding, room: int) -> list[str]:
    """The share of the training's time, what that was made of, the step, and what it could be."""
    free = with_free_input(main.diagnosis)
    whole = training_time(main) if main.loop.step_count else None
    pace = flow(speed(main.diagnosis), room)
    return [headline(main), *([whole] if whole else ()), *([free] if free else ()), *pace]


def _time(findings: Findings, width: int) -> RenderableType | None:
    """The account of the run, and its epochs where they differ."""
    room = width - INDENT - _LABEL_WIDTH - GAP
    lines = flow(time_pieces(findings.account), room)
    sections = [_section("Time", map(Text, lines))] if lines else []
    epochs = flow(epoch_pieces(findings.main.epochs), room) if findings.main else []
    if epochs:
        sections.append(_section("Epoch", map(Text, epochs)))
    return Group(*sections) if sections else None


def _reasons(diagnosis: Diagnosis) -> RenderableType | None:
    sentences = reasons(diagnosis)
    return _section("Why", map(Text, sentences)) if sentences else None


def _notes(diagnosis: Diagnosis) -> RenderableType | None:
    sentences = notes(diagnosis)
    return _section("Note", map(Text, sentences)) if sentences else None


def _hot_lines(findings: Findings, width: int) -> RenderableType | None:
    lines = dearest_lines(findings)[:_MOST_HOT_LINES]
    if not lines:
        return None
    return hot_line_table("hot lines", lines, INDENT + _LABEL_WIDTH + GAP, width)


def _next_steps(findings: Findings) -> RenderableType | None:
    lines = list(_advised(findings.main.diagnosis.advice)) if findings.main else []
    if not lines and (remedy := how_to_see(findings)):
        lines = [Text(remedy)]
    return _section("Next", lines) if lines else None


def _tried(findings: Findings) -> RenderableType | None:
    """What `pipeprof tune` found for this training."""
    outcome = findings.profile.tuning
    if outcome is None:
        return None
    return _section("Tried", [Text(line) for line in describe_tried(outcome)])


def _advised(advice: Sequence[Advice]) -> Iterator[Text]:
    """The first pieces of advice, with as much of their code as leaves room for the rest."""
    room = _MOST_CODE_LINES
    for number, each in enumerate(advice[:_MOST_ADVICE], 1):
        sentence = describe_advice(each)
        yield Text(f"{number}. {sentence}" if len(advice) > 1 else sentence)
        lines = (remedy_code(each.remedy) or "").splitlines()
        room -= len(lines)
        if room >= 0 or number == 1:
            for line in lines:
                yield code_block(f"    {printable(line.expandtabs(4)).rstrip()}", "cyan")


def _input(main: LoopFinding, width: int) -> RenderableType | None:
    pieces = input_pieces(main, besides=main.diagnosis.evidence)
    lines = flow(pieces, width - INDENT - _LABEL_WIDTH - GAP)
    return _section("Input", map(Text, lines)) if lines else None


def _delivery(findings: Findings) -> RenderableType | None:
    sentences = delivery_sentences(findings)
    return _section("Data", map(Text, map(clean, sentences))) if sentences else None


def _tuning(found: AutotuneFinding | None, main: LoopFinding | None) -> RenderableType | None:
    advice = main.diagnosis.advice if main else ()
    lines = tuning(found, besides=advice) if found else []
    return _section("Tuned", map(Text, lines)) if lines else None


def _devices(findings: Findings) -> RenderableType | None:
    lines = devices(findings)[:_MOST_DEVICES]
    return (
        _section(findings.devices[0].kind.upper()[:_LABEL_WIDTH], map(Text, lines))
        if lines
        else None
    )


def _traces(findings: Findings) -> RenderableType | None:
    lines = trace_windows(findings)
    return _section("Trace", map(Text, lines)) if lines else None


def _run_table(named: Sequence[tuple[str, Findings]], width: int) -> RenderableType:
    labels = Column(header="", cells=("verdict", *(label for label, _ in RUN_ROWS)))
    columns = [labels, *(_run_column(name, findings.main) for name, findings in named)]
    return indented(column_table(columns, width - INDENT))


def _run_column(name: str, main: LoopFinding | None) -> Column:
    bound = main.diagnosis.bound if main else Bound.UNKNOWN
    return Column(
        header=shown(name),
        cells=(
            VERDICTS[bound],
            *cells(describe(main) if main else None for _, describe in RUN_ROWS),
        ),
        styles=(VERDICT_STYLES[bound], *("" for _ in RUN_ROWS)),
        least=_RUN_WIDTH,
        shorten=shorten_location,
    )
