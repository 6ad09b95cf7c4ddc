import copy
import multiprocessing
import pickle
import threading
import types
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeprof.capture.collector.accumulator import Accumulator
from pipeprof.capture.collector.collector import RingSet
from pipeprof.capture.probes.loaders.datasets import observe_dataset
from pipeprof.capture.probes.loaders.sequences import (
    Parcel,
    describe_sequence,
    observe_sequence,
    open_parcel,
)
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.python.timed_subclass import has_replaced_methods, replace_methods
from pipeprof.capture.recorder.recorder import Recorder, host_name
from pipeprof.capture.recorder.records import Kind
from pipeprof.recording.lane import Role
from pipeprof.recording.loop import InputKind, InputLibrary
from pipeprof.recording.stage import StageKind
from tests.capture.probes.recorded import (
    events,
    loops_of,
    names,
    recording_on,
    spans,
    stages_of,
    warnings_of,
)

BATCH = np.zeros((4, 2), np.float32)


class Sequence:
    """Stands for `keras.utils.Sequence`."""

    def __init__(self, size: int = 3) -> None:
        self.size = size
        self.epochs = 0

    def __len__(self) -> int:
        return self.size

    def on_epoch_end(self) -> None:
        self.epochs += 1


Sequence.__module__ = "keras.fake"


class Images(Sequence):
    workers = 2
    use_multiprocessing = True

    def __getitem__(self, index: int) -> Any:
        if index == 13:
            raise IndexError("unlucky")
        if index == 14:
            return lambda: None
        if index >= 100:
            return self[index - 100]
        return BATCH, index


class Slotted(Sequence):
    __slots__ = ()

    def __getitem__(self, index: int) -> int:
        return index


class Underived(Sequence):
    def __init_subclass__(cls) -> None:
        raise ValueError("final")

    def __getitem__(self, index: int) -> int:
        return index


# As Keras's own `get_index`, which runs in the worker: the name of its module is what counts.
_of_keras = types.ModuleType("keras.fake")
exec("def get_index(sequence, index):\n    return sequence[index]", vars(_of_keras))
SHARED: dict[str, Any] = {}


def in_worker(index: int) -> Any:
    return _of_keras.get_index(SHARED["sequence"], index)


def by_the_user(index: int) -> Any:
    x, y = SHARED["sequence"][index]
    return x, y


def keep(sequence: Any) -> None:
    SHARED["sequence"] = sequence


def unpacked_type() -> Any:
    sequence = SHARED["sequence"]
    return type(sequence).__name__, has_replaced_methods(sequence), sequence[1][1]


def watched(recorder: Recorder, sequence: Any) -> Callable[[], None]:
    return observe_sequence(sequence, ProbeContext(recorder, warmup=5))


def test_the_object_stays_what_it_was() -> None:
    mine = Images()
    with recording_on() as recorder:
        result = observe_dataset(mine, ProbeContext(recorder, warmup=5))
        assert result.dataset is mine
        assert isinstance(mine, Images)
        assert (type(mine).__name__, type(mine).__module__) == ("Images", Images.__module__)
        assert len(mine) == 3
        assert mine[2][1] == 2
        mine.on_epoch_end()
        mine.size = 5
        result.release()
    assert type(mine) is Images
    assert (mine.epochs, len(mine)) == (1, 5)
    assert vars(mine) == {"size": 5, "epochs": 1}
    assert result.fed_by.workers == 2
    assert result.fed_by.multiprocessing is True


def test_each_item_is_recorded_with_function_and_line() -> None:
    mine = Images()
    with recording_on() as recorder:
        release = watched(recorder, mine)
        assert [mine[i][1] for i in range(3)] == [0, 1, 2]
        assert mine[101][1] == 1
        release()
        assert mine[0][1] == 0
    assert names(recorder) == ["Images.__getitem__"] * 5
    facts = spans(recorder)[0].subject
    assert facts.location.line == Images.__getitem__.__code__.co_firstlineno
    assert (facts.kind, facts.workers) == (StageKind.SEQUENCE, 2)
    assert len(events(recorder, Kind.WAIT)) == 4  # one of the five was a part of another


def test_a_hand_written_loop_over_the_indices_has_its_epochs_and_steps() -> None:
    mine = Images()
    with recording_on() as recorder:
        context = ProbeContext(recorder, warmup=5)
        result = observe_dataset(mine, context)
        for _ in range(2):
            for index in range(len(mine)):
                x, _ = result.dataset[index]
                assert x.shape
        context.loops.close_all()
        result.release()
    assert [step.value >> 32 for step in events(recorder, Kind.STEP)] == [0, 0, 0, 1, 1, 1]
    (loop,) = loops_of(recorder)
    assert loop.input.kind is InputKind.SEQUENCE


