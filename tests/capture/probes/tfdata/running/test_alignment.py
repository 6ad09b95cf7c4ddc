from collections.abc import Mapping

import pytest

from pipeprof.capture.probes.tfdata.running.alignment import align
from pipeprof.capture.probes.tfdata.running.model_snapshots import ModelSnapshot, NodeCounters
from pipeprof.capture.probes.tfdata.running.stage_identity import StageIdentity
from pipeprof.capture.probes.tfdata.written.transformations import (
    Pipeline,
    Transformation,
    family_of,
)
from pipeprof.recording.source_code import Location
from pipeprof.recording.stage import StageKind, StageOwner


def written(name: str, *inputs: Transformation, **facts: object) -> Transformation:
    """A transformation whose path is its name: unique here, and easy to read."""
    return Transformation(name=name, **{"family": name, "path": name, "inputs": inputs, **facts})  # type: ignore[arg-type]


def running(*nodes: tuple[int, str, tuple[int, ...]]) -> ModelSnapshot:
    return ModelSnapshot(
        nodes={
            node_id: NodeCounters(node_id, name, inputs, 0, 0, 0, 0, 0)
            for node_id, name, inputs in ((1, "Root", (2,)), *nodes)
        },
        output=1,
        gap_times_us=(),
        cpu_budget=2,
        ram_budget=1 << 30,
    )


def aligned(
    output: Transformation | None,
    model: ModelSnapshot,
    known: Mapping[int, StageIdentity] | None = None,
) -> dict[int, str]:
    identities = align(Pipeline(output=output), model, known)
    assert identities.keys() == model.nodes.keys()
    return {node_id: identity.path for node_id, identity in identities.items()}


@pytest.mark.parametrize(
    ("names", "family"),
    [
        (("ParallelMapV2", "Map", "_ParallelMapDataset", "ParallelMapDatasetV2"), "map"),
        (("FiniteTake", "EmptyTake", "_TakeDataset"), "take"),
        (("MemoryCache", "FileCache", "CacheDatasetV2"), "cache"),
        (("LegacyParallelInterleaveV2", "ParallelInterleaveV4", "InterleaveDataset"), "interleave"),
        (("SnapshotDatasetReader/_0",), "snapshotdatasetreader"),
        (("FromTensor", "_TensorDataset"), "tensor"),
    ],
)
def test_variants_of_a_transformation_are_one_family(names: tuple[str, ...], family: str) -> None:
    assert {family_of(name) for name in names} == {family}


def test_a_fused_node_is_the_map_and_says_what_else_it_does() -> None:
    decode = written("map", function="decode", location=Location("train.py", 4), python=True)
    identities = align(Pipeline(output=written("batch", decode)), running((2, "MapAndBatch", ())))
    assert identities[2] == StageIdentity(
        path="batch",
        parent="root",
        stage="batch",
        name="decode",
        kind=StageKind.TF_DATA_PYTHON,
        function="decode",
        location=Location("train.py", 4),
        running="MapAndBatch",
        written="map → batch",
        fused=True,
        remark="runs fused with batch",
    )


@pytest.mark.parametrize("added", ["Prefetch", "Rebatch", "RebatchV2", "LegacyRebatch"])
def test_what_tf_data_adds_is_said_to_be_added(added: str) -> None:
    model = running((2, added, (3,)), (3, "BatchV2", (4,)), (4, "Range", ()))
    identities = align(Pipeline(output=written("batch", written("range"))), model)
    assert (identities[2].owner, identities[2].remark) == (StageOwner.TF_DATA, None)
    assert identities[2].written == ""
    assert [identities[node].path for node in (3, 4)] == ["batch", "range"]


def test_what_changes_nothing_does_not_run() -> None:
    inner = written("map", written("range"), path="real")
    output = written("map", inner, path="identity", noop=True)
    assert aligned(output, running((2, "ParallelMapV2", (3,)), (3, "Range", ()))) == {
        1: "root",
        2: "real",
        3: "range",
    }


def test_what_fits_nowhere_keeps_its_running_name() -> None:
    model = running((2, "Mystery", (3,)), (3, "BatchV2", (4,)), (4, "Range", ()))
    identities = align(Pipeline(output=written("batch", written("range"))), model)
    assert (identities[2].name, identities[2].remark) == ("Mystery", "could not be aligned")
    assert identities[3].path == "batch"


def test_without_a_description_everything_keeps_its_running_name() -> None:
    assert aligned(None, running((2, "Zip", (3, 4)), (3, "Map", ()), (4, "Map", ()))) == {
        1: "root",
        2: "root>Zip",
        3: "root>Zip>Map",
        4: "root>Zip>Map",
    }


def test_open_inputs_of_an_interleave_are_one_stage() -> None:
    output = written("interleave", written("range"), inner=written("map", path="inner"))
    model = running((2, "Interleave", (3, 8, 9)), (3, "Range", ()), (8, "Map", ()), (9, "Map", ()))
    assert aligned(output, model) == {
        1: "root",
        2: "interleave",
        3: "range",
        8: "inner",
        9: "inner",
    }


def test_an_interleave_whose_source_has_ended_has_only_open_inputs() -> None:
    output = written("interleave", written("map"), inner=written("map", path="inner"))
    model = running((2, "Interleave", (8, 9)), (8, "Map", ()), (9, "Map", ()))
    assert aligned(output, model) == {1: "root", 2: "interleave", 8: "inner", 9: "inner"}


def test_an_ended_input_of_a_zip_does_not_shift_the_others() -> None:
    output = written("zip", written("map", path="left"), written("map", path="right"))
    both = running((2, "Zip", (3, 4)), (3, "Map", ()), (4, "Map", ()))
    known = align(Pipeline(output=output), both)
    left = running((2, "Zip", (4,)), (4, "Map", (5,)), (5, "Range", ()))
    assert aligned(output, left, known)[4] == "right"


def test_an_input_that_looks_different_is_found_without_earlier_readings() -> None:
    output = written("concatenate", written("map"), written("filter"))
    assert aligned(output, running((2, "Concatenate", (3,)), (3, "Filter", ())))[3] == "filter"


def test_long_pipelines_are_aligned_whatever_runs() -> None:
    output = written("range")
    for number in range(3000):
        output = written("shuffle", output, path=str(number))
    chain = [(number, "Filter", (number + 1,)) for number in range(2, 400)]
    assert aligned(output, running(*chain, (400, "Range", ())))[1] == "root"
