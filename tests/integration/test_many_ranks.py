"""Processes that train together, real ones: the planted slow rank is named, and none where none is slow."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

import pipeprof
from pipeprof.analysis.findings.rank_findings import (
    RankDied,
    RunOfRanks,
    StragglerCause,
    Synchrony,
)
from pipeprof.analysis.findings.verdict_kinds import Bound
from tests.builders import those

pytestmark = pytest.mark.integration

SCRIPTS = Path(__file__).parent / "ranks"
STEPS = 60
SLOW_MS, QUICK_MS = 30, 2


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def run_all(commands: Sequence[Sequence[str]], environments: Sequence[dict[str, str]]) -> list[str]:
    """Runs processes side by side to their ends; what each wrote."""
    processes = [
        subprocess.Popen(
            [sys.executable, *command],
            env={**os.environ, "PYTHONFAULTHANDLER": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command, environment in zip(commands, environments, strict=True)
    ]
    try:
        return [process.communicate(timeout=200)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()


def run_tensorflow(logdir: Path, size: int, *phases: str) -> None:
    workers = [f"localhost:{port}" for port in free_ports(size)]
    cluster = {"worker": workers}
    outputs = run_all(
        [[str(SCRIPTS / "workers_of_tensorflow.py"), str(logdir), str(STEPS), *phases]] * size,
        [
            {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": n}})}
            for n in range(size)
        ],
    )
    (logdir / "outputs.txt").write_text("\n\n".join(outputs))


def ranks_of(logdir: Path, name: str) -> RunOfRanks:
    found = pipeprof.load(logdir, name=name).findings.ranks
    assert found is not None, (logdir / "outputs.txt").read_text()[-3000:]
    return found


def assert_slow(found: RunOfRanks, rank: int, size: int) -> None:
    """The slow rank is named with its stage, cost and cause."""
    assert [each.number for each in found.ranks] == list(range(size))
    assert found.verdict.synchrony is Synchrony.LOCK_STEP
    assert found.verdict.bound is Bound.INPUT
    (late,) = found.verdict.stragglers
    assert late.rank == rank
    assert late.stage is not None
    assert late.usual_stage is not None
    assert late.stage.name == "batches"
    assert late.stage.cost_ms > 4 * late.usual_stage.cost_ms
    assert late.cause is StragglerCause.SLOW_STORAGE
    assert found.verdict.others_wait_ms > 0.4 * (SLOW_MS - QUICK_MS)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two TensorFlow processes with three trainings, one after another."""
    logdir = tmp_path_factory.mktemp("two")
    phases = ["loop:1", "loop:-1", *(["keras:0"] if find_spec("tf_keras") else [])]
    run_tensorflow(logdir, 2, *phases)
    return logdir


def test_a_slow_rank_of_a_loop_of_its_own_is_named(two: Path):
    assert_slow(ranks_of(two, "loop-1"), 1, 2)


def test_where_no_rank_is_slow_none_is_named(two: Path):
    found = ranks_of(two, "loop--1")
    assert not found.verdict.stragglers
    assert found.verdict.slowest is None


@pytest.mark.skipif(find_spec("tf_keras") is None, reason="tf_keras is not installed")
def test_a_slow_rank_of_tf_keras_is_named(two: Path):
    assert_slow(ranks_of(two, "keras-0"), 0, 2)


def test_of_four_ranks_the_slow_one_is_named(tmp_path: Path):
    run_tensorflow(tmp_path, 4, "loop:2")
    assert_slow(ranks_of(tmp_path, "loop-2"), 2, 4)


@pytest.fixture(scope="module")
def jax_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two JAX processes with three trainings; in the last one a rank is killed."""
    logdir = tmp_path_factory.mktemp("jax")
    (port,) = free_ports(1)
    script = str(SCRIPTS / "processes_of_jax.py")
    common = ["2", str(port), str(STEPS), "slow:1", "even:-1", "dies:1"]
    outputs = run_all([[script, str(logdir), str(rank), *common] for rank in range(2)], [{}, {}])
    (logdir / "outputs.txt").write_text("\n\n".join(outputs))
    return logdir


needs_jax = pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")


@needs_jax
def test_a_slow_rank_of_jax_is_named(jax_runs: Path):
    assert_slow(ranks_of(jax_runs, "slow-1"), 1, 2)


@needs_jax
def test_where_no_rank_of_jax_is_slow_none_is_named(jax_runs: Path):
    found = ranks_of(jax_runs, "even--1")
    assert found.verdict.synchrony is Synchrony.LOCK_STEP
    assert not found.verdict.stragglers


@needs_jax
def test_a_rank_that_is_killed_leaves_what_it_had(jax_runs: Path):
    found = ranks_of(jax_runs, "dies-1")
    died = {each.rank: each for each in those(RankDied, found.problems)}
    assert 0 < died[1].step <= 25
    assert [each.number for each in found.ranks] == [0, 1]
