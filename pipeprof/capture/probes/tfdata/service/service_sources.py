"""What is known of a dataset of a tf.data service when it is made."""

from pipeprof.capture.probes.tfdata.written.transformations import Pipeline
from pipeprof.recording.light_dataclasses import dataclass

NO_PIPELINE = Pipeline(output=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSource:
    """A dataset of a service.

    Attributes:
        dispatcher: address of the service's dispatcher, ``host:port``.
        protocol: how to talk to it: ``grpc``, or another one that pipeprof does not speak.
        pipeline: what its workers run, as it was written; without an output where that is not known.
    """

    dispatcher: str
    protocol: str
    pipeline: Pipeline
