"""The verdict on a loop in words: how fast it is, why, and what to do."""

from collections.abc import Iterator

from pipeprof.analysis.findings.caveat_kinds import Caveat, SharedCores
from pipeprof.analysis.findings.evidence_kinds import Evidence
from pipeprof.analysis.findings.findings import (
    Diagnosis,
    Findings,
    HotLine,
    LimitSource,
    LoopOnFreeInput,
)
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.analysis.findings.wall_evidence_kinds import HostAtWork
from pipeprof.analysis.verdicts.bounds import COMPUTE_BELOW
from pipeprof.recording.run_info import RecordedBy
from pipeprof.report.numbers import duration, factor, parts, rate, times
from pipeprof.report.one_run.evidence_text import evidence_sentence
from pipeprof.report.plain_text import sentence

# So far may wait and compute be from making up the step: beyond it, some waits are not known.
_SLACK_RATIO = 0.02
# Callbacks are named as a part of a step from this part of it on.
_NAMED_FROM = 0.01

# An interval is shown whose ends are as far apart.
_WIDE_FROM = 1.2
# A gain whose upper end is so many times the gain itself has none that means anything.
_OPEN_FROM = 10.0

_GAINING = (Bound.INPUT, Bound.BALANCED)

_HOW_TO_WATCH = {
    RecordedBy.PYTHON: (
        "Give the dataset to pipeprof.profile(dataset) and train on prof.dataset inside its with "
        "block, or call model.fit there."
    ),
    RecordedBy.COMMAND: (
        "Train with model.fit or train_on_batch, or take the batches from a tf.data.Dataset: "
        "pipeprof run sees these loops."
    ),
}
_HOW_TO_COUNT = {
    RecordedBy.PYTHON: "Train for more steps, or count earlier ones with warmup=0.",
    RecordedBy.COMMAND: "Train for more steps: the first ones of each loop are not counted.",
}


def why_unknown(diagnosis: Diagnosis) -> str:
    """Why there is no verdict."""
    if diagnosis.wall is None:
        return "no step was finished"
    return "pipeprof could not measure how long the steps waited for data"


def speed(diagnosis: Diagnosis) -> Iterator[str]:
    """How long a step takes and what it is made of, how many samples a second."""
    if diagnosis.step_ms is None:
        return
    yield f"step {duration(diagnosis.step_ms.mean)}{_step_parts(diagnosis, diagnosis.step_ms.mean)}"
    if diagnosis.samples_per_s is not None:
        yield f"{rate(diagnosis.samples_per_s)} samples/s"


def _step_parts(diagnosis: Diagnosis, step_ms: float) -> str:
    """What the mean step is made of: means add up, unless the wait of some steps is not known."""
    if diagnosis.wait_ms is None or diagnosis.compute_ms is None:
        return ""
    wait_ms, compute_ms = diagnosis.wait_ms.mean, diagnosis.compute_ms.mean
    callback_ms = diagnosis.callback_ms.mean if diagnosis.callback_ms else 0.0
    wait, callbacks, compute = parts(step_ms, wait_ms, callback_ms, compute_ms)
    if abs(step_ms - wait_ms - callback_ms - compute_ms) > _SLACK_RATIO * step_ms:
        return f" (where measured, wait {wait} and {_rest(diagnosis)} {compute})"
    called = f" + callbacks {callbacks}" if callback_ms >= _NAMED_FROM * step_ms else ""
    return f" = wait {wait} + {_rest(diagnosis)} {compute}{called}"


def _rest(diagnosis: Diagnosis) -> str:
    """What a step is besides waiting and callbacks: no clock divides it up step by step."""
    hosts = (each for each in diagnosis.evidence if isinstance(each, HostAtWork))
    own_code = any(each.own_code_ratio >= _NAMED_FROM for each in hosts)
    return "compute and own code" if own_code else "compute"


