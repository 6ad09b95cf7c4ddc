"""A training of several processes under ``pipeprof run``: only the script itself says which one it is.

``connects_late.py environment|resolver|jax RANK SIZE PORT… STEPS``: it sets TF_CONFIG before it makes its
strategy, gives the strategy a resolver, or connects JAX.
"""

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

way, rank, size, *ports, steps = sys.argv[1:]
workers = [f"localhost:{port}" for port in ports]


def batches() -> Iterator[Any]:
    for _ in range(int(steps)):
        yield np.ones((1, 8), np.float32)


def train_on_jax() -> None:
    import jax as jax_without_types

    jax: Any = jax_without_types
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(workers[0], int(size), int(rank))
    add = jax.pmap(lambda x: jax.lax.psum(x, "i"), "i")
    for batch in batches():
        jax.block_until_ready(add(batch))


def train_on_tensorflow() -> None:
    import tensorflow as tf

    if way == "environment":
        task = {"type": "worker", "index": int(rank)}
        os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": workers}, "task": task})
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    else:
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": workers}), task_type="worker", task_id=int(rank)
        )
        strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)

    def add(x: Any) -> Any:
        return tf.distribute.get_replica_context().all_reduce("sum", 1.0 * x)

    step = tf.function(lambda x: strategy.reduce("sum", strategy.run(add, (x,)), axis=None))
    for batch in batches():
        float(tf.reduce_sum(step(tf.constant(batch))))


train_on_jax() if way == "jax" else train_on_tensorflow()
