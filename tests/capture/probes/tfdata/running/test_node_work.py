"""What vanished nodes did is estimated from what is still there, on hand-made models."""

import pytest

from pipeprof.capture.probes.tfdata.running.lost_work import PartSize
from pipeprof.capture.probes.tfdata.running.model_snapshots import (
    ModelSnapshot,
    NodeCounters,
    NodeWork,
)
from pipeprof.capture.probes.tfdata.running.node_work import WorkTally
from pipeprof.capture.probes.tfdata.running.stage_history import StageHistories
from pipeprof.capture.probes.tfdata.running.stage_identity import LATER, StageIdentity
from pipeprof.recording.stage import StageKind

ELEMENT_NS = 100
ELEMENT_BYTES = 8


def node(
    node_id: int,
    name: str,
    *inputs: int,
    elements: int = 0,
    taken: int | None = None,
    buffered: int = 0,
    ratio: float = 1.0,
) -> NodeCounters:
    taken_bytes = ELEMENT_BYTES * (round(elements * ratio) if taken is None else taken)
    return NodeCounters(
        node_id,
        name,
        inputs,
        elements,
        ELEMENT_NS * elements,
        ELEMENT_BYTES * elements,
        taken_bytes,
        buffered,
        ratio=ratio,
    )


def snapshot(*nodes: NodeCounters) -> ModelSnapshot:
    return ModelSnapshot(
        nodes={one.node_id: one for one in nodes},
        output=nodes[0].node_id,
        gap_times_us=(),
        cpu_budget=2,
        ram_budget=1 << 30,
    )


def identities(model: ModelSnapshot, paths: dict[int, str]) -> dict[int, StageIdentity]:
    asked_by = {below: one.node_id for one in model.nodes.values() for below in one.inputs}
    return {
        node_id: StageIdentity(
            path=paths[node_id],
            parent=paths[asked_by[node_id]] if node_id in asked_by else None,
            stage=paths[node_id],
            name=one.name,
            kind=StageKind.TF_DATA,
            running=one.name,
        )
        for node_id, one in model.nodes.items()
    }


class Readings:
    """Counts the readings of one iterator, whose nodes are named by their paths."""

    def __init__(self, seen: StageHistories, sizes: dict[str, PartSize] | None = None) -> None:
        self._tally = WorkTally(seen, sizes or {})

    def read(self, paths: dict[int, str], *nodes: NodeCounters) -> dict[str, int]:
        model = snapshot(*nodes)
        work = self._tally.count(model, identities(model, paths))
        for done in work.values():  # whatever was estimated cost as much an element as was counted
            assert done.processing_time_ns == pytest.approx(
                ELEMENT_NS * done.elements, abs=ELEMENT_NS
            )
        return {path: done.elements for path, done in work.items() if done.elements}


def test_nodes_that_run_on_did_what_their_counters_grew_by() -> None:
    iterator, paths = Readings(StageHistories()), {1: "root", 2: "map"}
    assert iterator.read(paths, node(1, "Root", 2, elements=10), node(2, "Map", elements=12)) == {
        "root": 10,
        "map": 12,
    }
    again = iterator.read(paths, node(1, "Root", 2, elements=11), node(2, "Map", elements=15))
    assert again == {"root": 1, "map": 3}


def test_what_ended_with_its_pass_is_known_from_what_was_taken_of_it() -> None:
    iterator = Readings(StageHistories())
    paths = {1: "root", 2: "batch", 3: "shuffle", 4: "map"}
    batch = node(2, "BatchV2", 3, elements=2, ratio=4)
    shuffle = node(3, "Shuffle", 4, elements=8, taken=11, buffered=3)
    mapped = node(4, "Map", elements=11)
    iterator.read(paths, node(1, "Root", 2, elements=2, taken=2), batch, shuffle, mapped)
    # The last of five batches had 2 elements: the bytes that were taken say so.
    root = node(1, "Root", 2, elements=5, taken=5)
    ended = iterator.read(paths, root, node(2, "BatchV2", elements=5, taken=18, ratio=4))
    assert ended == {"root": 3, "batch": 3, "shuffle": 10, "map": 18 - 11}


