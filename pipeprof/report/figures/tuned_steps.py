"""What each change of the input was predicted to give, and gave, with the ceiling as a line."""

from pipeprof.analysis.findings.findings import Findings
from pipeprof.recording.tuning_outcome import Trial, TuningOutcome
from pipeprof.report.figures.figure import Figure, Json, Table, View, label
from pipeprof.report.figures.theme import COMPUTE, LEGEND, WAIT
from pipeprof.report.names.edit_names import change_name
from pipeprof.report.numbers import duration
from pipeprof.report.tuning.tuning_text import HEADER, describe_outcome, trial_rows

_TODAY = "today"


def tuning_figure(findings: Findings) -> Figure | None:
    """Step times by change; None where nothing was tried."""
    outcome = findings.profile.tuning
    if outcome is None or not outcome.trials:
        return None
    tried = [trial for trial in outcome.trials if trial.step_ns is not None]
    names = [_TODAY, *(_name(trial, outcome) for trial in tried)]
    predicted = [None, *(_ms(trial.predicted_ns) for trial in tried)]
    measured = [outcome.today_ns / 1e6, *(_ms(trial.step_ns) for trial in tried)]
    traces: list[Json] = [
        _bars("predicted", names, predicted, {"color": COMPUTE, "opacity": 0.45}),
        _bars("measured", names, measured, {"color": COMPUTE}),
    ]
    layout: Json = {
        "height": 130 + 44 * len(names),
        "margin": {"l": 230, "r": 24, "t": 44, "b": 44},
        "barmode": "group",
        "legend": LEGEND,
        "showlegend": True,
        "xaxis": {"title": {"text": "step (ms)"}, "rangemode": "tozero"},
        "yaxis": {"autorange": "reversed"},
    }
    ceiling_ns = outcome.last_ceiling_ns or outcome.ceiling_ns
    if ceiling_ns is not None:
        traces.append(_line(ceiling_ns / 1e6, names))
    view = View(
        name="",
        caption=" ".join(describe_outcome(outcome)),
        traces=tuple(traces),
        layout=layout,
        table=Table(columns=HEADER, rows=tuple(trial_rows(outcome))),
    )
    return Figure(key="tuning", title="What changes of the input gave", views=(view,))


def _name(trial: Trial, outcome: TuningOutcome) -> str:
    name = change_name(trial.change, outcome.described)
    return label(f"{name} (kept)" if trial.kept else name)


def _ms(step_ns: float | None) -> float | None:
    return None if step_ns is None else step_ns / 1e6


def _bars(name: str, names: list[str], values: list[float | None], marker: Json) -> Json:
    texts = ["" if value is None else duration(value) for value in values]
    return {
        "type": "bar",
        "orientation": "h",
        "name": name,
        "y": names,
        "x": values,
        "text": texts,
        "hovertemplate": "%{y}: %{text}<extra>" + name + "</extra>",
        "marker": marker,
    }


def _line(ceiling_ms: float, names: list[str]) -> Json:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": f"input for free: {duration(ceiling_ms)}",
        "x": [ceiling_ms] * len(names),
        "y": names,
        "hoverinfo": "name",
        "line": {"color": WAIT, "dash": "dash", "width": 2},
    }
