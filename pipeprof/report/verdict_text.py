"""The verdict on a loop in words: how much it waits, how fast it is, why, and what to do."""

from collections.abc import Iterator

from pipeprof.analysis.bounds import bound_by_wait
from pipeprof.analysis.evidence_kinds import Caveat, SharedCores
from pipeprof.analysis.findings import Diagnosis, Findings, HotLine, LimitSource
from pipeprof.analysis.verdict_kinds import Bound, Cause
from pipeprof.recording.run_info import RecordedBy
from pipeprof.report.evidence_text import evidence_sentence
from pipeprof.report.numbers import duration, parts, rate, times, wait_percent
from pipeprof.report.plain_text import sentence

# So far may wait and compute be from making up the step: beyond it, some waits are not known.
_SLACK_RATIO = 0.02

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


def waiting(diagnosis: Diagnosis) -> str:
    """How much of a step is waiting, or why that is not known."""
    if diagnosis.bound is Bound.UNKNOWN or diagnosis.wait_ratio is None:
        return _why_unknown(diagnosis)
    if by_epoch_starts(diagnosis) and diagnosis.whole_wait_ratio is not None:
        whole = wait_percent(diagnosis.whole_wait_ratio)
        return f"{whole} of the time waits for data, mostly where epochs begin"
    ready = "the input keeps up: " if diagnosis.bound is Bound.COMPUTE else ""
    return f"{ready}{wait_percent(diagnosis.wait_ratio)} of each step waits for data"


def by_epoch_starts(diagnosis: Diagnosis) -> bool:
    """Whether the verdict is not about the steps within epochs."""
    if diagnosis.cause is Cause.EPOCH_START:
        return True
    return (
        diagnosis.wait_ratio is not None
        and bound_by_wait(diagnosis.wait_ratio) is not diagnosis.bound
    )


def _why_unknown(diagnosis: Diagnosis) -> str:
    if diagnosis.step_ms is None:
        return "no step came after the warm-up"
    if diagnosis.measured_by is None:
        return "pipeprof could not measure how long the steps waited for data"
    return "too few steps for a verdict"


def speed(diagnosis: Diagnosis) -> Iterator[str]:
    """How long a step takes and what it is made of, how many samples a second, how evenly."""
    if diagnosis.step_ms is None:
        return
    yield f"step {duration(diagnosis.step_ms.mean)}{_step_parts(diagnosis, diagnosis.step_ms.mean)}"
    if diagnosis.samples_per_s is not None:
        yield f"{rate(diagnosis.samples_per_s)} samples/s"
    if diagnosis.step_ms.p95 > 2 * diagnosis.step_ms.median:
        yield (
            f"uneven: half of the steps under {duration(diagnosis.step_ms.median)}, "
            f"1 in 20 over {duration(diagnosis.step_ms.p95)}"
        )


def _step_parts(diagnosis: Diagnosis, step_ms: float) -> str:
    """What the mean step is made of: means add up, unless the wait of some steps is not known."""
    if diagnosis.wait_ms is None or diagnosis.compute_ms is None:
        return ""
    wait_ms, compute_ms = diagnosis.wait_ms.mean, diagnosis.compute_ms.mean
    wait, compute = parts(step_ms, wait_ms, compute_ms)
    if abs(step_ms - wait_ms - compute_ms) > _SLACK_RATIO * step_ms:
        return f" (where measured, wait {wait} and compute {compute})"
    return f" = wait {wait} + compute {compute}"


def with_free_input(diagnosis: Diagnosis) -> str | None:
    """What the training would reach if batches cost nothing, where that is less than it takes."""
    free = diagnosis.free_input
    if diagnosis.bound not in _GAINING or free is None:
        return None
    measured = free.known is LimitSource.MEASURED
    estimated = any(isinstance(each, SharedCores) for each in diagnosis.evidence)
    about = "measured " if measured else "about " if estimated else ""
    step = (
        "" if diagnosis.ideal_step_ms is None else f"{duration(diagnosis.ideal_step_ms)} per step, "
    )
    whole = f"{duration(1e3 * free.wall_s)} in all, {times(free.speedup)} as fast"
    return f"with input for free: {about}{step}{whole}"


def reasons(diagnosis: Diagnosis) -> list[str]:
    """What speaks for the verdict, a sentence or a few short ones each; caveats left out."""
    return [
        sentence(evidence_sentence(each))
        for each in diagnosis.evidence
        if not isinstance(each, Caveat)
    ]


def notes(diagnosis: Diagnosis) -> list[str]:
    """What a reader should know beside the verdict: what weakens it, and dangers."""
    return [
        sentence(evidence_sentence(each)) for each in diagnosis.evidence if isinstance(each, Caveat)
    ]


def hot_lines(findings: Findings) -> tuple[HotLine, ...]:
    """The lines that the bottleneck's time goes to, dearest first; none where nobody looked."""
    slowest = findings.main.diagnosis.bottleneck if findings.main else None
    if slowest is None:
        return ()
    return next((stage.hot_lines for stage in findings.stages if stage.index == slowest.index), ())


def how_to_see(findings: Findings) -> str | None:
    """What to do where there is no verdict, or None where there is one, or something else first."""
    diagnosis, run = findings.main.diagnosis if findings.main else None, findings.profile.run
    if diagnosis is not None and diagnosis.bound is not Bound.UNKNOWN:
        return None
    too_few = diagnosis is not None and (
        diagnosis.step_ms is None or diagnosis.measured_by is not None
    )
    if run.error is not None and (diagnosis is None or too_few):
        return None  # what failed as it began is to be mended first: the exception is in the report
    return (_HOW_TO_COUNT if too_few else _HOW_TO_WATCH)[run.recorded_by]