def test_what_a_shuffle_held_was_taken_before() -> None:
    iterator = Readings(StageHistories())
    paths = {1: "root", 2: "batch", 3: "shuffle", 4: "map"}
    batch = node(2, "BatchV2", 3, elements=2, ratio=4)
    shuffle = node(3, "Shuffle", 4, elements=8, taken=108, buffered=100)
    iterator.read(
        paths, node(1, "Root", 2, elements=2), batch, shuffle, node(4, "Map", elements=108)
    )
    # Its input ended, two elements later; then it ended itself.
    root, batch = node(1, "Root", 2, elements=3), node(2, "BatchV2", 3, elements=3, ratio=4)
    shuffle = node(3, "Shuffle", elements=12, taken=110, buffered=98)
    assert iterator.read(paths, root, batch, shuffle)["map"] == 2
    root, batch = node(1, "Root", 2, elements=27), node(2, "BatchV2", elements=27, ratio=4)
    ended = iterator.read(paths, root, batch)
    assert ended == {"root": 24, "batch": 24, "shuffle": 96}


def test_an_epoch_that_was_over_before_it_was_read_costs_what_others_did() -> None:
    seen, paths = StageHistories(), {1: "root", 2: "batch", 3: "map"}
    batch = node(2, "BatchV2", 3, elements=2, ratio=4)
    root = node(1, "Root", 2, elements=2, taken=2)
    Readings(seen).read(paths, root, batch, node(3, "Map", elements=8))
    root = node(1, "Root", 2, elements=3, taken=3)
    assert Readings(seen).read(paths, root, node(2, "BatchV2", elements=3, ratio=4))["map"] == 12


def test_what_it_costs_to_begin_is_not_estimated_for_what_went_on() -> None:
    seen, paths = StageHistories(), {1: "root", 2: "batch", 3: "files"}
    readings = WorkTally(seen, {})
    for batches, begin_ns in ((1, 9_000), (2, 9_000)):
        root = node(1, "Root", 2, elements=batches)
        files = node(3, "Files", elements=4 * batches)
        files = files._replace(processing_time_ns=files.processing_time_ns + begin_ns)
        model = snapshot(root, node(2, "BatchV2", 3, elements=batches, ratio=4), files)
        readings.count(model, identities(model, paths))
    model = snapshot(node(1, "Root", 2, elements=5), node(2, "BatchV2", elements=5, ratio=4))
    work = readings.count(model, identities(model, paths))
    assert work["files"].elements == 12
    assert work["files"].processing_time_ns == 12 * ELEMENT_NS


def test_where_nothing_like_it_was_seen_nothing_is_guessed() -> None:
    ended = Readings(StageHistories()).read(
        {1: "root", 2: "batch"},
        node(1, "Root", 2, elements=3),
        node(2, "BatchV2", elements=3, ratio=4),
    )
    assert ended == {"root": 3, "batch": 3}


def test_inputs_of_an_interleave_that_came_and_went_are_counted() -> None:
    iterator = Readings(StageHistories())
    paths = {1: "root", 2: "interleave", 3: "files", 4: "inner/", 5: "inner/"}
    root = node(1, "Root", 2, elements=8)
    opened = node(2, "Interleave", 3, 4, elements=8, ratio=0)
    iterator.read(paths, root, opened, node(3, "Range", elements=2), node(4, "Map", elements=8))
    root = node(1, "Root", 2, elements=30)
    opened = node(2, "Interleave", 3, 5, elements=30, ratio=0)
    files, inner = node(3, "Range", elements=5), node(5, "Map", elements=2)
    assert iterator.read(paths, root, opened, files, inner) == {
        "root": 22,
        "interleave": 22,
        "files": 3,
        "inner/": 22,
    }


def test_elements_in_the_buffer_of_an_interleave_are_not_lost() -> None:
    iterator = Readings(StageHistories())
    paths = {1: "root", 2: "interleave", 3: "files", 4: "inner/", 5: "inner/"}
    for elements, buffered, made, inner in ((8, 5, 13, 4), (13, 2, 2, 5)):
        root = node(1, "Root", 2, elements=elements)
        opened = node(
            2, "ParallelInterleaveV4", 3, inner, elements=elements, buffered=buffered, ratio=0
        )
        files = node(3, "Range", elements=2)
        found = iterator.read(paths, root, opened, files, node(inner, "Map", elements=made))
    assert found == {"root": 5, "interleave": 5, "inner/": 2}


