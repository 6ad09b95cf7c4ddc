"""The search, on a bench whose step times are known; the time is the bench's own."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from pipeprof.errors import TuningRefused, UsageError
from pipeprof.recording.loop import InputKind
from pipeprof.recording.pipeline_edits import (
    AUTOTUNE,
    AddCache,
    AddPrefetch,
    Edit,
    SetCalls,
    Workers,
)
from pipeprof.recording.tuning_outcome import Description, TrialSteps, TunedTransformation
from pipeprof.tuning.consuming import Limits
from pipeprof.tuning.tuner import Tuner

MS = 1_000_000
TRIAL_NS = 1_000 * MS
SEQUENCE = Description(
    kind=InputKind.SEQUENCE, name="Photos", has_model=True, workers=1, cores=2, free_bytes=1 << 34
)
PIPELINE = Description(
    kind=InputKind.TF_DATA,
    name="dataset",
    has_model=True,
    places=(
        TunedTransformation(
            node="range", op="RangeDataset", inputs=(), calls=None, elements=100, element_bytes=8
        ),
        TunedTransformation(
            node="map",
            op="MapDataset",
            inputs=("range",),
            calls=None,
            function="decode",
            elements=100,
            element_bytes=4000,
        ),
        TunedTransformation(
            node="batch", op="BatchDatasetV2", inputs=("map",), calls=None, random=True
        ),
    ),
    autotunes=True,
    cores=2,
    free_bytes=1 << 34,
)


class FakeBench:
    """Takes one second for each trial; ``step_ms`` gives its step time."""

    def __init__(
        self,
        described: Description,
        step_ms: Callable[[Sequence[Edit]], float],
        ceiling_ms: float | None = None,
        differs: Callable[[Sequence[Edit]], str | None] = lambda edits: None,
        predict: Callable[[Sequence[Edit]], float | None] = lambda edits: None,
    ) -> None:
        self.now_ns = 0
        self.tried: list[tuple[Edit, ...]] = []
        self.measured_ns: list[int] = []
        self._described = described
        self._step_ms = step_ms
        self._ceiling_ms = ceiling_ms
        self._differs = differs
        self._predict = predict

    def describe(self) -> Description:
        return self._described

    def trial(self, edits: Sequence[Edit], limits: Limits) -> TrialSteps:
        self.now_ns += TRIAL_NS
        self.tried.append(tuple(edits))
        self.measured_ns.append(limits.measured_ns)
        return self._steps(self._step_ms(edits))

    def ceiling(self, limits: Limits) -> TrialSteps | None:
        self.now_ns += TRIAL_NS
        return None if self._ceiling_ms is None else self._steps(self._ceiling_ms)

    def compare(self, edits: Sequence[Edit]) -> str | None:
        return self._differs(edits)

    def predict(self, edits: Sequence[Edit]) -> float | None:
        return self._predict(edits)

    def _steps(self, ms: float) -> TrialSteps:
        # Uneven steps, the same in each trial.
        return TrialSteps(step_ns=tuple(int(ms * MS * (1 + 0.1 * (n % 3 - 1))) for n in range(30)))

    def tuner(self, budget_s: float = 100, **options: object) -> Tuner:
        return Tuner(self, int(budget_s * 1e9), lambda: self.now_ns, **options)  # type: ignore[arg-type]


def workers_of(edits: Sequence[Edit]) -> int:
    return next((edit.workers for edit in edits if isinstance(edit, Workers)), 1)


def test_a_long_last_step_is_part_of_the_noise() -> None:
    four = (Workers(workers=4, processes=False),)

    class Stalling(FakeBench):
        def trial(self, edits: Sequence[Edit], limits: Limits) -> TrialSteps:
            steps = super().trial(edits, limits)
            stalls = tuple(edits) == four
            return TrialSteps(step_ns=(*steps.step_ns, 2_500 * MS)) if stalls else steps

    outcome = Stalling(SEQUENCE, lambda edits: 40.0).tuner(1000).run()
    [trial] = [trial for trial in outcome.trials if trial.change == four]
    assert trial.low is not None
    assert trial.high is not None
    assert trial.high > 2 * trial.low


def test_what_is_faster_is_kept_and_the_fastest_is_best() -> None:
    bench = FakeBench(SEQUENCE, lambda edits: 40.0 / min(workers_of(edits), 8), ceiling_ms=1.0)
    outcome = bench.tuner().run()
    assert outcome.today_ns == pytest.approx(40 * MS)
    assert outcome.best_ns == pytest.approx(5 * MS)
    assert workers_of(outcome.best) == 16
    assert outcome.ceiling_ns == pytest.approx(MS)
    assert not outcome.stopped


def test_an_input_that_nothing_makes_faster_stays_as_it_is() -> None:
    outcome = FakeBench(SEQUENCE, lambda edits: 40.0, ceiling_ms=1.0).tuner().run()
    assert outcome.best == ()
    assert outcome.best_ns == outcome.today_ns
    assert not any(trial.kept for trial in outcome.trials)
    assert all(trial.speedup == pytest.approx(1.0) for trial in outcome.trials)


def test_a_gain_within_the_noise_is_not_kept() -> None:
    outcome = FakeBench(SEQUENCE, lambda edits: 40.0 if not edits else 39.9).tuner().run()
    assert outcome.best == ()


def test_what_helped_is_combined() -> None:
    def step_ms(edits: Sequence[Edit]) -> float:
        parallel = any(isinstance(edit, SetCalls) for edit in edits)
        ahead = any(isinstance(edit, AddPrefetch) for edit in edits)
        return 5.0 + 20.0 / (2 if parallel else 1) - (5.0 if ahead else 0.0)

    outcome = FakeBench(PIPELINE, step_ms, ceiling_ms=1.0).tuner().run()
    assert SetCalls(node="map", calls=AUTOTUNE) in outcome.best
    assert AddPrefetch() in outcome.best
    assert outcome.best_ns == pytest.approx(10 * MS)


def test_near_input_for_free_nothing_more_is_tried() -> None:
    bench = FakeBench(SEQUENCE, lambda edits: 40.0 if not edits else 10.1, ceiling_ms=10.0)
    outcome = bench.tuner().run()
    assert len(outcome.trials) == 1
    assert not outcome.stopped
    assert FakeBench(SEQUENCE, lambda edits: 10.2, ceiling_ms=10.0).tuner().run().trials == ()


def test_what_delivers_something_else_is_thrown_out_before_it_is_measured() -> None:
    def differs(edits: Sequence[Edit]) -> str | None:
        return "it has other samples" if any(isinstance(e, AddCache) for e in edits) else None

    bench = FakeBench(PIPELINE, lambda edits: 40.0, differs=differs)
    outcome = bench.tuner().run()
    refused = [trial for trial in outcome.trials if trial.refused]
    assert [trial.refused for trial in refused] == ["it has other samples"]
    assert refused[0].step_ns is None
    assert not any(isinstance(edit, AddCache) for edits in bench.tried for edit in edits)


def test_a_trial_that_fails_is_reported_and_the_others_go_on() -> None:
    def step_ms(edits: Sequence[Edit]) -> float:
        if workers_of(edits) == 4:
            raise TuningRefused("it hung: its process was ended after 20 s")
        return 40.0 / workers_of(edits)

    outcome = FakeBench(SEQUENCE, step_ms).tuner().run()
    assert outcome.trials[0].refused == "it hung: its process was ended after 20 s"
    assert workers_of(outcome.best) == 16


def test_the_budget_is_kept() -> None:
    bench = FakeBench(SEQUENCE, lambda edits: 40.0 / workers_of(edits))
    outcome = bench.tuner(budget_s=5).run()
    assert outcome.stopped
    assert not outcome.interrupted
    assert bench.now_ns <= 5_000 * MS
    assert workers_of(outcome.best) == 4


def test_a_budget_too_small_for_two_trials_says_how_much_is_needed() -> None:
    bench = FakeBench(SEQUENCE, lambda edits: 40.0)
    with pytest.raises(UsageError, match=r"received 3 s: this input needs at least 4 s"):
        bench.tuner(budget_s=3).run()


def test_an_interrupt_leaves_the_best_so_far() -> None:
    def step_ms(edits: Sequence[Edit]) -> float:
        if workers_of(edits) == 16:
            raise KeyboardInterrupt
        return 40.0 / workers_of(edits)

    outcome = FakeBench(SEQUENCE, step_ms).tuner().run()
    assert outcome.interrupted
    assert workers_of(outcome.best) == 4
    assert outcome.best_ns == pytest.approx(10 * MS)


def test_an_interrupt_of_the_last_measurements_keeps_what_was_found() -> None:
    class Interrupted(FakeBench):
        def ceiling(self, limits: Limits) -> TrialSteps | None:
            if self.tried:
                raise KeyboardInterrupt
            return super().ceiling(limits)

    bench = Interrupted(SEQUENCE, lambda edits: 40.0 / workers_of(edits), ceiling_ms=0.1)
    outcome = bench.tuner().run()
    assert outcome.stopped
    assert workers_of(outcome.best) == 16


def test_what_fails_at_the_end_or_cannot_be_predicted_takes_nothing_away() -> None:
    class Failing(FakeBench):
        def ceiling(self, limits: Limits) -> TrialSteps | None:
            if self.tried:
                raise TuningRefused("it hung: its process was ended after 20 s")
            return super().ceiling(limits)

        def predict(self, edits: Sequence[Edit]) -> float | None:
            raise TuningRefused("its process was killed: most often for want of memory")

    bench = Failing(SEQUENCE, lambda edits: 40.0 / workers_of(edits), ceiling_ms=0.1)
    outcome = bench.tuner().run()
    assert workers_of(outcome.best) == 16
    assert (outcome.ceiling_ns, outcome.last_ceiling_ns) == (pytest.approx(0.1 * MS), None)


def test_what_the_users_code_raises_in_this_process_ends_its_trial_only() -> None:
    def step_ms(edits: Sequence[Edit]) -> float:
        if workers_of(edits) == 4:
            raise ValueError("one at a time")
        return 40.0 / workers_of(edits)

    outcome = FakeBench(SEQUENCE, step_ms).tuner().run()
    assert outcome.trials[0].refused == "it raised ValueError: one at a time"
    assert workers_of(outcome.best) == 16


def test_what_proves_slower_at_the_end_is_not_kept() -> None:
    class Ending(FakeBench):
        def trial(self, edits: Sequence[Edit], limits: Limits) -> TrialSteps:
            steps = super().trial(edits, limits)
            last = len(self.tried) > 2 and self.tried[-2] == () and workers_of(edits) == 16
            return self._steps(60.0) if last and self.tried.count(tuple(edits)) > 1 else steps

    bench = Ending(SEQUENCE, lambda edits: 20.0 if workers_of(edits) == 16 else 40.0)
    outcome = bench.tuner().run()
    assert outcome.best == ()
    assert outcome.best_ns == outcome.today_ns == pytest.approx(40 * MS)
    assert not any(trial.kept for trial in outcome.trials)


def test_each_change_gets_one_short_pair_before_a_small_gain_gets_more_that_take_turns() -> None:
    bench = FakeBench(SEQUENCE, lambda edits: 40.0 if workers_of(edits) != 4 else 37.5)
    outcome = bench.tuner().run()
    four = (Workers(workers=4, processes=False),)
    short = [ns == 400 * MS for ns in bench.measured_ns]
    tried = list(zip(short, bench.tried, strict=True))
    changed = {edits for is_short, edits in tried if is_short and edits}
    assert len(changed) > 2
    assert bench.tried[1:3] == [four, ()]
    longer = [edits for is_short, edits in tried[1:] if not is_short]
    assert longer[:4] == [four, (), (), four]
    assert [trial.change for trial in outcome.trials if trial.kept] == [four]
    large = FakeBench(SEQUENCE, lambda edits: 40.0 if workers_of(edits) != 4 else 20.0)
    large.tuner().run()
    assert large.tried[1:3] == [four, ()]
    assert large.tried[3] != ()


def test_the_most_promising_is_tried_first() -> None:
    def predict(change: Sequence[Edit]) -> float | None:
        return 1.0 if workers_of(change) == 16 else None

    outcome = FakeBench(SEQUENCE, lambda edits: 40.0, predict=predict).tuner().run()
    assert workers_of(outcome.trials[0].change) == 16
    assert outcome.trials[0].predicted_ns == 1.0


def test_a_trial_that_fills_a_cache_is_measured_behind_its_first_epoch() -> None:
    seen: dict[bool, int] = {}

    class Looking(FakeBench):
        def trial(self, edits: Sequence[Edit], limits: Limits) -> TrialSteps:
            seen[any(isinstance(edit, AddCache) for edit in edits)] = limits.epochs
            return super().trial(edits, limits)

    Looking(replace(PIPELINE, free_bytes=1 << 30), lambda edits: 40.0).tuner().run()
    assert seen == {False: 0, True: 1}


def test_what_nothing_is_known_of_comes_before_what_promises_no_gain() -> None:
    expected = {4: None, 16: 10.0 * MS}

    def predict(edits: Sequence[Edit]) -> float | None:
        return expected.get(workers_of(edits), 40.0 * MS)

    bench = FakeBench(SEQUENCE, lambda edits: 40.0, predict=predict)
    bench.tuner().run()
    tried = [workers_of(edits) for edits in bench.tried if edits]
    order = list(dict.fromkeys(tried))
    assert order.index(16) < order.index(4) < order.index(2)


def test_what_a_known_change_gives_is_expected_on_top_of_an_unknown_one_too() -> None:
    ahead, parallel = AddPrefetch(), SetCalls(node="map", calls=AUTOTUNE)

    def predict(edits: Sequence[Edit]) -> float | None:
        return None if ahead in edits else (45.0 if parallel in edits else 50.0) * MS

    def step_ms(edits: Sequence[Edit]) -> float:
        return 20.0 if ahead in edits else 40.0

    outcome = FakeBench(PIPELINE, step_ms, predict=predict).tuner().run()
    expected = {trial.change: trial.predicted_ns for trial in outcome.trials}
    assert expected[ahead,] is None
    assert expected[parallel,] == pytest.approx(20 * 0.9 * MS)
