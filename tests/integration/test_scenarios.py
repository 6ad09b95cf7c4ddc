"""The demo's ways of feeding deliver the same; `test_planted` trains on the planted scenarios."""

from pathlib import Path

import numpy as np
import pytest

from pipeprof.scenarios import Scenario, demo_scenarios, images, planted_scenarios

PLANTED = ("slow-read", "slow-item", "large-batches", "free-input", "arrays", "loop", "slow-map")


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Scenario]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(images, "PHOTOS", 40)
    return {scenario.name: scenario for scenario in demo_scenarios()}


def test_all_ways_train_on_the_same_samples_in_the_same_order(demo: dict[str, Scenario]) -> None:
    assert list(demo) == ["generator", "threads", "processes", "tf.data"]
    losses = {}
    for name, scenario in demo.items():
        workload = scenario.prepare()
        losses[name] = workload.train(workload.dataset).history["loss"]
        assert int(workload.model.optimizer.iterations) == workload.steps == 9
        assert workload.samples == 120
    assert losses["threads"] == pytest.approx(losses["generator"], rel=1e-4)
    assert losses["processes"] == pytest.approx(losses["generator"], rel=1e-4)
    # Two decoders of JPEG and two ways to scale differ in the last bit.
    assert losses["tf.data"] == pytest.approx(losses["generator"], rel=0.05)


def test_tensorflow_makes_the_same_pictures_as_pillow(demo: dict[str, Scenario]) -> None:
    by_hand = demo["generator"].prepare().dataset
    for x, y in demo["tf.data"].prepare().dataset:
        expected_x, expected_y = next(by_hand)
        assert np.array_equal(y, expected_y)
        assert np.abs(np.asarray(x) - expected_x).mean() < 0.005


def test_the_planted_scenarios_are_known_by_name() -> None:
    assert tuple(one.name for one in planted_scenarios()) == PLANTED
    assert all(one.truth is not None for one in planted_scenarios())
