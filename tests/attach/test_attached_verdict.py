"""Verdicts on trainings seen from outside, each beside its opposite, from stacks as they really are."""

import pytest

from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.analysis.verdicts.attached_evidence import (
    AttachedEvidence,
    CompiledFit,
    InOwnCode,
    MakersBlocked,
    MakersQueued,
    NoCoreFree,
)
from pipeprof.attach.attached_verdict import AttachedFindings, find_attached_verdict
from pipeprof.attach.observation import Observation, ObservedProcess, ObservedThread
from pipeprof.attach.thread_activity import Activity, activity_of
from pipeprof.recording.lane import Role
from pipeprof.recording.python_stacks import Frame, SampledStack
from pipeprof.recording.source_code import Location
from tests.builders import SECOND

PID, WORKER = 100, 200
FEEDER, POOL = 101, 110
MOMENTS = 300

_PACKAGES = "/env/lib/python3.11/site-packages"


def frame(text: str) -> Frame:
    """``function file:line``; files without a folder are the user's, others of installed packages."""
    function, _, place = text.partition(" ")
    file, _, line = place.partition(":")
    folder = _PACKAGES if "/" in file else "/home/me"
    return Frame(function=function, file=f"{folder}/{file}", line=int(line or 1))


def stack(samples: int, *frames: str, tid: int = PID, pid: int = PID) -> SampledStack:
    name = "MainThread" if tid == pid else ""
    return SampledStack(
        pid=pid, tid=tid, thread=name, frames=tuple(map(frame, frames)), samples=samples
    )


TRAIN_FUNCTION = (
    "quick_execute tensorflow/python/eager/execute.py",
    "Function.__call__ tensorflow/python/eager/polymorphic_function/polymorphic_function.py",
)
FIT = (
    *TRAIN_FUNCTION,
    "TensorFlowTrainer.fit keras/src/backend/tensorflow/trainer.py",
    "<module> train.py:20",
)
FEED = (
    "generator_py_func tensorflow/python/data/ops/from_generator_op.py",
    "FuncRegistry.__call__ tensorflow/python/ops/script_ops.py",
)
GENERATOR = (
    "load train.py:8",
    "batches train.py:12",
    "get_tf_iterator keras/src/trainers/data_adapters/generator_data_adapter.py",
    *FEED,
)
ENQUEUER = "keras/src/trainers/data_adapters/py_dataset_adapter.py"
FETCH = ("get multiprocessing/pool.py", f"OrderedEnqueuer.get {ENQUEUER}", *FEED)
ITEM = ("load train.py:8", "Items.__getitem__ train.py:15", f"get_index {ENQUEUER}")
NEXT = (
    "iterator_get_next tensorflow/python/ops/gen_dataset_ops.py",
    "OwnedIterator.__next__ tensorflow/python/data/ops/iterator_ops.py",
    "<module> train.py:47",
)
TRAIN_ON_BATCH = (
    *TRAIN_FUNCTION,
    "TensorFlowTrainer.train_on_batch keras/src/backend/tensorflow/trainer.py",
    "<module> train.py:25",
)
ON_JAX = (
    "load train.py:8",
    "batches train.py:12",
    "get_jax_iterator keras/src/trainers/data_adapters/generator_data_adapter.py",
    "EpochIterator._enumerate_iterator keras/src/trainers/epoch_iterator.py",
    "JAXTrainer.fit keras/src/backend/jax/trainer.py",
)
IN_MAIN = ("load train.py:8", "batches train.py:12", "<module> train.py:25")


