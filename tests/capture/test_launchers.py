"""Ranks from what launchers set: each with an environment that looks alike and gives none."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from pipeprof.capture import launchers
from pipeprof.capture.launchers import rank_by_environment, rank_by_framework
from pipeprof.recording.rank import Launcher, Rank

HOSTS = ["a:2222", "b:2222"]
SRUN = {
    "SLURM_PROCID": "1",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_ID": "0",
    "SLURM_JOB_ID": "77",
    "SLURM_NTASKS": "4",
}
TORCHRUN = {
    "RANK": "1",
    "WORLD_SIZE": "4",
    "MASTER_ADDR": "a",
    "MASTER_PORT": "29500",
    "TORCHELASTIC_RUN_ID": "none",
    "TORCHELASTIC_RESTART_COUNT": "0",
}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "4",
    "PMIX_NAMESPACE": "prterun-a-12@1",
}


def tf_config(kind: str, index: Any, **cluster: list[str]) -> dict[str, str]:
    config = {"cluster": cluster or {"worker": HOSTS}, "task": {"type": kind, "index": index}}
    return {"TF_CONFIG": json.dumps(config)}


def rank(environment: dict[str, str]) -> Rank:
    found = rank_by_environment(environment)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("environment", "launcher", "number", "size"),
    [
        (tf_config("worker", 1), Launcher.TF_CONFIG, 1, 2),
        (tf_config("worker", 1, chief=["c:1"], worker=HOSTS), Launcher.TF_CONFIG, 2, 3),
        (tf_config("chief", 0, chief=["c:1"], worker=HOSTS, ps=["p:1"]), Launcher.TF_CONFIG, 0, 3),
        (TORCHRUN, Launcher.TORCHRUN, 1, 4),
        (OPEN_MPI, Launcher.OPEN_MPI, 1, 4),
        ({"PMI_RANK": "3", "PMI_SIZE": "4"}, Launcher.PMI, 3, 4),
        (SRUN, Launcher.SLURM, 1, 4),
        ({"TPU_WORKER_ID": "1", "TPU_WORKER_HOSTNAMES": "t0,t1"}, Launcher.TPU, 1, 2),
        # `srun` started `torchrun`, which started the training.
        ({**SRUN, **TORCHRUN}, Launcher.TORCHRUN, 1, 4),
    ],
)
def test_a_launcher_gives_a_rank(
    environment: dict[str, str], launcher: Launcher, number: int, size: int
):
    found = rank(environment)
    assert (found.launcher, found.number, found.size) == (launcher, number, size)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"TF_CONFIG": "{"},
        {"TF_CONFIG": "[]"},
        {"TF_CONFIG": '{"cluster": {"worker": ["a"]}}'},
        tf_config("worker", 0, worker=["a:1"]),
        tf_config("worker", "x"),
        tf_config("worker", 5),
        tf_config("ps", 0, worker=HOSTS, ps=["p:1"]),
        tf_config("evaluator", 0),
        {"RANK": "0", "WORLD_SIZE": "1"},
        {"RANK": "0"},
        {"RANK": "4", "WORLD_SIZE": "4"},
        {"RANK": "-1", "WORLD_SIZE": "4"},
        {"RANK": "a", "WORLD_SIZE": "b"},
        # A batch script of SLURM, which no srun started.
        {name: text for name, text in SRUN.items() if name != "SLURM_STEP_ID"},
        {**SRUN, "SLURM_STEP_ID": "batch"},
    ],
)
def test_what_trains_alone_has_no_rank(environment: dict[str, str]):
    assert rank_by_environment(environment) is None


@pytest.mark.parametrize(
    ("environment", "another"),
    [
        (tf_config("worker", 0), tf_config("worker", 1)),
        (TORCHRUN, {**TORCHRUN, "RANK": "0"}),
        (SRUN, {**SRUN, "SLURM_PROCID": "0"}),
    ],
)
def test_ranks_of_one_training_are_of_one_group(
    environment: dict[str, str], another: dict[str, str]
):
    assert rank(environment).group == rank(another).group


@pytest.mark.parametrize(
    ("environment", "another"),
    [
        (tf_config("worker", 0), tf_config("worker", 0, worker=["a:2222", "b:2223"])),
        (TORCHRUN, {**TORCHRUN, "MASTER_PORT": "29501"}),
        (TORCHRUN, {**TORCHRUN, "TORCHELASTIC_RESTART_COUNT": "1"}),
        (TORCHRUN, {**TORCHRUN, "SLURM_JOB_ID": "78"}),
        (SRUN, {**SRUN, "SLURM_JOB_ID": "78"}),
        (SRUN, {**SRUN, "SLURM_STEP_ID": "1"}),
        (OPEN_MPI, {**OPEN_MPI, "PMIX_NAMESPACE": "prterun-a-13@1"}),
    ],
)
def test_another_job_is_another_group(environment: dict[str, str], another: dict[str, str]):
    assert rank(environment).group != rank(another).group


def test_only_some_launchers_number_their_jobs():
    assert rank(SRUN).job_known
    assert rank(OPEN_MPI).job_known
    assert not rank(TORCHRUN).job_known
    assert not rank(tf_config("worker", 0)).job_known


def _jax(client: object) -> dict[str, Any]:
    state = SimpleNamespace(client=client, process_id=1, num_processes=2, coordinator_address="a:1")
    return {"jax._src.distributed": SimpleNamespace(global_state=state)}


def test_jax_knows_its_rank_once_it_is_connected():
    found = rank_by_framework(_jax(object()))
    assert found is not None
    assert (found.launcher, found.number, found.size) == (Launcher.JAX, 1, 2)
    assert rank_by_framework(_jax(None)) is None
    assert rank_by_framework({}) is None


def test_on_one_machine_that_machine_is_part_of_the_group(monkeypatch: pytest.MonkeyPatch):
    everywhere = [TORCHRUN, tf_config("worker", 0), SRUN]
    here = [
        {**TORCHRUN, "MASTER_ADDR": "localhost"},
        {**TORCHRUN, "MASTER_ADDR": "127.0.0.1"},
        tf_config("worker", 0, worker=["localhost:1", "localhost:2"]),
        tf_config("worker", 0, worker=["[::1]:1", "[::1]:2"]),
    ]
    groups = []
    for name in ("one", "two"):
        monkeypatch.setattr(launchers, "host_name", lambda name=name: name)
        groups.append([rank(each).group for each in (*everywhere, *here)])
    first, second = groups
    same = [one == other for one, other in zip(first, second, strict=True)]
    assert same == [True] * len(everywhere) + [False] * len(here)


def test_a_group_that_only_has_a_size_is_anonymous():
    mpich = {"PMI_RANK": "3", "PMI_SIZE": "4", "PMI_ID": "3"}
    assert rank(mpich).anonymous
    assert rank(mpich).group == rank({**mpich, "PMI_RANK": "2", "PMI_ID": "2"}).group
    assert rank({"RANK": "0", "WORLD_SIZE": "2"}).anonymous
    known = ({**mpich, "PMI_PORT": "a:1"}, {**mpich, "PBS_JOBID": "7"}, TORCHRUN, SRUN, OPEN_MPI)
    assert not any(rank(each).anonymous for each in known)


def _torch(store: object) -> dict[str, Any]:
    distributed = SimpleNamespace(
        is_available=lambda: True,
        is_initialized=lambda: True,
        get_rank=lambda: 1,
        get_world_size=lambda: 2,
    )
    groups = SimpleNamespace(_get_default_store=lambda: store)
    return {"torch.distributed": distributed, "torch.distributed.distributed_c10d": groups}


def test_pytorch_is_known_by_where_its_processes_met():
    met = [
        SimpleNamespace(underlying_store=SimpleNamespace(host=host, port=29500)) for host in "ab"
    ]
    found = [rank_by_framework(_torch(store)) for store in (*met, SimpleNamespace())]
    assert all(each is not None and (each.number, each.size) == (1, 2) for each in found)
    assert [each.anonymous for each in found if each] == [False, False, True]
    assert len({each.group for each in found if each}) == 3


def _tensorflow(index: int, **jobs: list[str]) -> dict[str, Any]:
    cluster = [
        SimpleNamespace(name=name, tasks=dict(enumerate(hosts))) for name, hosts in jobs.items()
    ]
    server = SimpleNamespace(
        cluster=SimpleNamespace(job=cluster), job_name="worker", task_index=index
    )
    context = SimpleNamespace(_collective_ops_server_def=server)
    return {"tensorflow.python.eager.context": SimpleNamespace(_context=context)}


def test_tensorflow_knows_its_rank_once_a_strategy_is_made():
    first, second = (
        rank_by_framework(_tensorflow(index, chief=["c:1"], worker=HOSTS)) for index in (0, 1)
    )
    assert first is not None
    assert second is not None
    assert (first.number, second.number, second.size) == (1, 2, 3)
    assert first.group == second.group
    assert rank_by_framework(_tensorflow(0, worker=["a:1"])) is None
    alone = SimpleNamespace(_context=SimpleNamespace(_collective_ops_server_def=None))
    assert rank_by_framework({"tensorflow.python.eager.context": alone}) is None
    assert rank_by_framework({"tensorflow.python.eager.context": SimpleNamespace()}) is None


def test_a_framework_of_another_version_gives_no_rank():
    odd = {"jax._src.distributed": SimpleNamespace(global_state=SimpleNamespace())}
    assert rank_by_framework(odd) is None
