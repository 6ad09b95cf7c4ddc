"""On which threads the input ran, and how much of it beside the training."""

import dataclasses

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.input_findings import InputFinding
from pipeprof.recording.lane import Lane, Role
from pipeprof.recording.loop import Loop
from pipeprof.recording.stage import Stage, StageKind
from tests.analysis.test_diagnosis import TF_DATA
from tests.builders import MS, SECOND, gauge, lane, loop, profile, stage


def fed(during: Loop, *stages: Stage, lanes: tuple[Lane, ...] | None = None) -> InputFinding:
    main = analyse(profile(loops=(during,), stages=stages, lanes=lanes)).main
    assert main is not None
    return main.input


def test_overlap_is_the_work_outside_the_wait() -> None:
    found = fed(loop(input_work_ns=1_000, input_work_in_wait_ns=740), stage())

    assert found.overlap_ratio == pytest.approx(0.26)
    assert not found.overlap_estimated


def test_overlap_of_tf_data_that_runs_ahead_is_estimated_from_the_wait() -> None:
    prefetch = stage(
        "Prefetch", StageKind.TF_DATA, cost_ns=0, buffer_size=2, lanes={}, location=None
    )
    decode = stage("decode", StageKind.TF_DATA, lanes={}, parent=0)
    found = fed(loop(fed_by=TF_DATA), prefetch, decode)

    assert found.overlap_ratio == pytest.approx(1 / 3)
    assert found.overlap_estimated


def test_tf_data_without_anything_that_runs_ahead_does_not_overlap() -> None:
    found = fed(loop(fed_by=TF_DATA), stage("decode", StageKind.TF_DATA, lanes={}))

    assert found.overlap_ratio == 0
    assert found.overlap_estimated


def test_overlap_of_other_input_without_intervals_is_unknown() -> None:
    assert fed(loop(), stage()).overlap_ratio is None


def test_threads_are_those_of_this_loops_stages_most_work_first() -> None:
    lanes = (lane(), lane("tf.data thread", Role.INPUT, tid=9), lane("idle", Role.INPUT, tid=10))
    decode = stage(lanes={0: SECOND, 1: 20 * SECOND})
    found = fed(loop(lane=0), decode, lanes=lanes)

    assert found.threads == ("tf.data thread", "MainThread")
    assert found.on_main_thread is False
    assert fed(loop(lane=1), decode, lanes=lanes).on_main_thread is True


@pytest.mark.parametrize(
    ("levels", "empty"), [((0, 0, 4, 2), 0.5), ((0, 0, 0, 0), 1.0), ((3, 3), 0.0)]
)
def test_an_empty_queue_is_counted(levels: tuple[int, ...], empty: float) -> None:
    during = loop(warmup=0)
    queue = gauge(*levels, width_ns=(during.end_ns - during.start_ns) // len(levels))
    found = fed(
        dataclasses.replace(
            during, input=dataclasses.replace(during.input, queue=queue, queue_size=10)
        )
    )

    assert found.queue_empty_ratio == empty
    assert found.queue_mean == pytest.approx(sum(levels) / len(levels))
    assert found.queue_size == 10


def test_epoch_starts_are_a_median() -> None:
    waits = [900 * MS, MS, 400 * MS, MS, 410 * MS, MS] + [MS] * 2
    # The very first one also has what starts up in the training.
    assert fed(loop(steps=8, wait_ns=waits, epochs=4, warmup=0)).epoch_start_ms == pytest.approx(
        400
    )
