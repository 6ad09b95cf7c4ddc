"""What changes of an input gave, as bars for a terminal, with input for free as a line."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len

from pipeprof.recording.tuning_outcome import TuningOutcome
from pipeprof.report.names.edit_names import change_name
from pipeprof.report.numbers import duration
from pipeprof.report.plain_text import shorten

MEASURED, PREDICTED, FREE = "█", "◆", "┊"

_MOST_NAME, _GAP = 28, 2
# Narrower bars show nothing.
_LEAST_ROOM = 16


def draw_bars(outcome: TuningOutcome, width: int) -> tuple[str, ...]:
    """A line for today's input and for each measured trial, and one that explains the marks.

    Nothing where there is no room, or nothing was measured.
    """
    tried = [trial for trial in outcome.trials if trial.step_ns is not None]
    names = ["today", *(change_name(trial.change, outcome.described) for trial in tried)]
    measured = [outcome.today_ns, *(trial.step_ns or 0.0 for trial in tried)]
    predicted = [None, *(trial.predicted_ns for trial in tried)]
    times = [duration(ns / 1e6) for ns in measured]
    name_width = min(max(map(cell_len, names)), _MOST_NAME)
    room = width - name_width - max(map(cell_len, times)) - 2 * _GAP
    if not tried or room < _LEAST_ROOM:
        return ()
    ceiling_ns = outcome.last_ceiling_ns or outcome.ceiling_ns
    longest = max((*measured, ceiling_ns or 0.0))
    bars = [
        _bar(of_measured, of_predicted, ceiling_ns, longest, room)
        for of_measured, of_predicted in zip(measured, predicted, strict=True)
    ]
    return (*_rows(names, times, bars, name_width), _legend(predicted, ceiling_ns))


def _bar(
    measured_ns: float,
    predicted_ns: float | None,
    ceiling_ns: float | None,
    longest_ns: float,
    room: int,
) -> str:
    def place(ns: float) -> int:
        return min(round(ns / longest_ns * room), room)

    line = list((MEASURED * max(place(measured_ns), 1)).ljust(room))
    if ceiling_ns is not None:
        line[max(place(ceiling_ns) - 1, 0)] = FREE
    if predicted_ns is not None:
        line[max(place(predicted_ns) - 1, 0)] = PREDICTED
    return "".join(line).rstrip()


def _rows(
    names: Sequence[str], times: Sequence[str], bars: Sequence[str], name_width: int
) -> Iterator[str]:
    time_width = max(map(cell_len, times))
    for name, time, bar in zip(names, times, bars, strict=True):
        short = shorten(name, name_width)
        padded = short + " " * (name_width - cell_len(short))
        yield f"{padded}{' ' * _GAP}{time.rjust(time_width)}{' ' * _GAP}{bar}"


def _legend(predicted: Sequence[float | None], ceiling_ns: float | None) -> str:
    parts = [f"{MEASURED} measured"]
    if any(ns is not None for ns in predicted):
        parts.append(f"{PREDICTED} predicted")
    if ceiling_ns is not None:
        parts.append(f"{FREE} input for free")
    return "   ".join(parts)
