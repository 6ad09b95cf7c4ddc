"""What a change of an input means to the model that predicts: stages by their names in the recording."""

from collections.abc import Iterator, Sequence

from pipeprof.analysis.findings.what_if_kinds import (
    CachedBehind,
    LoadedAhead,
    LoadedByWorkers,
    StageRuns,
    Supposition,
)
from pipeprof.recording.pipeline_edits import (
    AUTOTUNE,
    AddCache,
    AddPrefetch,
    BackgroundThread,
    Edit,
    MoveShuffleBehind,
    PrivateThreads,
    SetCalls,
    Workers,
)
from pipeprof.recording.source_code import own_name
from pipeprof.recording.tuning_outcome import Description
from pipeprof.report.names.edit_names import transformation


def suppositions_of(
    edits: Sequence[Edit], described: Description
) -> tuple[Supposition, ...] | None:
    """What has to be supposed for these changes; None where the model does not know one of them."""
    own = [edit.threads for edit in edits if isinstance(edit, PrivateThreads)]
    threads = own[-1] if own else described.cores
    found = [supposed for edit in edits for supposed in _of(edit, described, threads)]
    return None if None in found else tuple(one for one in found if one is not None)


def _of(edit: Edit, described: Description, threads: int) -> Iterator[Supposition | None]:
    match edit:
        case SetCalls():
            calls = threads if edit.calls == AUTOTUNE else min(edit.calls, threads)
            yield StageRuns(stage=_stage(edit.node, described), parallelism=max(calls, 1))
        case AddCache():
            yield CachedBehind(stage=_stage(edit.node, described))
        case AddPrefetch() | BackgroundThread():
            yield LoadedAhead()
        case Workers():
            yield LoadedByWorkers(workers=max(edit.workers, 1), processes=edit.processes)
        case MoveShuffleBehind():
            return  # costs what it cost
        case PrivateThreads() if edit.threads > described.cores:
            return  # what they give, more calls at once take
        case _:
            yield None


def _stage(node: str, described: Description) -> str:
    """The name that the stage of a transformation has in a recording."""
    place = next(place for place in described.places if place.node == node)
    return own_name(place.function) or transformation(place.op)
