"""What each epoch of a loop was made of: parts on top of one another, waits in the colour of waiting."""

from collections.abc import Sequence

from pipeprof.analysis.findings.account_findings import Account, EpochAccount
from pipeprof.analysis.findings.findings import Findings, LoopFinding
from pipeprof.recording.account import Part
from pipeprof.report.figures.figure import Figure, Table, View
from pipeprof.report.figures.part_bars import stacked_parts
from pipeprof.report.figures.theme import LEGEND
from pipeprof.report.numbers import count, duration, percent
from pipeprof.report.one_run.account_text import wait_ratio
from pipeprof.report.one_run.run_text import kind_of

MOST_BARS = 256
MOST_LOOPS = 8
_MOST_ROWS = 64

_SHOWN = (Part.WAIT, Part.EPOCH_START, Part.COMPUTE, Part.CALLBACKS, Part.VALIDATION)


def epochs_figure(findings: Findings) -> Figure | None:
    """The epochs of the main loop, and of others to choose; None where no loop had several."""
    ordered = sorted(findings.loops, key=lambda found: found is not findings.main)
    views = [_view(found) for found in ordered if len(found.epochs) > 1 and found.loop.kind.trains]
    if not views:
        return None
    return Figure(
        key="epochs", title="Time of each epoch", choice="Loop", views=tuple(views[:MOST_LOOPS])
    )


def _view(found: LoopFinding) -> View:
    every = -(-len(found.epochs) // MOST_BARS)
    shown = found.epochs[::every]
    named = [(f"epoch {each.epoch + 1:,}", each.account) for each in shown]
    return View(
        name=_name(found),
        caption=_caption(found.epochs, every),
        traces=stacked_parts(
            named, [each.epoch + 1 for each in shown], upright=True, width=0.86 * every
        ),
        layout={
            "barmode": "stack",
            "height": 300,
            "margin": {"l": 56, "r": 16, "t": 44, "b": 44},
            "hovermode": "closest",
            "showlegend": True,
            "legend": LEGEND,
            "xaxis": {
                "title": {"text": "epoch"},
                "showgrid": False,
                **({"dtick": 1} if len(shown) <= 30 else {}),
            },
            "yaxis": {"title": {"text": "seconds"}, "rangemode": "tozero"},
        },
        table=_table(shown),
    )


def _name(found: LoopFinding) -> str:
    place = f" ({found.loop.location.short})" if found.loop.location else ""
    return f"{kind_of(found.loop)}{place}, {count(len(found.epochs), 'epoch')}"


def _caption(epochs: Sequence[EpochAccount], every: int) -> str:
    longest = max(epochs, key=lambda each: each.account.wall_ns)
    waits = max(epochs, key=lambda each: wait_ratio(each.account))
    sentences = [
        f"The longest is epoch {longest.epoch + 1:,}: {duration(longest.account.wall_ns / 1e6)}.",
        f"Epoch {waits.epoch + 1:,} waits most: {percent(wait_ratio(waits.account))} of its time.",
    ]
    if every > 1:
        sentences.append(f"One epoch of each {every} is shown.")
    return " ".join(sentences)


def _table(epochs: Sequence[EpochAccount]) -> Table:
    every = -(-len(epochs) // _MOST_ROWS)
    return Table(
        columns=(
            "epoch",
            "steps",
            "time",
            "waits",
            "wait",
            "epoch start",
            "compute",
            "callbacks",
            "validation",
            "rest",
        ),
        rows=tuple(_row(each) for each in epochs[::every]),
    )


def _row(found: EpochAccount) -> tuple[str, ...]:
    account: Account = found.account
    rest_ns = account.wall_ns - account.ns(*_SHOWN)
    return (
        f"{found.epoch + 1:,}",
        f"{found.steps:,}",
        duration(account.wall_ns / 1e6),
        percent(wait_ratio(account)),
        *(duration(account.ns(part) / 1e6) for part in _SHOWN),
        duration(max(rest_ns, 0) / 1e6),
    )
