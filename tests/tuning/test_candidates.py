"""What could be changed, from descriptions of inputs."""

from dataclasses import replace

import pytest

from pipeprof.errors import UsageError
from pipeprof.recording.loop import InputKind
from pipeprof.recording.pipeline_edits import (
    AUTOTUNE,
    AddCache,
    AddPrefetch,
    BackgroundThread,
    DropCache,
    Edit,
    MoveBatchFirst,
    MoveFilterFirst,
    MoveShuffleBehind,
    MoveShuffleFirst,
    PrivateThreads,
    SetCalls,
    ShardedProcesses,
    TurnAutotuneOn,
    Workers,
    edit_from_dict,
    edit_to_dict,
)
from pipeprof.recording.tuning_outcome import Description, TunedTransformation, described, plain
from pipeprof.tuning.candidates import candidates, merged


def place(op: str, *inputs: str, **more: object) -> TunedTransformation:
    values: dict[str, object] = {"calls": None, "elements": 100, "element_bytes": 1000.0}
    return TunedTransformation(node=op, op=op, inputs=inputs, **(values | more))  # type: ignore[arg-type]


def tfdata(*places: TunedTransformation, **more: object) -> Description:
    values: dict[str, object] = {"autotunes": True, "cores": 2, "free_bytes": 1 << 30}
    return Description(
        kind=InputKind.TF_DATA,
        name="dataset",
        has_model=True,
        places=places,
        **(values | more),  # type: ignore[arg-type]
    )


RANGE = place("RangeDataset")
MAP = place("MapDataset", "RangeDataset", function="decode")
BATCH = place("BatchDatasetV2", "MapDataset")


def edits_of(description: Description) -> set[Edit]:
    return {edit for change in candidates(description) for edit in change}


def test_a_serial_map_is_made_parallel_and_a_parallel_one_that_is_tuned_is_not() -> None:
    assert SetCalls(node="MapDataset", calls=AUTOTUNE) in edits_of(tfdata(RANGE, MAP))
    tuned = place("ParallelMapDatasetV2", "RangeDataset", calls=AUTOTUNE, function="decode")
    assert SetCalls(node=tuned.node, calls=AUTOTUNE) not in edits_of(tfdata(RANGE, tuned))


def test_what_waits_gets_threads_of_its_own_for_more_calls_than_cores() -> None:
    opened = place("InterleaveDataset", "RangeDataset", function="read")
    mapped = place("MapDataset", "InterleaveDataset", function="decode")
    own = PrivateThreads(threads=17)
    # An interleave of 8 open files refuses 16 calls.
    many = {
        node: SetCalls(node=node, calls=calls)
        for node, calls in (("InterleaveDataset", AUTOTUNE), ("MapDataset", 16))
    }
    found = candidates(tfdata(RANGE, opened, mapped))
    assert {change for change in found if own in change} == {
        (many["InterleaveDataset"], own),
        (many["MapDataset"], own),
        (many["InterleaveDataset"], many["MapDataset"], own),
    }


def test_a_pinned_parallelism_is_given_to_autotune() -> None:
    pinned = place("ParallelMapDatasetV2", "RangeDataset", calls=2, function="decode")
    assert SetCalls(node=pinned.node, calls=AUTOTUNE) in edits_of(tfdata(RANGE, pinned))


@pytest.mark.parametrize("op", ["InterleaveDataset", "FlatMapDataset"])
def test_files_are_read_in_parallel(op: str) -> None:
    files = place(op, "RangeDataset", function="read")
    assert SetCalls(node=op, calls=AUTOTUNE) in edits_of(tfdata(RANGE, files))


def test_what_runs_a_generator_is_not_called_more_often_at_once() -> None:
    generator = place("FlatMapDataset", "RangeDataset", opens_generator=True)
    tried = edits_of(tfdata(RANGE, generator, place("BatchDatasetV2", "FlatMapDataset")))
    assert not any(isinstance(edit, (SetCalls, PrivateThreads)) for edit in tried)
    assert AddPrefetch() in tried


def test_prefetch_comes_to_the_end_once() -> None:
    assert AddPrefetch() in edits_of(tfdata(RANGE, MAP, BATCH))
    ahead = place("PrefetchDataset", "BatchDatasetV2")
    assert AddPrefetch() not in edits_of(tfdata(RANGE, MAP, BATCH, ahead))


def test_autotune_is_switched_on_where_it_is_off() -> None:
    assert TurnAutotuneOn() in edits_of(tfdata(RANGE, MAP, autotunes=False))
    assert TurnAutotuneOn() not in edits_of(tfdata(RANGE, MAP))


def test_a_cache_stands_behind_what_is_dear_and_fits() -> None:
    assert AddCache(node="MapDataset") in edits_of(tfdata(RANGE, MAP))
    assert not _caches(tfdata(RANGE, replace(MAP, element_bytes=1e8)))
    assert not _caches(tfdata(RANGE, replace(MAP, elements=None)))
    assert not _caches(tfdata(RANGE))  # nothing of the user's is saved


