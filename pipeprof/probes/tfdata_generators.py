"""Times what runs inside `tf.data.Dataset.from_generator`."""

import functools
from collections.abc import Iterator
from typing import Any

from pipeprof import recorder as recording
from pipeprof.clock import now_ns
from pipeprof.probes.stages import site_of_function, timed_generator
from pipeprof.probes.tfdata_functions import TIMED_BY_PIPEPROF
from pipeprof.probes.watch import Watch
from pipeprof.recorder import Recorder
from pipeprof.recording import StageKind
from pipeprof.records import NOT_READ, Kind, code

_FRAMEWORKS = ("keras.", "tf_keras.", "tensorflow.")


class GeneratorTime:
    """Times what runs inside `tf.data.Dataset.from_generator`.

    A user's generator becomes a stage. One of Keras's own, around a user's that is timed already or
    around a queue that workers fill, is not; but where nothing runs ahead of the training it is
    there that the training waits.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._spent_ns = 0
        self._taken_ns = 0
        self.waits = 0

    def take_ns(self) -> int:
        """Time spent inside since the last call."""
        spent_ns, self._taken_ns = self._spent_ns - self._taken_ns, self._spent_ns
        return spent_ns

    def waited(self, recorder: Recorder, start_ns: int, end_ns: int) -> None:
        """Someone was blocked for an element."""
        self._spent_ns += end_ns - start_ns
        self.waits += 1
        recorder.lane().write(code(Kind.WAIT, 0), start_ns, end_ns, 0, NOT_READ)

    def timed(self, generator: Any) -> Any:
        """The callable that `from_generator` gets instead; anything that is none goes through."""
        if not callable(generator):
            return generator
        ours = str(getattr(generator, "__module__", "")).startswith(_FRAMEWORKS)
        known = ours or generator in self._watch.timed
        site = None if known else site_of_function(generator, StageKind.GENERATOR)

        @functools.wraps(generator)
        def batches(*args: Any, **kwargs: Any) -> Any:
            source = iter(generator(*args, **kwargs))
            return _waited(source if site is None else timed_generator(site, source))

        if not ours:
            setattr(batches, TIMED_BY_PIPEPROF, True)
        return batches


# The one of the profile that is on: a dataset may outlive the profile that it was made in.
current: GeneratorTime | None = None


def _waited(source: Iterator[Any]) -> Iterator[Any]:
    while True:
        if recording.current is not None:
            recording.current.lane("TensorFlow thread")
        start_ns = now_ns()
        try:
            item = next(source)
        except StopIteration:
            return
        recorder, generators = recording.current, current
        if recorder is not None and generators is not None:
            generators.waited(recorder, start_ns, now_ns())
        yield item
