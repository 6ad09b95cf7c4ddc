"""What is advised, what is not, and what it is predicted to give."""

import dataclasses

import pytest

from pipeprof.analysis.advice_kinds import Advice, Cache, LessWork
from pipeprof.analysis.findings import Diagnosis
from pipeprof.recording.lane import Role
from pipeprof.recording.loop import Input, InputKind
from pipeprof.recording.stage import Stage, StageKind
from pipeprof.report.advice_code import remedy_code
from tests.analysis.test_diagnosis import (
    TF_DATA,
    THREADS,
    cpu_in_use,
    planted,
    spread_over,
    workers,
)
from tests.builders import MS, SECOND, lane, loop, stage


def actions(said: Diagnosis) -> list[str]:
    return [advice.action for advice in said.advice]


def named(action: str, said: Diagnosis) -> Advice:
    return next(advice for advice in said.advice if advice.action == action)


def code(advice: Advice) -> str:
    return remedy_code(advice.remedy) or ""


def test_loading_on_the_training_thread_is_told_to_prefetch() -> None:
    said = planted(stage(cost_ns=20 * MS, cpu_ratio=0.5), during=loop(lane=0))

    advice = named("prefetch", said)
    assert advice.predicted_step_ms == pytest.approx(20)
    assert advice.predicted_speedup == pytest.approx(1.5)


@pytest.mark.parametrize(("compute_ms", "said_too"), [(2, False), (10, True)])
def test_what_saves_next_to_nothing_beside_the_best_is_not_said(
    compute_ms: int, said_too: bool
) -> None:
    """Overlapping saves what the training computes; workers save much of what it waits."""
    wait_ms = 30 - compute_ms
    slow = loop(lane=0, wait_ns=wait_ms * MS, compute_ns=compute_ms * MS)
    said = planted(stage(cost_ns=wait_ms * MS, cpu_ratio=0.02), during=slow)

    assert actions(said)[0] == "workers"
    assert ("prefetch" in actions(said)) is said_too


def test_what_runs_ahead_already_is_not_told_to_prefetch() -> None:
    said = planted(
        stage(cost_ns=29 * MS, lanes={1: SECOND}),
        during=loop(lane=0),
        lanes=(lane(), lane("tf.data thread", Role.INPUT, tid=9)),
    )

    assert "prefetch" not in actions(said)
    assert named("workers", said).predicted_step_ms == pytest.approx(10)


def test_processes_for_python_that_computes_and_threads_for_python_that_waits() -> None:
    computes = named("workers", planted(stage(cpu_ratio=0.97), during=loop()))
    waits = named("workers", planted(stage(cpu_ratio=0.02), during=loop()))

    assert "use_multiprocessing=True" in code(computes)
    assert "use_multiprocessing=False" in code(waits)


@pytest.mark.parametrize(
    ("kind", "name", "how"),
    [
        (InputKind.LOADER, "DataLoader", "DataLoader(…, num_workers=2)"),
        (InputKind.LOADER, "grain.DataLoader", "grain.DataLoader(…, worker_count=2)"),
        (
            InputKind.LOADER,
            "grain.MapDataset",
            "dataset = dataset.to_iter_dataset().mp_prefetch("
            "grain.MultiprocessingOptions(num_workers=2))",
        ),
        (
            InputKind.LOADER,
            "grain.IterDataset",
            "dataset = dataset.mp_prefetch(grain.MultiprocessingOptions(num_workers=2))",
        ),
        (
            InputKind.SEQUENCE,
            "DirectoryIterator",
            "data.workers, data.use_multiprocessing = 2, True",
        ),
        (InputKind.SEQUENCE, "Images", "Images(…, workers=2, use_multiprocessing=True)"),
    ],
)
def test_each_kind_of_loader_is_given_workers_in_its_own_way(
    kind: InputKind, name: str, how: str
) -> None:
    said = planted(stage(cpu_ratio=0.97), during=loop(fed_by=Input(kind=kind, name=name)))
    assert code(named("workers", said)) == how


def test_threads_under_the_gil_are_told_to_become_processes() -> None:
    fit = loop(fed_by=THREADS)
    said = planted(
        stage(
            "load",
            StageKind.SEQUENCE,
            cost_ns=120 * MS,
            cpu_ratio=0.25,
            lanes=spread_over(range(1, 5)),
        ),
        during=fit,
        lanes=workers(4, fit, processes=False),
        cores=8,
    )

    advice = named("workers", said)
    assert code(advice) == "Images(…, workers=3, use_multiprocessing=True)"
    assert advice.predicted_step_ms == pytest.approx(10)


@pytest.mark.parametrize("kind", list(InputKind))
def test_nobody_is_told_to_use_more_workers_on_a_saturated_cpu(kind: InputKind) -> None:
    fit = loop(fed_by=Input(kind=kind))
    said = planted(stage(cpu_ratio=0.97), during=fit, cpu=cpu_in_use(0.97, fit))

    assert not {"workers", "parallel_map", "threads"} & set(actions(said))
    assert "less_work" in actions(said)


