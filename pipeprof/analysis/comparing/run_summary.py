"""A run as flat numbers, for logs of experiments and for tables of many runs."""

import re
import sys
from collections.abc import Iterator

from pipeprof.analysis.comparing.run_quantities import Quantity, StepPart, quantities_of
from pipeprof.analysis.findings.findings import Findings
from pipeprof.recording.account import Part

# What names of metrics may have in MLflow and in Weights & Biases alike.
_STRANGE = re.compile(r"[^A-Za-z0-9_./ -]+")


def flat_summary(findings: Findings) -> dict[str, float]:
    """Numbers of a run's main loop by name; what was not measured is not there.

    Times are milliseconds (``_ms``) or seconds (``_s``), ratios 0 to 1. Names are the JSON report's, with
    ``/`` for what is inside: ``stage/decode/cost_ms``, ``account/wait/ratio``.
    """
    # Thousands of runs that are read for a table share their names.
    return {sys.intern(_STRANGE.sub("_", name)): value for name, value in _numbers(findings)}


def _numbers(findings: Findings) -> Iterator[tuple[str, float]]:
    run, main = findings.profile.run, findings.main
    yield "duration_s", (run.end_ns - run.start_ns) / 1e9
    if main is None:
        return
    diagnosis = main.diagnosis
    yield "steps", float(main.loop.step_count)
    yield "epochs", float(main.loop.epochs)
    if main.loop.sample_count is not None:
        yield "samples", float(main.loop.sample_count)
    yield "confidence", diagnosis.confidence
    for name, spread in (
        ("step", diagnosis.step_ms),
        ("wait", diagnosis.wait_ms),
        ("compute", diagnosis.compute_ms),
        ("callback", diagnosis.callback_ms),
    ):
        if spread is not None:
            yield f"{name}_ms", spread.mean
            yield f"{name}_ms_median", spread.median
            yield f"{name}_ms_p95", spread.p95
    if diagnosis.wait_ratio is not None:
        yield "wait_ratio", diagnosis.wait_ratio
    if diagnosis.ideal_step_ms is not None:
        yield "ideal_step_ms", diagnosis.ideal_step_ms
    for quantity, measured in quantities_of(findings).values():
        if not isinstance(quantity.subject, StepPart):
            yield _path(quantity), measured.value


def _path(quantity: Quantity) -> str:
    """``stage/decode/cost_ms``; a ``/`` in the name of a stage or a lane becomes ``_``."""
    match quantity.subject:
        case None:
            return quantity.what
        case Part() | StepPart():
            named = quantity.subject.value
        case str():
            named = quantity.subject.replace("/", "_")
    return f"{quantity.group.value}/{named}/{quantity.what}"
