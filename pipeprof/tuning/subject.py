"""What is tuned: a dataset that a function of the user makes, and the model that is trained on it."""

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeprof.capture.probes.loaders.datasets import recognise
from pipeprof.errors import TuningRefused, UsageError, describe_error
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import InputKind

_TUNABLE = (InputKind.TF_DATA, InputKind.SEQUENCE, InputKind.GENERATOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A training to tune.

    Attributes:
        kind: the kind of input.
        dataset: the dataset, or the generator that was made first.
        model: the compiled model that is trained on it, or None where only the input is looked at.
        fresh: makes the dataset anew: a generator can be run only once.
        takes_shard: whether the function makes one part of the data when it is called with
            ``shard=(index, count)``.
    """

    kind: InputKind
    dataset: Any
    model: Any | None
    fresh: Callable[..., Any]
    takes_shard: bool


def find_function(name: str) -> Callable[..., Any]:
    """The function that ``MODULE:FUNCTION`` names; the module is looked for in the working folder, too.

    Raises:
        UsageError: there is none.
    """
    module_name, colon, function_name = name.partition(":")
    if not colon or not module_name or not function_name:
        raise UsageError(
            f"expected MODULE:FUNCTION, such as train:make_dataset, received {name!r}."
        )
    if module_name.endswith(".py"):
        module_name = module_name.removesuffix(".py").replace("/", ".")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise UsageError(
                f"{module_name} cannot be imported: {describe_error(error)}."
            ) from error
        raise UsageError(
            f"expected a module that can be imported from {folder}, found no {module_name}."
        ) from error
    except Exception as error:
        raise UsageError(f"{module_name} cannot be imported: {describe_error(error)}.") from error
    function: Any = module
    for part in function_name.split("."):
        function = getattr(function, part, None)
    if not callable(function):
        known = sorted(
            key
            for key, value in vars(module).items()
            if inspect.isfunction(value) and value.__module__ == module.__name__
        )
        raise UsageError(
            f"expected a function of {module_name}, found no {function_name}; "
            f"its functions: {', '.join(known) or 'none'}."
        )
    found: Callable[..., Any] = function
    return found


def make_subject(make: Callable[..., Any]) -> Subject:
    """Calls the user's function, twice, and describes what it makes.

    Raises:
        UsageError: it raises, or makes something that cannot be tuned.
        TuningRefused: its second call makes other elements than its first.
    """
    dataset, model = _called(make)
    kind = recognise(dataset)
    if kind not in _TUNABLE:
        raise UsageError(
            "expected a function that returns a dataset (tf.data, a Sequence or PyDataset, a generator) "
            f"or (model, dataset), received {_named(dataset)}."
        )
    if model is not None and not hasattr(model, "fit"):
        raise UsageError(f"expected a model with fit, received {_named(model)}.")
    again, _ = _called(make)
    if recognise(again) is not kind or _spec(again) != _spec(dataset):
        raise TuningRefused(
            "expected the same elements from each call of the function, received "
            f"{_spec(dataset)} and then {_spec(again)}: a function with side effects between its calls "
            "cannot be tuned."
        )
    return Subject(
        kind=kind,
        dataset=dataset,
        model=model,
        fresh=lambda **shard: _called(make, **shard)[0],
        takes_shard="shard" in _parameters(make),
    )


def _called(make: Callable[..., Any], **shard: Any) -> tuple[Any, Any | None]:
    try:
        made = make(**shard)
    except Exception as error:
        raise UsageError(f"the function raised {describe_error(error)}.") from error
    if isinstance(made, tuple) and len(made) == 2 and hasattr(made[0], "fit"):
        return made[1], made[0]
    return made, None


def _spec(dataset: Any) -> str:
    return str(getattr(dataset, "element_spec", type(dataset).__name__))


def _parameters(make: Callable[..., Any]) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(make).parameters)
    except (TypeError, ValueError):
        return ()


def _named(value: Any) -> str:
    return "None" if value is None else f"an object of class {type(value).__name__}"
