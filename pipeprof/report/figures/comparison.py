"""Several runs beside each other: what a step of each is made of, and what its stages cost."""

from collections import Counter
from collections.abc import Sequence

from pipeprof.analysis.findings.findings import Findings
from pipeprof.recording.account import Part
from pipeprof.report.figures.figure import Figure, Json, Table, View, label, short
from pipeprof.report.figures.part_bars import PART_STYLES, stacked_parts
from pipeprof.report.figures.theme import COMPUTE, INPUT, LEGEND, UNKNOWN, WAIT
from pipeprof.report.names.part_names import PART_NAMES
from pipeprof.report.names.verdict_names import VERDICTS
from pipeprof.report.numbers import duration, wait_percent

MOST_RUNS = 8
MOST_STAGES = 10

_MISSING = "\N{EN DASH}"

Named = Sequence[tuple[str, Findings]]


def comparison_figures(named: Named) -> tuple[Figure, ...]:
    """The accounts of runs, their steps and their stages; none where none of them trained."""
    shown = [each for each in named if each[1].main is not None][:MOST_RUNS]
    if not shown:
        return ()
    accounts = Figure(
        key="compared-accounts", title="Where the time went", views=(_accounts(shown),)
    )
    steps = Figure(key="compared-steps", title="Time of a step", views=(_steps(shown),))
    if not any(findings.stages for _, findings in shown):
        return accounts, steps
    stages = Figure(key="compared-stages", title="Work of stages", views=(_stages(shown),))
    return accounts, steps, stages


def _accounts(named: Named) -> View:
    bars = [(name, findings.account) for name, findings in named]
    return View(
        name="",
        caption="The whole of each run. Hatched orange: waiting for the first batches of epochs.",
        traces=stacked_parts(bars, range(len(bars)), written=True),
        layout=_layout(named, "stack", 20 + 40 * len(named), "seconds")
        | {"uniformtext": {"mode": "hide", "minsize": 10}},
        table=Table(
            columns=("run", "whole", *(PART_NAMES[part] for part in Part)),
            rows=tuple(
                (
                    name,
                    duration(account.wall_ns / 1e6),
                    *(duration(account.ns(part) / 1e6) for part in Part),
                )
                for name, account in bars
            ),
        ),
    )


def _steps(named: Named) -> View:
    parts: dict[str, tuple[str, list[float]]] = {
        "wait": (WAIT, []),
        "callbacks": (PART_STYLES[Part.CALLBACKS][0], []),
        "compute": (COMPUTE, []),
        "step, wait not known": (UNKNOWN, []),
    }
    rows = []
    for name, findings in named:
        diagnosis = findings.main.diagnosis if findings.main else None
        step_ms = diagnosis.step_ms.mean if diagnosis and diagnosis.step_ms else None
        wait_ms = diagnosis.wait_ms.mean if diagnosis and diagnosis.wait_ms else None
        known = step_ms is not None and wait_ms is not None
        parts["wait"][1].append(wait_ms if known and wait_ms else 0.0)
        called = diagnosis.callback_ms if diagnosis and known else None
        callback_ms = called.mean if called else 0.0
        parts["callbacks"][1].append(callback_ms)
        parts["compute"][1].append(
            max(step_ms - wait_ms - callback_ms, 0.0) if step_ms and wait_ms is not None else 0.0
        )
        parts["step, wait not known"][1].append(0.0 if known else step_ms or 0.0)
        rows.append(
            (
                name,
                VERDICTS[diagnosis.bound] if diagnosis else _MISSING,
                _MISSING if step_ms is None else duration(step_ms),
                _MISSING if wait_ms is None else duration(wait_ms),
                _MISSING
                if diagnosis is None or diagnosis.wait_ratio is None
                else wait_percent(diagnosis.wait_ratio),
            )
        )
    return View(
        name="",
        caption=_fastest(named),
        traces=tuple(
            _bars(part, color, values, named)
            for part, (color, values) in parts.items()
            if any(values)
        ),
        layout=_layout(named, "stack", 20 + 40 * len(named), "ms per step (mean)"),
        table=Table(columns=("run", "verdict", "step", "wait", "waiting"), rows=tuple(rows)),
    )


def _fastest(named: Named) -> str:
    speeds = [
        (found.main.diagnosis.step_ms.mean, name)
        for name, found in named
        if found.main and found.main.diagnosis.step_ms
    ]
    if len(speeds) < 2:
        return ""
    (least, fastest), (most, _) = min(speeds), max(speeds)
    return f"Shortest steps: {short(fastest)}, {duration(least)}; longest {duration(most)}."


def _bars(part: str, color: str, values: list[float], named: Named) -> Json:
    return {
        "type": "bar",
        "orientation": "h",
        "name": part,
        "x": [round(value, 4) for value in values],
        "y": list(range(len(named))),
        "marker": {"color": color, "line": {"width": 0}},
        "hovertext": [
            f"<b>{label(name)}</b><br>{part} {duration(value)}"
            for (name, _), value in zip(named, values, strict=True)
        ],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _stages(named: Named) -> View:
    """Stages of the same name stand together; the dearest ones in any run are shown."""
    costs = [_costs(findings) for _, findings in named]
    dearest: Counter[str] = Counter()
    for each in costs:
        for name, cost_ms in each.items():
            dearest[name] = max(dearest[name], cost_ms)  # type: ignore[assignment]
    names = [name for name, _ in dearest.most_common(MOST_STAGES)]
    colors = (COMPUTE, *INPUT, UNKNOWN, WAIT)
    layout = _layout(named, "group", 20 + len(names) * (12 + 12 * len(named)), "work, ms per step")
    layout["yaxis"] |= {
        "tickvals": list(range(len(names))),
        "ticktext": [f"{label(name, 28)} " for name in names],
        "range": [len(names) - 0.5, -0.5],
    }
    return View(
        name="",
        caption="The work of each stage per step.",
        traces=tuple(
            {
                "type": "bar",
                "orientation": "h",
                "name": label(run, 32),
                "x": [round(each.get(name, 0.0), 4) for name in names],
                "y": list(range(len(names))),
                "marker": {"color": color, "line": {"width": 0}},
                "hovertext": [
                    f"<b>{label(name)}</b> in {label(run)}<br>"
                    + (duration(each[name]) if name in each else "no such stage")
                    for name in names
                ],
                "hovertemplate": "%{hovertext}<extra></extra>",
            }
            for (run, _), each, color in zip(named, costs, colors, strict=False)
        ),
        layout=layout,
        table=Table(
            columns=("stage", *(name for name, _ in named)),
            rows=tuple(
                (name, *(duration(each[name]) if name in each else _MISSING for each in costs))
                for name in names
            ),
        ),
    )


def _costs(findings: Findings) -> dict[str, float]:
    costs: dict[str, float] = {}
    for found in findings.stages:
        costs[found.stage.name] = costs.get(found.stage.name, 0.0) + found.cost_ms
    return costs


def _layout(named: Named, mode: str, height: int, unit: str) -> Json:
    return {
        "barmode": mode,
        "bargap": 0.35,
        "height": height + 80,
        "margin": {"l": 8, "r": 16, "t": 44, "b": 44},
        "hovermode": "closest",
        "showlegend": True,
        "legend": LEGEND,
        "xaxis": {"title": {"text": unit}, "rangemode": "tozero"},
        "yaxis": {
            "tickvals": list(range(len(named))),
            "ticktext": [f"{label(name, 28)} " for name, _ in named],
            "range": [len(named) - 0.5, -0.5],
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
        },
    }
