"""What could be otherwise, as controls of a page and what it shows for each setting of them.

All settings are predicted beforehand, by the one model in `pipeprof.analysis.predicting`: a page has no
server that it could ask.
"""

from collections.abc import Sequence

from pipeprof.analysis.analyse import main_verdict
from pipeprof.analysis.findings.what_if_kinds import SupposedStep, Supposition
from pipeprof.analysis.predicting.what_if_choices import ChoiceIndex, Choices, predict_choices
from pipeprof.errors import UsageError
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.profile import Profile
from pipeprof.report.figures.figure import Figure, Json, Table, View
from pipeprof.report.figures.theme import COMPUTE, INPUT, UNKNOWN
from pipeprof.report.numbers import duration, size, times
from pipeprof.report.predicting.what_if_text import (
    choice_name,
    control_name,
    describe_prediction,
    describe_supposition,
)

_TODAY, _CHOSEN, _FREE = range(3)
_HEIGHT = 210


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """What a page shows of what could be otherwise.

    Attributes:
        controls: their names, each with the names of its choices.
        predictions: what is shown for a setting, by its key: the number of a control and that of its
            choice, as ``2:0``, two of them with a comma between.
        figure: the picture for no change, in which a setting's prediction takes the second row.
        problem: why nothing can be predicted, or None.
    """

    controls: tuple[tuple[str, tuple[str, ...]], ...] = ()
    predictions: Json
    figure: Figure | None = None
    problem: str | None = None


def what_if_panel(profile: Profile) -> Panel | None:
    """The panel of a run; None where nothing trained."""
    verdict = main_verdict(profile)
    if verdict is None or not verdict.measured.loop.step_count:
        return None
    try:
        choices = predict_choices(verdict)
    except UsageError as error:
        return Panel(predictions={}, problem=str(error))
    return Panel(
        controls=tuple(
            (control_name(control), tuple(map(choice_name, control.choices)))
            for control in choices.controls
        ),
        predictions={
            _key(places): _shown(_supposed(choices, places), found)
            for places, found in choices.predictions.items()
        },
        figure=_figure(choices),
    )


def _key(places: Sequence[ChoiceIndex]) -> str:
    return ",".join(f"{control}:{choice}" for control, choice in places)


def _supposed(choices: Choices, places: Sequence[ChoiceIndex]) -> list[Supposition]:
    return [choices.controls[control].choices[choice] for control, choice in places]


def _shown(supposed: Sequence[Supposition], found: SupposedStep) -> Json:
    return {
        "ms": round(found.step_ms, 3),
        "low": round(found.interval.low, 3),
        "high": round(found.interval.high, 3),
        "label": duration(found.step_ms),
        "text": " ".join(describe_prediction(supposed, found)),
    }


def _figure(choices: Choices) -> Figure:
    today, free = choices.today_ms, choices.free
    bars = {
        _TODAY: (today, 0.0, 0.0, COMPUTE),
        _CHOSEN: (today, 0.0, 0.0, INPUT[0]),
        _FREE: (
            free.step_ms,
            free.step_ms - free.interval.low,
            free.interval.high - free.step_ms,
            UNKNOWN,
        ),
    }
    trace: Json = {
        "type": "bar",
        "orientation": "h",
        "x": [round(ms, 3) for ms, *_ in bars.values()],
        "y": list(bars),
        "text": [duration(ms) for ms, *_ in bars.values()],
        "textposition": "inside",
        "insidetextanchor": "start",
        "marker": {"color": [color for *_, color in bars.values()], "line": {"width": 0}},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [round(above, 3) for _, _, above, _ in bars.values()],
            "arrayminus": [round(below, 3) for _, below, _, _ in bars.values()],
            "color": UNKNOWN,
            "thickness": 2,
            "width": 0,
        },
        "hovertemplate": "%{text}<extra></extra>",
    }
    layout: Json = {
        "height": _HEIGHT,
        "bargap": 0.35,
        "margin": {"l": 8, "r": 24, "t": 12, "b": 44},
        "showlegend": False,
        "xaxis": {
            "title": {"text": "ms per step, epoch starts included"},
            "range": [0, round(1.15 * max(today, free.interval.high), 3)],
        },
        "yaxis": {
            "tickvals": list(bars),
            "ticktext": ["today ", "your choice ", "input for free "],
            "range": [2.5, -0.5],
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
        },
    }
    view = View(name="", caption="", traces=(trace,), layout=layout, table=_table(choices))
    return Figure(key="what-if", title="What if", views=(view,))


def _table(choices: Choices) -> Table:
    """Each change alone, the one that gains most first."""
    alone = [
        (_supposed(choices, places)[0], found)
        for places, found in choices.predictions.items()
        if len(places) == 1
    ]
    alone.sort(key=lambda each: each[1].step_ms)
    return Table(
        columns=("with", "step", "from", "to", "as fast", "memory"),
        rows=tuple(
            (
                describe_supposition(supposed),
                duration(found.step_ms),
                duration(found.interval.low),
                duration(found.interval.high),
                times(found.speedup),
                "" if found.memory_bytes is None else size(found.memory_bytes),
            )
            for supposed, found in alone
        ),
    )
