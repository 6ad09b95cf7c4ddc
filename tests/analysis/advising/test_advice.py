"""What is advised, what is not, and what it is predicted to give."""

import dataclasses
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeprof.analysis.analyse import predict
from pipeprof.analysis.findings.advice_kinds import Advice, FeedValidation, LeaveInput, Prediction
from pipeprof.analysis.findings.findings import Diagnosis
from pipeprof.analysis.findings.host_remedies import ValidateLessOften
from pipeprof.analysis.findings.input_remedies import LessWork, SmallerBatches
from pipeprof.analysis.findings.tfdata_remedies import (
    Cache,
    FilterFirst,
    OpenInParallel,
    ParallelCalls,
)
from pipeprof.analysis.findings.verdict_kinds import Cause
from pipeprof.analysis.findings.wait_evidence_kinds import BottleneckAtWork
from pipeprof.analysis.predicting.what_if_expressions import read_suppositions
from pipeprof.recording.lane import Cpu, GilSamples, LaneKind, Role
from pipeprof.recording.level_names import Level
from pipeprof.recording.loop import Input, InputKind, InputLibrary, LoopKind
from pipeprof.recording.stage import FunctionTrait, OperatorFamily, Stage, StageKind, StageOwner
from pipeprof.report.one_run.advice_code import remedy_code
from tests.analysis.measures.test_epoch_starts import filled, fit
from tests.analysis.test_diagnosis import (
    SEQUENCE,
    TF_DATA,
    THREADS,
    cpu_in_use,
    planted,
    spread_over,
    verdict,
    workers,
)
from tests.analysis.test_wall_verdict import validated
from tests.builders import (
    DECODE,
    MS,
    SECOND,
    device,
    gauge,
    lane,
    loop,
    profile,
    signature,
    stage,
    those,
)


def actions(said: Diagnosis) -> list[str]:
    return [advice.action for advice in said.advice]


def named(action: str, said: Diagnosis) -> Advice:
    return next(advice for advice in said.advice if advice.action == action)


def code(advice: Advice) -> str:
    return remedy_code(advice.remedy) or ""


def predicted(action: str, said: Diagnosis) -> Prediction:
    found = named(action, said).prediction
    assert found is not None
    return found


def mapped(
    name: str = "decode",
    kind: StageKind = StageKind.TF_DATA,
    *,
    cost_ms: int = 20,
    cpu_ratio: float | None = None,
    family: OperatorFamily = OperatorFamily.MAP,
    **more: Any,
) -> Stage:
    """A stage of tf.data with a function, that runs within the wait of the loop."""
    cost_ns = cost_ms * MS
    return stage(name, kind, cost_ns=cost_ns, cpu_ratio=cpu_ratio, lanes={}, family=family, **more)


def test_loading_on_the_training_thread_is_advised_to_prefetch() -> None:
    said = planted(stage(cost_ns=20 * MS, cpu_ratio=0.5), during=loop(lane=0))

    found = predicted("prefetch", said)
    assert found.step_ms == found.low_ms == found.high_ms == pytest.approx(20)
    assert found.speedup == pytest.approx(1.5)
    assert found.unexplained_ms == pytest.approx(0)


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


def test_what_runs_ahead_already_is_not_reported_to_prefetch() -> None:
    said = planted(
        stage(cost_ns=29 * MS, lanes={1: SECOND}),
        during=loop(lane=0),
        lanes=(lane(), lane("tf.data thread", Role.INPUT, tid=9)),
    )

    assert "prefetch" not in actions(said)
    found = predicted("workers", said)  # 1 ms of today's is not explained
    assert (found.step_ms, found.high_ms) == pytest.approx((10, 11))


def test_processes_for_python_that_computes_and_threads_for_python_that_waits() -> None:
    computes = named("workers", planted(stage(cpu_ratio=0.97), during=loop()))
    waits = named("workers", planted(stage(cpu_ratio=0.02), during=loop()))

    assert "use_multiprocessing=True" in code(computes)
    assert "use_multiprocessing=False" in code(waits)


def loader(name: str, library: InputLibrary) -> Input:
    return Input(kind=InputKind.LOADER, name=name, library=library)


