from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.comparing.gate import Condition, check, parse_condition
from pipeprof.analysis.comparing.run_comparison import Comparison, compare_runs
from pipeprof.analysis.comparing.work_sameness import Aspect, Sameness
from pipeprof.analysis.findings.findings import Findings
from pipeprof.errors import UsageError
from pipeprof.recording.delivered_content import Delivery, TrainedModel
from pipeprof.recording.loop import Loop
from tests import builders
from tests.analysis.measures.test_consumed import epoch

MS = 1_000_000


def steps_ns(mean_ms: float, seed: int, steps: int = 240, spread: float = 0.05) -> Sequence[int]:
    random = np.random.default_rng(seed)
    return [int(each) for each in random.gamma(1 / spread**2, mean_ms * MS * spread**2, steps)]


def run(
    compute_ms: float = 10.0, seed: int = 0, *, wait_ms: float = 1.0, **changed: Any
) -> Findings:
    """A run whose steps vary by a twentieth."""
    loop = builders.loop(
        steps=240,
        epochs=6,
        compute_ns=steps_ns(compute_ms, seed),
        wait_ns=steps_ns(wait_ms, seed + 1000),
    )
    return of_loop(replace(loop, **changed), name=f"run-{seed}-{compute_ms}")


def of_loop(loop: Loop, name: str, **of_run: Any) -> Findings:
    return analyse(builders.profile(loops=(loop,), run=builders.run_info(name=name, **of_run)))


def compare(before: Findings, after: Findings) -> Comparison:
    return compare_runs([before], [after])


def fails(comparison: Comparison, *expressions: str) -> list[bool]:
    return [each.fails for each in check(comparison, list(map(parse_condition, expressions)))]


def test_a_slower_step_is_beyond_the_noise_and_named() -> None:
    found = compare(run(), run(12.0, 1))
    step, compute, wait = (found.row(name) for name in ("step_ms", "compute_ms", "wait_ms"))
    assert step is not None
    assert compute is not None
    assert wait is not None
    assert step.ratio == pytest.approx(2 / 11, abs=0.03)
    assert (step.is_worse, compute.is_worse, wait.is_worse) == (True, True, None)
    assert fails(found, "step_ms>+5%", "step_ms>+50%", "wait_ms>+5%") == [True, False, False]


def test_a_faster_step_is_better() -> None:
    found = compare(run(12.0), run(10.0, 1))
    row = found.row("step_ms")
    assert row is not None
    assert row.is_worse is False
    assert fails(found, "step_ms>+5%", "samples_per_s<-5%") == [False, False]


def test_a_difference_within_the_noise_is_none() -> None:
    found = compare(run(10.0), run(10.3, 1))
    row = found.row("step_ms")
    assert row is not None
    assert not row.beyond_noise
    assert fails(found, "step_ms>+0.1%") == [False]


def test_several_runs_show_how_much_runs_differ() -> None:
    """The same difference of the means counts where runs agree, and not where they do not."""
    agreeing = compare_runs([run(10.0, n) for n in range(4)], [run(11.0, n) for n in range(4, 8)])
    apart = compare_runs(
        [run(8.0 + n, n) for n in range(4)], [run(9.0 + n, 4 + n) for n in range(4)]
    )
    assert fails(agreeing, "step_ms>+5%") == [True]
    assert fails(apart, "step_ms>+5%") == [False]


def test_steps_that_something_disturbed_for_a_while_do_not_count() -> None:
    """A third of the run was slowed to the double by something else."""
    disturbed = np.array(steps_ns(10.0, 1))
    disturbed[80:160] *= 2
    loop = builders.loop(steps=240, compute_ns=disturbed.tolist(), wait_ns=steps_ns(1.0, 5))
    assert fails(compare(run(), of_loop(loop, "disturbed")), "step_ms>+5%") == [False]


def test_steps_that_are_slow_all_over_the_run_count() -> None:
    """Every fourth step takes the double: no burst, but the training's own."""
    slow = np.array(steps_ns(10.0, 1))
    slow[::4] *= 2
    loop = builders.loop(steps=240, compute_ns=slow.tolist(), wait_ns=steps_ns(1.0, 5))
    assert fails(compare(run(), of_loop(loop, "slow")), "step_ms>+5%") == [True]


def test_the_parts_of_a_step_add_up_to_it() -> None:
    found = compare(run(wait_ms=3.0), run(11.0, 1, wait_ms=4.0))
    rows = [found.row(name) for name in ("step_ms", "wait_ms", "compute_ms", "callback_ms")]
    before, after = (
        [getattr(row, side) for row in rows if row is not None] for side in ("before", "after")
    )
    for step, *parts in (before, after):
        assert step == pytest.approx(sum(parts))


@pytest.mark.parametrize(
    ("expression", "failing"),
    [
        ("wall_wait_ratio>0.10", True),
        ("wall_wait_ratio>0.90", False),
        ("account:callbacks.ratio>0.05", False),
        ("wait_ms>+2", True),
        ("wait_ms<1", False),
    ],
)
def test_values_and_changes_are_limited(expression: str, failing: bool) -> None:
    found = compare(run(), run(10.0, 1, wait_ms=8.0))
    assert fails(found, expression) == [failing]


def test_expressions_are_read() -> None:
    assert parse_condition(" stage:my map.cost_ms > +10 % ") == Condition(
        text="stage:my map.cost_ms > +10 %",
        name="stage:my map.cost_ms",
        above=True,
        limit=0.1,
        change=True,
        relative=True,
    )


