"""Findings as text for a terminal, a pipe or a log: verdict, why, next, then the tables.

Returns text and never prints. Names that come from the run are shown as text and nothing else.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from pipeprof.analysis.findings import (
    Advice,
    Bottleneck,
    Bound,
    Cause,
    Diagnosis,
    Findings,
    InputFinding,
    LoopFinding,
)
from pipeprof.recording import Loop, LoopKind, RunInfo
from pipeprof.surfaces.stage_table import stage_table
from pipeprof.surfaces.text_layout import (
    GAP,
    INDENT,
    Column,
    cells,
    column_table,
    flow,
    indented,
    labelled,
    page,
    shorten,
    shorten_location,
    shown,
)
from pipeprof.surfaces.wording import (
    CAUSES,
    SOURCES,
    VERDICTS,
    caveats,
    clean,
    count,
    duration,
    failure,
    input_place,
    parts,
    percent,
    printable,
    rate,
    times,
)

LEAST_WIDTH = 40

_LABEL_WIDTH = 5
_SENTENCE_WIDTH = 400
_RUN_WIDTH = 16

# So far may wait and compute be from making up the step: beyond it, some waits are not known.
_SLACK_RATIO = 0.02

_MOST_ADVICE = 3
_MOST_LOOPS = 4

_STYLES = {
    Bound.INPUT: "bold red",
    Bound.COMPUTE: "bold green",
    Bound.BALANCED: "bold yellow",
    Bound.UNKNOWN: "bold",
}

_HOW_TO_WATCH = (
    "Give the dataset to pipeprof.profile(dataset) and train on prof.dataset inside its with "
    "block, or call model.fit there."
)
_HOW_TO_COUNT = "Train for more steps, or count earlier ones: pipeprof.profile(…, warmup=0)."


def render_report(
    findings: Findings, *, width: int = 80, color: bool = False, ascii_only: bool = False
) -> str:
    """The report on one run, without a line end after its last line.

    Args:
        findings: what to say.
        width: columns of the screen; fewer than `LEAST_WIDTH` count as that many.
        color: whether to write ANSI colours.
        ascii_only: whether the screen shows nothing but ASCII.
    """
    width = max(width, LEAST_WIDTH)
    main = findings.main
    sections = (
        _paragraph(_heading(findings), width),
        _problems(_troubles(findings.profile.run)),
        _verdict(main.diagnosis if main else None, width),
        _reasons(main.diagnosis) if main else None,
        _next_steps(main.diagnosis if main else None),
        _input(main, width) if main else None,
        stage_table(findings.stages, main.diagnosis.bottleneck if main else None, width),
        _other_loops(findings),
        _paragraph(_measured(findings), width, "dim"),
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
    troubles = [
        f"{shorten(clean(name), _RUN_WIDTH)}: {trouble}"
        for name, findings in named
        for trouble in _troubles(findings.profile.run)
    ]
    beside = max(1, (width - INDENT - len("input ran on")) // (_RUN_WIDTH + GAP))
    tables = (
        _run_table(named[first : first + beside], width) for first in range(0, len(named), beside)
    )
    return page((_problems(troubles), *tables), width=width, color=color, ascii_only=ascii_only)


def _paragraph(pieces: Iterable[str], width: int, style: str = "") -> RenderableType:
    return indented(Text("\n".join(flow(pieces, width - INDENT)), style))


def _section(label: str, lines: Iterable[Text]) -> RenderableType:
    return labelled(Text(f"{label:{_LABEL_WIDTH}}", "bold"), lines)


def _sentence(text: str) -> str:
    return shorten(clean(text), _SENTENCE_WIDTH)


def _heading(findings: Findings) -> Iterator[str]:
    run, cpu = findings.profile.run, findings.cpu
    yield f"run {shown(run.name)}"
    if findings.main:
        yield _extent(findings.main.loop)
    yield ", ".join(
        (
            *_software(run),
            *((count(len(run.hosts), "host"),) if len(run.hosts) > 1 else ()),
            count(cpu.cores, "core")
            if cpu.limit is None
            else f"{cpu.limit:g} of {cpu.cores} cores",
        )
    )


def _extent(loop: Loop) -> str:
    return f"{_kind(loop)}, {count(loop.epochs, 'epoch')}, {count(loop.step_count, 'step')}"


def _kind(loop: Loop) -> str:
    return "hand-written loop" if loop.kind is LoopKind.CUSTOM else loop.kind.value


def _software(run: RunInfo) -> Iterator[str]:
    if "tensorflow" in run.versions:
        yield f"TensorFlow {_short_version(run.versions['tensorflow'])}"
    if run.backend not in (None, "tensorflow"):
        yield f"Keras on {shown(str(run.backend))}"


def _short_version(version: str) -> str:
    return shown(".".join(version.split(".")[:2]))


def _troubles(run: RunInfo) -> list[str]:
    failed = failure(run)
    return [_sentence(text) for text in (*([failed] if failed else ()), *caveats(run))]


def _problems(troubles: Sequence[str]) -> RenderableType | None:
    if not troubles:
        return None
    return Group(*(labelled(Text("!", "bold red"), [Text(trouble)]) for trouble in troubles))


def _verdict(said: Diagnosis | None, width: int) -> RenderableType:
    bound = said.bound if said else Bound.UNKNOWN
    label = Text(f"{VERDICTS[bound]} ", _STYLES[bound])
    room = width - INDENT - GAP - len(label)
    lines = _verdict_lines(said, room) if said else ["no training loop was seen"]
    return labelled(label, map(Text, lines))


def _verdict_lines(said: Diagnosis, room: int) -> list[str]:
    share, speed = _share(said), list(_speed(said))
    lines = flow((share, *speed), room)
    if len(lines) > 1:
        lines = [share, *flow(speed, room)]
    gains = said.bound in (Bound.INPUT, Bound.BALANCED)
    free = _outcome(said.ideal_step_ms, said.speedup_limit)
    return [*lines, f"with input for free: {free}"] if gains and free else lines


def _share(said: Diagnosis) -> str:
    if said.bound is Bound.UNKNOWN or said.wait_ratio is None:
        return _why_unknown(said)
    ready = "the input keeps up: " if said.bound is Bound.COMPUTE else ""
    return f"{ready}{percent(said.wait_ratio)} of each step waits for data"


def _why_unknown(said: Diagnosis) -> str:
    if said.step_ms is None:
        return "no step came after the warm-up"
    if said.measured_by is None:
        return "nothing measured how long the steps waited for data"
    return "too few steps to tell"


def _speed(said: Diagnosis) -> Iterator[str]:
    if said.step_ms is None:
        return
    yield f"step {duration(said.step_ms.mean)}{_step_parts(said, said.step_ms.mean)}"
    if said.samples_per_s is not None:
        yield f"{rate(said.samples_per_s)} samples/s"
    if said.step_ms.p95 > 2 * said.step_ms.median:
        yield (
            f"uneven: half of the steps under {duration(said.step_ms.median)}, "
            f"1 in 20 over {duration(said.step_ms.p95)}"
        )


def _step_parts(said: Diagnosis, step_ms: float) -> str:
    """What the mean step is made of: means add up, unless the wait of some steps is not known."""
    if said.wait_ms is None or said.compute_ms is None:
        return ""
    wait_ms, compute_ms = said.wait_ms.mean, said.compute_ms.mean
    wait, compute = parts(step_ms, wait_ms, compute_ms)
    if abs(step_ms - wait_ms - compute_ms) > _SLACK_RATIO * step_ms:
        return f" (where measured, wait {wait} and compute {compute})"
    return f" = wait {wait} + compute {compute}"


def _outcome(step_ms: float | None, speedup: float | None) -> str:
    return ", ".join(
        (
            *(() if step_ms is None else (f"{duration(step_ms)} a step",)),
            *(() if speedup is None else (f"{times(speedup)} as fast",)),
        )
    )


def _reasons(said: Diagnosis) -> RenderableType | None:
    sentences = [_sentence(sentence) for sentence in said.evidence]
    slowest = said.bottleneck
    # Evidence that begins with the bottleneck needs no other introduction.
    if slowest and not (sentences and clean(slowest.stage) in sentences[0]):
        sentences.insert(0, _slowest(slowest, said.cause))
    return _section("Why", map(Text, sentences)) if sentences else None


def _slowest(slowest: Bottleneck, cause: Cause) -> str:
    place = f" ({shown(slowest.location.short)})" if slowest.location else ""
    reason = f": {CAUSES[cause]}" if cause in CAUSES else ""
    return (
        f"{shown(slowest.stage)}{place} works {duration(slowest.cost_ms)} a step, "
        f"{percent(slowest.share)} of all input work{reason}."
    )


def _next_steps(said: Diagnosis | None) -> RenderableType | None:
    lines = list(_advised(said.advice)) if said else []
    if not lines and (said is None or said.bound is Bound.UNKNOWN):
        too_few = said is not None and (said.step_ms is None or said.measured_by is not None)
        lines = [Text(_HOW_TO_COUNT if too_few else _HOW_TO_WATCH)]
    return _section("Next", lines) if lines else None


def _advised(advice: Sequence[Advice]) -> Iterator[Text]:
    for number, each in enumerate(advice[:_MOST_ADVICE], 1):
        bullet = f"{number}. " if len(advice) > 1 else ""
        expected = _expected(each)
        summary = _sentence(each.summary)
        yield Text(f"{bullet}{summary.rstrip('.')} ({expected})." if expected else bullet + summary)
        for line in (each.how or "").splitlines():
            yield Text(f"    {printable(line.expandtabs(4)).rstrip()}", "cyan")


def _expected(advice: Advice) -> str:
    predicted = _outcome(advice.predicted_step_ms, advice.predicted_speedup)
    if advice.verified is None:
        return f"predicted {predicted}" if predicted else ""
    measured = _outcome(advice.verified.step_ms, advice.verified.speedup)
    return f"measured {measured}; predicted {predicted}" if predicted else f"measured {measured}"


def _input(main: LoopFinding, width: int) -> RenderableType | None:
    lines = flow(_input_pieces(main), width - INDENT - _LABEL_WIDTH - GAP)
    return _section("Input", map(Text, lines)) if lines else None


def _input_pieces(main: LoopFinding) -> Iterator[str]:
    found = main.input
    if found.kind is not None:
        yield f"{found.kind} {shown(main.loop.input.name)}" if main.loop.input.name else found.kind
    place = input_place(found)
    if place is not None:
        yield f"ran on {shown(place)}"
    overlap = _overlap(found)
    if overlap is not None:
        yield f"{overlap} of its work overlapped with computing"
    if found.queue_mean is not None and found.queue_size is not None:
        yield f"{found.queue_mean:.1f} of {found.queue_size} batches ready"
    if found.queue_empty_ratio is not None:
        yield f"queue empty {percent(found.queue_empty_ratio)} of the time"
    if found.epoch_start_ms is not None:
        yield f"first batch of an epoch took {duration(found.epoch_start_ms)}"


def _overlap(found: InputFinding) -> str | None:
    if found.overlap_ratio is None:
        return None
    return f"{'about ' if found.overlap_estimated else ''}{percent(found.overlap_ratio)}"


def _other_loops(findings: Findings) -> RenderableType | None:
    others = [found for found in findings.loops if found is not findings.main]
    lines = [_loop_line(found, findings.profile.loops) for found in others[:_MOST_LOOPS]]
    if len(others) > _MOST_LOOPS:
        lines.append(f"and {count(len(others) - _MOST_LOOPS, 'loop')} more")
    return _section("Also", map(Text, lines)) if lines else None


def _loop_line(found: LoopFinding, loops: Sequence[Loop]) -> str:
    loop, said = found.loop, found.diagnosis
    inside = "" if loop.parent is None else f" inside {_kind(loops[loop.parent])}"
    speed = "" if said.step_ms is None else f", step {duration(said.step_ms.mean)}"
    waits = "" if said.wait_ratio is None else f", waits {percent(said.wait_ratio)}"
    steps = count(loop.step_count, "step")
    return f"{_kind(loop)}{inside}, {steps}: {VERDICTS[said.bound]}{speed}{waits}"


def _measured(findings: Findings) -> Iterator[str]:
    """How all this is known: what counted, by which means, and what looking cost."""
    main, overhead = findings.main, findings.overhead
    if main:
        loop, said = main.loop, main.diagnosis
        if said.measured_by:
            yield SOURCES[said.measured_by]
        first = ", first of each epoch left out" if loop.epochs > 1 else ""
        yield (
            f"{said.counted_steps:,} of {count(loop.step_count, 'step')} counted "
            f"({loop.warmup_steps} warm-up{first})"
        )
        if said.bound is not Bound.UNKNOWN:
            yield f"confidence {percent(said.confidence)}"
    if overhead.events_dropped:
        yield f"{count(overhead.events_dropped, 'event')} of {overhead.events:,} lost"
    cost = "not measured" if overhead.ratio is None else percent(overhead.ratio)
    yield f"cost of looking {cost}"


def _run_table(named: Sequence[tuple[str, Findings]], width: int) -> RenderableType:
    labels = Column(header="", cells=("verdict", *(label for label, _ in _RUN_ROWS)))
    columns = [labels, *(_run_column(name, findings.main) for name, findings in named)]
    return indented(column_table(columns, width - INDENT))


def _run_column(name: str, main: LoopFinding | None) -> Column:
    bound = main.diagnosis.bound if main else Bound.UNKNOWN
    return Column(
        header=shown(name),
        cells=(VERDICTS[bound], *cells(say(main) if main else None for _, say in _RUN_ROWS)),
        styles=(_STYLES[bound], *("" for _ in _RUN_ROWS)),
        least=_RUN_WIDTH,
        shorten=shorten_location,
    )


def _run_step(main: LoopFinding) -> str | None:
    step_ms = main.diagnosis.step_ms
    return duration(step_ms.mean) if step_ms else None


def _run_wait(main: LoopFinding) -> str | None:
    said = main.diagnosis
    if said.wait_ms is None or said.wait_ratio is None:
        return None
    return f"{duration(said.wait_ms.mean)} ({percent(said.wait_ratio)})"


def _run_overlap(main: LoopFinding) -> str | None:
    return _overlap(main.input)


def _run_place(main: LoopFinding) -> str | None:
    return input_place(main.input)


def _run_rate(main: LoopFinding) -> str | None:
    per_s = main.diagnosis.samples_per_s
    return None if per_s is None else rate(per_s)


def _run_bottleneck(main: LoopFinding) -> str | None:
    slowest = main.diagnosis.bottleneck
    return slowest.stage if slowest else None


def _run_bottleneck_line(main: LoopFinding) -> str | None:
    slowest = main.diagnosis.bottleneck
    return slowest.location.short if slowest and slowest.location else None


_RUN_ROWS: tuple[tuple[str, Callable[[LoopFinding], str | None]], ...] = (
    ("step", _run_step),
    ("wait", _run_wait),
    ("samples/s", _run_rate),
    ("input ran on", _run_place),
    ("overlap", _run_overlap),
    ("bottleneck", _run_bottleneck),
    ("its line", _run_bottleneck_line),
)