@pytest.mark.parametrize(
    ("fed_by", "how"),
    [
        (
            loader("DataLoader", InputLibrary.TORCH_LOADER),
            "# OPTIONS: those of today, such as batch_size and shuffle\n"
            "data = DataLoader(\n    DATASET, **OPTIONS,\n    num_workers=2,\n)",
        ),
        (
            loader("grain.DataLoader", InputLibrary.GRAIN_LOADER),
            "data = grain.DataLoader(\n    data_source=SOURCE, sampler=SAMPLER, operations=OPERATIONS,\n"
            "    worker_count=2,\n)",
        ),
        (
            loader("grain.MapDataset", InputLibrary.GRAIN_MAP_DATASET),
            "dataset = dataset.to_iter_dataset().mp_prefetch("
            "grain.MultiprocessingOptions(num_workers=2))",
        ),
        (
            loader("grain.IterDataset", InputLibrary.GRAIN_ITER_DATASET),
            "dataset = dataset.mp_prefetch(grain.MultiprocessingOptions(num_workers=2))",
        ),
        (
            Input(
                kind=InputKind.SEQUENCE,
                name="DirectoryIterator",
                library=InputLibrary.KERAS_ITERATOR,
            ),
            "# data: your DirectoryIterator\ndata.workers, data.use_multiprocessing = 2, True",
        ),
        (
            Input(kind=InputKind.SEQUENCE, name="Images"),
            "# data: your Images\ndata.workers, data.use_multiprocessing = 2, True",
        ),
    ],
)
def test_each_kind_of_loader_is_given_workers_in_its_own_way(fed_by: Input, how: str) -> None:
    said = planted(stage(cpu_ratio=0.97), during=loop(fed_by=fed_by))
    assert code(named("workers", said)) == how


def test_threads_under_the_gil_are_advised_to_become_processes() -> None:
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

    assert "data.use_multiprocessing = 3, True" in code(named("workers", said))
    assert predicted("workers", said).step_ms == pytest.approx(10)


@pytest.mark.parametrize("cpu_ratio", [0.02, 0.97])
def test_a_generator_in_a_pipeline_of_tf_data_can_run_in_workers(cpu_ratio: float) -> None:
    fit = loop(fed_by=TF_DATA)
    made = planted(stage("gen", StageKind.GENERATOR, cpu_ratio=cpu_ratio), during=fit)
    assert "workers" in actions(made)
    joined = mapped("from_generator", StageKind.TF_DATA_PYTHON, family=OperatorFamily.GENERATOR)
    assert "workers" in actions(planted(joined, during=fit))
    called = planted(stage("decode", StageKind.FUNCTION, cpu_ratio=cpu_ratio), during=fit)
    assert "workers" not in actions(called)


@pytest.mark.parametrize("kind", list(InputKind))
def test_nobody_is_advised_to_use_more_workers_on_a_saturated_cpu(kind: InputKind) -> None:
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
    remedy = LessWork(stage=worst.name, by_user=by_user, no_core_free=True)
    assert named("less_work", said).remedy == remedy


def by_two_processes(load_ms: int, restart_ms: int, cores: int) -> Diagnosis:
    """Two processes whose pool starts again with each of five epochs, on so many cores."""
    each_ms = load_ms // 2
    waits = ([restart_ms * MS] + [(each_ms - 10) * MS] * 19) * 5
    fit = loop(wait_ns=waits, compute_ns=10 * MS, epochs=5, fed_by=replace(SEQUENCE, workers=2))
    load = stage(
        "load",
        StageKind.SEQUENCE,
        cost_ns=load_ms * MS,
        cpu_ratio=0.97,
        lanes=spread_over(range(1, 3)),
        during=fit,
    )
    restart = stage(
        "start of workers", StageKind.EPOCH_START, cost_ns=MS, calls=5, location=None, during=fit
    )
    return planted(load, restart, during=fit, lanes=workers(2, fit), cores=cores)


def test_what_uses_all_the_cpu_that_it_may_is_advised_to_do_less() -> None:
    full = by_two_processes(80, 40, cores=2)
    assert full.cause is Cause.CPU
    assert [advice.remedy for advice in full.advice] == [
        LessWork(stage="load", by_user=True, no_core_free=False)
    ]
    assert "less_work" not in actions(by_two_processes(80, 40, cores=8))


def test_workers_that_start_again_are_advised_to_do_so_less_often_where_that_takes_long() -> None:
    assert "longer_epochs" in actions(by_two_processes(80, 300, cores=2))
    assert "longer_epochs" not in actions(by_two_processes(80, 60, cores=2))


def test_a_serial_map_is_advised_to_make_parallel_calls() -> None:
    said = planted(mapped(), during=loop(fed_by=TF_DATA))

    written = "dataset = dataset.map(decode, num_parallel_calls=tf.data.AUTOTUNE)"
    assert code(named("parallel_map", said)) == written
    assert predicted("parallel_map", said).step_ms == pytest.approx(10)


def test_a_serial_map_of_python_that_computes_is_not() -> None:
    decode = mapped(kind=StageKind.TF_DATA_PYTHON, cpu_ratio=0.9)
    said = planted(decode, during=loop(fed_by=TF_DATA))

    assert "parallel_map" not in actions(said)
    assert "tensorflow_ops" in actions(said)


