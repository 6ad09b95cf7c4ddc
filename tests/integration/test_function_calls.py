"""Which calls of ``tf.function`` objects trace, and why again."""

from collections.abc import Iterator
from typing import Any

import pytest
import tensorflow as tf

from pipeprof.capture.probes.tensorflow.function_calls import FunctionCalls, FunctionTrace


class Listener:
    def __init__(self, followed: FunctionCalls) -> None:
        self.followed = followed
        self.calls: list[tuple[Any, int, int, FunctionTrace | None]] = []

    def function_called(
        self, function: Any, start_ns: int, end_ns: int, trace: FunctionTrace | None
    ) -> None:
        self.calls.append((function, start_ns, end_ns, trace))

    @property
    def traces(self) -> list[FunctionTrace | None]:
        return [trace for *_, trace in self.calls]


@pytest.fixture
def listener() -> Iterator[Listener]:
    warnings: list[str] = []
    calls = FunctionCalls(warnings.append)
    found = Listener(calls)
    before = vars(type(tf.function(lambda: None)))["__call__"]
    calls.install()
    calls.listeners.append(found)
    yield found
    calls.remove()
    assert vars(type(tf.function(lambda: None)))["__call__"] is before
    assert warnings == []


def test_the_first_call_traces_and_later_ones_of_its_shapes_do_not(listener: Listener) -> None:
    double = tf.function(lambda x: 2 * x)
    assert [float(double(tf.constant(n))) for n in (1.0, 2.0)] == [2.0, 4.0]
    first, second = listener.traces
    assert first == FunctionTrace(traced_ns=0, reason=None)
    assert second is None
    assert all(function is double for function, *_ in listener.calls)
    assert all(start < end for _, start, end, _ in listener.calls)


def test_another_shape_is_the_reason_for_tracing_again(listener: Listener) -> None:
    total = tf.function(tf.reduce_sum)
    for length in (2, 3):
        total(tf.ones(length))
    assert listener.traces[1] == FunctionTrace(traced_ns=0, reason="float32 (2,) → float32 (3,)")


def test_functions_inside_belong_to_the_call_around_them(listener: Listener) -> None:
    inner = tf.function(lambda x: x + 1)
    outer = tf.function(lambda x: inner(x) * 2)
    assert float(outer(tf.constant(1.0))) == 4.0
    [(function, start_ns, end_ns, trace)] = listener.calls
    assert function is outer
    assert trace is not None
    assert start_ns < trace.traced_ns < end_ns


def test_tracing_has_not_ended_before_a_gradient_was_taken(listener: Listener) -> None:
    weight = tf.Variable(1.0)

    @tf.function
    def train(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = weight * x
        return tape.gradient(loss, weight)

    train(tf.constant(1.0))
    [(_, start_ns, end_ns, trace)] = listener.calls
    assert trace is not None
    assert start_ns < trace.traced_ns < end_ns


def test_what_a_function_raises_comes_through(listener: Listener) -> None:
    @tf.function
    def fails(x: Any) -> Any:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fails(tf.constant(1.0))
    assert len(listener.calls) == 1


def test_what_replicas_do_belongs_to_the_call_that_waits_for_them(listener: Listener) -> None:
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        weight = tf.Variable(2.0)

    @tf.function
    def inner(x: Any) -> Any:
        return weight * x

    def replica(x: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = inner(x)
        return tape.gradient(loss, weight)

    step = tf.function(lambda x: strategy.run(replica, args=(x,)))
    assert [float(step(tf.constant(n))) for n in (3.0, 4.0)] == [3.0, 4.0]

    assert [function is step for function, *_ in listener.calls] == [True, True]
    [first, second] = listener.traces
    assert first is not None
    assert first.traced_ns > 0
    assert second is None
    assert listener.followed.trains(step)


# Compiling takes long enough to be noticed where a function has so many layers.
LAYERS = 60


@pytest.mark.parametrize("jit_compile", [True, False])
def test_xla_compiles_for_new_shapes_what_is_not_traced_again(
    listener: Listener, jit_compile: bool
) -> None:
    @tf.function(input_signature=[tf.TensorSpec((None, 4))], jit_compile=jit_compile)
    def layers(x: tf.Tensor) -> tf.Tensor:
        for at in range(LAYERS):
            x = tf.sin(tf.matmul(x, tf.ones((4, 4)) * at)) + tf.math.cumsum(x)
        return x

    for length in (2, 3, 2, 3, 5):
        layers(tf.ones((length, 4)))
    first, *later = [trace.reason if trace else "" for trace in listener.traces]
    assert first is None
    changes = ["float32 (2, 4) → float32 (3, 4)", "", "", "float32 (3, 4) → float32 (5, 4)"]
    assert later == (changes if jit_compile else [""] * 4)
