"""The lines of the live view."""

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.recent import Recent
from pipeprof.recording.lane import Role
from pipeprof.recording.loop import Input, InputKind
from pipeprof.surfaces.texts.live_view import LINES, live_lines
from tests.builders import MS, gauge, lane, loop, profile, stage

QUIET = Recent(step_ms=None, wait_ms=None, compute_ms=None, cores={})
BUSY = Recent(
    step_ms=12.9,
    wait_ms=8.44,
    compute_ms=4.46,
    cores={Role.TRAINING: 0.42, Role.MAIN: 0.1, Role.WORKER: 1.2, Role.OTHER: 0.001},
)


def test_what_happens_now_then_the_verdict_on_the_whole():
    fed_by = Input(kind=InputKind.TF_DATA, name="Dataset", queue_size=2, queue=gauge(2, 0))
    fit = loop(steps=1200, epochs=2, fed_by=fed_by)
    slow = stage("decode", cost_ns=20 * MS, cpu_ratio=0.01, during=fit)
    lines = live_lines(
        analyse(profile(loops=(fit,), stages=(slow,), lanes=(lane(during=fit),))), BUSY, 120
    )

    assert lines == (
        " fit, epoch 2, 1,200 steps   step 12.9 ms = wait 8.4 + compute 4.5",
        " INPUT-BOUND   67 % of the training's time waits for data",
        " decode (train.py:41) 20.0 ms per step   "
        "it waits for something other than a CPU (disk, network, sleep)",
        " 0 of 2 batches ready   2 cores: main 10 %, training 42 %, worker 120 %",
    )


def test_before_the_first_step_and_in_a_pause():
    assert live_lines(analyse(profile(loops=())), QUIET, 80)[0] == " pipeprof: no step yet"
    paused = live_lines(analyse(profile()), QUIET, 80)
    assert paused[0] == " fit, epoch 1, 100 steps   no step for some seconds"


@pytest.mark.parametrize("width", [20, 40, 80])
def test_no_line_is_wider_than_the_screen(width: int):
    said = analyse(profile(stages=(stage("a" * 200, cost_ns=20 * MS, during=loop()),)))
    lines = live_lines(said, BUSY, width)

    assert len(lines) == LINES
    assert max(map(len, lines)) <= width
