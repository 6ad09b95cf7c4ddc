"""A training of several JAX processes on the CPU, started once for each."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import jax as jax_without_types
import numpy as np

import pipeprof

jax: Any = jax_without_types
SLOW_S, QUICK_S = 0.03, 0.002
DIES_AT = 25

logdir, rank, size, port, steps, *phases = sys.argv[1:]
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"localhost:{port}", int(size), int(rank))
add = jax.pmap(lambda x: jax.lax.psum(x, "i"), "i")


def load_crop(slow: bool) -> Any:
    time.sleep(SLOW_S if slow else QUICK_S)
    return np.ones((1, 8), np.float32)


def batches(slow: str, dies: bool) -> Iterator[Any]:
    for number in range(int(steps)):
        if dies and number == DIES_AT and rank == slow:
            os.kill(os.getpid(), signal.SIGKILL)
        yield load_crop(rank == slow and not dies)


for phase in phases:
    kind, slow = phase.split(":")
    with (
        contextlib.suppress(Exception),  # that of the collective whose peer died
        pipeprof.profile(
            batches(slow, kind == "dies"), logdir=logdir, name=phase.replace(":", "-")
        ) as prof,
    ):
        for batch in prof.dataset:
            jax.block_until_ready(add(batch))
sys.stdout.flush()
os._exit(0)  # JAX waits for a process that died
