"""Advice carries what tuning measured of it, and of nothing else."""

from dataclasses import replace

from pipeprof.analysis.advising.advice_proof import with_proof
from pipeprof.analysis.findings.advice_kinds import Advice, Remedy, Verified
from pipeprof.analysis.findings.input_remedies import Prefetch
from pipeprof.analysis.findings.tfdata_remedies import Cache, ParallelCalls
from pipeprof.recording import pipeline_edits
from pipeprof.recording.tuning_outcome import Trial
from tests.builders import MS, tuning_outcome

PARALLEL = ParallelCalls(stage="decode", function="decode", calls=2, autotuned=True)
OUTCOME = tuning_outcome()


def proof(remedy: Remedy, trials: tuple[Trial, ...] = OUTCOME.trials) -> Verified | None:
    advice = Advice(remedy=remedy)
    [said] = with_proof([advice], replace(OUTCOME, trials=trials))
    return said.verified


def test_the_trial_of_the_same_change_is_the_proof() -> None:
    assert proof(PARALLEL) == Verified(step_ms=20.0, speedup=2.0)
    assert proof(replace(PARALLEL, stage="augment")) is None
    assert proof(Prefetch.__new__(Prefetch)) is None


def test_a_change_on_top_of_others_proves_nothing_alone() -> None:
    """The cache was tried when decode had parallel calls already."""
    assert proof(Cache(stage="decode", function="decode", before_shuffle=False)) is None


def test_a_trial_that_could_not_be_measured_proves_nothing() -> None:
    refused = Trial(change=(pipeline_edits.SetCalls(node="map", calls=-1),), refused="it hung")
    assert proof(PARALLEL, (refused,)) is None


def test_without_tuning_advice_stays_as_it_is() -> None:
    advice = Advice(remedy=PARALLEL)
    assert with_proof([advice], None) == (advice,)
    assert OUTCOME.today_ns == 40 * MS
