"""The step time to expect after a change, by the model of `pipeprof.analysis.predicting.training_model`."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from pipeprof.analysis.findings.advice_kinds import Advice, Prediction, Remedy
from pipeprof.analysis.measures.step_blocks import step_error
from pipeprof.analysis.predicting.training_model import (
    MOST_UNEXPLAINED,
    Training,
    expect,
    modelled_ms,
    training_of,
)
from pipeprof.analysis.verdicts.verdict import Verdict
from pipeprof.errors import UsageError

# A prediction must promise at least this to be worth a change.
LEAST_GAIN = 1.03


def with_prediction(
    verdict: Verdict, remedy: Remedy, change: Callable[[Training], Training]
) -> Iterator[Advice]:
    """A remedy with its step time, or without it where the model fails; none that gains nothing.

    Args:
        verdict: today's.
        remedy: what to do.
        change: makes the training as it would be of the training as it is.
    """
    now_ms, step, ideal = verdict.step_ms, verdict.measured.times.step, verdict.ideal
    if now_ms is None or step is None or ideal is None or not ideal.ms:
        return
    # What the beginnings of epochs take is left out where today's step leaves it out.
    today = replace(training_of(verdict), epoch_start_ms=max(now_ms - step.mean, 0.0))
    try:
        after = change(today)
    except UsageError:  # what it would change was not recorded
        yield Advice(remedy=remedy)
        return
    if modelled_ms(today) < LEAST_GAIN * modelled_ms(after):
        if _may_gain(now_ms, today, after):
            yield Advice(remedy=remedy)
        return
    if abs(now_ms - modelled_ms(today)) > MOST_UNEXPLAINED * now_ms:
        yield Advice(remedy=remedy)
        return
    error = step_error(verdict.measured.loop)
    expected = expect(now_ms, today, after, error=error, shortest_ms=ideal.interval.low)
    if expected.step_ms <= 0 or now_ms < LEAST_GAIN * expected.step_ms:
        return
    yield Advice(
        remedy=remedy,
        prediction=Prediction(
            step_ms=expected.step_ms,
            low_ms=expected.interval.low,
            high_ms=expected.interval.high,
            speedup=now_ms / expected.step_ms,
            unexplained_ms=expected.unexplained_ms,
        ),
    )


def _may_gain(now_ms: float, today: Training, after: Training) -> bool:
    """Whether the CPU sets the pace of the model, and yet steps take longer: calls may get in its way."""
    placed, moved = (
        replace(each, cpu_ms=0.0, compute_ms=today.compute_ms) for each in (today, after)
    )
    return now_ms >= LEAST_GAIN * modelled_ms(after) and modelled_ms(
        placed
    ) >= LEAST_GAIN * modelled_ms(moved)


def measured_elsewhere(verdict: Verdict, remedy: Remedy, step_ms: float) -> Iterator[Advice]:
    """A remedy with a step time that is known; none that gains nothing.

    Args:
        verdict: today's.
        remedy: what to do.
        step_ms: the step time after it.
    """
    now_ms = verdict.step_ms
    if now_ms is None or step_ms <= 0 or now_ms < LEAST_GAIN * step_ms:
        return
    error = step_error(verdict.measured.loop)
    yield Advice(
        remedy=remedy,
        prediction=Prediction(
            step_ms=step_ms,
            low_ms=step_ms * (1 - error),
            high_ms=step_ms * (1 + error),
            speedup=now_ms / step_ms,
            unexplained_ms=0.0,
        ),
    )