@pytest.mark.parametrize(
    ("worst", "by_user"),
    [
        (stage("decode", cpu_ratio=0.97), True),
        (stage("map", StageKind.TF_DATA, location=None, cpu_ratio=None, lanes={}), False),
    ],
)
def test_only_what_is_the_users_can_be_made_cheaper(worst: Stage, by_user: bool) -> None:
    fit = loop(fed_by=Input(kind=InputKind.ARRAYS))
    said = planted(worst, during=fit, cpu=cpu_in_use(0.97, fit))
    remedy = LessWork(stage=worst.name, by_user=by_user)
    assert named("less_work", said).remedy == remedy


def test_a_serial_map_is_told_to_make_parallel_calls() -> None:
    decode = stage("decode", StageKind.TF_DATA, cost_ns=28 * MS, cpu_ratio=None, lanes={})
    advice = named("parallel_map", planted(decode, during=loop(fed_by=TF_DATA)))

    assert code(advice) == "dataset.map(decode, num_parallel_calls=tf.data.AUTOTUNE)"
    assert advice.predicted_step_ms == pytest.approx(10)


def test_a_serial_map_of_python_that_computes_is_not() -> None:
    decode = stage("decode", StageKind.TF_DATA_PYTHON, cost_ns=28 * MS, cpu_ratio=0.9, lanes={})
    said = planted(decode, during=loop(fed_by=TF_DATA))

    assert "parallel_map" not in actions(said)
    assert "tensorflow_ops" in actions(said)


def test_the_cores_in_use_bound_what_parallel_calls_can_give() -> None:
    fit = loop(fed_by=TF_DATA)
    decode = stage("decode", StageKind.TF_DATA, cost_ns=28 * MS, cpu_ratio=None, lanes={})
    said = planted(decode, during=fit, cpu=cpu_in_use(0.7, fit))

    assert named("parallel_map", said).predicted_step_ms == pytest.approx(0.7 * 30)


def test_a_cache_needs_a_second_epoch() -> None:
    decode = stage("decode", StageKind.TF_DATA, cost_ns=28 * MS, cpu_ratio=None, lanes={})
    once = planted(decode, during=loop(fed_by=TF_DATA))
    twice = planted(decode, during=loop(fed_by=TF_DATA, epochs=2))

    assert "cache" not in actions(once)
    assert named("cache", twice).predicted_step_ms == pytest.approx(10)


def test_what_stands_behind_a_map_runs_ahead_with_it() -> None:
    decode = stage("decode", StageKind.TF_DATA, cost_ns=15 * MS, cpu_ratio=None, lanes={})
    read = dataclasses.replace(
        stage("read", StageKind.TF_DATA, cost_ns=12 * MS, cpu_ratio=None, lanes={}), parent=0
    )
    advice = named("parallel_map", planted(decode, read, during=loop(fed_by=TF_DATA)))

    assert advice.predicted_step_ms == pytest.approx(12)


def pipeline(*names: str) -> tuple[Stage, ...]:
    """Stages of tf.data, each of which asks the next one; the first makes the training wait."""
    return tuple(
        dataclasses.replace(
            stage(
                name,
                StageKind.TF_DATA,
                cost_ns=(28 if number == 0 else 1) * MS,
                cpu_ratio=None,
                lanes={},
                location=None,
            ),
            function=None if name in ("shuffle", "batch") else name,
            parent=number - 1 if number else None,
        )
        for number, name in enumerate(names)
    )


def test_a_cache_never_freezes_the_order_of_a_shuffle() -> None:
    fit = loop(fed_by=TF_DATA, epochs=2)
    behind = named("cache", planted(*pipeline("decode", "shuffle", "read"), during=fit))
    before = named("cache", planted(*pipeline("decode", "read"), during=fit))

    assert code(behind) == "dataset.map(decode).cache().shuffle(…)"
    assert behind.remedy == Cache(stage="decode", function="decode", before_shuffle=True)
    assert code(before) == "dataset = dataset.cache()  # right after decode"


@pytest.mark.parametrize("names", [("batch", "shuffle"), ("decode", "batch", "shuffle")])
def test_no_cache_is_advised_where_the_shuffle_could_not_move_behind_it(
    names: tuple[str, ...],
) -> None:
    said = planted(*pipeline(*names), during=loop(fed_by=TF_DATA, epochs=2))
    assert "cache" not in actions(said)


def test_a_lambda_is_no_name_to_write_in_code() -> None:
    said = planted(*pipeline("<lambda>"), during=loop(fed_by=TF_DATA))
    assert (code(named("parallel_map", said))).startswith("dataset.map(function, num_par")


def test_nothing_is_predicted_to_save_more_than_the_work_that_was_seen() -> None:
    little = stage("decode", StageKind.TF_DATA, cost_ns=2 * MS, cpu_ratio=None, lanes={})
    said = planted(little, during=loop(fed_by=TF_DATA, epochs=2, wait_ns=20 * MS))

    assert said.step_ms is not None
    for advice in said.advice:
        assert (advice.predicted_step_ms or 0) >= said.step_ms.mean - 2.001


def test_a_cache_saves_cpu_time_that_was_not_read() -> None:
    fit = loop(fed_by=TF_DATA, epochs=2)
    said = planted(*pipeline("decode"), during=fit, cpu=cpu_in_use(0.9, fit))

    assert said.ideal_step_ms is not None
    assert named("cache", said).predicted_step_ms == pytest.approx(said.ideal_step_ms)
