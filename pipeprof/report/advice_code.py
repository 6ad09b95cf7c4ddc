"""The code to write for each kind of advice that has any; readers fill in what is in capitals."""

from pipeprof.analysis.advice_kinds import (
    Cache,
    CheaperCallback,
    CheaperOwnCode,
    FedBy,
    LessWork,
    LongerEpochs,
    LongerQueue,
    MoreWorkers,
    OwnProcesses,
    ParallelCalls,
    Prefetch,
    PrepareBeside,
    Remedy,
    SaveLessOften,
    SmallerBatches,
    SwitchAutotuneOn,
    TensorflowOps,
    WaitLess,
    WorkerThreads,
)
from pipeprof.recording.loop import InputKind

# Sequences that Keras makes itself: whoever calls `flow` cannot give them workers there.
_MADE_BY_KERAS = ("NumpyArrayIterator", "DirectoryIterator", "DataFrameIterator")


def remedy_code(remedy: Remedy) -> str | None:  # noqa: C901 - one case a kind
    """Lines of Python, or None where there is nothing to write; names stand in it as they are."""
    match remedy:
        case LongerEpochs():
            return _longer_epochs(remedy.fed_by)
        case Prefetch():
            return _prefetch(remedy.fed_by)
        case MoreWorkers():
            return _workers(remedy.fed_by, remedy.workers, processes=remedy.processes)
        case LongerQueue():
            return f"{_class_of(remedy.fed_by)}(…, max_queue_size={remedy.size})"
        case OwnProcesses():
            return _workers(remedy.fed_by, remedy.workers, processes=True)
        case ParallelCalls():
            calls = "tf.data.AUTOTUNE" if remedy.autotuned else remedy.calls
            return f"dataset.map({_name(remedy.function)}, num_parallel_calls={calls})"
        case WorkerThreads():
            options = f"workers={remedy.workers}, use_multiprocessing=False"
            return f"{_class_of(remedy.fed_by)}(…, {options})"
        case Cache(before_shuffle=True):
            return f"dataset.map({_name(remedy.function)}).cache().shuffle(…)"
        case Cache():
            return f"dataset = dataset.cache()  # right after {remedy.stage}"
        case SwitchAutotuneOn():
            return (
                "options = tf.data.Options()\noptions.autotune.enabled = True\n"
                "dataset = dataset.with_options(options)"
            )
        case SmallerBatches():
            return "return images.astype('uint8'), labels\n# in the model: keras.layers.Rescaling(1 / 255)"
        case SaveLessOften():
            return f"keras.callbacks.{remedy.callback}(…, save_freq='epoch')"
        case CheaperCallback(each_batch=True):
            return "if batch % 100 == 0: …"
        case CheaperCallback() | PrepareBeside() | CheaperOwnCode():
            return None
        case LessWork() | WaitLess() | TensorflowOps():
            return None


def _longer_epochs(fed_by: FedBy) -> str:
    if fed_by.kind is not InputKind.SEQUENCE:
        return "model.fit(dataset.repeat(), steps_per_epoch=STEPS, epochs=EPOCHS)"
    return (
        "def __len__(self):\n"
        "    return PASSES * self.batches_per_pass\n"
        "def __getitem__(self, index):\n"
        "    index %= self.batches_per_pass"
    )


def _prefetch(fed_by: FedBy) -> str:
    if fed_by.kind is InputKind.TF_DATA:
        return "dataset = dataset.prefetch(tf.data.AUTOTUNE)"
    return (
        "dataset = tf.data.Dataset.from_generator(\n"
        "    batches, output_signature=SIGNATURE\n"
        ").prefetch(tf.data.AUTOTUNE)"
    )


def _workers(fed_by: FedBy, workers: int, *, processes: bool) -> str:
    if fed_by.kind is InputKind.LOADER:
        return _loader(_class_of(fed_by), workers)
    call = f"workers={workers}, use_multiprocessing={processes}"
    if fed_by.kind is InputKind.SEQUENCE:
        if fed_by.keras_2:
            return f"model.fit(…, {call})"
        if fed_by.name in _MADE_BY_KERAS:
            return f"data.workers, data.use_multiprocessing = {workers}, {processes}"
        return f"{_class_of(fed_by)}(…, {call})"
    return (
        "class Batches(keras.utils.PyDataset):\n"
        "    def __len__(self):\n"
        "        return BATCHES_PER_EPOCH\n"
        "    def __getitem__(self, index):\n"
        "        return make_batch(index)  # what the generator yields\n"
        f"model.fit(Batches({call}))"
    )


def _loader(name: str, workers: int) -> str:
    """How PyTorch's loader and grain's are given worker processes."""
    match name:
        case "grain.DataLoader":
            return f"grain.DataLoader(…, worker_count={workers})"
        case "grain.MapDataset" | "grain.IterDataset":
            options = f"grain.MultiprocessingOptions(num_workers={workers})"
            iterable = "" if name == "grain.IterDataset" else ".to_iter_dataset()"
            return f"dataset = dataset{iterable}.mp_prefetch({options})"
    return f"{name}(…, num_workers={workers})"


def _class_of(fed_by: FedBy) -> str:
    return fed_by.name or "Batches"


def _name(function: str | None) -> str:
    """What to write for a function: that of a lambda is no name."""
    name = function or ""
    return name if name.replace(".", "_").isidentifier() else "function"
