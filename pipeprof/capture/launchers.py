"""Finds a process's rank in what launchers set in its environment, or in a framework that knows it.

A launcher that gives addresses of one machine only (``localhost``) starts all processes there: the machine
is part of the group then, since another machine may have a training with equal addresses.

No launcher is asked and no other process: a process finds its place by itself.
"""

import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipeprof.capture.recorder.recorder import host_name
from pipeprof.recording.rank import Launcher, Rank

Environment = Mapping[str, str]

_NUMBER = re.compile(r"[0-9]{1,7}")
_OF_ONE_MACHINE = re.compile(r"(?<![\w.-])(localhost|127\.[0-9.]+|\[?::1\]?)(?![\w.-])")


def rank_by_environment(environment: Environment) -> Rank | None:
    """The rank that a launcher gave the process, or None for a process that trains alone.

    Of several launchers the one nearest to the training counts: ``srun`` may start ``torchrun``.
    """
    for find in _FINDERS:
        found = find(environment)
        if found is not None:
            return found
    return None


def rank_by_framework(modules: Mapping[str, Any]) -> Rank | None:
    """The rank that a framework knows once its processes are connected, or None.

    Args:
        modules: the loaded modules; none is imported.
    """
    try:
        return _rank_of_jax(modules) or _rank_of_torch(modules) or _rank_of_tensorflow(modules)
    except Exception:  # another version of the framework
        return None


def find_rank(environment: Environment) -> Rank | None:
    """The rank of this process by its environment, else by a loaded framework, else None."""
    return rank_by_environment(environment) or rank_by_framework(sys.modules)


def has_tensorflow_peers(environment: Environment) -> bool:
    """Whether TensorFlow trains with other processes, by its environment or by what it knows itself."""
    if _by_tf_config(environment) is not None:
        return True
    found = rank_by_framework(sys.modules)
    return found is not None and found.launcher is Launcher.TENSORFLOW


def _rank_of_jax(modules: Mapping[str, Any]) -> Rank | None:
    distributed = modules.get("jax._src.distributed")
    state: Any = getattr(distributed, "global_state", None)
    if state is None or state.client is None:
        return None
    address = state.coordinator_address
    return _rank(state.process_id, state.num_processes, Launcher.JAX, str(address))


def _rank_of_torch(modules: Mapping[str, Any]) -> Rank | None:
    distributed = modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    number, size = distributed.get_rank(), distributed.get_world_size()
    return _rank(number, size, Launcher.TORCH, _meeting_of_torch(modules))


def _meeting_of_torch(modules: Mapping[str, Any]) -> str | None:
    """Where the processes of PyTorch met, an address or a file; None where it does not say that."""
    groups = modules.get("torch.distributed.distributed_c10d")
    find: Any = getattr(groups, "_get_default_store", None)
    store = find() if find is not None else None
    while (inner := getattr(store, "underlying_store", None)) is not None:
        store = inner
    host, port, file = (getattr(store, name, None) for name in ("host", "port", "path"))
    if host is None and file is None:
        return None
    return json.dumps([host, port, file])


def _rank_of_tensorflow(modules: Mapping[str, Any]) -> Rank | None:
    context = getattr(modules.get("tensorflow.python.eager.context"), "_context", None)
    server: Any = getattr(context, "_collective_ops_server_def", None)
    if server is None:
        return None
    cluster = {
        job.name: [job.tasks[task] for task in sorted(job.tasks)] for job in server.cluster.job
    }
    return _of_cluster(cluster, server.job_name, server.task_index, Launcher.TENSORFLOW, {})


def _rank(
    number: int, size: int, launcher: Launcher, cluster: str | None, job: str | None = None
) -> Rank | None:
    """The rank; None where it trains alone, or the numbers make no rank."""
    if size < 2:
        return None
    machine = host_name() if _OF_ONE_MACHINE.search(cluster or "") else None
    text = json.dumps([launcher.value, size, cluster, job, machine])
    group = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
    try:
        return Rank(
            number=number,
            size=size,
            launcher=launcher,
            group=group,
            job_known=job is not None,
            anonymous=job is None and cluster is None,
        )
    except ValueError:
        return None


