"""What each rank waits over the training: ranks by steps, as a heat map."""

import numpy as np

from pipeprof.analysis.findings.findings import Findings
from pipeprof.analysis.findings.rank_findings import RankFinding, RunOfRanks, WaitMap
from pipeprof.recording.series import FloatArray, IntArray
from pipeprof.report.figures.figure import Figure, Json, Table, View
from pipeprof.report.figures.theme import WAIT
from pipeprof.report.headings import titles
from pipeprof.report.many_hosts.ranks_text import RANK_COLUMNS, chosen_ranks, rank_cells
from pipeprof.report.numbers import count, duration
from pipeprof.report.plain_text import MISSING

MOST_ROWS = 64
MOST_COLUMNS = 128

_ROW_PX = 22
_MOST_PX, _LEAST_PX = 520, 160
_CLEAR = "rgba(213,94,0,0.03)"
# The scale ends where nearly all waits of the slowest rank are below it: one long wait would make all
# others alike.
_NEARLY_ALL = 98


def ranks_figure(findings: Findings) -> Figure | None:
    """The waits of all ranks; None of a process that trained alone, or where no waits are known."""
    ranks = findings.ranks
    if ranks is None or ranks.waits is None or len(ranks.ranks) < 2:
        return None
    drawn = _drawn_rows(ranks)
    starts, waits_ms = _columns(ranks.waits, [each.number for each in drawn])
    if not np.isfinite(waits_ms).any():
        return None
    return Figure(
        key="ranks",
        title="Waits of all ranks",
        views=(
            View(
                name="waits",
                caption=_caption(ranks, len(drawn)),
                traces=(_trace(drawn, starts, waits_ms),),
                layout=_layout(len(drawn)),
                table=_table(ranks),
            ),
        ),
    )


def _drawn_rows(ranks: RunOfRanks) -> list[RankFinding]:
    """All ranks; of many, those that stand for all and some in equal distances between."""
    if len(ranks.ranks) <= MOST_ROWS:
        return list(ranks.ranks)
    chosen = {each.number: each for _, each in chosen_ranks(ranks)}
    room = MOST_ROWS - len(chosen)
    chosen |= {each.number: each for each in ranks.ranks[:: -(-len(ranks.ranks) // room)]}
    return [chosen[number] for number in sorted(chosen)]


def _columns(waits: WaitMap, numbers: list[int]) -> tuple[IntArray, FloatArray]:
    """First steps of the columns, and the mean waits of the chosen rows in them."""
    rows = {number: row for row, number in enumerate(waits.ranks)}
    chosen = waits.wait_ms[[rows[number] for number in numbers]]
    factor = max(-(-len(waits.first_step) // MOST_COLUMNS), 1)
    at = np.arange(0, len(waits.first_step), factor)
    known = np.isfinite(chosen)
    sums = np.add.reduceat(np.where(known, chosen, 0.0), at, axis=1)
    counts = np.add.reduceat(known.astype(np.int64), at, axis=1)
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return waits.first_step[at], means


def _trace(drawn: list[RankFinding], starts: IntArray, waits_ms: FloatArray) -> Json:
    return {
        "type": "heatmap",
        "name": "wait",
        "meta": [each.number for each in drawn],
        "x": starts.tolist(),
        "y": [f"rank {each.number}" for each in drawn],
        "z": [[round(v, 3) if np.isfinite(v) else None for v in row] for row in waits_ms.tolist()],
        "zmin": 0,
        "zmax": _most_ms(waits_ms),
        "colorscale": [[0, _CLEAR], [1, WAIT]],
        "colorbar": {"title": {"text": "wait, ms"}, "thickness": 12},
        "hovertemplate": "%{y}, from step %{x}: waits %{z:.3g} ms<extra></extra>",
    }


def _most_ms(waits_ms: FloatArray) -> float:
    """Where the scale ends."""
    known = [row[np.isfinite(row)] for row in waits_ms]
    ends = [float(np.percentile(row, _NEARLY_ALL)) for row in known if len(row)]
    return max(*ends, 1e-6)


def _layout(rows: int) -> Json:
    return {
        "height": min(max(_LEAST_PX, 90 + _ROW_PX * rows), _MOST_PX),
        "margin": {"l": 70, "r": 16, "t": 16, "b": 44},
        "xaxis": {"title": {"text": "step"}, "showgrid": False},
        "yaxis": {"autorange": "reversed", "showgrid": False, "type": "category"},
    }


def _caption(ranks: RunOfRanks, drawn: int) -> str:
    whole = len(ranks.ranks)
    few = f" {drawn:,} of {count(whole, 'rank')} are drawn." if drawn < whole else ""
    spread = ranks.spreads.get("wait_ms")
    extent = ""
    if spread is not None:
        extent = (
            f" Means go from {duration(spread.least)} (rank {spread.least_rank:,}) to "
            f"{duration(spread.most)} (rank {spread.most_rank:,})."
        )
    return f"What a step of each rank waits for data.{extent}{few}"


def _table(ranks: RunOfRanks) -> Table:
    rows = (rank_cells(remark, each) for remark, each in chosen_ranks(ranks))
    return Table(
        columns=titles(RANK_COLUMNS),
        rows=tuple(tuple(MISSING if cell is None else cell for cell in row) for row in rows),
    )
