"""What changes of an input mean to the model that predicts."""

import pytest

from pipeprof.analysis.findings.what_if_kinds import (
    CachedBehind,
    LoadedByWorkers,
    NoEpochStarts,
    Supposition,
)
from pipeprof.recording.loop import InputKind
from pipeprof.recording.pipeline_edits import (
    AddCache,
    DropCache,
    Edit,
    MoveBatchFirst,
    MoveShuffleFirst,
    ShardedProcesses,
)
from pipeprof.recording.tuning_outcome import Description, TunedTransformation
from pipeprof.tuning.supposing import suppositions_of

DESCRIBED = Description(
    kind=InputKind.TF_DATA,
    name="dataset",
    has_model=False,
    places=(
        TunedTransformation(node="range", op="RangeDataset", inputs=(), calls=None),
        TunedTransformation(
            node="map", op="MapDataset", inputs=("range",), calls=None, function="decode"
        ),
        TunedTransformation(node="batch", op="BatchDatasetV2", inputs=("map",), calls=None),
    ),
    cores=2,
    free_bytes=1 << 30,
)


@pytest.mark.parametrize(
    ("recorded", "supposed"),
    [
        ({"range", "decode", "batch"}, CachedBehind(stage="batch")),
        ({"range", "decode"}, CachedBehind(stage="decode")),  # one stage with the batch
    ],
)
def test_a_cache_stands_behind_what_was_recorded(recorded: set[str], supposed: Supposition) -> None:
    edits = (DropCache(node="early"), AddCache(node="batch"))
    assert suppositions_of(edits, DESCRIBED, recorded) == (supposed,)


def test_nothing_is_supposed_of_a_cache_behind_what_was_not_recorded() -> None:
    assert suppositions_of([AddCache(node="batch")], DESCRIBED, {"other"}) is None


@pytest.mark.parametrize(
    ("edit", "supposed"),
    [
        (MoveShuffleFirst(shuffle="shuffle", node="map"), (NoEpochStarts(),)),
        (ShardedProcesses(processes=4), (LoadedByWorkers(workers=4, processes=True),)),
        (MoveBatchFirst(batch="batch", node="map"), None),
    ],
)
def test_what_changes_mean(edit: Edit, supposed: tuple[Supposition, ...] | None) -> None:
    assert suppositions_of([edit], DESCRIBED, {"decode"}) == supposed