@pytest.mark.parametrize(
    ("family", "action"),
    [
        (OperatorFamily.MAP, "parallel_map"),
        (OperatorFamily.MAP_AND_BATCH, "parallel_map"),
        (OperatorFamily.FILTER, "parallel_filter"),
        (OperatorFamily.FLAT_MAP, "interleave"),
        (OperatorFamily.INTERLEAVE, "interleave"),
        (OperatorFamily.READ, "more_files"),
        (OperatorFamily.WINDOW, None),
        (OperatorFamily.GENERATOR, None),
        (OperatorFamily.OTHER, None),
    ],
)
@pytest.mark.parametrize("kind", [StageKind.TF_DATA, StageKind.TF_DATA_PYTHON])
def test_each_transformation_is_given_calls_at_once_in_its_own_way(
    family: OperatorFamily, action: str | None, kind: StageKind
) -> None:
    said = planted(mapped(kind=kind, family=family, cpu_ratio=0.01), during=loop(fed_by=TF_DATA))
    given = {"parallel_map", "parallel_filter", "interleave", "more_files"} & set(actions(said))
    assert given == ({action} if action else set())


def test_keras_own_stages_are_not_the_users_to_change() -> None:
    arrays = loop(fed_by=Input(kind=InputKind.ARRAYS), epochs=2)
    said = planted(mapped("map", owner=StageOwner.KERAS, location=None), during=arrays)
    assert actions(said) == []


def test_files_that_a_flat_map_opens_are_read_at_once_by_an_interleave() -> None:
    opener = mapped("open_file", family=OperatorFamily.FLAT_MAP, cost_ms=0)
    records = mapped(
        "TFRecordDataset", family=OperatorFamily.READ, cpu_ratio=0.01, location=None, parent=0
    )
    names = mapped("names", family=OperatorFamily.OTHER, cost_ms=0, parent=0, calls=4)
    said = planted(opener, records, names, during=loop(fed_by=TF_DATA))

    assert named("interleave", said).remedy == OpenInParallel(
        stage="open_file", function="open_file", calls=2, in_order=False
    )
    assert predicted("interleave", said).step_ms == pytest.approx(10)


@pytest.mark.parametrize(("files", "expected"), [(3, True), (90, False)])
def test_more_files_are_advised_only_where_an_interleave_has_too_few(
    files: int, expected: bool
) -> None:
    opener = mapped(
        "open_file",
        family=OperatorFamily.INTERLEAVE,
        cost_ms=0,
        parallel=True,
        parallelism=8,
        calls=200,
    )
    records = mapped(
        "TFRecordDataset",
        family=OperatorFamily.READ,
        cost_ms=170,
        cpu_ratio=0.01,
        location=None,
        parent=0,
        calls=200,
    )
    names = mapped("names", family=OperatorFamily.OTHER, cost_ms=0, parent=0, calls=files)
    said = planted(opener, records, names, during=loop(fed_by=TF_DATA))
    assert ("more_files" in actions(said)) is expected


@pytest.mark.parametrize(("read_ms", "before"), [(12, ("read",)), (6, ())])
def test_maps_that_are_too_slow_as_well_get_calls_at_once_with_the_slowest(
    read_ms: int, before: tuple[str, ...]
) -> None:
    decode, read = (
        dataclasses.replace(mapped(name, cost_ms=ms, parallelism=1, **more), parallel=True)
        for name, ms, more in (("decode", 28, {}), ("read", read_ms, {"parent": 0}))
    )
    said = planted(decode, read, during=loop(fed_by=TF_DATA))
    [remedy] = those(ParallelCalls, [each.remedy for each in said.advice])

    assert tuple(each.function for each in remedy.before) == before
    assert remedy.behind == ()
    found = predicted("parallel_map", said)  # the stages explain 28 of today's 30 ms
    assert (found.step_ms, found.high_ms) == pytest.approx((10, 12))


def test_the_cores_in_use_bound_what_parallel_calls_can_give() -> None:
    fit = loop(fed_by=TF_DATA)
    said = planted(mapped(), during=fit, cpu=cpu_in_use(0.7, fit))

    assert predicted("parallel_map", said).step_ms == pytest.approx(0.7 * 30)


def test_a_cache_needs_a_second_epoch() -> None:
    once = planted(mapped(), during=loop(fed_by=TF_DATA))
    twice = planted(mapped(), during=loop(fed_by=TF_DATA, epochs=2))

    assert "cache" not in actions(once)
    assert predicted("cache", twice).step_ms == pytest.approx(10)


@pytest.mark.parametrize("place", ["behind", "before"])
def test_no_cache_is_advised_where_one_is(place: str) -> None:
    kept = mapped("cache", family=OperatorFamily.CACHE, cost_ms=0, location=None)
    stages = (
        (kept, mapped(parent=0))
        if place == "behind"
        else (mapped(), dataclasses.replace(kept, parent=0))
    )
    said = planted(*stages, during=loop(fed_by=TF_DATA, epochs=2))
    assert "cache" not in actions(said)


