"""Classifies the activity of a training's thread by its Python stack."""

from enum import Enum

from pipeprof.recording.python_stacks import Frame, SampledStack


class Activity(Enum):
    """What a thread was doing in a sample."""

    FITTING = "inside fit"
    COMPUTING = "computing"
    WAITING = "waiting for a batch"
    LOADING = "making batches"
    FETCHING = "waiting for workers"
    OWN = "the script's own code"
    OTHER = "something else"

    @property
    def is_input(self) -> bool:
        """Whether it belongs to getting a batch."""
        return self in (Activity.WAITING, Activity.LOADING, Activity.FETCHING)


# Rules: a part of a file's path, functions in that file (all, where none are given), and their activity.
# The innermost frame that fits a rule decides, by the first rule that it fits.
_RULES: tuple[tuple[str, tuple[str, ...], Activity], ...] = (
    ("data_adapters/py_dataset_adapter.py", ("get",), Activity.FETCHING),
    ("utils/data_utils.py", ("get",), Activity.FETCHING),
    ("utils/data_utils.py", ("get_index",), Activity.LOADING),
    ("/data_adapters/", ("_run", "run"), Activity.OTHER),
    ("/data_adapters/", (), Activity.LOADING),
    ("ops/from_generator_op.py", (), Activity.LOADING),
    ("ops/script_ops.py", (), Activity.LOADING),
    ("torch/utils/data/_utils/worker.py", (), Activity.LOADING),
    ("torch/utils/data/dataloader.py", ("__next__",), Activity.WAITING),
    ("ops/iterator_ops.py", ("__next__", "_next_internal", "get_next"), Activity.WAITING),
    ("trainers/epoch_iterator.py", (), Activity.WAITING),
    ("trainer.py", ("train_on_batch", "test_on_batch", "predict_on_batch"), Activity.COMPUTING),
    ("engine/training.py", ("train_on_batch", "test_on_batch"), Activity.COMPUTING),
    ("backend/tensorflow/trainer.py", ("fit", "evaluate", "predict"), Activity.FITTING),
    ("engine/training.py", ("fit", "evaluate", "predict"), Activity.FITTING),
    ("trainer.py", ("fit", "evaluate", "predict"), Activity.COMPUTING),
    ("polymorphic_function/", ("__call__",), Activity.COMPUTING),
    ("torch/nn/modules/module.py", (), Activity.COMPUTING),
    ("torch/autograd/", (), Activity.COMPUTING),
    ("torch/optim/", (), Activity.COMPUTING),
    ("jax/_src/", (), Activity.COMPUTING),
)

_FEEDERS = ("ops/script_ops.py", "ops/from_generator_op.py")
_SEQUENCES = ("data_adapters/py_dataset_adapter.py", "utils/data_utils.py")


def activity_of(stack: SampledStack) -> Activity:
    """The activity of a sampled stack.

    Inside ``fit`` of Keras on TensorFlow, waiting and computing cannot be distinguished, because both
    happen in one compiled function: the activity is `Activity.FITTING`.
    """
    found = [known for frame in stack.frames if (known := _activity_of_frame(frame)) is not None]
    if not found:
        return Activity.OWN if any(frame.is_users for frame in stack.frames) else Activity.OTHER
    if found[0] is Activity.COMPUTING and Activity.FITTING in found:
        return Activity.FITTING
    return found[0]


def innermost_users(stack: SampledStack) -> Frame | None:
    """The innermost frame of the user's code, or None where a frame that fits a rule lies inside it."""
    for frame in stack.frames:
        if frame.is_users:
            return frame
        if _activity_of_frame(frame) is not None:
            return None
    return None


def feeds_tensorflow(stack: SampledStack) -> bool:
    """Whether it is Python code that tf.data called for a batch."""
    return any(part in frame.file for frame in stack.frames for part in _FEEDERS)


def is_of_sequence(stack: SampledStack) -> bool:
    """Whether Keras takes batches from a ``PyDataset`` or ``Sequence`` in it."""
    return any(part in frame.file for frame in stack.frames for part in _SEQUENCES)


def _activity_of_frame(frame: Frame) -> Activity | None:
    if frame.is_users:
        return None
    name = frame.function.rpartition(".")[2]
    for part, functions, activity in _RULES:
        if part in frame.file and (not functions or name in functions):
            return activity
    return None
