"""The measured limit of a training, in words."""

from collections.abc import Iterator

from pipeprof.recording.ceiling import Ceiling
from pipeprof.report.numbers import count, duration


def describe_ceiling(ceiling: Ceiling, run: str | None) -> Iterator[str]:
    """What was measured, and beside which run it is shown from now on.

    Args:
        ceiling: the limit.
        run: name of the run, or None where there is none of this script.
    """
    p95 = duration(ceiling.p95_ns / 1e6)
    median = duration(ceiling.median_ns / 1e6)
    yield f"With input for free a step takes {median} (median; 95 % of the steps under {p95})."
    yield (
        f"Measured over {count(ceiling.steps, 'step')}, with {count(ceiling.batches, 'batch')} "
        "kept in memory and fed again and again."
    )
    if run is None:
        yield "No run of this script was found to show it beside: record one with 'pipeprof run'."
    else:
        yield f"Shown from now on with run {run}: pipeprof report"