@pytest.mark.parametrize(
    ("traits", "expected"), [((), "augment"), ((FunctionTrait.RANDOM,), "decode")]
)
def test_what_is_random_is_not_cached_but_what_it_takes_is(
    traits: tuple[FunctionTrait, ...], expected: str
) -> None:
    augment = dataclasses.replace(mapped("augment", cost_ms=11), traits=traits)
    said = planted(
        augment, mapped("decode", cost_ms=9, parent=0), during=loop(fed_by=TF_DATA, epochs=2)
    )
    [advice] = those(Cache, [each.remedy for each in said.advice])
    assert advice.stage == expected


def test_nothing_is_cached_behind_what_is_random_all_the_way() -> None:
    augment = dataclasses.replace(mapped("augment"), traits=(FunctionTrait.RANDOM,))
    said = planted(augment, during=loop(fed_by=TF_DATA, epochs=2))
    assert "cache" not in actions(said)


@pytest.mark.parametrize(("free", "on_disk"), [(1 << 20, True), (1 << 40, False), (None, False)])
def test_what_does_not_fit_into_memory_is_cached_in_a_file(free: int | None, on_disk: bool) -> None:
    fit = loop(fed_by=TF_DATA, epochs=2)
    recorded = profile(
        loops=(fit,),
        stages=(mapped(step_bytes=1 << 20),),
        gauges={} if free is None else {Level.MEMORY_ROOM.value: gauge(free)},
        cpu=Cpu(cores=4, limit=None, used=None),
    )
    [kept] = those(Cache, [each.remedy for each in verdict(recorded).advice])
    assert kept.on_disk is on_disk
    assert kept.size_bytes == pytest.approx(50 << 20, rel=0.01)


def test_what_stands_behind_a_map_runs_ahead_with_it() -> None:
    decode, read = mapped(cost_ms=12), mapped("read", cost_ms=8, parent=0)
    said = planted(decode, read, during=loop(fed_by=TF_DATA))

    assert predicted("parallel_map", said).step_ms == pytest.approx(10)


def pipeline(*names: str) -> tuple[Stage, ...]:
    """Stages of tf.data, each of which asks the next one; the first makes the training wait."""
    families = {"shuffle": OperatorFamily.SHUFFLE, "batch": OperatorFamily.BATCH}
    return tuple(
        dataclasses.replace(
            mapped(
                name,
                cost_ms=18 if number == 0 else 1,
                location=None,
                family=families.get(name, OperatorFamily.MAP),
                parent=number - 1 if number else None,
            ),
            function=None if name in families else name,
        )
        for number, name in enumerate(names)
    )


def test_a_cache_never_freezes_the_order_of_a_shuffle() -> None:
    fit = loop(fed_by=TF_DATA, epochs=2)
    behind = named("cache", planted(*pipeline("decode", "shuffle", "read"), during=fit))
    before = named("cache", planted(*pipeline("decode", "read"), during=fit))

    assert code(behind) == (
        "dataset = dataset.map(decode, num_parallel_calls=tf.data.AUTOTUNE)\n"
        "dataset = dataset.cache().shuffle(BUFFER_SIZE)"
    )
    assert behind.remedy == Cache(stage="decode", function="decode", before_shuffle=True)
    assert code(before) == "dataset = dataset.cache()  # right after decode"


@pytest.mark.parametrize(
    ("top", "stage_name"),
    [(OperatorFamily.BATCH, "timeseries"), (OperatorFamily.SHUFFLE, "windows")],
)
def test_what_a_librarys_function_makes_is_cached_behind_it(
    top: OperatorFamily, stage_name: str
) -> None:
    fit = loop(fed_by=TF_DATA, epochs=2)
    above = mapped("batch", cost_ms=1, family=top)
    windows = mapped("windows", cost_ms=18, parent=0)
    made = [
        dataclasses.replace(each, made_by="timeseries", made_at=DECODE) for each in (above, windows)
    ]
    users = mapped("users", cost_ms=1)
    stages = (users, *(dataclasses.replace(each, parent=n) for n, each in enumerate(made)))
    found = named("cache", planted(*stages, during=fit))
    assert isinstance(found.remedy, Cache)
    assert found.remedy.stage == "timeseries"
    assert (found.remedy.function == "windows") == (stage_name == "windows")


@pytest.mark.parametrize("names", [("batch", "shuffle"), ("decode", "batch", "shuffle")])
def test_no_cache_is_advised_where_the_shuffle_could_not_move_behind_it(
    names: tuple[str, ...],
) -> None:
    said = planted(*pipeline(*names), during=loop(fed_by=TF_DATA, epochs=2))
    assert "cache" not in actions(said)


