"""What a recording keeps in memory does not bring Python's garbage collections on, or make them longer.

Python looks through all of its objects whenever those that may be in cycles have become a quarter more. In
a training this takes tenths of a second at some step, so what pipeprof keeps must not grow with the steps.
"""

import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pipeprof.capture.collector.accumulator import Accumulator
from pipeprof.capture.collector.collector import Collector
from pipeprof.capture.probes.loaders.datasets import observe_dataset
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.recorder import recorder as recording
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.clock import now_ns

STEPS = 1_000


def test_a_steady_loop_keeps_no_objects_for_its_steps() -> None:
    recorder = Recorder(None)
    collector = Collector(recorder, Accumulator.begin(start_ns=now_ns(), warmup=0))
    context = ProbeContext(recorder, warmup=0)

    def numbers() -> Iterator[int]:
        yield from range(100 * STEPS)

    def objects_after_more() -> int:
        for _ in range(STEPS):
            next(taken)
        collector.drain()
        gc.collect()
        return len(gc.get_objects())

    recording.activate(recorder)
    try:
        taken = observe_dataset(numbers(), context).dataset
        for _ in range(5):
            objects_after_more()
        before = objects_after_more()
        more = [objects_after_more() for _ in range(10)][-1] - before
    finally:
        recording.activate(None)
        context.loops.close_all()
    assert collector.rings.read > 16 * STEPS
    assert more < STEPS / 10


def test_what_only_the_end_needs_is_imported_at_the_end(tmp_path: Path) -> None:
    program = (
        "import json, random, sys\n"
        "import pipeprof\n"
        "random.seed(7)\n"
        "def loaded():\n"
        "    return [name for name in sys.argv[2:] if name in sys.modules]\n"
        "with pipeprof.profile(iter(range(20)), logdir=sys.argv[1]) as prof:\n"
        "    for _ in prof.dataset:\n"
        "        pass\n"
        "    meanwhile = loaded()\n"
        "print(json.dumps([meanwhile, loaded(), random.random()]))\n"
    )
    late = [
        "pipeprof.analysis.analyse",
        "pipeprof.analysis.findings.findings",
        "pipeprof.report.one_run.advice_text",
        "pipeprof.surfaces.timelines.xplane",
    ]
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), *late],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    drawn = subprocess.run(
        [sys.executable, "-c", "import random; random.seed(7); print(random.random())"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert json.loads(done.stdout) == [[], late, float(drawn.stdout)]
