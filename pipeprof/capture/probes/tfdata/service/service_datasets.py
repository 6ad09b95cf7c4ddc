"""Which datasets come from a tf.data service, where that is, and what its workers run.

A dataset of a service has no Python link to the dataset that its workers run. While it is being made, the
function that makes it still holds that one.
"""

import sys
import weakref
from collections.abc import Iterator
from types import FrameType
from typing import Any

from pipeprof.capture.probes.tfdata.service.service_sources import NO_PIPELINE, ServiceSource
from pipeprof.capture.probes.tfdata.written.dataset_internals import unwrapped
from pipeprof.capture.probes.tfdata.written.transformations import Note, Pipeline, Transformation
from pipeprof.capture.probes.tfdata.written.written_pipeline import describe_pipeline

_CLASS = "_DataServiceDataset"
_FILE = "data_service_ops.py"
# The function that registers a dataset and makes the one of the service, and its names for the former and
# for whether it is compressed.
_APPLIES, _REGISTERED, _COMPRESSION = "_apply_fn", "dataset", "compression"
_MOST_FRAMES = 12
# A dataset used twice is found twice, so a few lines can write a tree of any size.
_MOST_DATASETS = 2000

_sources: weakref.WeakKeyDictionary[Any, ServiceSource] = weakref.WeakKeyDictionary()
_registered: dict[tuple[str, str], Pipeline] = {}


def note_service(dataset: Any) -> None:
    """Notes what a dataset of a service stands for; to be called while its constructor runs."""
    if not _is_of_service(dataset):
        return
    address = dataset._address.numpy().decode()
    registering = _registering_frame(sys._getframe(1))
    if registering is not None and _REGISTERED in registering.f_locals:
        names = registering.f_locals
        pipeline = _as_run(names[_REGISTERED], compressed=names.get(_COMPRESSION) is not None)
    else:
        pipeline = _registered.get((address, _id_of(dataset._dataset_id)), NO_PIPELINE)
    _sources[dataset] = _source_of(dataset, pipeline)


def _source_of(dataset: Any, pipeline: Pipeline) -> ServiceSource:
    return ServiceSource(
        dispatcher=dataset._address.numpy().decode(),
        protocol=dataset._protocol.numpy().decode(),
        pipeline=pipeline,
    )


def note_registered(service: Any, dataset: Any, dataset_id: Any, *, compressed: bool) -> None:
    """Notes a dataset that was registered with a service, to be read by its id later."""
    address = service[1] if isinstance(service, tuple) else service.rpartition("://")[2]
    _registered[address, _id_of(dataset_id)] = _as_run(dataset, compressed=compressed)


def _as_run(dataset: Any, *, compressed: bool) -> Pipeline:
    """What workers run of a dataset: its elements may be compressed for their way."""
    pipeline = describe_pipeline(dataset)
    if pipeline.output is None or not compressed:
        return pipeline
    compress = Transformation(
        name="compress",
        family="map",
        path="compress",
        remark=Note.FOR_SERVICE,
        inputs=(pipeline.output,),
    )
    return Pipeline(output=compress, problem=pipeline.problem)


def forget_registered() -> None:
    """Forgets the registered datasets, at the end of the profile."""
    _registered.clear()


def services_of(dataset: Any) -> tuple[ServiceSource, ...]:
    """The services that a dataset takes elements from, in the order in which its inputs stand."""
    return tuple(_services_below(dataset))


def _services_below(dataset: Any) -> Iterator[ServiceSource]:
    pending, left = [dataset], _MOST_DATASETS
    while pending and left > 0:
        left -= 1
        one = unwrapped(pending.pop())
        if _is_of_service(one):
            if one not in _sources:  # made before anybody looked
                _sources[one] = _source_of(one, NO_PIPELINE)
            yield _sources[one]
        elif hasattr(one, "_inputs"):
            pending.extend(reversed(one._inputs()))


def _is_of_service(dataset: Any) -> bool:
    return type(dataset).__name__.startswith(_CLASS)


def _registering_frame(frame: FrameType | None) -> FrameType | None:
    """The function further up the stack that moves a dataset to a service, or None."""
    for _ in range(_MOST_FRAMES):
        if frame is None:
            return None
        code = frame.f_code
        if code.co_name == _APPLIES and code.co_filename.endswith(_FILE):
            return frame
        frame = frame.f_back
    return None


def _id_of(dataset_id: Any) -> str:
    value = dataset_id.numpy() if hasattr(dataset_id, "numpy") else dataset_id
    return value.decode() if isinstance(value, bytes) else str(value)
