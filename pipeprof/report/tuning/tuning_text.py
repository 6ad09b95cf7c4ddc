"""What tuning found, in words and as rows of a table."""

from collections.abc import Iterator, Sequence

from pipeprof.recording.tuning_outcome import Description, Trial, TuningOutcome
from pipeprof.report.names.edit_names import change_name
from pipeprof.report.numbers import count, duration, fixed, times
from pipeprof.report.plain_text import sentence

HEADER = ("Change", "predicted", "measured", "times as fast", "")


def describe_outcome(outcome: TuningOutcome) -> Iterator[str]:
    """The result in sentences."""
    today, best = duration(outcome.today_ns / 1e6), duration(outcome.best_ns / 1e6)
    if not outcome.best:
        yield f"No change made this input faster beyond the noise: a step takes {today}."
    else:
        yield f"{today} a step today, {best} with the changes below: {times(outcome.speedup)} as fast."
    ceiling_ns = outcome.last_ceiling_ns or outcome.ceiling_ns
    free = "" if ceiling_ns is None else duration(ceiling_ns / 1e6)
    if ceiling_ns is None:
        yield "Without a model only the input was measured: return (model, dataset) to measure a training."
    elif outcome.best_ns <= ceiling_ns * 1.05:
        yield f"With input for free a step takes {free}: the input is no limit any more."
    else:
        yield f"With input for free a step would take {free}."
    if outcome.interrupted:
        yield "It was interrupted: not everything was tried."
    elif outcome.stopped:
        yield "The time was not enough to try everything: a larger --budget tries more."


def describe_tried(outcome: TuningOutcome) -> Iterator[str]:
    """What was kept, with what was predicted and measured of it, for the report on the training."""
    kept = [trial for trial in outcome.trials if trial.kept]
    if not kept:
        yield f"{count(len(outcome.trials), 'change')} tried, none made it faster beyond the noise."
        return
    for trial in kept:
        name = change_name(trial.change, outcome.described)
        expected = f", predicted {_ms(trial.predicted_ns)}" if trial.predicted_ns else ""
        yield f"{name}: measured {_ms(trial.step_ns)} per step{expected}."
    today, best = duration(outcome.today_ns / 1e6), duration(outcome.best_ns / 1e6)
    yield f"Together: {today} before, {best} after, {times(outcome.speedup)} as fast."


def trial_row(trial: Trial, described: Description) -> tuple[str, ...]:
    """A trial as a row beneath `HEADER`."""
    name = change_name(trial.change, described)
    return (name, _ms(trial.predicted_ns), _ms(trial.step_ns), _speedup(trial), _verdict(trial))


def describe_columns(outcome: TuningOutcome) -> Iterator[str]:
    """What the columns of the trials mean, where they leave it open."""
    best_before = False
    for trial in outcome.trials:
        if best_before and trial.speedup is not None:
            yield (
                "'times as fast' compares a change with the best one before it. Both were measured in "
                "turns, because times on a shared machine drift."
            )
            break
        best_before |= trial.kept
    unknown = [
        change_name(trial.change, outcome.described)
        for trial in outcome.trials
        if trial.step_ns is not None and trial.predicted_ns is None
    ]
    if unknown:
        yield f"Not predicted: {'; '.join(unknown)}. Only a trial shows what this gives."


def describe_refused(outcome: TuningOutcome) -> Iterator[str]:
    """Why changes were not measured, or thrown away; equal reasons together."""
    reasons: dict[str, list[str]] = {}
    for trial in outcome.trials:
        if trial.refused is not None:
            name = change_name(trial.change, outcome.described)
            reasons.setdefault(trial.refused, []).append(name)
    for reason, names in reasons.items():
        yield sentence(f"{'; '.join(names)}: refused, {reason.rstrip('.')}.")


def describe_trial(trial: Trial, described: Description) -> str:
    """A trial in one line, for those who look on."""
    name, _, step, speedup, verdict = trial_row(trial, described)
    if trial.refused is not None:
        verdict = f"refused, {trial.refused}"
    measured = f"{step} a step, {speedup} times as fast: " if step else ""
    return f"{name}: {measured}{verdict}"


def trial_rows(outcome: TuningOutcome) -> Sequence[tuple[str, ...]]:
    """All trials as rows beneath `HEADER`."""
    return [trial_row(trial, outcome.described) for trial in outcome.trials]


def _ms(step_ns: float | None) -> str:
    return "" if step_ns is None else duration(step_ns / 1e6)


def _speedup(trial: Trial) -> str:
    if trial.speedup is None or trial.low is None or trial.high is None:
        return ""
    return f"{fixed(trial.speedup, 2)} ({fixed(trial.low, 2)} to {fixed(trial.high, 2)})"


def _verdict(trial: Trial) -> str:
    if trial.refused is not None:
        return "refused"
    return "kept" if trial.kept else "no gain"
