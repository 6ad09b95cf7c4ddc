"""What a change of an input means to the model that predicts: stages by their names in the recording."""

from collections.abc import Collection, Iterator, Sequence

from pipeprof.analysis.findings.what_if_kinds import (
    CachedBehind,
    LoadedAhead,
    LoadedByWorkers,
    NoEpochStarts,
    StageRuns,
    Supposition,
)
from pipeprof.recording.pipeline_edits import (
    AUTOTUNE,
    AddCache,
    AddPrefetch,
    BackgroundThread,
    DropCache,
    Edit,
    MoveShuffleBehind,
    MoveShuffleFirst,
    PrivateThreads,
    SetCalls,
    ShardedProcesses,
    Workers,
)
from pipeprof.recording.source_code import own_name
from pipeprof.recording.tuning_outcome import Description, TunedTransformation
from pipeprof.report.names.edit_names import transformation


def suppositions_of(
    edits: Sequence[Edit], described: Description, recorded: Collection[str]
) -> tuple[Supposition, ...] | None:
    """What has to be supposed for these changes; None where the model does not know one of them.

    Args:
        edits: the changes.
        described: the input.
        recorded: names of the stages that were recorded; tf.data joins some with those below them.
    """
    own = [edit.threads for edit in edits if isinstance(edit, PrivateThreads)]
    threads = own[-1] if own else described.cores
    found = [supposed for edit in edits for supposed in _of(edit, described, recorded, threads)]
    return None if None in found else tuple(one for one in found if one is not None)


def _of(
    edit: Edit, described: Description, recorded: Collection[str], threads: int
) -> Iterator[Supposition | None]:
    match edit:
        case SetCalls():
            calls = threads if edit.calls == AUTOTUNE else min(edit.calls, threads)
            yield StageRuns(stage=_stage(edit.node, described), parallelism=max(calls, 1))
        case AddCache():
            stage = _recorded_below(edit.node, described, recorded)
            yield None if stage is None else CachedBehind(stage=stage)
        case AddPrefetch() | BackgroundThread():
            yield LoadedAhead()
        case Workers():
            yield LoadedByWorkers(workers=max(edit.workers, 1), processes=edit.processes)
        case ShardedProcesses():
            yield LoadedByWorkers(workers=edit.processes, processes=True)
        case MoveShuffleFirst():
            yield NoEpochStarts()  # names fill the buffer at once
        case MoveShuffleBehind():
            return  # costs what it cost
        case DropCache():
            return  # its place is taken by another one
        case PrivateThreads() if edit.threads > described.cores:
            return  # what they give, more calls at once take
        case _:
            yield None


def _stage(node: str, described: Description) -> str:
    """The name that the stage of a transformation has in a recording."""
    return _name_of(next(place for place in described.places if place.node == node))


def _name_of(place: TunedTransformation) -> str:
    return own_name(place.function) or transformation(place.op)


def _recorded_below(node: str, described: Description, recorded: Collection[str]) -> str | None:
    """The stage of a transformation, or the first below it where it was joined with that one."""
    places = {place.node: place for place in described.places}
    place = places.get(node)
    while place is not None:
        if _name_of(place) in recorded:
            return _name_of(place)
        place = places.get(place.inputs[0]) if len(place.inputs) == 1 else None
    return None
