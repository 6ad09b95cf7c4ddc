"""The step time to expect after a change.

The model of the stages first predicts today's step. What it does not explain of that is carried along, and
where it misses today's step by too much, nothing is predicted.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from pipeprof.analysis.findings.advice_kinds import Advice, Prediction, Remedy
from pipeprof.analysis.measures.costs import StageCost
from pipeprof.analysis.verdicts.bottleneck import predict_step_ms
from pipeprof.analysis.verdicts.verdict import Verdict
from pipeprof.recording.loop import Loop

# A prediction must promise at least this to be worth a change.
LEAST_GAIN = 1.03
# A model that misses today's step by more than this part of it says nothing of tomorrow's.
_MISSES_FROM = 0.25

# Neighbouring steps are alike: the mean of so many of them counts as one.
_BLOCK_STEPS = 10
_FEWEST_BLOCKS = 4
# So many standard errors to both sides hold the middle 90 %.
_ERRORS = 1.645


def with_prediction(
    verdict: Verdict, remedy: Remedy, costs: Iterable[StageCost], cpu_ms: float
) -> Iterator[Advice]:
    """A remedy with its step time, or without it where the model fails; none that gains nothing.

    Args:
        verdict: today's.
        remedy: what to do.
        costs: the stages as they would be.
        cpu_ms: CPU work of a step as it would be, over the processors.
    """
    now_ms, ideal_ms = verdict.step_ms, verdict.ideal_ms
    if now_ms is None or not ideal_ms:
        return
    before, costs = verdict.measured.costs, tuple(costs)
    modelled_ms = predict_step_ms(before, ideal_ms, verdict.cpu_ms)
    after_ms = predict_step_ms(costs, ideal_ms, cpu_ms)
    if modelled_ms < LEAST_GAIN * after_ms:
        # The CPU work sets the pace of the model, and yet the steps take longer: calls may get in its way.
        places_ms, moved_ms = (predict_step_ms(each, ideal_ms, 0.0) for each in (before, costs))
        if now_ms >= LEAST_GAIN * after_ms and places_ms >= LEAST_GAIN * moved_ms:
            yield Advice(remedy=remedy)
        return
    unexplained_ms = now_ms - modelled_ms
    if abs(unexplained_ms) > _MISSES_FROM * now_ms:
        yield Advice(remedy=remedy)
        return
    # However it is moved, no more can be saved than the work that was seen.
    least_ms = max(ideal_ms, now_ms - verdict.input_ms)
    step_ms = max(after_ms + unexplained_ms, least_ms)
    yield from measured_elsewhere(
        verdict,
        remedy,
        step_ms,
        others_ms=(max(after_ms, least_ms),),
        unexplained_ms=unexplained_ms,
    )


def measured_elsewhere(
    verdict: Verdict,
    remedy: Remedy,
    step_ms: float,
    *,
    others_ms: tuple[float, ...] = (),
    unexplained_ms: float = 0.0,
) -> Iterator[Advice]:
    """A remedy with a step time that is known; none that gains nothing.

    Args:
        verdict: today's.
        remedy: what to do.
        step_ms: the step time after it.
        others_ms: what that may be as well.
        unexplained_ms: what of today's step is not explained.
    """
    now_ms = verdict.step_ms
    if now_ms is None or step_ms <= 0 or now_ms < LEAST_GAIN * step_ms:
        return
    error = step_error(verdict.measured.loop)
    yield Advice(
        remedy=remedy,
        prediction=Prediction(
            step_ms=step_ms,
            low_ms=min(step_ms, *others_ms) * (1 - error) if others_ms else step_ms * (1 - error),
            high_ms=max(step_ms, *others_ms) * (1 + error) if others_ms else step_ms * (1 + error),
            speedup=now_ms / step_ms,
            unexplained_ms=unexplained_ms,
        ),
    )


def step_error(loop: Loop) -> float:
    """How far the mean step of another run may be from that of this one, as a part of it.

    Drawn from blocks of neighbouring steps; the whole of it where there are too few of them.
    """
    steps = loop.steps
    lasted = (steps.end_ns - steps.start_ns)[loop.counted].astype(np.float64)
    length = max(min(len(lasted) // _FEWEST_BLOCKS, _BLOCK_STEPS), 1)
    whole = len(lasted) // length * length
    means = lasted[:whole].reshape(-1, length).mean(axis=1)
    if len(means) < 2 or not means.mean():
        return 1.0
    error = float(means.std(ddof=1) / np.sqrt(len(means)) / means.mean())
    return min(_ERRORS * error, 1.0)