def test_both_inputs_of_a_zip_gave_as_much_as_it() -> None:
    iterator = Readings(StageHistories())
    paths = {1: "root", 2: "repeat", 3: "zip", 4: "x", 5: "y", 6: "zip", 7: "x", 8: "y"}
    zipped = node(3, "Zip", 4, 5, elements=4, taken=8)
    first = (node(1, "Root", 2, elements=4), node(2, "ForeverRepeat", 3, elements=4), zipped)
    iterator.read(paths, *first, node(4, "Map", elements=4), node(5, "Map", elements=4))
    zipped = node(6, "Zip", 7, 8, elements=1, taken=2)
    second = (node(1, "Root", 2, elements=24), node(2, "ForeverRepeat", 6, elements=24), zipped)
    found = iterator.read(paths, *second, node(7, "Map", elements=1), node(8, "Map", elements=1))
    assert found == {"root": 20, "repeat": 20, "zip": 20, "x": 20, "y": 20}


def test_passes_that_read_a_cache_are_not_work_of_what_fills_it() -> None:
    iterator = Readings(StageHistories())
    paths = {1: "root", 2: "repeat", 3: "cache", 4: "fill", 5: "map"}
    root, repeat = node(1, "Root", 2, elements=6), node(2, "ForeverRepeat", 3, elements=6)
    cache = node(3, "MemoryCache", 4, elements=6)
    fill = node(4, "MemoryCacheImpl", 5, elements=6, buffered=6)
    iterator.read(paths, root, repeat, cache, fill, node(5, "Map", elements=6))

    later = {1: "root", 2: "repeat", 6: f"cache{LATER}", 7: "held"}
    root, repeat = node(1, "Root", 2, elements=50), node(2, "ForeverRepeat", 6, elements=50)
    cache = node(6, "MemoryCache", 7, elements=3)
    held = node(7, "MemoryCacheImpl", elements=3, taken=0, buffered=10)
    found = iterator.read(later, root, repeat, cache, held)
    assert found["map"] == found["cache"] == 10 - 6  # it holds 10: so many were made
    assert found[f"cache{LATER}"] == 50 - 10


def test_what_is_concatenated_ends_part_by_part() -> None:
    sizes = dict.fromkeys("ab", PartSize(10, 0.5, ("a", "b")))
    iterator = Readings(StageHistories(), sizes)
    paths = {1: "root", 2: "both", 3: "a", 4: "b"}
    root, both = node(1, "Root", 2, elements=4), node(2, "Concatenate", 3, elements=4)
    iterator.read(paths, root, both, node(3, "Map", elements=4))
    root, both = node(1, "Root", 2, elements=12), node(2, "Concatenate", 4, elements=12)
    found = iterator.read(paths, root, both, node(4, "Map", elements=2))
    assert (found["a"], found["b"]) == (6, 2)


def test_a_part_that_was_never_seen_is_not_taken_for_the_one_that_was() -> None:
    iterator = Readings(StageHistories(), dict.fromkeys("ab", PartSize(10, 0.5, ("a", "b"))))
    made = 0
    for first, given in ((3, 4), (5, 44), (7, 84)):  # two passes between readings
        paths = {1: "root", 2: "repeat", first: "both", first + 1: "a"}
        root, repeat = (
            node(1, "Root", 2, elements=given),
            node(2, "ForeverRepeat", first, elements=given),
        )
        both = node(first, "Concatenate", first + 1, elements=4)
        made += iterator.read(paths, root, repeat, both, node(first + 1, "Map", elements=4))["a"]
    assert made == 4 + 20 + 20


def test_time_in_python_generators_is_taken_off_their_nodes() -> None:
    model = snapshot(node(1, "Root", 2, elements=4), node(2, "Generator", elements=4))
    tally = WorkTally(StageHistories(), {})
    work = tally.count(model, identities(model, {1: "root", 2: "made"}), python_ns=300)
    assert work["made"] == NodeWork(4, 4 * ELEMENT_NS - 300, 4 * ELEMENT_BYTES, 4 * ELEMENT_BYTES)
