"""The workers of a tf.data service as a table of text: what each did while it was traced."""

from collections.abc import Iterable, Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from pipeprof.analysis.findings.findings import Findings
from pipeprof.analysis.findings.service_findings import DataWorkerFinding
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.report.numbers import count, duration, few_digits, percent, size
from pipeprof.report.plain_text import shown
from pipeprof.report.text_layout import INDENT, Column, cells, column_table, flow, indented

_MOST_WORKERS = 6
_MOST_STAGES = 3

# A stage with less than this part of a worker's dearest stage is in the JSON only.
_LEAST_SHARE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    worker: str | None = None
    not_ready: str | None = None
    cpu: str | None = None
    stage: str | None = None
    cost: str | None = None
    parallel: str | None = None
    busy: str | None = None


def service_table(findings: Findings, width: int) -> RenderableType | None:
    """A row for each of the dearest stages of each worker, or None where there are none."""
    traced = [found for found in findings.data_workers if found.asked_ratio is not None]
    notes = flow(_notes(findings.data_workers), width - INDENT)
    if not findings.data_workers:
        return None
    listed = sorted(traced, key=lambda found: -(found.asked_ratio or 0.0))[:_MOST_WORKERS]
    rows = [row for found in listed for row in _rows(found, findings)]
    if len(listed) < len(traced):
        notes.insert(0, f"and {count(len(traced) - len(listed), 'more worker')}")
    lines = [indented(Text(note, "dim")) for note in notes]
    return Group(column_table(_columns(rows), width), *lines) if rows else Group(*lines)


def _rows(found: DataWorkerFinding, findings: Findings) -> Iterator[_Row]:
    dearest = max((each.cost_ms for each in found.stages), default=0.0)
    stages = [each for each in found.stages if each.cost_ms >= _LEAST_SHARE * dearest]
    worker = _Row(
        worker=f"  {shown(found.worker.address)}",
        not_ready=percent(found.asked_ratio or 0.0),
        cpu=_cpu(found),
    )
    for number, each in enumerate(stages[:_MOST_STAGES]):
        first = worker if number == 0 else _Row()
        yield _Row(
            worker=first.worker,
            not_ready=first.not_ready,
            cpu=first.cpu,
            stage=shown(findings.profile.stages[each.stage].name),
            cost=duration(each.cost_ms),
            parallel=str(each.parallelism),
            busy=percent(each.busy_ratio),
        )
    if not stages:
        yield worker


def _cpu(found: DataWorkerFinding) -> str | None:
    if found.cpu_cores is None:
        return None
    used = few_digits(round(found.cpu_cores, 1))
    return f"{used}/{found.worker.cores}" if found.worker.cores else used


def _columns(rows: list[_Row]) -> list[Column]:
    return [
        Column(header="  Data worker", cells=_texts(row.worker for row in rows), least=12),
        Column(header="no batch", cells=_texts(row.not_ready for row in rows), right=True),
        Column(header="cores", cells=_texts(row.cpu for row in rows), right=True),
        Column(header="stage", cells=cells(row.stage for row in rows), least=10),
        Column(header="work/elem.", cells=cells(row.cost for row in rows), right=True),
        Column(header="parallel", cells=cells(row.parallel for row in rows), right=True),
        Column(header="busy", cells=cells(row.busy for row in rows), right=True),
    ]


def _texts(texts: Iterable[str | None]) -> tuple[str, ...]:
    """Of what a worker has in its first row only, the other rows are empty."""
    return tuple(text or "" for text in texts)


def _notes(workers: tuple[DataWorkerFinding, ...]) -> Iterator[str]:
    windows = sum(len(found.worker.windows) for found in workers)
    if windows:
        lasted = duration(sum(found.traced_ms for found in workers) / windows)
        bytes_each = sum(w.size_bytes for found in workers for w in found.worker.windows) / windows
        yield f"seen in {count(windows, 'trace')} of {lasted}, {size(bytes_each)} each"
        yield "no batch: the worker had none ready"
    for found in workers:
        if found.worker.problem:
            when = "later " if found.worker.windows else ""
            yield f"{shown(found.worker.address)} was {when}not seen: {found.worker.problem}"