def test_an_item_taken_on_another_thread_is_delivered_and_no_step() -> None:
    mine = Images()
    with recording_on() as recorder:
        release = watched(recorder, mine)
        thread = threading.Thread(target=lambda: [mine[i] for i in range(3)])
        thread.start()
        thread.join()
        release()
    assert len(events(recorder, Kind.BATCH)) == 3
    assert events(recorder, Kind.WAIT, Kind.STEP) == []


def test_an_exception_comes_out_as_it_is() -> None:
    mine = Images()
    with recording_on() as recorder:
        release = watched(recorder, mine)
        with pytest.raises(IndexError, match="unlucky"):
            mine[13]
        release()
    assert type(mine) is Images


def test_watching_twice_is_watching_once() -> None:
    mine = Images()
    with recording_on() as recorder:
        first, second = watched(recorder, mine), watched(recorder, mine)
        assert mine[0][1] == 0
        second()
        first()
        first()
    assert type(mine) is Images
    assert len(names(recorder)) == 1


def test_slots_are_no_hindrance_and_what_is_one_is_said() -> None:
    with recording_on() as recorder:
        slotted, underived = Slotted(), Underived()
        for mine in (slotted, underived):
            result = observe_dataset(mine, ProbeContext(recorder, warmup=5))
            assert result.dataset[1] == 1
            result.release()
    assert type(slotted) is Slotted
    assert names(recorder) == ["Slotted.__getitem__"]
    assert warnings_of(recorder) == [
        "The work inside Underived is not shown: its class cannot be observed (ValueError: final)."
    ]


def test_copies_and_pickles_are_the_users_own() -> None:
    mine = Images(7)
    with recording_on() as recorder:
        release = watched(recorder, mine)
        for other in (copy.copy(mine), copy.deepcopy(mine), pickle.loads(pickle.dumps(mine))):
            assert type(other) is Images
            assert vars(other) == vars(mine)
        assert type(mine) is not Images
        release()


def test_a_parcel_arrives_as_the_plain_batch() -> None:
    with recording_on() as recorder:
        parcel = Parcel((BATCH, 1), token=-1, start_ns=1)
        assert repr(parcel) == repr((BATCH, 1))
        arrived = pickle.loads(pickle.dumps(parcel))
    assert type(arrived) is tuple
    assert (arrived[0] == BATCH).all()
    assert open_parcel("batch", -1, 0, 0) == "batch"
    assert spans(recorder) == []


def run_pool(method: str, task: Callable[[int], Any], indexes: list[int]) -> list[Any]:
    context: Any = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        results = [pool.apply_async(task, (index,)) for index in indexes]
        return [result.get(timeout=60) for result in results]


def test_worker_processes_give_plain_batches_and_show_their_way() -> None:
    mine = SHARED["sequence"] = Images()
    with recording_on() as recorder:
        release = watched(recorder, mine)
        got = run_pool("fork", in_worker, [0, 1, 2, 101])
        release()
    assert [type(batch) for batch in got] == [tuple] * 4
    assert [batch[1] for batch in got] == [0, 1, 2, 1]
    assert names(recorder) == ["transport"] * 4
    assert [event.value for event in events(recorder, Kind.BYTES)] == [BATCH.nbytes] * 4
    (transport,) = [stage for stage in stages_of(recorder) if stage.name == "transport"]
    assert transport.function == "Images.__getitem__"


def test_a_users_own_worker_gets_batches_and_no_parcels() -> None:
    mine = SHARED["sequence"] = Images()
    with recording_on() as recorder:
        release = watched(recorder, mine)
        got = run_pool("fork", by_the_user, [0, 101])
        release()
    assert [batch[1] for batch in got] == [0, 1]
    assert names(recorder) == []


def test_what_goes_wrong_in_a_worker_goes_wrong_as_without_us() -> None:
    mine = SHARED["sequence"] = Images()
    with recording_on() as recorder:
        release = watched(recorder, mine)
        with pytest.raises(IndexError, match="unlucky"):
            run_pool("fork", in_worker, [13])
        with pytest.raises(multiprocessing.pool.MaybeEncodingError, match="<lambda>"):
            run_pool("fork", in_worker, [14])
        release()


class Interrupted(Images):
    def __getitem__(self, index: int) -> Any:
        raise KeyboardInterrupt if index else ValueError("spoiled")


@pytest.mark.parametrize(("index", "reported"), [(0, 1), (1, 0)])
def test_a_batch_that_fails_is_reported_and_an_interrupt_is_none(index: int, reported: int) -> None:
    mine = Interrupted()
    with recording_on() as recorder:
        release = watched(recorder, mine)

        def take() -> None:
            with pytest.raises((ValueError, KeyboardInterrupt)):
                mine[index]

        worker = threading.Thread(target=take)
        worker.start()
        worker.join()
        release()
        assert len(warnings_of(recorder)) == reported