def test_a_lambda_is_no_name_to_write_in_code() -> None:
    said = planted(*pipeline("<lambda>"), during=loop(fed_by=TF_DATA))
    assert (code(named("parallel_map", said))).startswith(
        "dataset = dataset.map(\n    function, num_par"
    )


def test_nothing_is_predicted_to_save_more_than_the_work_that_was_seen() -> None:
    fit = loop(fed_by=TF_DATA, epochs=2, wait_ns=10 * MS, compute_ns=30 * MS)
    said = planted(mapped(cost_ms=4), during=fit)

    assert "cache" in actions(said)
    predicted = [each.prediction.step_ms for each in said.advice if each.prediction is not None]
    assert min(predicted) >= 40 - 4.001


def test_a_cache_saves_cpu_time_that_was_not_read() -> None:
    fit = loop(fed_by=TF_DATA, epochs=2)
    said = planted(mapped(), during=fit, cpu=cpu_in_use(0.9, fit))

    assert said.ideal_step_ms is not None
    assert predicted("cache", said).step_ms == pytest.approx(said.ideal_step_ms)


@pytest.mark.parametrize(("cores", "threads"), [(4, 9), (16, None)])
def test_more_calls_than_cores_need_threads_of_the_pipelines_own(
    cores: int, threads: int | None
) -> None:
    said = planted(
        mapped(cpu_ratio=0.02), during=loop(fed_by=TF_DATA, compute_ns=2 * MS), cores=cores
    )
    remedy = named("parallel_map", said).remedy
    assert isinstance(remedy, ParallelCalls)
    assert (remedy.calls, remedy.threads) == (8, threads)
    assert ("private_threadpool_size = 9" in code(named("parallel_map", said))) == (cores == 4)


def test_calls_that_may_run_at_once_and_have_no_threads_get_some() -> None:
    fit = loop(fed_by=TF_DATA, compute_ns=2 * MS)
    # Two of sixteen calls run: 44 ms of work in steps of 22.
    allowed = mapped(cost_ms=44, cpu_ratio=0.02, parallelism=16, during=fit)
    said = planted(allowed, during=fit, cores=2)
    found = named("own_threads", said)
    assert code(found).splitlines()[1] == "options.threading.private_threadpool_size = 17"
    assert predicted("own_threads", said).step_ms < 5
    assert "parallel_map" not in actions(said)
    [works] = those(BottleneckAtWork, said.evidence)
    assert (works.at_once, works.allowed) == (2, 16)
    # With threads of its own the same stage would make its calls.
    pool = lane("tf_data_private_threadpool", during=fit, kind=LaneKind.TF_DATA_POOL)
    own = planted(allowed, during=fit, cores=2, lanes=(lane(during=fit), pool))
    assert "own_threads" not in actions(own)


# Predictions


def test_what_the_stages_do_not_explain_of_today_is_carried_along() -> None:
    said = planted(mapped(cost_ms=15), during=loop(fed_by=TF_DATA))
    found = predicted("parallel_map", said)

    assert found.unexplained_ms == pytest.approx(5)
    assert (
        found.step_ms == found.high_ms == pytest.approx(15)
    )  # no more than the work that was seen
    assert found.low_ms < 10  # unless what nobody saw runs at once as well
    assert found.speedup == pytest.approx(2)


def test_stages_that_explain_more_than_today_takes_leave_an_interval() -> None:
    said = planted(mapped(cost_ms=24), during=loop(fed_by=TF_DATA), cores=2)
    found = predicted("parallel_map", said)

    assert found.unexplained_ms == pytest.approx(-4)
    assert (found.step_ms, found.high_ms) == pytest.approx((10, 12))
    assert found.low_ms < 10


@pytest.mark.parametrize("cost_ms", [10, 30])
def test_a_model_that_misses_today_predicts_nothing(cost_ms: int) -> None:
    said = planted(mapped(cost_ms=cost_ms), during=loop(fed_by=TF_DATA))
    assert named("parallel_map", said).prediction is None


def test_where_the_cpu_sets_the_pace_of_the_model_a_gain_is_open() -> None:
    fit = loop(fed_by=TF_DATA)
    decode = stage("decode", StageKind.TF_DATA, cost_ns=20 * MS, cpu_ratio=None, lanes={})
    ahead = dataclasses.replace(
        decode, parallel=True, family=OperatorFamily.MAP, parallelism=gauge(1)
    )
    room = planted(ahead, during=fit, cpu=cpu_in_use(0.8, fit))

    assert named("parallel_map", room).prediction is None


def test_steps_that_differ_widen_the_interval() -> None:
    even = loop(lane=0)
    uneven = loop(lane=0, wait_ns=[0, 40 * MS] * 10 + [20 * MS] * 80)
    narrow, wide = (
        predicted("prefetch", planted(stage(cpu_ratio=0.5), during=each)) for each in (even, uneven)
    )
    assert narrow.low_ms == narrow.high_ms
    assert wide.low_ms < narrow.low_ms < wide.high_ms


