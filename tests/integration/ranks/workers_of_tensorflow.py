"""A training of several TensorFlow processes, started once for each: a loop of its own, then tf_keras."""

import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

import pipeprof

SLOW_S, QUICK_S = 0.06, 0.002

logdir, steps, *phases = sys.argv[1:]
rank = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
strategy = tf.distribute.MultiWorkerMirroredStrategy()


def load_crop(slow: bool) -> Any:
    time.sleep(SLOW_S if slow else QUICK_S)
    return np.ones((8, 16), np.float32), np.ones((8, 1), np.float32)


def dataset(slow: int, count: int) -> Any:
    def batches() -> Iterator[Any]:
        for _ in range(count):
            yield load_crop(rank == slow)

    signature = (tf.TensorSpec((8, 16)), tf.TensorSpec((8, 1)))
    made = tf.data.Dataset.from_generator(batches, output_signature=signature)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return made.with_options(options)


def loop_of_its_own(slow: int) -> None:
    # Its length known, tf.distribute does not ask all ranks for each batch.
    count = int(steps)
    cardinality = tf.data.experimental.assert_cardinality(count)
    given = strategy.distribute_datasets_from_function(
        lambda context: dataset(slow, count).apply(cardinality)
    )
    with strategy.scope():
        weights = tf.Variable(tf.ones((16, 1)))

    def one(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((x @ weights - y) ** 2)
        gradient = tf.distribute.get_replica_context().all_reduce(
            "mean", tape.gradient(loss, weights)
        )
        weights.assign_sub(0.001 * gradient)
        return loss

    def on_all(x: Any, y: Any) -> Any:
        return strategy.reduce("mean", strategy.run(one, (x, y)), axis=None)

    step = tf.function(on_all)
    for x, y in given:
        float(step(x, y))


def of_tf_keras(slow: int) -> None:
    import tf_keras

    with strategy.scope():
        model = tf_keras.Sequential([tf_keras.layers.Dense(1)])
        model.compile("sgd", "mse")
    model.fit(dataset(slow, 10 * int(steps)), steps_per_epoch=int(steps), epochs=1, verbose=0)


for phase in phases:
    kind, slow = phase.split(":")
    with pipeprof.profile(logdir=logdir, name=phase.replace(":", "-")):
        {"loop": loop_of_its_own, "keras": of_tf_keras}[kind](int(slow))
