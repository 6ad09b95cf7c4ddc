"""Small real workloads whose bottleneck is known: for `pipeprof demo`, for validation and for tests.

Importing this package is cheap; a framework is loaded when scenarios are asked for. What trains here is
written as a user would write it and knows nothing of how it is watched.
"""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pipeprof.errors import UsageError
from pipeprof.scenarios.scenario import Scenario, Truth, Workload

if TYPE_CHECKING:
    from pipeprof.analysis.comparing.classic_answers import ClassicAnswer

__all__ = [
    "Scenario",
    "Truth",
    "Workload",
    "classic_answers",
    "demo_scenarios",
    "planted_scenarios",
]


def demo_scenarios(
    data: Path | None = None, *, on_progress: Callable[[int, int], None] | None = None
) -> tuple[Scenario, ...]:
    """One model trained on one set of photographs in every way that Keras offers.

    Args:
        data: a folder of one's own JPEG or PNG files, a subfolder for each class if there are any; without
            it photographs are made, once, in the user's cache folder.
        on_progress: called with how many of how many photographs have been made.

    Raises:
        UsageError: if there are no photographs, or no TensorFlow or Pillow.
    """
    _require("tensorflow", "keras", "PIL")
    from pipeprof.scenarios.images import find_photos
    from pipeprof.scenarios.photos import PhotoSet

    photos = PhotoSet.of(find_photos(data, on_progress=on_progress))

    from pipeprof.scenarios.photos_keras import keras_scenarios
    from pipeprof.scenarios.photos_tfdata import tfdata_scenario

    return (*keras_scenarios(photos), tfdata_scenario(photos))


def classic_answers(
    logdir: Path, on_training: Callable[[str], None] = lambda what: None
) -> "Iterator[ClassicAnswer]":
    """Trains in the ways that people compare, and answers what they ask about Keras's losses.

    Args:
        logdir: where the runs are recorded.
        on_training: called with what is trained next.

    Raises:
        UsageError: if there is no Keras.
    """
    _require("keras")
    from pipeprof.scenarios.classic_questions import answer_classic_questions

    return answer_classic_questions(logdir, on_training)


def planted_scenarios() -> tuple[Scenario, ...]:
    """Workloads with a planted cost: each states what has to be found in it.

    Raises:
        UsageError: if there is no TensorFlow.
    """
    _require("tensorflow", "keras")
    from pipeprof.scenarios.planted import PLANTED
    from pipeprof.scenarios.planted_tfdata import slow_second_map

    return (*PLANTED, slow_second_map)


def _require(*modules: str) -> None:
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        packages = " ".join({"PIL": "pillow"}.get(module, module) for module in missing)
        raise UsageError(
            f"This trains a model with TensorFlow, Keras and Pillow, and here there is no "
            f"{' and no '.join(missing)}: pip install {packages}"
        )