@pytest.mark.parametrize(
    ("action", "supposed", "cause"),
    [
        ("prefetch", "prefetch=yes", {"cpu_ratio": 0.5}),
        ("workers", "workers=2", {"cpu_ratio": 0.02}),
        ("parallel_map", "stage=decode parallelism=2", {}),
        ("cache", "cache=decode", {}),
    ],
)
def test_advice_and_what_if_expect_the_same(
    action: str, supposed: str, cause: dict[str, float]
) -> None:
    fed_by = Input(kind=InputKind.GENERATOR, name="batches") if cause else TF_DATA
    fit = loop(lane=0, fed_by=fed_by, epochs=2)
    worked = stage("decode", cost_ns=18 * MS, **cause) if cause else mapped(cost_ms=18)  # type: ignore[arg-type]
    recorded = profile(loops=(fit,), stages=(worked,), cpu=Cpu(cores=2, limit=None, used=None))
    found = predicted(action, verdict(recorded))
    expected = predict(recorded, read_suppositions(supposed))
    # What-if counts the beginnings of epochs, and the verdict's step leaves them out.
    outside_ms = expected.today_ms - found.step_ms * found.speedup
    assert found.step_ms + outside_ms == pytest.approx(expected.step_ms)


# The order of stages


def batched(*stages: Stage) -> tuple[Stage, ...]:
    """Stages below a batch, each of which asks the next one."""
    batch = mapped("batch", family=OperatorFamily.BATCH, cost_ms=0, location=None)
    return (
        batch,
        *(dataclasses.replace(each, parent=number) for number, each in enumerate(stages)),
    )


def kept_by_filter(elements: int, kept: int, *, between: OperatorFamily) -> Diagnosis:
    """A filter with something between it and the map that decodes."""
    fit = loop(fed_by=TF_DATA)
    keep = mapped("keep", family=OperatorFamily.FILTER, cost_ms=0, calls=kept)
    other = mapped("other", family=between, cost_ms=0, calls=elements)
    decode = mapped("decode", calls=elements)
    return planted(*batched(keep, other, decode), during=fit)


def test_what_is_dear_comes_behind_the_filter_that_throws_it_away() -> None:
    said = kept_by_filter(6_400, 1_600, between=OperatorFamily.MAP)

    assert named("filter_first", said).remedy == FilterFirst(
        stage="decode", function="decode", filter="keep", predicate="keep", kept_ratio=0.25
    )
    assert predicted("filter_first", said).step_ms == pytest.approx(15)


@pytest.mark.parametrize(
    ("kept", "between"), [(6_000, OperatorFamily.MAP), (1_600, OperatorFamily.SHUFFLE)]
)
def test_a_filter_stays_where_it_keeps_most_or_where_it_cannot_be_moved(
    kept: int, between: OperatorFamily
) -> None:
    assert "filter_first" not in actions(kept_by_filter(6_400, kept, between=between))


def test_copies_of_a_stage_before_filters_are_one_advice() -> None:
    mix = mapped("mix", family=OperatorFamily.OTHER, cost_ms=0, location=None)
    copies = [
        one
        for branch in range(2)
        for one in (
            mapped("keep", family=OperatorFamily.FILTER, cost_ms=0, calls=100, parent=0),
            mapped("decode", cost_ms=10, calls=400, parent=1 + 2 * branch),
        )
    ]
    said = planted(mix, *copies, during=loop(fed_by=TF_DATA))

    assert actions(said).count("filter_first") == 1
    assert predicted("filter_first", said).step_ms == pytest.approx(15)


@pytest.mark.parametrize(
    ("trait", "written"),
    [
        (FunctionTrait.PARSES_ONE_RECORD, "parse_example, not parse_single_example"),
        (FunctionTrait.CHEAPER_IN_BATCHES, "dataset.batch(BATCH_SIZE).map(parse"),
    ],
)
@pytest.mark.parametrize("between", [None, OperatorFamily.SHUFFLE, OperatorFamily.PREFETCH])
def test_what_can_do_a_batch_at_once_comes_behind_the_batch(
    trait: FunctionTrait, written: str, between: OperatorFamily | None
) -> None:
    parse = dataclasses.replace(mapped("parse", calls=3_200), traits=(trait,))
    passing = [mapped("pass", family=between, cost_ms=0, calls=3_200)] if between else []
    said = planted(*batched(*passing, parse), during=loop(fed_by=TF_DATA))
    assert written in code(named("batch_first", said)).replace("\n    ", "")


