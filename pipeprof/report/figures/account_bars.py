"""Where the time of the run and of its main loop went, each as one bar."""

from collections import defaultdict

from pipeprof.analysis.findings.account_findings import Account, PlaceName
from pipeprof.analysis.findings.findings import Findings
from pipeprof.recording.account import Part
from pipeprof.recording.source_code import Location
from pipeprof.report.figures.figure import Figure, Table, View, label
from pipeprof.report.figures.part_bars import stacked_parts
from pipeprof.report.figures.theme import LEGEND
from pipeprof.report.names.part_names import PART_NAMES, place_name
from pipeprof.report.numbers import duration, percent
from pipeprof.report.one_run.run_text import kind_of
from pipeprof.report.plain_text import MISSING

_Place = tuple[Part, PlaceName | None, Location | None]


def account_figure(findings: Findings) -> Figure | None:
    """The bars with a row a place below; None of a run that took no time."""
    if not findings.account.wall_ns:
        return None
    bars: list[tuple[str, Account]] = [("run", findings.account)]
    if findings.main is not None:
        bars.append((kind_of(findings.main.loop), findings.main.account))
    view = View(
        name="",
        caption=_caption(bars),
        traces=stacked_parts(bars, range(len(bars)), written=True),
        layout={
            "barmode": "stack",
            "bargap": 0.25,
            "height": 120 + 44 * len(bars),
            "margin": {"l": 8, "r": 16, "t": 44, "b": 40},
            "hovermode": "closest",
            "showlegend": True,
            "legend": LEGEND,
            "uniformtext": {"mode": "hide", "minsize": 10},
            "xaxis": {"title": {"text": "seconds"}, "rangemode": "tozero"},
            "yaxis": {
                "tickvals": list(range(len(bars))),
                "ticktext": [f"{label(name, 24)} " for name, _ in bars],
                "range": [len(bars) - 0.5, -0.5],
                "showgrid": False,
                "zeroline": False,
                "fixedrange": True,
            },
        },
        table=_table(bars),
    )
    return Figure(key="account", title="Where the time went", views=(view,))


def _caption(bars: list[tuple[str, Account]]) -> str:
    starts = any(account.ns(Part.EPOCH_START) for _, account in bars)
    return "Hatched orange: waiting for the first batches of epochs." if starts else ""


def _table(bars: list[tuple[str, Account]]) -> Table:
    """A row a part and place: the time of each bar, and the share of the whole run."""
    by_place = [_by_place(account) for _, account in bars]
    run, *others = by_place
    calls = _calls(bars)
    places = list(dict.fromkeys(place for each in by_place for place in each))
    order = {part: number for number, part in enumerate(Part)}
    places.sort(key=lambda place: (order[place[0]], -run.get(place, 0)))
    wall_ns = bars[0][1].wall_ns
    rows = tuple(
        (
            PART_NAMES[part],
            MISSING if name is None else place_name(name),
            location.short if location else MISSING,
            f"{calls[part, name, location]:,}" if calls[part, name, location] else MISSING,
            duration(run.get((part, name, location), 0) / 1e6),
            percent(run.get((part, name, location), 0) / wall_ns),
            *(duration(each.get((part, name, location), 0) / 1e6) for each in others),
        )
        for part, name, location in places
    )
    columns = ("part", "what", "where", "calls", "run", "share", *(name for name, _ in bars[1:]))
    return Table(columns=columns, rows=rows)


def _by_place(account: Account) -> dict[_Place, int]:
    times: defaultdict[_Place, int] = defaultdict(int)
    for row in account.rows:
        times[row.part, row.name, row.location] += row.ns
    return times


def _calls(bars: list[tuple[str, Account]]) -> defaultdict[_Place, int]:
    """How often each place was called in the run."""
    calls: defaultdict[_Place, int] = defaultdict(int)
    for row in bars[0][1].rows:
        calls[row.part, row.name, row.location] += row.count or 0
    return calls
