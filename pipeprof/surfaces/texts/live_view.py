"""A few lines on a training that goes on, to be shown again and again.

Returns plain text and never prints. What happened lately comes first, then the verdict on the whole run.
"""

from collections.abc import Iterator, Sequence

from pipeprof.analysis.findings.findings import Findings
from pipeprof.analysis.recent import LiveState, Recent
from pipeprof.recording.lane import Role
from pipeprof.recording.loop import Loop
from pipeprof.report.names.verdict_names import CAUSES, VERDICTS
from pipeprof.report.numbers import count, duration, parts, percent
from pipeprof.report.one_run.account_text import headline
from pipeprof.report.one_run.run_text import kind_of
from pipeprof.report.plain_text import shorten, shown

LINES = 4

_GAP = "   "
_SHOWN_ROLES = (Role.MAIN, Role.TRAINING, Role.INPUT, Role.WORKER, Role.OTHER)


def live_lines(
    findings: Findings, recent: Recent, width: int, ranks: Sequence[LiveState] = ()
) -> tuple[str, ...]:
    """`LINES` lines of at most ``width`` columns.

    Args:
        findings: what is found of this process so far.
        recent: what happened lately.
        width: columns of the terminal.
        ranks: all ranks on this machine, where there are several; then their steps replace the use of
            the processors.
    """
    lines = (
        _where(findings, recent),
        _verdict(findings),
        _slowest(findings),
        _ranks(ranks) if ranks else _use(findings, recent),
    )
    return tuple(shorten(f" {_GAP.join(pieces)}", width) for pieces in lines)


def _where(findings: Findings, recent: Recent) -> Iterator[str]:
    loops = [loop for loop in findings.profile.loops if loop.step_count]
    if not loops:
        yield "pipeprof: no step yet"
        return
    running = max(loops, key=lambda loop: loop.end_ns)
    yield _position(running)
    if recent.step_ms is not None:
        yield f"step {duration(recent.step_ms)}{_made_of(recent, recent.step_ms)}"
    else:
        yield "no step for some seconds"


def _position(loop: Loop) -> str:
    return f"{kind_of(loop)}, epoch {loop.epochs:,}, {count(loop.step_count, 'step')}"


def _made_of(recent: Recent, step_ms: float) -> str:
    if recent.wait_ms is None or recent.compute_ms is None:
        return ""
    wait, compute = parts(step_ms, recent.wait_ms, recent.compute_ms)
    return f" = wait {wait} + compute {compute}"


def _verdict(findings: Findings) -> Iterator[str]:
    if findings.main is not None:
        diagnosis = findings.main.diagnosis
        yield VERDICTS[diagnosis.bound]
        yield headline(findings.main)


def _slowest(findings: Findings) -> Iterator[str]:
    slowest = findings.main.diagnosis.bottleneck if findings.main else None
    if slowest is None or findings.main is None:
        return
    place = f" ({shown(slowest.location.short)})" if slowest.location else ""
    cost = "" if slowest.cost_ms is None else f" {duration(slowest.cost_ms)} per step"
    yield f"{shown(slowest.stage)}{place}{cost}"
    cause = findings.main.diagnosis.cause
    if cause in CAUSES:
        yield CAUSES[cause]


def _ranks(ranks: Sequence[LiveState]) -> Iterator[str]:
    """The step and the wait of each rank on this machine, those that wait longest first."""
    yield f"{count(len(ranks), 'rank')} here"
    by_wait = sorted(ranks, key=lambda state: (-(state.wait_ms or 0.0), state.rank))
    for state in by_wait:
        if state.step_ms is None:
            yield f"{state.rank}: no step"
            continue
        wait = "" if state.wait_ms is None else f", wait {parts(state.step_ms, state.wait_ms)[0]}"
        yield f"{state.rank}: step {duration(state.step_ms)}{wait}"


def _use(findings: Findings, recent: Recent) -> Iterator[str]:
    """Batches that lie ready, and who uses the processors."""
    queue = findings.main.loop.input.queue if findings.main else None
    if queue is not None and queue.last is not None:
        size = findings.main.input.queue_size if findings.main else None
        yield f"{queue.last}{f' of {size}' if size is not None else ''} batches ready"
    used = [
        f"{role.value} {percent(recent.cores[role])}"
        for role in _SHOWN_ROLES
        if recent.cores.get(role, 0.0) >= 0.005
    ]
    if used:
        yield f"{count(findings.cpu.cores, 'core')}: {', '.join(used)}"
