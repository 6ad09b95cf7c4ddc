from typing import Any

import numpy as np
import pytest

from pipeprof.capture.probes.delivery.batch_content import hash_batch
from pipeprof.capture.probes.delivery.epoch_sums import EpochSums
from pipeprof.capture.probes.delivery.followed_samples import FollowedEpoch, FollowedSamples
from pipeprof.recording.delivered_content import DeliveredEpoch

X = np.arange(40.0).reshape(20, 2)


def epoch(order: Any, size: int = 8, followed: FollowedSamples | None = None) -> DeliveredEpoch:
    sums = EpochSums(0, 5, followed or FollowedSamples())
    for first in range(0, len(order), size):
        found = hash_batch((X[order[first : first + size]],))
        assert found is not None
        sums.add(found)
    return sums.freeze()


def test_an_epoch_is_counted() -> None:
    found = epoch(np.arange(20))
    assert (found.batches, found.samples, found.short_batches, found.last_samples) == (3, 20, 1, 4)
    assert (found.trained_steps, found.size_bytes) == (5, X.nbytes)
    assert [(shape.shapes, shape.batches) for shape in found.shapes] == [
        (((8, 2),), 2),
        (((4, 2),), 1),
    ]


def test_hashes_depend_on_samples_and_not_on_batches() -> None:
    assert epoch(np.arange(20), size=8).ordered == epoch(np.arange(20), size=5).ordered


def test_only_the_ordered_hash_depends_on_the_order() -> None:
    one, other = epoch(np.arange(20)), epoch(np.arange(20)[::-1])
    assert one.unordered == other.unordered
    assert one.ordered != other.ordered


def test_samples_that_come_twice_or_never_are_found() -> None:
    followed = FollowedSamples()
    epoch(np.arange(20), followed=followed)
    found = epoch(np.array([*range(15), 0, 1]), followed=followed)
    assert (found.followed, found.repeated, found.known, found.missing) == (15, 2, 15, 5)


@pytest.mark.parametrize("samples", [50, 5000])
def test_no_more_samples_are_followed_than_there_is_room_for(samples: int) -> None:
    rng = np.random.default_rng(samples)
    hashes = rng.integers(0, 2**63, samples, dtype=np.uint64)
    followed = FollowedSamples(most=256)
    for part in np.array_split(hashes, 10):
        followed.add(part)
    first = followed.end_epoch()
    followed.add(hashes)
    second = followed.end_epoch()
    assert second.followed <= 512
    assert second.followed << second.level == pytest.approx(samples, rel=0.3)
    assert (second.missing, second.repeated) == (0, 0)
    assert second.known == second.followed
    assert first.known == 0


def test_an_empty_epoch_follows_nothing() -> None:
    assert FollowedSamples().end_epoch() == FollowedEpoch(0, 0, 0, 0, 0)
