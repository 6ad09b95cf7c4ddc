"""The verdict reaches into the workers of a tf.data service: hand-built recordings of each case."""

from dataclasses import replace

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.findings import Diagnosis, Findings
from pipeprof.analysis.findings.tfdata_remedies import CheaperService, MoreDataWorkers
from pipeprof.analysis.findings.verdict_kinds import Bound, Cause
from pipeprof.analysis.findings.wait_evidence_kinds import RemoteWait, WorkInWorkers
from pipeprof.recording.data_workers import DataWorker, WorkerStage, WorkerWindow
from pipeprof.recording.loop import Input, InputKind
from pipeprof.recording.profile import Profile
from pipeprof.recording.stage import StageKind
from tests.builders import MS, loop, profile, stage, those

PREFETCH, SERVICE, MAP = 0, 1, 2


def window(*, asked_ratio: float, work_ns: int, calls: int, cpu: float | None) -> WorkerWindow:
    return WorkerWindow(
        start_ns=0,
        lasted_ns=300 * MS,
        elements=10,
        asked_ratio=asked_ratio,
        cpu_cores=cpu,
        size_bytes=500_000,
        stages=(WorkerStage(stage=MAP, elements=10, work_ns=work_ns, parallelism=calls),),
    )


def recorded(
    *,
    wait_ns: int = 20 * MS,
    cost_ns: int = 28 * MS,
    asked_ratio: float = 1.0,
    calls: int = 1,
    cpu: float | None = None,
    workers: int = 1,
    cores: int | None = 8,
    pid: int | None = None,
) -> Profile:
    """A training that takes its batches from a service whose workers run one map."""
    trained = loop(
        wait_ns=wait_ns, compute_ns=10 * MS, fed_by=Input(kind=InputKind.TF_DATA, name="ds")
    )
    step_ns = wait_ns + 10 * MS
    work_ns = round(300 * MS * cost_ns / step_ns / workers)
    prefetch = stage("prefetch", StageKind.TF_DATA, cost_ns=MS // 10, buffer=0, buffer_size=2,
                     cpu_ratio=None, during=trained)  # fmt: skip
    service = stage("tf.data service", StageKind.TF_DATA_REMOTE, cost_ns=wait_ns + 8 * MS,
                    cpu_ratio=None, parent=PREFETCH, during=trained)  # fmt: skip
    mapped = stage("decode", StageKind.TF_DATA_WORKER, cost_ns=cost_ns, cpu_ratio=None,
                   parent=SERVICE, lanes={}, during=trained,
                   parallelism=calls if calls > 1 else None, workers=workers)  # fmt: skip
    seen = window(asked_ratio=asked_ratio, work_ns=work_ns, calls=calls, cpu=cpu)
    found = tuple(
        DataWorker(address=f"host{number}:5051", pid=pid, cores=cores, windows=(seen,))
        for number in range(workers)
    )
    made = profile(loops=(trained,), stages=(prefetch, service, mapped))
    made = replace(made, data_workers=found)
    assert made.check() == ()
    return made


def main(found: Findings) -> Diagnosis:
    assert found.main is not None
    return found.main.diagnosis


def judged(made: Profile) -> tuple[Bound, str | None, Cause]:
    diagnosis = main(analyse(made))
    stage = diagnosis.bottleneck.stage if diagnosis.bottleneck else None
    return diagnosis.bound, stage, diagnosis.cause


def test_a_stage_that_makes_one_call_at_a_time_in_each_worker_is_serial() -> None:
    assert judged(recorded(cpu=1.0)) == (Bound.INPUT, "decode", Cause.SERIAL)


def test_a_stage_that_waits_is_told_from_one_that_computes() -> None:
    assert judged(recorded(cpu=0.1)) == (Bound.INPUT, "decode", Cause.BLOCKING)


def test_workers_that_use_all_their_cores_are_too_few() -> None:
    made = recorded(cost_ns=220 * MS, calls=8, cpu=7.4)
    assert judged(made) == (Bound.INPUT, "decode", Cause.TOO_FEW_WORKERS)
    (advised,) = (a for a in main(analyse(made)).advice if isinstance(a.remedy, MoreDataWorkers))
    assert advised.remedy == MoreDataWorkers(workers=3, today=1)
    assert advised.prediction is not None
    assert advised.prediction.speedup > 2


def test_of_workers_on_other_machines_calls_under_way_are_the_measure() -> None:
    busy = recorded(cost_ns=220 * MS, calls=8, cpu=None)
    assert judged(busy) == (Bound.INPUT, "decode", Cause.TOO_FEW_WORKERS)
    more_cores = recorded(cost_ns=220 * MS, calls=8, cpu=None, cores=32)
    assert judged(more_cores) == (Bound.INPUT, "decode", Cause.CPU)


@pytest.mark.parametrize("workers", [1, 4])
def test_workers_with_elements_ready_leave_the_network_and_the_service(workers: int) -> None:
    made = recorded(cost_ns=3 * MS, asked_ratio=0.1, workers=workers, cpu=0.2)
    assert judged(made) == (Bound.INPUT, "tf.data service", Cause.TRANSPORT)
    diagnosis = main(analyse(made))
    (waited,) = those(RemoteWait, diagnosis.evidence)
    assert waited.workers is not None
    assert waited.workers.count == workers
    assert waited.workers.asked_ratio == pytest.approx(0.1)
    assert any(isinstance(advice.remedy, CheaperService) for advice in diagnosis.advice)


def test_a_training_that_does_not_wait_has_no_bottleneck() -> None:
    made = recorded(wait_ns=0, cost_ns=3 * MS, asked_ratio=0.1)
    assert judged(made) == (Bound.COMPUTE, None, Cause.NONE)


def test_without_a_trace_of_the_workers_the_service_is_one_remote_stage() -> None:
    made = recorded()
    unseen = replace(made, data_workers=(), stages=made.stages[:MAP])
    assert judged(unseen) == (Bound.INPUT, "tf.data service", Cause.BLOCKING)
    (waited,) = those(RemoteWait, main(analyse(unseen)).evidence)
    assert waited.workers is None


def test_more_workers_run_more_calls_at_once() -> None:
    one = main(analyse(recorded(cost_ns=28 * MS, workers=1, cpu=1.0)))
    two = main(analyse(recorded(cost_ns=56 * MS, workers=2, cpu=1.0)))
    (of_one,), (of_two,) = (those(WorkInWorkers, each.evidence) for each in (one, two))
    assert (of_one.calls, of_two.calls) == (1, 2)


def test_what_each_worker_did_is_a_row_of_its_own() -> None:
    made = recorded(workers=2, cpu=1.2)
    slow, quick = made.data_workers
    gone = replace(slow, address="gone:5051", windows=(), problem="it does not answer", cores=None)
    made = replace(made, data_workers=(slow, quick, gone))
    first, _, last = analyse(made).data_workers
    assert (first.traced_ms, first.elements, first.cpu_cores) == (300.0, 10, 1.2)
    assert first.stages[0].busy_ratio == pytest.approx(14 / 30)
    assert (last.asked_ratio, last.stages) == (None, ())


def test_windows_that_cannot_be_are_found() -> None:
    made = recorded()
    (found,) = made.data_workers
    bad = replace(found.windows[0], asked_ratio=2.0)
    stray = replace(
        found.windows[0], stages=(WorkerStage(stage=9, elements=1, work_ns=1, parallelism=1),)
    )
    for wrong in (bad, stray):
        assert replace(made, data_workers=(replace(found, windows=(wrong,)),)).check()