def test_what_is_random_is_not_cached_but_what_it_takes_may_be() -> None:
    random = place(
        "ParallelMapDatasetV2", "MapDataset", calls=AUTOTUNE, function="augment", random=True
    )
    assert _caches(tfdata(RANGE, MAP, random)) == {"MapDataset"}
    assert not _caches(tfdata(RANGE, replace(MAP, random=True)))


def test_what_stands_on_something_random_is_not_cached_either() -> None:
    random = replace(MAP, random=True)  # seldom: nothing of it showed behind it
    behind = place("ParallelMapDatasetV2", "MapDataset", calls=AUTOTUNE, function="scale")
    assert not _caches(tfdata(RANGE, random, behind))
    assert _caches(tfdata(RANGE, MAP, behind)) == {"MapDataset", behind.node}


def test_a_random_function_is_not_given_batches_and_a_random_filter_stays() -> None:
    selects = place("FilterDataset", "MapDataset", function="keep", random=True)
    random = replace(BATCH, random=True)
    tried = edits_of(tfdata(RANGE, MAP, random)) | edits_of(tfdata(RANGE, MAP, selects))
    assert not any(isinstance(edit, (MoveBatchFirst, MoveFilterFirst)) for edit in tried)


def test_a_cache_comes_below_none_of_todays_caches() -> None:
    early = replace(place("CacheDatasetV2", "RangeDataset"), node="early")
    inner = replace(MAP, inputs=("early",))
    late = replace(place("CacheDatasetV2", "MapDataset"), node="late")
    outer = place("ParallelMapDatasetV2", "late", calls=AUTOTUNE, function="scale")
    description = tfdata(RANGE, early, inner, late, outer)
    assert _caches(description) == {outer.node}


def test_a_cache_behind_a_shuffle_moves_the_shuffle_behind_it() -> None:
    shuffle = place("ShuffleDatasetV3", "RangeDataset")
    mapped = place("MapDataset", "ShuffleDatasetV3", function="decode")
    changes = candidates(tfdata(RANGE, shuffle, mapped))
    moved = MoveShuffleBehind(shuffle=shuffle.node, node=mapped.node)
    assert (moved, AddCache(node=mapped.node)) in changes
    assert (AddCache(node=mapped.node),) not in changes


def test_a_cache_that_is_there_moves_later_or_stays() -> None:
    cache = place("CacheDatasetV2", "RangeDataset")
    behind = place("MapDataset", "CacheDatasetV2", function="decode")
    changes = candidates(tfdata(RANGE, cache, behind))
    assert (DropCache(node=cache.node), AddCache(node=behind.node)) in changes
    late = place("CacheDatasetV2", "MapDataset")
    assert not _caches(tfdata(RANGE, MAP, late))


def test_neighbours_that_can_change_places_do() -> None:
    shuffle = place("ShuffleDatasetV3", "MapDataset")
    selects = place("FilterDataset", "MapDataset", function="keep")
    for above, edit in (
        (shuffle, MoveShuffleFirst(shuffle=shuffle.node, node=MAP.node)),
        (selects, MoveFilterFirst(filter=selects.node, node=MAP.node)),
        (BATCH, MoveBatchFirst(batch=BATCH.node, node=MAP.node)),
    ):
        assert edit in edits_of(tfdata(RANGE, MAP, above))


def test_a_sequence_gets_threads_and_processes_other_than_todays() -> None:
    sequence = Description(
        kind=InputKind.SEQUENCE,
        name="Photos",
        has_model=True,
        workers=4,
        cores=2,
        free_bytes=1 << 30,
    )
    tried = {edit for change in candidates(sequence) for edit in change}
    assert {(e.workers, e.processes) for e in tried if isinstance(e, Workers)} == {
        (16, False),
        (2, True),
        (4, True),
        (16, True),
    }
    pool = candidates(replace(sequence, processes=True, workers=16))
    assert pool[0] == (Workers(workers=1, processes=False),)


def test_a_generator_is_sharded_only_where_its_function_takes_a_shard() -> None:
    generator = Description(
        kind=InputKind.GENERATOR, name="batches", has_model=False, cores=4, free_bytes=1 << 30
    )
    assert candidates(generator) == ((BackgroundThread(),),)
    sharded = candidates(replace(generator, takes_shard=True))
    assert (ShardedProcesses(processes=4),) in sharded


def test_a_later_change_takes_the_place_of_an_earlier_one_of_the_same_thing() -> None:
    first = (SetCalls(node="map", calls=AUTOTUNE), AddPrefetch())
    assert merged(first, (SetCalls(node="map", calls=16),)) == (
        AddPrefetch(),
        SetCalls(node="map", calls=16),
    )


def test_changes_and_descriptions_survive_the_way_to_another_process() -> None:
    description = tfdata(RANGE, MAP, BATCH)
    assert described(plain(description)) == description
    for change in candidates(description):
        assert tuple(edit_from_dict(edit_to_dict(edit)) for edit in change) == change


@pytest.mark.parametrize("document", [{}, {"action": "paint"}, {"action": "cache", "place": "x"}])
def test_a_document_that_is_no_change_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="expected a change of a pipeline"):
        edit_from_dict(document)


def _caches(description: Description) -> set[str]:
    return {edit.node for edit in edits_of(description) if isinstance(edit, AddCache)}
