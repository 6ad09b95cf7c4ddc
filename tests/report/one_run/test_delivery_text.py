from dataclasses import replace

import numpy as np
import pytest

from pipeprof.analysis.findings.delivery_findings import (
    ConsumedFinding,
    Conversion,
    EvaluationPair,
    EvaluationPass,
    Order,
    Recurrence,
)
from pipeprof.analysis.findings.findings import DeliveryFinding, Findings
from pipeprof.analysis.findings.losses import Losses
from pipeprof.recording.delivered_content import DeliveredShape, ModeKind, ModeLayer
from pipeprof.report.one_run.delivery_text import delivery_sentences
from pipeprof.surfaces.json_report.delivery_as_json import delivery_dict
from tests import builders

LOSSES = Losses(
    ordinal=np.array([0, 1]),
    shown=np.array([2.0, 1.5]),
    raw=np.array([2.0, np.nan]),
    samples_before=np.ones(2),
)
CONSUMED = ConsumedFinding(
    epochs=3,
    batches=7,
    samples=100,
    batch_size=16,
    short_batches=1,
    last_samples=4,
    different=100,
    repeated=0,
    missing=0,
    followed_ratio=1.0,
    order=Order.DIFFERENT,
    recurrence=Recurrence.SAME,
    changing=(),
    shapes=(DeliveredShape(dtypes=("float32",), shapes=((16, 3),), batches=6),),
    bytes_per_step=192.0,
    conversions=(Conversion(array=0, given="float64", consumed="float32"),),
    compute_dtype="float32",
    ordered="0" * 16,
    unordered="1" * 16,
    losses=LOSSES,
    cost_ratio=0.01,
    cost_ms=0.2,
)


def findings(consumed: ConsumedFinding, *pairs: EvaluationPair) -> Findings:
    delivery = DeliveryFinding(
        batches=21,
        samples=300,
        batch_sizes=None,
        dtypes=None,
        shapes=None,
        bytes_per_step=None,
        consumed=consumed,
    )
    return replace(builders.findings(), delivery=delivery, evaluations=pairs)


def test_what_was_consumed_is_described() -> None:
    assert delivery_sentences(findings(CONSUMED)) == [
        "Each epoch: 7 batches, 100 samples, up to 16 in a batch; the last batch has 4.",
        "All epochs have the same samples, in another order each time; nothing is augmented.",
        "Consumed as float32 [16, 3], 192 B per step.",
        "Array 1 was given as float64 and consumed as float32.",
        "Fingerprints took 0.20 ms per batch, 1.0 % of the training's time.",
        "Loss of the first batch 2, of the last 2; Keras shows 1.5, the mean over the epoch so far.",
    ]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"recurrence": Recurrence.NEW, "order": Order.UNKNOWN}, "No sample comes back"),
        ({"recurrence": Recurrence.AUGMENTED, "changing": (0,)}, "other content in array 1"),
        ({"recurrence": Recurrence.PARTLY, "missing": 3}, "3 samples of one epoch did not come"),
        ({"repeated": 1}, "1 sample came more than once"),
        ({"repeated": 8, "followed_ratio": 0.25}, "About 8 samples came more than once"),
    ],
)
def test_what_is_unusual_is_said(changed: dict[str, object], sentence: str) -> None:
    found = delivery_sentences(findings(replace(CONSUMED, **changed)))
    assert any(sentence in each for each in found)


def test_validation_inside_fit_is_put_beside_evaluate() -> None:
    inside = EvaluationPass(batches=3, samples=40, trained_steps=14, loss=0.5)
    pair = EvaluationPair(
        inside=inside,
        alone=replace(inside, batches=5, trained_steps=15, loss=0.25),
        same_samples=True,
        same_order=True,
        mode_layers=(ModeLayer(name="drop", class_name="Dropout", kind=ModeKind.DROPOUT),),
    )
    text = " ".join(delivery_sentences(findings(CONSUMED, pair)))
    assert "the same samples, in one order: 3 batches of 40 samples, loss 0.5 against 5" in text
    assert "those after 14 steps and after 15 steps" in text
    assert "drop (dropout)" in text


def test_without_a_recording_nothing_is_said() -> None:
    assert delivery_sentences(builders.findings()) == []


def test_json_has_the_fingerprint_and_the_losses() -> None:
    found = delivery_dict(findings(CONSUMED))
    assert found["fingerprint"] == {"ordered": "0" * 16, "unordered": "1" * 16}
    assert (found["raw_loss"], found["running_mean_loss"]) == ([2.0, None], [2.0, 1.5])
    assert (found["consumed"]["order_equal"], found["consumed"]["augmented"]) == (False, False)
