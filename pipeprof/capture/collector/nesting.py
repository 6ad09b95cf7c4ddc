"""Infers which stage called which from intervals that lie inside one another on one lane."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from pipeprof.recording.span import SpanKind, Spans

MOST_SPANS = 20_000

Parents = Sequence[int | None]


def infer_parents(spans: Spans, parents: Parents) -> tuple[int | None, ...]:
    """Completes the parents of stages: the stage whose intervals enclose a stage's most often.

    Args:
        spans: single intervals of the run.
        parents: known parents by stage, None where not known; without a cycle.

    Returns:
        The parents by stage, with those that were found; without a cycle.
    """
    completed = list(parents)
    for (stage, parent), _ in _count_enclosed(spans).most_common():
        if completed[stage] is None and not is_above(completed, stage, parent):
            completed[stage] = parent
    return tuple(completed)


def is_above(parents: Parents, stage: int, below: int) -> bool:
    """Whether ``stage`` is ``below`` or one of its ancestors."""
    at: int | None = below
    while at is not None:
        if at == stage:
            return True
        at = parents[at]
    return False


def _count_enclosed(spans: Spans) -> Counter[tuple[int, int]]:
    """Counts by pair of stages how often an interval of the first lay directly inside one of the second."""
    order = np.lexsort((-spans.end_ns, spans.start_ns, spans.lane))
    work = spans.kind == SpanKind.WORK
    order = order[work[order]][:MOST_SPANS]
    counts: Counter[tuple[int, int]] = Counter()
    open_spans: list[tuple[int, int, int]] = []
    columns = (spans.lane, spans.subject, spans.end_ns)
    for lane, stage, end in zip(*(c[order].tolist() for c in columns), strict=True):
        while open_spans and (open_spans[-1][0] != lane or open_spans[-1][2] < end):
            open_spans.pop()
        if open_spans and open_spans[-1][1] != stage:
            counts[stage, open_spans[-1][1]] += 1
        open_spans.append((lane, stage, end))
    return counts