@pytest.mark.parametrize(
    ("workers", "processes", "queue_size"), [(1, False, None), (1, True, 7), (2, False, 7)]
)
def test_there_is_no_queue_without_workers(
    workers: int, processes: bool, queue_size: int | None
) -> None:
    mine: Any = Images()
    mine.workers, mine.use_multiprocessing, mine.max_queue_size = workers, processes, 7
    assert describe_sequence(mine).queue_size == queue_size


@pytest.mark.parametrize(
    ("module", "library"),
    [("keras.src.legacy.preprocessing.image", InputLibrary.KERAS_ITERATOR), ("__main__", None)],
)
def test_a_sequence_of_keras_own_is_known_by_its_module(
    module: str, library: InputLibrary | None
) -> None:
    made = type("DirectoryIterator", (), {"__module__": module})()
    assert describe_sequence(made).library is library


def get_in_worker(index: int) -> Any:
    """Asks as Keras does, and notes who asked and what the worker's object is."""
    batch = in_worker(index)
    return batch if index < 1000 else unpacked_type()


def describe_in_worker(index: int) -> Any:
    sequence = SHARED["sequence"]
    return type(sequence).__name__, sequence.size, sequence.note, sequence[index][1]


class Noted(Images):
    """Has slots besides attributes, as some users' classes have."""

    __slots__ = ("note",)


@pytest.mark.integration  # starts Python anew
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_that_are_not_forked_record_as_well(method: str, tmp_path: Path) -> None:
    mine = Noted(7)
    mine.note = "kept"
    context: Any = multiprocessing.get_context(method)
    with recording_on(Recorder(tmp_path)) as recorder:
        release = watched(recorder, mine)
        with context.Pool(1, keep, (mine,)) as pool:
            kept = pool.apply_async(describe_in_worker, (1,)).get(timeout=60)
            got = [pool.apply_async(get_in_worker, (n,)).get(timeout=60) for n in range(3)]
        release()
        recorder.names.close()
    if method == "forkserver":
        forkserver._forkserver._stop()  # noqa: SLF001 - lives on otherwise, until the tests end
    assert kept == ("Noted", 7, "kept", 1)
    assert [type(batch) for batch in got] == [tuple] * 3
    assert names(recorder) == ["transport"] * 3
    rings = RingSet(Accumulator.begin(start_ns=0, warmup=0), host_name())
    rings.discover(tmp_path, skip_pid=recorder.pid)
    rings.drain()
    (sequence,) = rings.accumulator.registry.stages
    assert sequence.facts.name == "Noted.__getitem__"
    assert rings.accumulator.sums.stage_work.freeze(0).total()[0] == 4
    (lane,) = rings.accumulator.registry.lanes
    assert lane.role is Role.WORKER


def test_where_nothing_is_written_other_workers_are_not_seen_and_that_is_said() -> None:
    mine = Images()
    context: Any = multiprocessing.get_context("spawn")
    with recording_on() as recorder:
        release = watched(recorder, mine)
        with context.Pool(1, keep, (mine,)) as pool:
            got = pool.apply_async(unpacked_type).get(timeout=60)
        release()
    assert got == ("Images", False, 1)
    assert [sentence[:36] for sentence in warnings_of(recorder)] == [
        "Images.__getitem__ ran in worker pro"
    ]


class Arrived:
    """Something that may fail where an object arrives."""

    def __init__(self, error: type[Exception] | None) -> None:
        self.error = error

    def __call__(self, thing: Any) -> None:
        if self.error is not None:
            raise self.error
        thing.arrived = True


class OwnState:
    def __init__(self) -> None:
        self.value = 1

    def __getstate__(self) -> int:
        return self.value + 1

    def __setstate__(self, state: int) -> None:
        self.value = state


@pytest.mark.parametrize("error", [None, RuntimeError])
def test_an_object_arrives_whole_whatever_is_done_with_it_there(
    error: type[Exception] | None,
) -> None:
    noted, own = Noted(4), OwnState()
    noted.note = "kept"
    others = []
    for thing in (noted, own):
        release = replace_methods(thing, {}, lambda: Arrived(error))
        others.append(pickle.loads(pickle.dumps(thing)))
        release()
    assert [type(other) for other in others] == [Noted, OwnState]
    assert [getattr(other, "arrived", False) for other in others] == [error is None] * 2
    other_noted, other_own = others
    assert (other_noted.size, other_noted.note, other_own.value) == (4, "kept", 2)
