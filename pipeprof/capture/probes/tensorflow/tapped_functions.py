"""Sees the batches that TensorFlow's compiled train functions consume, and changes none of them.

Keras on TensorFlow takes a batch from its iterator inside a compiled function. A tapped function takes the
batch from that iterator itself, just as the compiled function would have done it, shows it, and calls the
compiled function with another iterator, which hands on that very batch: its tensors, not a copy. The other
iterator has the element specification of the first, so that the function is not traced again and runs as
it was. The pipeline is not changed: its order, its parallelism and AUTOTUNE see the same requests.
"""

import functools
import inspect
from collections.abc import Callable
from statistics import median_low
from typing import Any

import tensorflow as tf

from pipeprof.capture.passed_frames import pass_over
from pipeprof.clock import now_ns
from pipeprof.errors import describe_error

# Of the time to hand a batch on, the first ones take longer.
_TRIPS = 5
# Types of tensors that stand for other objects.
_WITHOUT_CONTENT = (tf.variant, tf.resource)


class TappedFunctions:
    """Makes functions whose batches are seen.

    Args:
        seen: called with the arrays of each batch, just before the function is given it, and with what it
            costs to hand a batch on, in nanoseconds.
        refused: called with a sentence where a function's batches cannot be seen.
    """

    def __init__(self, seen: Callable[[Any, int], None], refused: Callable[[str], None]) -> None:
        self._seen = seen
        self._refused = refused
        self._iterator: Any = None
        self._relay: _Relay | None = None

    @pass_over
    def tap(self, function: Any, batches_per_call: Callable[[], int]) -> Any:
        """The function as one whose batches are seen.

        Args:
            function: takes an iterator and consumes batches of it.
            batches_per_call: returns how many batches the function takes in a call, at the most.
        """

        @functools.wraps(function)
        def tapped(iterator: Any, *args: Any, **kwargs: Any) -> Any:
            relay = self._relay_for(iterator)
            if relay is None:
                return function(iterator, *args, **kwargs)
            whole, failure = batches_per_call(), None
            taken = 0
            try:
                while taken < whole:
                    try:
                        parts = tf.nest.flatten(iterator.get_next(), expand_composites=True)
                    except tf.errors.OutOfRangeError:
                        break
                    except (
                        Exception
                    ) as error:  # the input's own, which comes after what it gave before
                        failure = error
                        break
                    shown = [part for part in parts if part.dtype not in _WITHOUT_CONTENT]
                    self._seen(shown, relay.cost_ns(parts))
                    relay.hand_on(parts)
                    taken += 1
                if (
                    not taken and failure is None
                ):  # the function finds out by itself that it is over
                    return function(iterator, *args, **kwargs)
                if taken:
                    feed = relay.iterator if taken == whole else relay.iterator_over(taken)
                    result = function(feed, *args, **kwargs)
                    if failure is None:
                        return result
            except BaseException:
                self.forget()  # what was not taken from the relay must not come next time
                raise
            assert failure is not None
            raise failure

        return tapped

    def forget(self) -> None:
        """Forgets the relay; the next batches go through a new one."""
        self._iterator = self._relay = None

    def _relay_for(self, iterator: Any) -> "_Relay | None":
        """What hands on the batches of an iterator; that of the latest iterator is kept."""
        if iterator is not self._iterator:
            if self._relay is None or not self._relay.fits(iterator):
                self._relay = self._new_relay(iterator)
            self._iterator = iterator
        return self._relay

    def _new_relay(self, iterator: Any) -> "_Relay | None":
        if not isinstance(iterator, tf.data.Iterator):
            self._refused(
                "What the model consumed was not recorded: a distribution strategy feeds several devices."
            )
            return None
        try:
            relay = _Relay(iterator.element_spec)
            if relay.fits(iterator):
                return relay
            reason = f"found another type of {type(iterator).__name__}"
        except Exception as error:
            reason = describe_error(error)
        self._refused(
            "What the model consumed was not recorded: batches of this kind cannot be handed on "
            f"unchanged ({reason})."
        )
        return None


class _Relay:
    """Hands batches on to a function that takes an iterator.

    Args:
        spec: element specification of the batches.
    """

    def __init__(self, spec: Any) -> None:
        self._spec = spec
        self._flat = tf.nest.flatten(spec, expand_composites=True)
        with tf.device("CPU:0"):
            self._queue = tf.queue.FIFOQueue(-1, [part.dtype for part in self._flat])
            self._dataset = self._make_dataset()
            self.iterator: Any = _iterate(self._dataset)
        self._cost_ns: int | None = None

    def cost_ns(self, parts: list[Any]) -> int:
        """What it takes to hand a batch on and to take it again, measured with the first batch.

        Args:
            parts: the tensors of a batch. Nothing may have been handed on that was not taken.
        """
        if self._cost_ns is None:
            trips = []
            for _ in range(_TRIPS):
                begin_ns = now_ns()
                self.hand_on(parts)
                self.iterator.get_next()
                trips.append(now_ns() - begin_ns)
            self._cost_ns = median_low(trips)
        return self._cost_ns

    def _make_dataset(self) -> Any:
        """A dataset without end, whose elements are what was handed on."""

        def take(count: Any) -> list[Any]:  # TensorFlow warns of an argument named _
            taken = self._queue.dequeue()
            parts = list(taken) if isinstance(taken, (tuple, list)) else [taken]
            for part, spec in zip(parts, self._flat, strict=True):
                part.set_shape(spec.shape)
            return parts

        # Made of raw operations since only those can run the function in the calling thread: through
        # a thread of a pool it takes three times as long.
        function = tf.function(take).get_concrete_function(tf.TensorSpec((), tf.int32))
        forever = tf.data.Dataset.from_tensors(0).repeat()
        mapped = tf.raw_ops.MapDataset(
            input_dataset=tf.data.experimental.to_variant(forever),
            other_arguments=function.captured_inputs,
            f=function,
            output_types=[part.dtype for part in self._flat],
            output_shapes=[part.shape for part in self._flat],
            use_inter_op_parallelism=False,
            preserve_cardinality=True,
        )
        dataset = tf.data.experimental.from_variant(mapped, self._spec)
        self._function = function  # it must live as long as the dataset
        options = tf.data.Options()
        options.autotune.enabled = False
        options.experimental_optimization.apply_default_optimizations = False
        return dataset.with_options(options)

    def fits(self, iterator: Any) -> bool:
        """Whether its own iterator can stand for another: a function is not traced anew for it."""
        return bool(
            type(iterator) is type(self.iterator)
            and iterator.element_spec == self.iterator.element_spec
        )

    def hand_on(self, parts: list[Any]) -> None:
        """Adds a batch: the tensors of all its components."""
        self._queue.enqueue(parts)

    def iterator_over(self, batches: int) -> Any:
        """An iterator that ends after so many batches."""
        return _iterate(self._dataset.take(batches))


def _iterate(dataset: Any) -> Any:
    """An iterator of a dataset of pipeprof's own, which its other probes do not see."""
    return inspect.unwrap(type(dataset).__iter__)(dataset)