@pytest.mark.parametrize("between", [OperatorFamily.FILTER, OperatorFamily.FLAT_MAP, None])
def test_what_needs_single_elements_or_cannot_do_batches_stays_before_the_batch(
    between: OperatorFamily | None,
) -> None:
    traits = (FunctionTrait.PARSES_ONE_RECORD,) if between else (FunctionTrait.RANDOM,)
    parse = dataclasses.replace(mapped("parse", calls=3_200), traits=traits)
    single = [mapped("single", family=between, cost_ms=0, calls=3_200)] if between else []
    said = planted(*batched(*single, parse), during=loop(fed_by=TF_DATA))
    assert "batch_first" not in actions(said)


def test_what_parses_whole_batches_already_stays() -> None:
    parse = dataclasses.replace(
        mapped("parse", calls=100), traits=(FunctionTrait.CHEAPER_IN_BATCHES,)
    )
    said = planted(parse, *batched()[:0], during=loop(fed_by=TF_DATA))
    assert "batch_first" not in actions(said)


def begun_late(decode: OperatorFamily, *, decode_costs: float = 1.0) -> Diagnosis:
    """Epochs that begin with a shuffle that fills, with elements that a stage makes before."""
    during = dataclasses.replace(fit(), input=TF_DATA)
    batch, shuffle, made = filled(during)
    work = dataclasses.replace(made.work, sums=(made.work.sums * decode_costs).astype(np.int64))
    made = dataclasses.replace(made, family=decode, work=work)
    return planted(batch, shuffle, made, during=during)


@pytest.mark.parametrize("decode_costs", [1.0, 0.3])
def test_a_shuffle_fills_with_names_and_not_with_what_is_loaded(decode_costs: float) -> None:
    said = begun_late(OperatorFamily.MAP, decode_costs=decode_costs)
    assert "dataset.shuffle(BUFFER_SIZE).map(" in code(named("shuffle_first", said))
    assert "longer_epochs" not in actions(said)


def test_where_a_shuffle_cannot_come_first_its_passes_are_joined_behind_it() -> None:
    said = begun_late(OperatorFamily.FLAT_MAP, decode_costs=0.3)
    assert "shuffle_first" not in actions(said)
    assert "dataset.shuffle(BUFFER_SIZE).repeat(PASSES)" in code(named("longer_epochs", said))


# Workers


def test_python_that_was_seen_to_leave_the_gil_runs_in_threads() -> None:
    fit = loop(lane=0, fed_by=Input(kind=InputKind.GENERATOR, name="batches"))

    def workers_for(held: int) -> str:
        beside = lane("tf.data thread", Role.INPUT, tid=9, gil=GilSamples(held=held, samples=100))
        native = stage(cost_ns=29 * MS, cpu_ratio=0.95, lanes={1: SECOND})
        return code(named("workers", planted(native, during=fit, lanes=(lane(), beside))))

    assert "use_multiprocessing=False" in workers_for(10)
    assert "use_multiprocessing=True" in workers_for(90)


@pytest.mark.parametrize(
    ("kind", "held_in"),
    [(LoopKind.FIT, "keras.utils.PyDataset"), (LoopKind.TRAIN_ON_BATCH, "tf.data.Dataset.range")],
)
def test_a_loop_that_is_no_fit_gets_workers_that_it_can_use(kind: LoopKind, held_in: str) -> None:
    said = planted(stage(cpu_ratio=0.02), during=loop(kind))
    assert held_in in code(named("workers", said))


@pytest.mark.parametrize(
    ("dtype", "shape", "sent"),
    [
        ("float64", (32, 100), SmallerBatches(dtype="float32", exact=True)),
        ("float32", (32, 64, 64, 3), SmallerBatches(dtype="uint8", pictures=True)),
        ("float32", (32, 100), SmallerBatches(dtype="float16")),
        ("uint8", (32, 64, 64, 3), SmallerBatches()),
    ],
)
def test_batches_get_smaller_by_what_is_in_them(
    dtype: str, shape: tuple[int, ...], sent: SmallerBatches
) -> None:
    fit = loop(fed_by=SEQUENCE)
    recorded = profile(
        loops=(fit,),
        stages=(stage("transport", StageKind.TRANSPORT, cost_ns=20 * MS),),
        lanes=workers(4, fit),
        deliveries=(signature(shape, (32,), dtype=dtype),),
    )
    assert sent in [each.remedy for each in verdict(recorded).advice]


# What else takes time


@pytest.mark.parametrize(
    ("fed_by", "fed"), [(InputKind.GENERATOR, "prefetch"), (InputKind.SEQUENCE, "prefetch")]
)
def test_a_long_validation_is_fed_better_or_comes_less_often(fed_by: InputKind, fed: str) -> None:
    said = validated(50, fed_by=Input(kind=fed_by, name="Images"))
    first, second = said.advice[:2]

    assert isinstance(first.remedy, FeedValidation)
    assert fed == first.remedy.remedy.ACTION
    assert isinstance(second.remedy, ValidateLessOften)
    assert second.remedy.ratio == pytest.approx(0.6)


