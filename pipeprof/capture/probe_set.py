"""The probes of one profile: which ones there are, when each is installed, and in which order removed."""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

from pipeprof.capture.guard import Guard
from pipeprof.capture.patches import ImportHook
from pipeprof.capture.probes.keras.keras_probe import KerasProbe
from pipeprof.capture.probes.loaders.datasets import observe_dataset
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.python.generator_chains import ChainMonitor

if TYPE_CHECKING:
    from pipeprof.capture.probes.profiler.step_tracing import StepTracing


class Probe(Protocol):
    """Observes one source from `install` to `remove`."""

    def install(self) -> None:
        """Starts to observe."""

    def remove(self) -> None:
        """Stops to observe, and restores what was changed."""


class GivenDataset:
    """The probe of the dataset that the user gave to the profile.

    Attributes:
        dataset: the dataset to train on, once installed: an object of the kind that was given.
    """

    def __init__(self, dataset: Any, context: ProbeContext) -> None:
        self.dataset = dataset
        self._context = context
        self._release: Callable[[], None] = lambda: None

    def install(self) -> None:
        """Starts to observe what is taken from the dataset."""
        if self.dataset is None:
            return
        observed = observe_dataset(self.dataset, self._context)
        self.dataset, self._release = observed.dataset, observed.release
        self._context.given = self._context.loops.hand.given = observed.fed_by

    def remove(self) -> None:
        """Restores the dataset's class."""
        self._release()


class ProbeSet:
    """The probes of one profile. Those of a framework are installed as soon as it has been imported.

    Args:
        context: what the probes share.
        dataset: what the user gave to the profile, or None.
        tracing: traces steps with TensorFlow's profiler, or None where no steps are to be traced.
    """

    def __init__(self, context: ProbeContext, dataset: Any, tracing: "StepTracing | None") -> None:
        self._context = context
        self._chains = ChainMonitor()
        self._given = GivenDataset(dataset, context)
        self._tfdata: Any = None
        self._functions: Any = None
        self._keras: list[KerasProbe] = []
        on_import: list[tuple[str, Callable[[], None]]] = [
            ("tensorflow", self._install_tfdata),
            ("keras", lambda: self._install_keras("keras")),
            ("tf_keras", lambda: self._install_keras("tf_keras")),
        ]
        if tracing is not None:
            on_import.insert(1, ("tensorflow", tracing.install))
        self._imports = [
            ImportHook(module, self._guard().wrap(install)) for module, install in on_import
        ]

    @property
    def dataset(self) -> Any:
        """The dataset to train on, or None where none was given."""
        return self._given.dataset

    @property
    def backend(self) -> str | None:
        """Keras's backend, once it is known."""
        return next((probe.backend for probe in self._keras if probe.backend), None)

    def install(self) -> None:
        """Installs the probes; that of a framework follows when the framework is imported.

        Raises:
            Exception: the given dataset's own exception, where the dataset cannot be observed.
        """
        self._given.install()
        self._guard().run(self._chains.install)
        for hook in self._imports:
            hook.start()

    def remove(self) -> None:
        """Removes all installed probes. When one fails, the others are still removed; then it raises."""
        with ExitStack() as removing:
            for probe in self._installed():
                removing.callback(probe.remove)
            removing.callback(self._context.loops.close_all)
            removing.callback(self._context.close_deliveries)
            for hook in self._imports:
                removing.callback(hook.stop)

    def join_fit(self, model: Any, data: Any) -> None:
        """Begins to record a Keras ``fit`` that is running already.

        Args:
            model: the model that is trained.
            data: what feeds it, or None where that is not known.
        """
        for probe in self._keras:
            self._guard().run(probe.join_fit, model, data)

    def read_first_batches(self, now: int) -> None:
        """Reads tf.data pipelines that have given no batch yet; called in the collector's thread."""
        if self._tfdata is not None:
            self._tfdata.read_early(now)

    def look_at_services(self, now: int) -> None:
        """Looks at the workers of tf.data services; called in the collector's thread."""
        if self._tfdata is not None:
            self._tfdata.services.sample(now)

    def finish_services(self, now: int) -> None:
        """Records the last of what was taken from them, after the probes were removed."""
        if self._tfdata is not None:
            self._tfdata.services.finish(now)

    def awaits_first_batch(self) -> bool:
        """Whether such a pipeline feeds a loop that may wait for it just now."""
        return self._tfdata is not None and bool(self._tfdata.awaits_first_batch())

    def _installed(self) -> Iterator[Probe]:
        """The installed probes; one that others need comes first, and is removed last."""
        yield self._chains
        yield self._given
        if self._tfdata is not None:
            yield self._tfdata
        if self._functions is not None:
            yield self._functions
        yield from reversed(self._keras)

    def _install_tfdata(self) -> None:
        if not hasattr(sys.modules["tensorflow"], "data"):
            return
        probes = importlib.import_module("pipeprof.capture.probes.tfdata.tfdata_probe")
        self._tfdata = probes.TfDataProbe(self._context)
        self._tfdata.install()
        calls = importlib.import_module("pipeprof.capture.probes.tensorflow.function_calls")
        self._functions = calls.FunctionCalls(self._context.recorder.warn)
        self._functions.install()
        hand_calls = importlib.import_module("pipeprof.capture.probes.tensorflow.hand_calls")
        self._functions.listeners.append(hand_calls.HandCalls(self._context, self._functions))
        self._functions.datasets = self._tfdata.in_graphs
        self._tfdata.iterated_in_graph = self._functions.iterates
        for keras in self._keras:
            self._connect(keras)

    def _connect(self, keras: KerasProbe) -> None:
        """Makes tf.data follow Keras's loops, and these receive the traces of TensorFlow's functions."""
        keras.steps.listener = self._tfdata.loops
        self._functions.listeners.append(keras.steps)

    def _install_keras(self, package: str) -> None:
        probe = KerasProbe(package, self._context)
        self._keras.append(probe)
        if self._tfdata is not None:
            self._connect(probe)
        probe.install()

    def _guard(self) -> Guard:
        return Guard(
            self._context.recorder.warn,
            "A probe could not be installed",
            "what it would have recorded is missing",
        )
