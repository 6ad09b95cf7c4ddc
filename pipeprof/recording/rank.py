"""A process's place among those that train together, and what is known of its machine."""

from enum import Enum

from pipeprof.recording.light_dataclasses import dataclass

# More processes than any training has; a greater number comes from a damaged file.
MOST_RANKS = 1_000_000


class Launcher(Enum):
    """Where a process knows its rank from."""

    TF_CONFIG = "TF_CONFIG"
    TORCHRUN = "RANK and WORLD_SIZE"
    """torchrun sets them, and so do Ray Train and Kubeflow."""
    OPEN_MPI = "Open MPI"
    PMI = "PMI"
    """MPICH, Intel MPI and others that start with Hydra."""
    SLURM = "SLURM"
    TPU = "TPU_WORKER_ID"
    JAX = "jax.distributed"
    """Not its environment but JAX itself, once it is connected."""
    TORCH = "torch.distributed"
    """Not its environment but PyTorch itself, once its process group is made."""
    TENSORFLOW = "tf.distribute"
    """Not its environment but TensorFlow itself, once a strategy with several workers is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """A process's place among those that train together.

    Attributes:
        number: its rank, from 0.
        size: how many processes train together.
        launcher: where it knows that from.
        group: equal in all processes of the training, 16 hexadecimal digits. Another training may have
            the same one where the launcher gives no job number.
        job_known: whether `group` has the launcher's job number in it, so that no other training has it.
        anonymous: whether only the number of ranks is in `group`, so that any training of so many has it.
    """

    number: int
    size: int
    launcher: Launcher
    group: str
    job_known: bool = False
    anonymous: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.size <= MOST_RANKS:
            raise ValueError(f"rank {self.number} of {self.size}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What is known of a machine beside its processors; None where it is not known.

    Attributes:
        memory_bytes: memory that the process may use, at most.
        system: name and release of the operating system.
        clock_ahead_ns: how far the machine's clock is ahead of the clock of the file system that the run
            is written to.
    """

    memory_bytes: int | None = None
    system: str | None = None
    clock_ahead_ns: int | None = None
