"""The classic questions are answered by measuring, and the measured answers are what is known of Keras."""

from pathlib import Path

import numpy as np
import pytest

from pipeprof.analysis.comparing.classic_answers import (
    EvaluationAnswer,
    Feed,
    FeedAnswer,
    MeanAnswer,
)
from pipeprof.analysis.comparing.work_sameness import Sameness
from pipeprof.report.runs.classic_text import answer_text
from pipeprof.scenarios import classic_answers

pytestmark = pytest.mark.integration


def test_the_classic_questions_are_answered(tmp_path: Path) -> None:
    answers = list(classic_answers(tmp_path))
    feeds = {each.feed: each for each in answers if isinstance(each, FeedAnswer)}
    for feed in (Feed.GENERATOR, Feed.SEQUENCE, Feed.TRAIN_ON_BATCH):
        work = feeds[feed].comparison.work
        assert work.losses is not None, feed
        assert work.losses.equal == work.losses.compared == 26, feed
        assert answer_text(feeds[feed]).startswith("Yes: "), feed
    assert feeds[Feed.GENERATOR].comparison.work.sameness is Sameness.SAME
    shuffled = feeds[Feed.SHUFFLED].comparison.work
    assert shuffled.sameness is Sameness.OTHER_ORDER
    assert shuffled.losses is not None
    assert shuffled.losses.equal == 0
    [mean] = [each for each in answers if isinstance(each, MeanAnswer)]
    last = mean.batches_per_epoch - 1
    assert mean.losses.shown[last] != pytest.approx(mean.losses.raw[last], rel=0.01)
    assert mean.losses.raw[0] == pytest.approx(mean.losses.shown[0])
    assert np.isfinite(mean.losses.raw).all()
    evaluations = [each for each in answers if isinstance(each, EvaluationAnswer)]
    assert [each.augments for each in evaluations] == [False, True]
    for each in evaluations:
        assert each.pair.same_samples
        assert each.pair.inside.loss == pytest.approx(each.pair.alone.loss, rel=1e-5)
        assert each.training_loss != pytest.approx(each.pair.alone.loss, rel=0.01)
    assert {layer.class_name for layer in evaluations[1].pair.mode_layers} == {"RandomFlip"}