def with_free_input(diagnosis: Diagnosis) -> str | None:
    """What the training would reach if batches cost nothing, where that is less than it takes."""
    free, wall = diagnosis.free_input, diagnosis.wall
    waits = wall is not None and (wall.wait_ratio or 0.0) >= COMPUTE_BELOW
    if diagnosis.bound not in _GAINING or not (waits or diagnosis.held_up.counted_ratio):
        return None
    if free is None:
        return None
    took, gain = duration(1e3 * free.wall_s), times(free.speedup)
    match free.known:
        case LimitSource.MEASURED:
            step = f" (measured: {duration(diagnosis.ideal_step_ms or 0.0)} a step)"
            return f"with input for free: {took}, {gain} as fast{step}"
        case LimitSource.UPPER_BOUND:
            return f"with input for free: at least {took}, at most {gain} as fast"
        case LimitSource.ESTIMATED:
            between = _range(free)
            unsure = any(map(_weakens_limit, diagnosis.evidence)) and not between
            about = "about " if unsure else ""
            return f"with input for free: {about}{took}, {gain} as fast{between}"


def _weakens_limit(evidence: Evidence) -> bool:
    return isinstance(evidence, SharedCores)


def _range(free: LoopOnFreeInput) -> str:
    """How far off the gain may be, where that is worth a reader's while."""
    between = free.speedup_interval
    if between.high < _WIDE_FROM * between.low:
        return ""
    if between.high >= _OPEN_FROM * free.speedup:
        return f" (at least {factor(between.low)})"
    return f" ({factor(between.low)} to {factor(between.high)})"


def gain_with_free_input(free: LoopOnFreeInput) -> str:
    """``measured, 4.9 times as fast``."""
    gain = f"{times(free.speedup)} as fast"
    match free.known:
        case LimitSource.MEASURED:
            return f"measured, {gain}"
        case LimitSource.UPPER_BOUND:
            return f"at most {gain}"
        case LimitSource.ESTIMATED:
            return f"{gain}{_range(free)}"


def reasons(diagnosis: Diagnosis) -> list[str]:
    """What speaks for the verdict, a sentence or a few short ones each.

    Caveats are left out, and what the headline says already.
    """
    return [
        sentence(evidence_sentence(each))
        for each in diagnosis.evidence
        if not isinstance(each, Caveat) and not _in_headline(each, diagnosis)
    ]


def _in_headline(evidence: Evidence, diagnosis: Diagnosis) -> bool:
    """Whether it is nothing but the host's share of the time, which the headline names as well."""
    if not isinstance(evidence, HostAtWork) or diagnosis.bound is Bound.HOST:
        return False
    return not evidence.places


def notes(diagnosis: Diagnosis) -> list[str]:
    """What a reader should know beside the verdict: what weakens it, dangers, uneven steps."""
    caveats = (each for each in diagnosis.evidence if isinstance(each, Caveat))
    return [*(sentence(evidence_sentence(each)) for each in caveats), *_unevenness(diagnosis)]


def _unevenness(diagnosis: Diagnosis) -> Iterator[str]:
    step_ms = diagnosis.step_ms
    if step_ms is not None and step_ms.p95 > 2 * step_ms.median:
        yield (
            f"Steps are uneven: half take less than {duration(step_ms.median)}, "
            f"1 in 20 over {duration(step_ms.p95)}."
        )


def dearest_lines(findings: Findings) -> tuple[HotLine, ...]:
    """The lines of what the verdict names that time goes to, dearest first; none where nobody looked."""
    diagnosis = findings.main.diagnosis if findings.main else None
    if diagnosis is not None and diagnosis.bound is Bound.HOST:
        return findings.host_lines
    slowest = diagnosis.bottleneck if diagnosis else None
    if slowest is None:
        return ()
    return next((stage.hot_lines for stage in findings.stages if stage.index == slowest.index), ())


def how_to_see(findings: Findings) -> str | None:
    """What to do where there is no verdict, or None where there is one, or something else first."""
    diagnosis, run = findings.main.diagnosis if findings.main else None, findings.profile.run
    if diagnosis is not None and diagnosis.bound is not Bound.UNKNOWN:
        return None
    too_few = diagnosis is not None and (diagnosis.wall is None or diagnosis.step_ms is None)
    if run.error is not None and (diagnosis is None or too_few):
        return None  # what failed as it began is to be mended first: the exception is in the report
    return (_HOW_TO_COUNT if too_few else _HOW_TO_WATCH)[run.recorded_by]
