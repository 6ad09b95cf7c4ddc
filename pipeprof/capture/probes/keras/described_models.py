"""What a Keras model is: its size, and the layers that differ between training and evaluation."""

import inspect
import weakref
from collections.abc import Iterator
from typing import Any

from pipeprof.recording.code_owner import CodeOwner, owner_of_module
from pipeprof.recording.delivered_content import ModeKind, ModeLayer, TrainedModel

MOST_MODE_LAYERS = 64
_MOST_LAYERS = 20_000


class DescribedModels:
    """Describes each model once it is built."""

    def __init__(self) -> None:
        self._known: weakref.WeakKeyDictionary[Any, TrainedModel] = weakref.WeakKeyDictionary()

    def describe(self, model: Any) -> TrainedModel:
        """The description of a model."""
        try:
            known = self._known.get(model)
        except TypeError:  # one that cannot be known again
            return describe_model(model)
        if known is None or known.parameters is None:
            known = self._known[model] = describe_model(model)
        return known


def describe_model(model: Any) -> TrainedModel:
    """The description of a Keras model, version 2 or 3."""
    optimizer = getattr(model, "optimizer", None)
    dtype = getattr(model, "compute_dtype", None)
    return TrainedModel(
        name=str(getattr(model, "name", type(model).__name__)),
        parameters=int(model.count_params()) if getattr(model, "built", False) else None,
        compute_dtype=str(dtype) if dtype is not None else None,
        optimizer=type(optimizer).__name__ if optimizer is not None else None,
        mode_layers=tuple(_mode_layers(model))[:MOST_MODE_LAYERS],
    )


def _mode_layers(model: Any) -> Iterator[ModeLayer]:
    for layer in _layers_of(model):
        kind = _mode_of(layer)
        if kind is not None:
            name = str(getattr(layer, "name", ""))
            yield ModeLayer(name=name, class_name=type(layer).__name__, kind=kind)


def _layers_of(model: Any) -> Iterator[Any]:
    """All layers inside a model, each once, containers left out."""
    seen: set[int] = set()
    waiting = [model]
    while waiting and len(seen) < _MOST_LAYERS:
        layer = waiting.pop(0)
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        inner = [*(getattr(layer, "layers", None) or ()), getattr(layer, "layer", None)]
        inner = [each for each in inner if each is not None]
        if not inner and layer is not model:
            yield layer
        waiting.extend(inner)


def _mode_of(layer: Any) -> ModeKind | None:
    classes = [each.__name__ for each in type(layer).__mro__]
    if "BatchNormalization" in classes:
        return ModeKind.NORMALIZATION if getattr(layer, "trainable", True) else None
    # Of a layer that drops nothing or adds no noise both modes are alike.
    amounts = [getattr(layer, name, None) for name in ("rate", "stddev", "dropout")]
    known = [amount for amount in amounts if isinstance(amount, (int, float))]
    if any("Dropout" in name or name == "GaussianNoise" for name in classes) or "RNN" in classes:
        return ModeKind.DROPOUT if any(known) else None
    if any(name.startswith("Random") or "Augment" in name for name in classes):
        return ModeKind.AUGMENTATION
    if owner_of_module(type(layer).__module__) is CodeOwner.KERAS or not _takes_mode(layer):
        return None
    return ModeKind.OWN


def _takes_mode(layer: Any) -> bool:
    """Whether a layer of the user's has an argument for whether it is training."""
    try:
        return "training" in inspect.signature(layer.call).parameters
    except (TypeError, ValueError, AttributeError):
        return False
