"""A DDP training of several PyTorch processes on the CPU, started once for each by what torchrun sets."""

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch as torch_without_types
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

import pipeprof

torch: Any = torch_without_types
SLOW_S, QUICK_S = 0.03, 0.002

logdir, steps, *phases = sys.argv[1:]
rank = os.environ["RANK"]
torch.set_num_threads(1)
distributed.init_process_group("gloo")
model = DistributedDataParallel(torch.nn.Linear(16, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.001)


def load_crop(slow: bool) -> Any:
    time.sleep(SLOW_S if slow else QUICK_S)
    return torch.ones(8, 16)


def batches(slow: str) -> Iterator[Any]:
    for _ in range(int(steps)):
        yield load_crop(rank == slow)


for phase in phases:
    _, slow = phase.split(":")
    with pipeprof.profile(batches(slow), logdir=logdir, name=phase.replace(":", "-")) as prof:
        for batch in prof.dataset:
            optimizer.zero_grad()
            model(batch).pow(2).mean().backward()
            optimizer.step()
distributed.destroy_process_group()
