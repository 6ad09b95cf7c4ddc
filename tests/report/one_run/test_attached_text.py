"""What speaks for a verdict on a training that was observed from outside, in sentences."""

from typing import get_args

import pytest

from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.analysis.verdicts.attached_evidence import (
    AttachedEvidence,
    BatchAwaited,
    CompiledFit,
    GettingBatches,
    InOwnCode,
    InTrainingSteps,
    MakerAtWork,
    MakersBlocked,
    MakersQueued,
    NoCoreFree,
    NoTraining,
)
from pipeprof.report.one_run.attached_text import attached_sentence

SENTENCES: tuple[tuple[AttachedEvidence, str], ...] = (
    (BatchAwaited(ratio=0.196), "The training waited for a batch 19.6 % of the time."),
    (
        MakerAtWork(busy_ratio=1.2, bound=Bound.INPUT),
        "The Python code that makes the batches worked 100 % of the time, without a pause: no batch "
        "was ready.",
    ),
    (
        MakerAtWork(busy_ratio=0.7, bound=Bound.BALANCED),
        "The Python code that makes the batches worked 70 % of the time: it keeps up, but only just.",
    ),
    (
        MakerAtWork(busy_ratio=0.04, bound=Bound.COMPUTE),
        "The Python code that makes the batches worked 4.0 % of the time and waited the rest of it: "
        "batches were ready.",
    ),
    (
        CompiledFit(),
        "Keras waits and computes in one compiled function, and no Python code makes the batches: "
        "from outside, waiting and computing look the same.",
    ),
    (NoTraining(), "No thread was seen training: it may be starting, or at its end."),
    (
        InTrainingSteps(ratio=0.9),
        "The thread that trains spent 90 % of the time in training steps.",
    ),
    (
        InOwnCode(ratio=0.9),
        "The thread that trains spent 90 % of the time in the script's own code, outside any training "
        "step. If that code makes the batches, training waits for it.",
    ),
    (
        GettingBatches(ratio=0.9),
        "The thread that trains spent 90 % of the time getting batches.",
    ),
    (
        MakersQueued(ratio=0.4),
        "The threads that make the batches were ready to run 40 % of the time, but no CPU was free.",
    ),
    (
        MakersBlocked(cpu_ratio=0.05),
        "The threads that make the batches were on the CPU 5.0 % of the time: they mostly wait "
        "(files, network, sleep or the GIL).",
    ),
    (NoCoreFree(), "No core was free: more workers do not help."),
)


def test_every_kind_has_its_sentence_here() -> None:
    assert {type(evidence) for evidence, _ in SENTENCES} == set(get_args(AttachedEvidence))


@pytest.mark.parametrize(("evidence", "sentence"), SENTENCES)
def test_what_evidence_says(evidence: AttachedEvidence, sentence: str) -> None:
    assert attached_sentence(evidence) == sentence