def judged(
    *stacks: SampledStack,
    cpu: dict[int, float] | None = None,
    queued: dict[int, float] | None = None,
    holders: tuple[SampledStack, ...] = (),
    cores: int = 8,
) -> AttachedFindings:
    """What is said of a process with these stacks; ``cpu`` is CPU time over wall time by thread."""
    spent, waited = cpu or {}, queued or {}
    threads = {(each.pid, each.tid) for each in stacks}
    return find_attached_verdict(
        Observation(
            pid=PID,
            cores=cores,
            duration_ns=3 * SECOND,
            processes=tuple(
                ObservedProcess(
                    pid=pid,
                    command="python train.py",
                    cpu_ns=round(3 * SECOND * sum(spent.get(t, 0) for p, t in threads if p == pid)),
                )
                for pid in sorted({pid for pid, _ in threads})
            ),
            threads=tuple(
                ObservedThread(
                    pid=pid,
                    tid=tid,
                    name="python",
                    cpu_ns=round(3 * SECOND * spent.get(tid, 0)),
                    queued_ns=round(3 * SECOND * waited.get(tid, 0)),
                )
                for pid, tid in sorted(threads)
            ),
            stacks=stacks,
            holders=holders,
            texts={("/home/me/train.py", 8): "time.sleep(1)"},
        )
    )


@pytest.mark.parametrize(
    ("frames", "activity"),
    [
        (FIT, Activity.FITTING),
        (GENERATOR, Activity.LOADING),
        (FETCH, Activity.FETCHING),
        (ITEM, Activity.LOADING),
        (NEXT, Activity.WAITING),
        (TRAIN_ON_BATCH, Activity.COMPUTING),
        (ON_JAX, Activity.LOADING),
        (IN_MAIN, Activity.OWN),
        (("on_epoch_end train.py:9", *FIT[2:]), Activity.FITTING),
        (("_run keras/src/trainers/data_adapters/py_dataset_adapter.py",), Activity.OTHER),
        (("wait multiprocessing/pool.py",), Activity.OTHER),
        (("get multiprocessing/data_utils.py",), Activity.OTHER),
        (("fit trainer.py:3",), Activity.OWN),  # the user's own file of that name
    ],
)
def test_stacks_show_what_is_done(frames: tuple[str, ...], activity: Activity) -> None:
    assert activity_of(stack(1, *frames)) is activity


