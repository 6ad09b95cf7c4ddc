"""What a thread of a training was doing, told from its Python stack alone."""

from enum import Enum

from pipeprof.recording.python_stacks import Frame, SampledStack


class Doing(Enum):
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
        """Whether it is a part of getting a batch."""
        return self in (Doing.WAITING, Doing.LOADING, Doing.FETCHING)


# A part of a file's path, the functions in it (any, where there are none), and what they tell. The
# innermost frame that is named here decides; for that frame the first line that fits.
_MARKS: tuple[tuple[str, tuple[str, ...], Doing], ...] = (
    ("data_adapters/py_dataset_adapter.py", ("get",), Doing.FETCHING),
    ("utils/data_utils.py", ("get",), Doing.FETCHING),
    ("utils/data_utils.py", ("get_index",), Doing.LOADING),
    ("/data_adapters/", ("_run", "run"), Doing.OTHER),
    ("/data_adapters/", (), Doing.LOADING),
    ("ops/from_generator_op.py", (), Doing.LOADING),
    ("ops/script_ops.py", (), Doing.LOADING),
    ("torch/utils/data/_utils/worker.py", (), Doing.LOADING),
    ("torch/utils/data/dataloader.py", ("__next__",), Doing.WAITING),
    ("ops/iterator_ops.py", ("__next__", "_next_internal", "get_next"), Doing.WAITING),
    ("trainers/epoch_iterator.py", (), Doing.WAITING),
    ("trainer.py", ("train_on_batch", "test_on_batch", "predict_on_batch"), Doing.COMPUTING),
    ("engine/training.py", ("train_on_batch", "test_on_batch"), Doing.COMPUTING),
    ("backend/tensorflow/trainer.py", ("fit", "evaluate", "predict"), Doing.FITTING),
    ("engine/training.py", ("fit", "evaluate", "predict"), Doing.FITTING),
    ("trainer.py", ("fit", "evaluate", "predict"), Doing.COMPUTING),
    ("polymorphic_function/", ("__call__",), Doing.COMPUTING),
    ("torch/nn/modules/module.py", (), Doing.COMPUTING),
    ("torch/autograd/", (), Doing.COMPUTING),
    ("torch/optim/", (), Doing.COMPUTING),
    ("jax/_src/", (), Doing.COMPUTING),
)

_FEEDERS = ("ops/script_ops.py", "ops/from_generator_op.py")
_SEQUENCES = ("data_adapters/py_dataset_adapter.py", "utils/data_utils.py")


def doing_of(stack: SampledStack) -> Doing:
    """What was being done.

    Inside the ``fit`` of Keras on TensorFlow waiting and computing cannot be told apart: both happen
    in one compiled function (`Doing.FITTING`).
    """
    found = [mark for frame in stack.frames if (mark := _mark(frame)) is not None]
    if not found:
        return Doing.OWN if any(frame.is_users for frame in stack.frames) else Doing.OTHER
    if found[0] is Doing.COMPUTING and Doing.FITTING in found:
        return Doing.FITTING
    return found[0]


def innermost_users(stack: SampledStack) -> Frame | None:
    """The innermost call of the user's code that was made for what is being done, or None."""
    for frame in stack.frames:
        if frame.is_users:
            return frame
        if _mark(frame) is not None:
            return None
    return None


def feeds_tensorflow(stack: SampledStack) -> bool:
    """Whether it is Python code that tf.data has called for a batch."""
    return any(part in frame.file for frame in stack.frames for part in _FEEDERS)


def is_of_sequence(stack: SampledStack) -> bool:
    """Whether Keras takes batches from a ``PyDataset`` or ``Sequence`` there."""
    return any(part in frame.file for frame in stack.frames for part in _SEQUENCES)


def _mark(frame: Frame) -> Doing | None:
    if frame.is_users:
        return None
    name = frame.function.rpartition(".")[2]
    for part, functions, doing in _MARKS:
        if part in frame.file and (not functions or name in functions):
            return doing
    return None
