"""Who computes or waits under Python code, and what branches and filters do, in real trainings."""

import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import pipeprof
from pipeprof.analysis.findings.findings import Findings
from pipeprof.analysis.findings.verdict_kinds import Bound, Cause
from pipeprof.analysis.findings.wait_evidence_kinds import (
    BottleneckAtWork,
    NativeThreads,
    ThrownAway,
)
from pipeprof.analysis.findings.work_reasons import HelperWork
from tests.builders import those
from tests.integration.feeds import Batch, batch, model, train

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:Your input ran out of data"),
]

STEPS = 40
COMPUTES = {Cause.CPU, Cause.CPU_SATURATED}
PACKED = zlib.compress(
    np.random.default_rng(1).integers(0, 9, 16_000_000).astype(np.uint8).tobytes()
)

# A program that computes for a while for every line that it writes, so that there are many looks at it.
RENDERS = """
import time
while True:
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    print("ready", flush=True)
"""


def through_threads(work: Callable[[int], object]) -> Iterator[Batch]:
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(work, number) for number in range(2)]
        for number in range(STEPS):
            waiting.append(pool.submit(work, number))
            waiting.pop(0).result()
            yield batch(number)


def unpacked() -> Iterator[Batch]:
    yield from through_threads(lambda number: zlib.decompress(PACKED))


def fetched() -> Iterator[Batch]:
    yield from through_threads(lambda number: time.sleep(0.06))


@contextmanager
def program(source: str) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-c", source]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        try:
            yield running
        finally:
            running.kill()


def rendered() -> Iterator[Batch]:
    with program(RENDERS) as renderer:
        assert renderer.stdout is not None
        for number in range(STEPS):
            renderer.stdout.readline()
            yield batch(number)


def received() -> Iterator[Batch]:
    """Waits for a socket, while a program of its own waits for work."""
    here, there = socket.socketpair()
    with program("import sys; sys.stdin.read()"), here, there:
        here.settimeout(0.03)
        for number in range(STEPS):
            with pytest.raises(TimeoutError):
                here.recv(1)
            yield batch(number)


def findings_of(dataset: Any, logdir: Path, **fitted: Any) -> Findings:
    with pipeprof.profile(dataset, logdir=logdir) as prof:
        train(model(), prof.dataset, epochs=1, **fitted)
    assert prof.result.check() == ()
    assert prof.findings.main is not None
    assert prof.findings.main.diagnosis.bound is Bound.INPUT
    return prof.findings


def test_a_pool_of_threads_that_computes_is_seen_to_compute(tmp_path: Path) -> None:
    findings = findings_of(unpacked(), tmp_path)
    assert findings.main is not None
    assert findings.main.diagnosis.cause in COMPUTES
    [native] = those(NativeThreads, findings.main.diagnosis.evidence)
    assert native.cores > native.own_cpu_ratio


def test_a_pool_of_threads_that_waits_blocks(tmp_path: Path) -> None:
    findings = findings_of(fetched(), tmp_path)
    assert findings.main is not None
    assert findings.main.diagnosis.cause is Cause.BLOCKING


def test_a_generator_that_reads_what_its_program_makes_waits_for_a_helper(tmp_path: Path) -> None:
    findings = findings_of(rendered(), tmp_path)
    assert findings.main is not None
    assert findings.main.diagnosis.cause is Cause.HELPERS
    [works] = those(BottleneckAtWork, findings.main.diagnosis.evidence)
    assert isinstance(works.reason, HelperWork)
    assert works.reason.count == 1


def test_a_generator_that_reads_a_socket_beside_an_idle_program_blocks(tmp_path: Path) -> None:
    findings = findings_of(received(), tmp_path)
    assert findings.main is not None
    assert findings.main.diagnosis.cause is Cause.BLOCKING


def decode(number: Any) -> Any:
    def read(number: Any) -> Any:
        time.sleep(0.004)
        return batch(0)[0][0]

    image = tf.ensure_shape(tf.numpy_function(read, [number], tf.float32), (8, 8, 1))
    return image, number % 4


def test_branches_with_one_function_are_one_stage_and_a_filter_is_named(tmp_path: Path) -> None:
    decoded = tf.data.Dataset.range(400).map(decode)
    branches = [decoded.filter(lambda image, kind, k=k: kind == k).repeat() for k in range(3)]
    mixed = tf.data.Dataset.sample_from_datasets(branches, [1 / 3] * 3, seed=1)
    findings = findings_of(mixed.batch(2).take(STEPS), tmp_path)
    [found] = [found for found in findings.stages if found.stage.name == "decode"]
    assert found.copies == 3
    assert findings.main is not None
    assert findings.main.diagnosis.bottleneck is not None
    assert findings.main.diagnosis.bottleneck.stage == "decode"
    [thrown] = those(ThrownAway, findings.main.diagnosis.evidence)
    assert 3 < thrown.taken / thrown.kept < 5.5
