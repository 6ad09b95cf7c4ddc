"""Processes that train together, real ones: the planted slow rank is named, and none where none is slow."""

import json
import os
import shutil
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


needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")


@pytest.fixture(scope="module")
def torch_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two PyTorch processes with two trainings."""
    logdir = tmp_path_factory.mktemp("torch")
    (port,) = free_ports(1)
    command = [str(SCRIPTS / "processes_of_torch.py"), str(logdir), str(STEPS), "slow:1", "even:-1"]
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    outputs = run_all([command] * 2, [{**common, "RANK": str(rank)} for rank in range(2)])
    (logdir / "outputs.txt").write_text("\n\n".join(outputs))
    return logdir


@needs_torch
def test_a_slow_rank_of_pytorch_is_named(torch_runs: Path):
    assert_slow(ranks_of(torch_runs, "slow-1"), 1, 2)


@needs_torch
def test_where_no_rank_of_pytorch_is_slow_none_is_named(torch_runs: Path):
    assert not ranks_of(torch_runs, "even--1").verdict.stragglers


@pytest.mark.parametrize("way", ["environment", "resolver", pytest.param("jax", marks=needs_jax)])
def test_processes_that_the_script_itself_connects_are_one_run(tmp_path: Path, way: str):
    ports = [str(port) for port in free_ports(2)]
    script = str(SCRIPTS / "connects_late.py")
    begin = ["-m", "pipeprof", "run", "--logdir", str(tmp_path), "--name", "late", script, way]
    outputs = run_all([[*begin, str(rank), "2", *ports, "40"] for rank in range(2)], [{}, {}])
    (tmp_path / "outputs.txt").write_text("\n\n".join(outputs))
    found = ranks_of(tmp_path, "late-ranks")
    assert [each.number for each in found.ranks] == [0, 1]
    assert not found.problems
    assert [path.name for path in (tmp_path / "plugins" / "pipeprof").iterdir()] == ["late-ranks"]


OF_THEIR_OWN = [
    *("unshare", "--user", "--map-root-user", "--net"),
    *(sys.executable, str(SCRIPTS / "hosts_of_their_own.py")),
]


@pytest.fixture
def hosts_of_their_own() -> list[str]:
    """The command that runs another one on two hosts."""
    if not all(map(shutil.which, ("unshare", "nsenter", "ip", "hostname"))):
        pytest.skip("the programs that make network namespaces are not installed")
    tried = subprocess.run(OF_THEIR_OWN, capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no network namespaces can be made here: {tried.stderr.strip()[-200:]}")
    return OF_THEIR_OWN


def test_hosts_with_addresses_of_their_own_are_one_run(
    tmp_path: Path, hosts_of_their_own: list[str]
):
    script = [str(SCRIPTS / "workers_of_tensorflow.py"), str(tmp_path), str(STEPS), "loop:1"]
    ended = subprocess.run(
        [*hosts_of_their_own, sys.executable, *script],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    (tmp_path / "outputs.txt").write_text(ended.stderr)
    found = ranks_of(tmp_path, "loop-1")
    assert_slow(found, 1, 2)
    assert [each.summary.host for each in found.ranks] == ["box-0", "box-1"]
