"""Steps of far more than the usual time, where XLA compiles a model by the shapes of its batches."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.caveat_kinds import CompiledByShape
from pipeprof.analysis.findings.findings import Diagnosis
from pipeprof.analysis.findings.wall_evidence_kinds import Retracings
from pipeprof.recording.account import COMPILATION_COLUMNS, EPOCH_COLUMNS
from tests.builders import MS, SECOND, histogram, loop, profile, those

USUAL = 10 * MS
COMPILES = 800 * MS

# Twenty lengths come in the first third of the training, and again in the rest.
LENGTHS_COME_AGAIN = [COMPILES if at % 5 == 0 else USUAL + at % 7 * MS for at in range(100)] + [
    USUAL + at % 7 * MS for at in range(200)
]


def verdict(compute_ns: Sequence[int], *, by_shape: bool = True, callback_ns: int = 0) -> Diagnosis:
    fit = loop(steps=len(compute_ns), wait_ns=0, compute_ns=compute_ns, callback_ns=callback_ns)
    main = analyse(profile(loops=(replace(fit, compiled_by_shape=by_shape),))).main
    assert main is not None
    return main.diagnosis


def test_steps_that_probably_compile_are_reported_and_nobody_is_to_leave_the_input() -> None:
    said = verdict(LENGTHS_COME_AGAIN)
    [found] = those(CompiledByShape, said.evidence)
    # The first step of an epoch is no counted one.
    assert found.steps == 19
    assert found.ms == pytest.approx(19 * 800, rel=0.01)
    assert found.factor == pytest.approx(800 / 13, rel=0.01)
    assert said.advice == ()


@pytest.mark.parametrize(
    "compute_ns",
    [
        pytest.param([USUAL] * 300, id="nothing compiles any more"),
        pytest.param(
            [USUAL + at % 100 * MS for at in range(300)], id="long batches compute longer"
        ),
        pytest.param(
            [COMPILES if at % 2 else USUAL for at in range(300)], id="every second batch is long"
        ),
        pytest.param(
            [COMPILES if at == 150 else USUAL for at in range(300)], id="one step is slow"
        ),
        pytest.param(
            [130 * MS if at in (20, 40, 60) else USUAL for at in range(3_000)], id="it took little"
        ),
    ],
)
def test_other_steps_of_open_shapes_are_not(compute_ns: list[int]) -> None:
    said = verdict(compute_ns)
    assert those(CompiledByShape, said.evidence) == []
    assert [each.action for each in said.advice] == ["leave_input"]


def test_slow_steps_are_something_else_where_shapes_are_fixed_or_xla_does_not_compile() -> None:
    said = verdict(LENGTHS_COME_AGAIN, by_shape=False)
    assert those(CompiledByShape, said.evidence) == []
    assert [each.action for each in said.advice] == ["leave_input"]


def known_to_compile(lasted_ms: int, *changes: str) -> Diagnosis:
    """Of 100 steps of 10 ms, for each of some changes of shapes the 20th and so on compiled for so long."""
    ordinals = range(20, 20 + len(changes))
    compute_ns = [lasted_ms * MS if at in ordinals else USUAL for at in range(100)]
    fit = loop(wait_ns=0, compute_ns=compute_ns)
    rows = np.zeros((len(changes), len(COMPILATION_COLUMNS)), np.int64)
    for at, row in enumerate(rows):
        values = {
            "ordinal": ordinals[at],
            "start_ns": fit.steps.start_ns[ordinals[at]],
            "end_ns": fit.steps.end_ns[ordinals[at]],
            "reason": at,
        }
        for name, value in values.items():
            row[COMPILATION_COLUMNS.index(name)] = value
    lasted_ns = lasted_ms * MS * len(changes)
    totals = fit.account.totals.copy()
    totals[0, EPOCH_COLUMNS.index("compile_step_ns")] = lasted_ns
    account = replace(
        fit.account,
        compilations=rows,
        compile_steps=len(changes),
        reasons=changes,
        totals=totals,
    )
    main = analyse(profile(loops=(replace(fit, account=account),))).main
    assert main is not None
    return main.diagnosis


def test_steps_that_are_known_to_compile_are_no_steps_of_the_usual_kind() -> None:
    said = known_to_compile(500, "(4, 8) → (4, 12)", "(4, 12) → (4, 16)")
    [found] = those(Retracings, said.evidence)
    assert (found.count, found.ms) == (2, pytest.approx(980, rel=0.01))
    assert said.step_ms is not None
    assert (said.step_ms.mean, said.step_ms.p95) == (10, 10)
    assert said.advice == ()


def test_where_little_is_compiled_again_the_model_is_the_limit() -> None:
    said = known_to_compile(40, "(4, 8) → (3, 8)")
    assert len(those(Retracings, said.evidence)) == 1
    assert [each.action for each in said.advice] == ["leave_input"]


def test_where_nearly_all_steps_compile_all_their_time_is_compiling() -> None:
    changes = [f"(4, {length}) → (4, {length + 4})" for length in range(58)]
    fit = loop(steps=60, wait_ns=0, compute_ns=SECOND)
    rows = np.zeros((58, len(COMPILATION_COLUMNS)), np.int64)
    for column, values in {
        "ordinal": range(1, 59),
        "start_ns": fit.steps.start_ns[1:59],
        "end_ns": fit.steps.end_ns[1:59],
        "reason": range(58),
    }.items():
        rows[:, COMPILATION_COLUMNS.index(column)] = values
    account = replace(fit.account, compilations=rows, compile_steps=58, reasons=tuple(changes))
    # The last step may have compiled too, without having been seen to.
    taken = replace(fit, account=account, step_times=histogram([SECOND]))
    main = analyse(profile(loops=(taken,))).main
    assert main is not None
    [found] = those(Retracings, main.diagnosis.evidence)
    assert (found.count, found.ms) == (58, 58_000)
    assert "leave_input" not in [each.action for each in main.diagnosis.advice]
