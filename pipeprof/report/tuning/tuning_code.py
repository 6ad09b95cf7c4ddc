"""The code to write for the changes that tuning kept; readers fill in what is left open as an ellipsis."""

from collections.abc import Iterator, Sequence

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
from pipeprof.recording.source_code import own_name
from pipeprof.recording.tuning_outcome import Description, TransformationKind, TunedTransformation
from pipeprof.report.names.edit_names import transformation

_BACKGROUND = """\
def ahead(batches, most=4):
    ready = queue.Queue(most)
    def run():
        try:
            for batch in batches:
                ready.put((batch, False))
            ready.put((None, True))
        except BaseException as error:
            ready.put((error, True))
    threading.Thread(target=run, daemon=True).start()
    while (item := ready.get())[1] is False:
        yield item[0]
    if item[0] is not None:
        raise item[0]"""

_SHARDED = """\
import multiprocessing
def put_shard(shard, ready):
    try:
        for batch in {function}(shard=shard):
            ready.put((batch, False))
        ready.put((None, True))
    except BaseException as error:
        ready.put((RuntimeError(repr(error)), True))
def sharded(count):
    processes = multiprocessing.get_context('spawn')
    queues = [processes.Queue(4) for _ in range(count)]
    for index, ready in enumerate(queues):
        arguments = ((index, count), ready)
        processes.Process(target=put_shard, args=arguments, daemon=True).start()
    while queues:
        for ready in list(queues):
            batch, ended = ready.get()
            if not ended:
                yield batch
            elif batch is not None:
                raise batch
            else:
                queues.remove(ready)
batches = sharded({processes})  # below if __name__ == '__main__':"""


def code_of(described: Description, edits: Sequence[Edit]) -> str:
    """Lines of Python, one part for each change, with the place that it changes as a comment."""
    places = {place.node: place for place in described.places}
    moved = {edit.node for edit in edits if isinstance(edit, MoveShuffleBehind)}
    cached = {edit.node for edit in edits if isinstance(edit, AddCache)}
    edits = [edit for edit in edits if not (isinstance(edit, AddCache) and edit.node in moved)]
    if moved & cached:
        [node] = moved & cached
        line = f".map({_function(places.get(node))}, …).cache().shuffle(…)  # cache, then shuffle"
        kept = [edit for edit in edits if not isinstance(edit, MoveShuffleBehind)]
        return "\n".join((line, *code_of(described, kept).splitlines()))
    return "\n".join(line for edit in edits for line in _code_of(edit, described, places))


def _code_of(  # noqa: C901 - one case a kind
    edit: Edit, described: Description, places: dict[str, TunedTransformation]
) -> Iterator[str]:
    match edit:
        case SetCalls():
            place = places.get(edit.node)
            calls = "tf.data.AUTOTUNE" if edit.calls == AUTOTUNE else str(edit.calls)
            if place is not None and place.kind is TransformationKind.FLAT_MAP:
                options = f"cycle_length=1, num_parallel_calls={calls}"
                yield f".interleave({_function(place)}, {options})  # instead of flat_map{_at(place)}"
            else:
                yield f".{_method(place)}({_function(place)}, num_parallel_calls={calls}){_comment(place)}"
        case AddPrefetch():
            yield ".prefetch(tf.data.AUTOTUNE)  # at the end of the pipeline"
        case AddCache():
            yield f".cache()  # right after {_named(places.get(edit.node))}"
        case DropCache():
            yield "# take the .cache() away that stands there today"
        case MoveShuffleFirst():
            yield f".shuffle(…).map({_function(places.get(edit.node))}, …)  # shuffle first, then map"
        case MoveShuffleBehind():
            yield f".map({_function(places.get(edit.node))}, …).shuffle(…)  # shuffle behind the map"
        case MoveFilterFirst():
            kept = _function(places.get(edit.filter))
            yield f".filter({kept}).map({_function(places.get(edit.node))}, …)  # filter first, then map"
        case MoveBatchFirst():
            yield f".batch(…).map({_function(places.get(edit.node))}, …)  # the map gets whole batches"
        case TurnAutotuneOn():
            yield from _option("autotune.enabled", "True")
        case PrivateThreads():
            yield from _option("threading.private_threadpool_size", str(edit.threads))
        case Workers():
            arguments = f"workers={edit.workers}, use_multiprocessing={edit.processes}"
            called = "model.fit" if described.workers_of_fit else described.name
            yield f"{called}(…, {arguments}, max_queue_size={edit.queue})"
        case BackgroundThread():
            yield "import queue, threading"
            yield from _BACKGROUND.splitlines()
            yield f"batches = ahead({described.name}())"
        case ShardedProcesses():
            filled = _SHARDED.replace("{function}", described.name)
            yield from filled.replace("{processes}", str(edit.processes)).splitlines()


def _option(name: str, value: str) -> Iterator[str]:
    yield "options = tf.data.Options()"
    yield f"options.{name} = {value}"
    yield "dataset = dataset.with_options(options)"


def _function(place: TunedTransformation | None) -> str:
    return own_name(place.function if place else None) or "…"


def _method(place: TunedTransformation | None) -> str:
    return transformation(place.op) if place is not None else "map"


def _named(place: TunedTransformation | None) -> str:
    if place is None:
        return "that transformation"
    return f".{transformation(place.op)}({_function(place)})"


def _comment(place: TunedTransformation | None) -> str:
    at = _at(place)
    return f"  #{at}" if at else ""


def _at(place: TunedTransformation | None) -> str:
    if place is None or place.file is None:
        return ""
    return f" {place.file.rpartition('/')[2]}:{place.line}"