@pytest.mark.parametrize(
    ("at_work", "bound"),
    [(285, Bound.INPUT), (210, Bound.BALANCED), (12, Bound.COMPUTE)],
)
def test_a_generator_that_never_rests_is_what_training_waits_for(
    at_work: int, bound: Bound
) -> None:
    found = judged(
        stack(MOMENTS, *FIT),
        stack(at_work // 2, *GENERATOR, tid=FEEDER),
        stack(at_work // 2, *GENERATOR, tid=FEEDER + 1),
    )
    assert found.bound is bound
    assert 0.5 <= found.confidence < 0.8


@pytest.mark.parametrize(
    ("fetching", "bound"),
    [(240, Bound.INPUT), (30, Bound.BALANCED), (6, Bound.COMPUTE)],
)
def test_a_sequence_is_waited_for_whenever_it_is_asked(fetching: int, bound: Bound) -> None:
    found = judged(
        stack(MOMENTS, *FIT),
        stack(fetching, *FETCH, tid=FEEDER),
        stack(MOMENTS, *ITEM, tid=POOL),
        stack(MOMENTS - 10, *ITEM, tid=WORKER, pid=WORKER),
    )
    assert found.bound is bound
    rows = {row.name: row for row in found.threads}
    assert rows["worker thread"].role is rows["worker process"].role is Role.WORKER
    assert dict(rows["worker process"].activities)[Activity.LOADING] == pytest.approx(290 / 300)


@pytest.mark.parametrize(
    ("waiting", "training", "bound"),
    [(NEXT, TRAIN_ON_BATCH, Bound.INPUT), (TRAIN_ON_BATCH, NEXT, Bound.COMPUTE)],
)
def test_a_loop_of_ones_own_waits_in_the_open(
    waiting: tuple[str, ...], training: tuple[str, ...], bound: Bound
) -> None:
    assert judged(stack(290, *waiting), stack(10, *training)).bound is bound


def test_on_other_backends_the_thread_that_trains_makes_the_batches() -> None:
    step = ("cache_miss jax/_src/pjit.py", "JAXTrainer.fit keras/src/backend/jax/trainer.py")
    found = judged(stack(200, *ON_JAX), stack(100, *step))
    assert found.bound is Bound.INPUT
    assert judged(stack(5, *ON_JAX), stack(295, *step)).bound is Bound.COMPUTE


def test_the_scripts_own_code_is_reported_as_that_and_believed_less() -> None:
    found = judged(stack(280, *IN_MAIN), stack(20, *TRAIN_ON_BATCH))
    assert found.bound is Bound.INPUT
    assert found.evidence[0] == InOwnCode(ratio=pytest.approx(280 / 300))
    in_the_open = judged(stack(280, *NEXT), stack(20, *TRAIN_ON_BATCH))
    assert found.confidence < in_the_open.confidence


@pytest.mark.parametrize("frames", [IN_MAIN, ("<module> train.py:2",), ("wait lib/x.py",)])
def test_without_a_training_there_is_no_verdict(frames: tuple[str, ...]) -> None:
    found = judged(stack(MOMENTS, *frames))
    assert (found.bound, found.confidence) == (Bound.UNKNOWN, 0.0)


def test_a_compiled_fit_without_python_in_its_input_cannot_be_recorded() -> None:
    found = judged(stack(MOMENTS, *FIT))
    assert (found.bound, found.confidence) == (Bound.UNKNOWN, 0.0)
    assert found.evidence[0] == CompiledFit()


def test_nothing_seen_is_no_verdict() -> None:
    assert judged().bound is Bound.UNKNOWN


def test_few_samples_are_believed_less() -> None:
    few = judged(stack(30, *FIT), stack(29, *GENERATOR, tid=FEEDER))
    many = judged(stack(300, *FIT), stack(290, *GENERATOR, tid=FEEDER))
    assert few.bound is many.bound is Bound.INPUT
    assert few.confidence == many.confidence / 2


def test_lines_are_those_that_make_batches() -> None:
    found = judged(
        stack(MOMENTS, *FIT),
        stack(210, *GENERATOR, tid=FEEDER),
        stack(70, *GENERATOR[1:], tid=FEEDER),
        stack(20, *FEED, "<module> train.py:99", tid=FEEDER),  # not called by what feeds
    )
    assert [(line.location, line.share, line.text) for line in found.hot_lines] == [
        (Location("/home/me/train.py", 8), 0.75, "time.sleep(1)"),
        (Location("/home/me/train.py", 12), 0.25, ""),
    ]


@pytest.mark.parametrize(
    ("on_cpu", "queued", "why"),
    [
        (0.05, 0.0, (MakersBlocked(cpu_ratio=0.05),)),
        (0.5, 0.4, (MakersQueued(ratio=0.4),)),
        (0.9, 0.0, ()),
    ],
)
def test_what_keeps_it_off_the_cpu_is_evidence(
    on_cpu: float, queued: float, why: tuple[AttachedEvidence, ...]
) -> None:
    found = judged(
        stack(MOMENTS, *FIT),
        stack(290, *GENERATOR, tid=FEEDER),
        cpu={FEEDER: on_cpu},
        queued={FEEDER: queued},
    )
    assert found.evidence[1:] == why


def test_a_machine_without_a_free_core_is_reported() -> None:
    stacks = (stack(MOMENTS, *FIT), stack(290, *GENERATOR, tid=FEEDER))
    full, free = (judged(*stacks, cpu={PID: 1.0, FEEDER: 0.95}, cores=n) for n in (2, 4))
    assert NoCoreFree() in full.evidence
    assert NoCoreFree() not in free.evidence


def test_who_held_the_gil_is_reported_by_thread() -> None:
    stacks = (stack(MOMENTS, *FIT), stack(290, *GENERATOR, tid=FEEDER))
    found = judged(*stacks, holders=(stack(150, *GENERATOR, tid=FEEDER),))
    assert [row.gil_ratio for row in found.threads] == [0.0, 0.5]


@pytest.mark.parametrize(("samples", "seen"), [(2, False), (150, True)])
def test_a_stray_stack_makes_no_worker_of_a_thread(samples: int, seen: bool) -> None:
    said = judged(
        stack(MOMENTS, *FIT),
        stack(MOMENTS - samples, *FETCH, tid=POOL),
        stack(samples, *ITEM, tid=POOL + 1),
        stack(MOMENTS, *ITEM, tid=WORKER, pid=WORKER),
    )
    names = [row.name for row in said.threads if row.role is Role.WORKER]
    assert names == ["worker thread"] * seen + ["worker process"]
