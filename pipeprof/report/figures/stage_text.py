"""The text on a stage in a picture, as Plotly's text: names are escaped, and cut to fit."""

from pipeprof.analysis.findings.findings import StageFinding
from pipeprof.recording.stage import OperatorFamily
from pipeprof.report.figures.figure import label
from pipeprof.report.names.stage_labels import name_with_copies, ran_on, runs_as, where
from pipeprof.report.numbers import duration, few_digits, level, percent

_MOST_HOT_LINES = 3
_BETWEEN = " · "
_LEAST_PLACE = 8


def notes_below(found: StageFinding, width: int) -> str:
    """Where it stands, how parallel it is and how full its buffer, in at most so many letters."""
    state = _BETWEEN.join(
        (
            *((calls_at_once(found),) if _may_be_parallel(found) else ()),
            *((f"buffer {buffer_fill(found)}",) if found.buffer_mean is not None else ()),
        )
    )
    place = where(found.stage)
    room = width - len(state) - len(_BETWEEN) if state else width
    if place is None or room < _LEAST_PLACE:
        return label(state, width)
    return _BETWEEN.join((label(place, room), *((state,) if state else ())))


def _may_be_parallel(found: StageFinding) -> bool:
    """Whether its parallelism is worth showing: most stages make one call at a time."""
    return found.parallelism is not None and (bool(found.autotuned) or found.parallelism > 1)


def calls_at_once(found: StageFinding) -> str:
    """How many of its calls run at once; its parallelism is known."""
    assert found.parallelism is not None
    chosen = " (AUTOTUNE)" if found.autotuned else ""
    return f"{few_digits(found.parallelism)} at once{chosen}"


def buffer_fill(found: StageFinding) -> str:
    """How many elements lie ready behind it; its buffer is known."""
    assert found.buffer_mean is not None
    size = "" if found.buffer_size is None else f" of {found.buffer_size}"
    return f"{level(found.buffer_mean)}{size}"


def elements_of(found: StageFinding) -> str | None:
    """``1,200 of 7,100 kept``: what a filter keeps; None for any other stage."""
    if found.stage.family is not OperatorFamily.FILTER or found.elements_taken is None:
        return None
    return f"{found.elements:,} of {found.elements_taken:,} kept"


def explain(found: StageFinding) -> str:
    """All that is known of it, a line each."""
    place = where(found.stage)
    lanes = ran_on(found.lanes)
    written, running = found.stage.written, runs_as(found.stage)
    elements = elements_of(found)
    cpu = None if found.cpu_ratio is None else percent(found.cpu_ratio)
    return "<br>".join(
        (
            f"<b>{label(name_with_copies(found), 80)}</b>",
            *((label(place, 80),) if place else ()),
            *((f"written as {label(written, 80)}",) if written else ()),
            *((f"tf.data runs {label(running, 60)}",) if running else ()),
            f"work {duration(found.cost_ms)} per step",
            *((calls_at_once(found),) if found.parallelism is not None else ()),
            *((f"buffer {buffer_fill(found)}",) if found.buffer_mean is not None else ()),
            *((f"elements: {elements}",) if elements else ()),
            *((f"on a CPU {cpu} of that",) if cpu else ()),
            *((f"ran on {label(lanes, 60)}",) if lanes else ()),
            *(
                f"{percent(line.share)} at {label(line.location.short, 40)}: {label(line.text, 50)}"
                for line in found.hot_lines[:_MOST_HOT_LINES]
            ),
        )
    )
