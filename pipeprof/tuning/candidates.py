"""What could be changed about an input, from its description. Pure; what a change gives, trials show."""

from collections.abc import Iterator, Sequence

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
)
from pipeprof.recording.tuning_outcome import (
    Change,
    Description,
    TransformationKind,
    TunedTransformation,
)

# A cache may take this part of the memory that is free.
_CACHE_OF_FREE = 0.5

# Calls at once of a function that mostly waits: no core is needed for them, but threads of the pipeline's
# own, for TensorFlow has one a core.
_WAITING_CALLS, _OWN_THREADS = 16, 17
_MAPS = (TransformationKind.MAP, TransformationKind.FLAT_MAP)
_THREADS = (4, 16)


def candidates(described: Description) -> tuple[Change, ...]:
    """Changes to try, those first that most often help."""
    match described.kind:
        case InputKind.TF_DATA:
            return tuple(_of_tfdata(described))
        case InputKind.SEQUENCE:
            return tuple(_of_sequence(described))
        case InputKind.GENERATOR:
            return tuple(_of_generator(described))
        case _:
            return ()


def merged(today: Change, change: Change) -> Change:
    """Both changes; the later one where they set the same thing."""
    replaced = {_what(edit) for edit in change}
    return (*(edit for edit in today if _what(edit) not in replaced), *change)


def _what(edit: Edit) -> tuple[object, ...]:
    """What an edit sets: two edits of one thing exclude each other."""
    match edit:
        case SetCalls():
            return SetCalls, edit.node
        case AddCache():
            return (AddCache,)
        case MoveShuffleFirst() | MoveShuffleBehind():
            return MoveShuffleFirst, edit.shuffle
        case MoveFilterFirst():
            return MoveFilterFirst, edit.filter
        case MoveBatchFirst():
            return MoveBatchFirst, edit.batch
        case _:
            return (type(edit),)


def _of_tfdata(described: Description) -> Iterator[Change]:
    places = {place.node: place for place in described.places}
    if described.autotunes is False:
        yield (TurnAutotuneOn(),)
    for place in described.places:
        yield from _orders(place, places)
    serial = [place for place in described.places if _can_be_parallel(place)]
    yield from ((SetCalls(node=place.node, calls=AUTOTUNE),) for place in serial)
    yield from _caches(described, places)
    mapping = [place for place in described.places if place.kind in _MAPS and place.function]
    waiting = {place.node: place for place in (*serial, *mapping)}
    many = [SetCalls(node=node, calls=_calls_of(place)) for node, place in waiting.items()]
    yield from ((one, PrivateThreads(threads=_OWN_THREADS)) for one in many)
    if len(many) > 1:
        yield (*many, PrivateThreads(threads=_OWN_THREADS))
    if described.places and described.places[-1].kind is not TransformationKind.PREFETCH:
        yield (AddPrefetch(),)
    if mapping:
        yield (PrivateThreads(threads=max(described.cores, 2)),)


def _calls_of(place: TunedTransformation) -> int:
    """Calls of what mostly waits; an interleave takes as many as it has inputs open, as AUTOTUNE knows."""
    return AUTOTUNE if place.kind is TransformationKind.INTERLEAVE else _WAITING_CALLS


def _can_be_parallel(place: TunedTransformation) -> bool:
    if place.opens_generator:
        return False  # of one generator, elements come one after another
    serial = place.kind in (*_MAPS, TransformationKind.INTERLEAVE) and place.one_by_one
    return serial or (place.calls is not None and place.calls != AUTOTUNE)


def _orders(place: TunedTransformation, places: dict[str, TunedTransformation]) -> Iterator[Change]:
    """Exchanges of a transformation with the map that it stands on."""
    below = places.get(place.inputs[0]) if place.inputs else None
    if below is None or below.kind is not TransformationKind.MAP:
        return
    # One random number for a batch is not one for each sample, and a cache may stand behind the map.
    if place.random and place.kind is not TransformationKind.SHUFFLE:
        return
    match place.kind:
        case TransformationKind.SHUFFLE:
            yield (MoveShuffleFirst(shuffle=place.node, node=below.node),)
        case TransformationKind.FILTER:
            yield (MoveFilterFirst(filter=place.node, node=below.node),)
        case TransformationKind.BATCH:
            yield (MoveBatchFirst(batch=place.node, node=below.node),)


def _caches(described: Description, places: dict[str, TunedTransformation]) -> Iterator[Change]:
    """Caches of what is made anew for each epoch: as late as possible first."""
    old = [place for place in described.places if place.kind is TransformationKind.CACHE]
    found = []
    for place in reversed(described.places):
        moved = _without_shuffle(place, places)
        cached = place.kind is TransformationKind.CACHE
        if moved is None or not _fits(place, described) or cached:
            continue
        if not any(one.function for one in _below(place, places)):
            continue  # nothing of the user's is saved
        if any(one in old for one in _above(place, places)):
            continue  # what there is already saves more
        drops = tuple(DropCache(node=one.node) for one in old)
        found.append((*moved, *drops, AddCache(node=place.node)))
    yield from found[:2]


def _fits(place: TunedTransformation, described: Description) -> bool:
    if place.elements is None or place.element_bytes is None:
        return False
    return place.elements * place.element_bytes <= _CACHE_OF_FREE * described.free_bytes


def _without_shuffle(
    place: TunedTransformation, places: dict[str, TunedTransformation]
) -> Change | None:
    """What has to be moved so that nothing random lies below a cache here; None where that cannot be."""
    below = list(_below(place, places))
    shuffles = [one for one in below if one.kind is TransformationKind.SHUFFLE]
    repeats = any(one.kind is TransformationKind.REPEAT for one in below)
    if any(one.random for one in below) or repeats or len(shuffles) > 1:
        return None
    if not shuffles:
        return ()
    directly = place.inputs[:1] == (shuffles[0].node,) and place.kind in _MAPS
    return (MoveShuffleBehind(shuffle=shuffles[0].node, node=place.node),) if directly else None


def _below(
    place: TunedTransformation, places: dict[str, TunedTransformation]
) -> Iterator[TunedTransformation]:
    pending = [place.node]
    while pending:
        one = places[pending.pop()]
        yield one
        pending += [name for name in one.inputs if name in places]


def _above(
    place: TunedTransformation, places: dict[str, TunedTransformation]
) -> Iterator[TunedTransformation]:
    names = {place.node}
    for other in places.values():
        if names & set(other.inputs):
            names.add(other.node)
            yield other


def _of_sequence(described: Description) -> Iterator[Change]:
    today = Workers(
        workers=described.workers or 1,
        processes=described.processes,
        queue=described.queue or 10,
    )
    threads = [Workers(workers=count, processes=False) for count in _THREADS]
    processes = [
        Workers(workers=count, processes=True)
        for count in sorted({max(described.cores, 2), 2 * described.cores, 16})
    ]
    alone = [Workers(workers=1, processes=False)]
    more = [*threads, *processes] if not described.processes else [*alone, *processes, *threads]
    yield from ((one,) for one in _different(more, today))


def _different(more: Sequence[Workers], today: Workers) -> Iterator[Workers]:
    return (one for one in more if (one.workers, one.processes) != (today.workers, today.processes))


def _of_generator(described: Description) -> Iterator[Change]:
    yield (BackgroundThread(),)
    if described.takes_shard:
        yield (ShardedProcesses(processes=max(described.cores, 2)),)
        yield (ShardedProcesses(processes=2 * max(described.cores, 2)),)
