import csv
from io import StringIO

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.errors import UsageError
from pipeprof.report.runs.runs_table import (
    RunRow,
    chosen_rows,
    run_row,
    runs_cells,
    runs_csv,
    unreadable_row,
)
from pipeprof.surfaces.texts.runs_terminal import render_runs
from tests import builders

MS = builders.MS


def row(name: str, compute_ms: int, wait_ms: int) -> RunRow:
    loop = builders.loop(compute_ns=compute_ms * MS, wait_ns=wait_ms * MS)
    run = builders.run_info(name)
    return run_row(name, analyse(builders.profile(loops=(loop,), run=run)))


FAST, SLOW, IDLE = row("fast", 10, 0), row("slow", 20, 0), row("waits", 10, 20)
BROKEN = unreadable_row("broken", "it is damaged.")
ALL = (SLOW, BROKEN, WAITS := IDLE, FAST)


@pytest.mark.parametrize(
    ("conditions", "order", "names"),
    [
        ((), None, ["slow", "broken", "waits", "fast"]),
        ((), "step_ms", ["fast", "slow", "waits", "broken"]),
        ((), "-step_ms", ["waits", "slow", "fast", "broken"]),
        ((), "name", ["broken", "fast", "slow", "waits"]),
        (("bound=input",), None, ["waits"]),
        (("bound=compute", "step_ms > 15"), None, ["slow"]),
        (("step_ms<15",), None, ["fast"]),
        (("step_ms=15",), None, []),
    ],
)
def test_rows_are_chosen_and_sorted(
    conditions: tuple[str, ...], order: str | None, names: list[str]
) -> None:
    assert [each.name for each in chosen_rows(ALL, conditions, order)] == names


@pytest.mark.parametrize(
    ("conditions", "order", "said"),
    [
        (("step",), None, "expected a condition"),
        (("steps_ms>1",), None, "received 'steps_ms': "),
        (("step_ms>fast",), None, "expected a number"),
        (("bound>input",), None, "expected '='"),
        ((), "speed", "received 'speed'"),
    ],
)
def test_what_is_wrong_is_explained(
    conditions: tuple[str, ...], order: str | None, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        chosen_rows(ALL, conditions, order)


def test_a_row_has_verdict_times_and_rate() -> None:
    assert runs_cells(WAITS) == (
        "waits", "INPUT-BOUND", "100", "30.0 ms", "20.0 ms", "67 %", "0 %", "1,067",
    )  # fmt: skip


def test_the_table_names_what_cannot_be_read_and_fits() -> None:
    text = render_runs(ALL, width=60)
    assert max(map(len, text.splitlines())) <= 60
    assert "broken cannot be read: it is damaged." in text
    assert "No run is like that." in render_runs([])


def test_csv_has_a_line_for_each_run_and_no_formulas() -> None:
    formula = unreadable_row("=1+1", "")
    rows = list(csv.DictReader(StringIO(runs_csv([*ALL, formula]))))
    assert [each["name"] for each in rows] == ["slow", "broken", "waits", "fast", "'=1+1"]
    assert float(rows[2]["step_ms"]) == pytest.approx(30.0)
    assert rows[1]["step_ms"] == ""