def _by_tf_config(environment: Environment) -> Rank | None:
    """The chief comes before the workers, as `tf.distribute` numbers them; other tasks do not train."""
    try:
        config = json.loads(environment.get("TF_CONFIG") or "{}")
        cluster, task = config["cluster"], config["task"]
        kind, index = task["type"], int(task["index"])
        return _of_cluster(cluster, kind, index, Launcher.TF_CONFIG, environment)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _of_cluster(
    cluster: Any, kind: str, index: int, launcher: Launcher, environment: Environment
) -> Rank | None:
    if kind not in ("chief", "master", "worker"):
        return None
    chiefs = len(cluster.get("chief") or cluster.get("master") or ())
    size = chiefs + len(cluster.get("worker") or ())
    number = index + (chiefs if kind == "worker" else 0)
    return _rank(number, size, launcher, _with_job(cluster, environment))


def _by_torchrun(environment: Environment) -> Rank | None:
    cluster = {
        name: environment.get(name)
        for name in (
            "TORCHELASTIC_RUN_ID",
            "TORCHELASTIC_RESTART_COUNT",
            "MASTER_ADDR",
            "MASTER_PORT",
        )
    }
    return _counted(environment, "RANK", "WORLD_SIZE", Launcher.TORCHRUN, cluster)


def _by_open_mpi(environment: Environment) -> Rank | None:
    job = environment.get("PMIX_NAMESPACE") or environment.get("OMPI_MCA_ess_base_jobid")
    names = ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")
    return _counted(environment, *names, Launcher.OPEN_MPI, None, job)


def _by_pmi(environment: Environment) -> Rank | None:
    cluster = environment.get("PMI_PORT")
    return _counted(environment, "PMI_RANK", "PMI_SIZE", Launcher.PMI, cluster)


def _by_slurm(environment: Environment) -> Rank | None:
    """Only of a process that ``srun`` started: a batch script sees the numbers of the whole job."""
    step = environment.get("SLURM_STEP_ID")
    if step is None or not _NUMBER.fullmatch(step):
        return None
    parts = ("SLURM_CLUSTER_NAME", "SLURM_JOB_ID", "SLURM_RESTART_COUNT", "SLURM_STEP_ID")
    job = json.dumps([environment.get(part) for part in parts])
    names = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")
    return _counted(environment, *names, Launcher.SLURM, None, job)


def _by_tpu(environment: Environment) -> Rank | None:
    hosts = environment.get("TPU_PROCESS_ADDRESSES") or environment.get("TPU_WORKER_HOSTNAMES")
    number = environment.get("TPU_WORKER_ID", "")
    if not hosts or not _NUMBER.fullmatch(number):
        return None
    size = len(hosts.split(","))
    return _rank(int(number), size, Launcher.TPU, _with_job(hosts, environment))


_FINDERS: tuple[Callable[[Environment], Rank | None], ...] = (
    _by_tf_config,
    _by_torchrun,
    _by_open_mpi,
    _by_pmi,
    _by_slurm,
    _by_tpu,
)


def _counted(
    environment: Environment,
    number: str,
    size: str,
    launcher: Launcher,
    cluster: Any,
    job: str | None = None,
) -> Rank | None:
    texts = environment.get(number, ""), environment.get(size, "")
    if not all(_NUMBER.fullmatch(text) for text in texts):
        return None
    described = _with_job(cluster, environment)
    return _rank(int(texts[0]), int(texts[1]), launcher, described, job)


def _with_job(cluster: Any, environment: Environment) -> str | None:
    """A cluster with the jobs around it: two jobs never share a run, also where addresses come back.

    None where neither is known.
    """
    jobs = list(_jobs(environment))
    named = any(cluster.values()) if isinstance(cluster, dict) else cluster is not None
    if not named and not any(jobs):
        return None
    return json.dumps([cluster, *jobs], sort_keys=True)


def _jobs(environment: Environment) -> Iterator[str | None]:
    for name in ("SLURM_JOB_ID", "SLURM_RESTART_COUNT", "PBS_JOBID", "LSB_JOBID", "JOB_ID"):
        yield environment.get(name)