@pytest.mark.parametrize(
    "expression", ["", "step_ms", "step_ms=5", "step_ms>5%", "step_ms>+5ms", ">5", "a>b>1"]
)
def test_a_wrong_expression_is_refused(expression: str) -> None:
    with pytest.raises(UsageError, match=r"expected (an expression|a change)"):
        parse_condition(expression)


def test_an_unknown_quantity_lists_the_names() -> None:
    with pytest.raises(
        UsageError, match=r"received 'steps_ms': these runs have step_ms, .*wait_ms"
    ):
        fails(compare(run(), run(10.0, 1)), "steps_ms>+5%")


def test_a_run_without_steps_and_one_on_both_sides_are_refused() -> None:
    one = run()
    empty = analyse(builders.profile(loops=()))
    with pytest.raises(UsageError, match="found no steps"):
        compare(one, empty)
    with pytest.raises(UsageError, match="different runs on both sides"):
        compare(one, analyse(one.profile))


def delivered(seed: int, *, parameters: int = 3, **changed: Any) -> Findings:
    delivery = Delivery(batch_count=1, epochs=(epoch(0, **changed),))
    model = TrainedModel(name="model", parameters=parameters)
    return run(10.0, seed, delivery=delivery, trained_model=model)


def test_equal_content_is_the_same_work() -> None:
    found = compare(delivered(0), delivered(1)).work
    assert (found.sameness, found.differs) == (Sameness.SAME, ())


@pytest.mark.parametrize(
    ("changed", "sameness", "aspects"),
    [
        ({"ordered": 5}, Sameness.OTHER_ORDER, [Aspect.ORDER]),
        ({"ordered": 5, "unordered": 5}, Sameness.DIFFERENT, [Aspect.CONTENT, Aspect.ORDER]),
        ({"parameters": 4}, Sameness.DIFFERENT, [Aspect.PARAMETERS]),
    ],
)
def test_what_differs_is_named(
    changed: dict[str, Any], sameness: Sameness, aspects: list[Aspect]
) -> None:
    found = compare(delivered(0), delivered(1, **changed)).work
    assert found.sameness is sameness
    assert [each.aspect for each in found.differs] == aspects


def by_hand(seed: int, *batches: int, **changed: Any) -> Findings:
    """A run that consumed batches of 8 samples with these hashes, in one epoch."""
    rows = [[number, 0, 8, content] for number, content in enumerate(batches)]
    delivery = Delivery(
        batch_count=len(batches), batches=np.array(rows, np.int64), epochs=(epoch(0, **changed),)
    )
    return run(10.0, seed, delivery=delivery)


def test_equal_batches_are_equal_work_where_epochs_are_not_known() -> None:
    """`train_on_batch` in a loop over two epochs is one epoch of twice as many batches."""
    known = by_hand(0, 1, 2, 1, 2)
    same = compare(known, by_hand(1, 1, 2, 1, 2, ordered=5, unordered=5)).work
    assert (same.sameness, same.differs) == (Sameness.SAME, ())
    other = compare(known, by_hand(1, 1, 2, 1, 3, ordered=5, unordered=5)).work
    assert other.sameness is Sameness.DIFFERENT


def test_without_hashes_sameness_is_not_known() -> None:
    assert compare(run(), run(10.0, 1)).work.sameness is Sameness.UNKNOWN


def test_a_gate_refuses_what_cannot_be_compared() -> None:
    other = of_loop(builders.loop(steps=240), "jax", backend="jax")
    with pytest.raises(UsageError, match="another backend: tensorflow against jax"):
        fails(compare(run(), other), "step_ms>+5%")


def losses(seed: int, *values: float) -> Findings:
    rows = [[n, 8, np.float64(value).view(np.int64)] for n, value in enumerate(values)]
    batches = np.array([[n, 0, 8, 0] for n in range(len(values))], np.int64)
    delivery = Delivery(
        batch_count=1, epochs=(epoch(0),), losses=np.array(rows, np.int64), batches=batches
    )
    return run(10.0, seed, delivery=delivery)


def test_losses_are_compared_batch_by_batch() -> None:
    found = compare(losses(0, 1.0, 0.5, 0.25), losses(1, 1.0, 0.5, 0.5, 0.1)).work.losses
    assert found is not None
    assert (found.compared, found.equal, found.largest) == (3, 2, 0.5)


def test_a_long_run_is_compared_by_what_was_collected_over_time() -> None:
    long = builders.cut_short(run().profile.loops[0], 20, 20)
    slow = builders.cut_short(run(12.0, 1).profile.loops[0], 20, 20)
    found = compare(of_loop(long, "long"), of_loop(slow, "slow"))
    row = found.row("step_ms")
    assert row is not None
    assert row.ratio == pytest.approx(2 / 11, abs=0.05)


def test_of_equal_runs_few_differ_and_of_slower_ones_nearly_all() -> None:
    """The rates of the gate on made runs; `tools/validate_comparisons` has those on recorded ones."""
    equal = [compare(run(10.0, 2 * n), run(10.0, 2 * n + 1)) for n in range(12)]
    slower = [compare(run(10.0, 2 * n), run(11.1, 2 * n + 1)) for n in range(12)]
    assert sum(fails(each, "step_ms>+5%") == [True] for each in equal) == 0
    assert sum(fails(each, "step_ms>+5%") == [True] for each in slower) == 12


def test_names_like_the_one_that_was_written_come_first() -> None:
    with pytest.raises(UsageError, match="these runs have callback_ms, "):
        fails(compare(run(), run(10.0, 1)), "callbacks_ms>+5%")