def test_a_short_validation_is_left_alone() -> None:
    said = validated(5, fed_by=Input(kind=InputKind.GENERATOR, name="batches"))
    assert not {"validation_input", "validate_less_often"} & set(actions(said))


def test_a_training_that_only_computes_is_reported_what_its_limit_is() -> None:
    said = planted(stage(cost_ns=MS), during=loop(wait_ns=0))
    assert [each.remedy for each in said.advice] == [
        LeaveInput(device=None, device_busy_ratio=None, cores=4, cpu_busy_ratio=None)
    ]


def test_the_limit_is_the_device_where_one_works_for_the_training() -> None:
    fit = loop(wait_ns=0)
    recorded = profile(loops=(fit,), devices=(device(idle_waiting_ns=0),))
    [said] = those(LeaveInput, [each.remedy for each in verdict(recorded).advice])
    assert (said.device, said.device_busy_ratio) == ("GPU 0", pytest.approx(1 / 3))


def test_where_the_framework_starts_epochs_for_long_these_are_to_be_longer() -> None:
    arrays = Input(kind=InputKind.ARRAYS, name="ndarray")
    fit = loop(steps=40, epochs=4, wait_ns=[150 * MS, *[0] * 9] * 4, fed_by=arrays)
    said = planted(during=fit)

    assert "longer_epochs" in actions(said)
    assert "leave_input" not in actions(said)


def _iterators_that_end(ended_ms: int, *, compute_ms: int) -> Diagnosis:
    """Four epochs of ten steps on a map of 8 ms, between which an iterator ends for so long."""
    fit = loop(
        steps=40,
        epochs=4,
        wait_ns=[150 * MS, *[8 * MS] * 9] * 4,
        compute_ns=compute_ms * MS,
        fed_by=TF_DATA,
        lane=0,
    )
    begins = fit.steps.start_ns[10::10]
    ends = np.column_stack([begins, begins + ended_ms * MS, np.zeros(3, np.int64)])
    return verdict(
        profile(loops=(fit,), stages=(mapped(cost_ms=8, during=fit),), iterator_ends=ends)
    )


@pytest.mark.parametrize("compute_ms", [2, 10])
@pytest.mark.parametrize(("ended_ms", "said_too"), [(140, True), (3, False)])
def test_where_the_ends_of_iterators_take_long_all_epochs_come_from_one(
    ended_ms: int, said_too: bool, compute_ms: int
) -> None:
    said = _iterators_that_end(ended_ms, compute_ms=compute_ms)
    assert ("one_iterator" in actions(said)) == said_too
    if said_too:
        assert (
            code(named("one_iterator", said)) == "model.fit(dataset.repeat(), steps_per_epoch=10)"
        )


@pytest.mark.parametrize(("ended_ms", "first"), [(140, "one_iterator"), (75, "parallel_map")])
def test_the_first_advice_is_about_what_takes_most_of_the_time(ended_ms: int, first: str) -> None:
    """The map is waited for 72 ms in each epoch, and for what is left of 150 where they begin."""
    said = _iterators_that_end(ended_ms, compute_ms=2)
    assert actions(said)[0] == first
    assert {"one_iterator", "parallel_map"} <= set(actions(said))


@pytest.mark.parametrize(
    ("family", "expected"),
    [(OperatorFamily.GENERATOR, ["workers"]), (OperatorFamily.MAP, ["parallel_map"])],
)
def test_a_generator_that_is_known_as_a_stage_of_tf_data_only_gets_workers(
    family: OperatorFamily, expected: list[str]
) -> None:
    """So it is in a training that a callback joined."""
    fed = mapped("batches", StageKind.TF_DATA_PYTHON, family=family, cpu_ratio=0.02)
    said = planted(fed, during=loop(fed_by=Input(kind=InputKind.GENERATOR, name="batches")))
    given = [action for action in actions(said) if action in ("workers", "parallel_map")]
    assert given == expected


@pytest.mark.parametrize(("cpu_ratio", "expected"), [(0.02, "workers"), (0.2, "wait_less")])
def test_only_what_hardly_needs_a_core_gets_more_workers_where_none_is_free(
    cpu_ratio: float, expected: str
) -> None:
    fit = loop(lane=0)
    said = planted(stage(cpu_ratio=cpu_ratio), during=fit, cpu=cpu_in_use(0.97, fit))
    assert {"workers", "wait_less"} & set(actions(said)) == {expected}


@pytest.mark.parametrize("wait_ns", [2 * MS, 20 * MS, None])
def test_no_training_that_waits_is_advised_to_leave_its_input(wait_ns: int | None) -> None:
    said = planted(stage(cost_ns=wait_ns or MS), during=loop(wait_ns=wait_ns))
    assert "leave_input" not in actions(said)
