"""The code to write for each kind of advice that has any.

It runs as it stands, once readers have filled in what is in capitals. Further names that it uses are the
user's: ``dataset`` is what stands before the place in question, and ``data`` what is given to ``fit``.
"""

from pipeprof.analysis.findings.advice_kinds import FeedValidation, LeaveInput, Remedy
from pipeprof.analysis.findings.host_remedies import (
    CheaperCallback,
    CheaperOwnCode,
    MoreFeeders,
    PredictOnBatch,
    PrepareBeside,
    SaveLessOften,
    ValidateLessOften,
)
from pipeprof.analysis.findings.input_remedies import (
    FedBy,
    LessWork,
    LongerEpochs,
    LongerQueue,
    MoreHelpers,
    MoreWorkers,
    OwnProcesses,
    Prefetch,
    SmallerBatches,
    WaitLess,
    WorkerThreads,
)
from pipeprof.analysis.findings.tfdata_remedies import (
    BatchFirst,
    Cache,
    CheaperService,
    FilterFirst,
    MoreDataWorkers,
    MoreFiles,
    OneIterator,
    OpenInParallel,
    OwnThreads,
    ParallelCalls,
    ParallelFilter,
    ShuffleFirst,
    SwitchAutotuneOn,
    TensorflowOps,
)
from pipeprof.recording.account import CallbackEvent, KerasCallback
from pipeprof.recording.loop import InputKind, InputLibrary
from pipeprof.recording.source_code import own_name

# Readers of tf.data that need nothing but a file.
_OF_ONE_FILE = ("TFRecordDataset", "TextLineDataset")

_TUNED = "num_parallel_calls=tf.data.AUTOTUNE"

# So long may a line of code be in a report of 80 columns.
_WIDTH = 67

_SELDOM_BATCHES, _SELDOM_EPOCHS = 100, 5


def remedy_code(remedy: Remedy) -> str | None:  # noqa: C901 - one case a kind
    """Lines of Python, or None where there is nothing to write; names stand in it as they are."""
    match remedy:
        case LongerEpochs():
            return _longer_epochs(remedy)
        case OneIterator():
            return f"model.fit(dataset.repeat(), steps_per_epoch={remedy.steps})"
        case Prefetch():
            return _prefetch(remedy.fed_by)
        case MoreWorkers():
            return _workers(remedy.fed_by, remedy.workers, processes=remedy.processes)
        case LongerQueue():
            return _set_on_data(remedy.fed_by, max_queue_size=remedy.size)
        case OwnProcesses():
            return _workers(remedy.fed_by, remedy.workers, processes=True)
        case WorkerThreads():
            return _set_on_data(remedy.fed_by, workers=remedy.workers, use_multiprocessing=False)
        case ParallelCalls():
            return _parallel_calls(remedy)
        case ParallelFilter():
            return _parallel_filter(_name(remedy.function))
        case OpenInParallel():
            return _open_in_parallel(remedy)
        case OwnThreads():
            return _own_threads(remedy.threads).lstrip("\n")
        case MoreFiles():
            return (
                "dataset = tf.data.Dataset.from_tensor_slices(FILES).interleave(\n"
                f"    {_reader(remedy.reader)}, cycle_length={remedy.calls}, "
                f"num_parallel_calls={remedy.calls}\n){_own_threads(remedy.threads)}"
            )
        case FilterFirst():
            predicate, function = _name(remedy.predicate), _name(remedy.function)
            return _call(f"dataset = dataset.filter({predicate}).map", f"{function}, {_TUNED}")
        case BatchFirst():
            return _batch_first(remedy)
        case ShuffleFirst():
            function = _name(remedy.function)
            return _call("dataset = dataset.shuffle(BUFFER_SIZE).map", f"{function}, {_TUNED}")
        case Cache():
            return _cache(remedy)
        case SwitchAutotuneOn():
            return (
                "options = tf.data.Options()\noptions.autotune.enabled = True\n"
                "dataset = dataset.with_options(options)"
            )
        case SmallerBatches():
            return _smaller_batches(remedy)
        case SaveLessOften():
            often = "'epoch'" if remedy.each_batch else f"{_SELDOM_EPOCHS} * STEPS_PER_EPOCH"
            path = "FILE" if remedy.callback is KerasCallback.MODEL_CHECKPOINT else "FOLDER"
            callbacks = _callbacks(keras_2=remedy.keras_2)
            return _call(f"{callbacks}.{remedy.callback.value}", f"{path}, save_freq={often}")
        case CheaperCallback():
            return _cheaper_callback(remedy)
        case FeedValidation():
            return remedy_code(remedy.remedy)
        case ValidateLessOften(hand_written=False):
            return (
                "model.fit(\n    data, epochs=EPOCHS,\n"
                "    validation_data=VALIDATION_DATA, validation_freq=5,\n)"
            )
        case PredictOnBatch():
            return "model.predict_on_batch(x)"
        case (
            ValidateLessOften() | PrepareBeside() | CheaperOwnCode() | MoreFeeders() | LeaveInput()
        ):
            return None
        case CheaperService():
            return (
                "tf.data.experimental.service.distribute(\n"
                "    PROCESSING_MODE, SERVICE, compression=None)"
            )
        case MoreDataWorkers():
            return (
                "service = tf.data.experimental.service\n"
                "config = service.WorkerConfig(\n"
                "    dispatcher_address=DISPATCHER, worker_address=HOST_PORT)\n"
                "service.WorkerServer(config).join()"
            )
        case LessWork() | WaitLess() | TensorflowOps() | MoreHelpers():
            return None


def _longer_epochs(remedy: LongerEpochs) -> str | None:
    fed_by = remedy.fed_by
    if remedy.behind_shuffle:
        return "dataset = dataset.shuffle(BUFFER_SIZE).repeat(PASSES)"
    match fed_by.kind:
        case InputKind.SEQUENCE if fed_by.library is InputLibrary.KERAS_ITERATOR:
            return (
                "class Longer(keras.utils.PyDataset):\n"
                "    def __len__(self):\n"
                "        return PASSES * len(data)\n"
                "    def __getitem__(self, index):\n"
                "        return data[index % len(data)]"
            )
        case InputKind.SEQUENCE:
            return (
                f"class Longer({_class_of(fed_by)}):\n"
                "    def __len__(self):\n"
                "        return PASSES * super().__len__()\n"
                "    def __getitem__(self, index):\n"
                "        return super().__getitem__(index % super().__len__())"
            )
        case InputKind.TF_DATA:
            return "dataset = dataset.repeat(PASSES).prefetch(tf.data.AUTOTUNE)"
        case InputKind.ARRAYS:
            return (
                "dataset = tf.data.Dataset.from_tensor_slices(ARRAYS)\n"
                "dataset = dataset.shuffle(SAMPLES).repeat(PASSES)\n"
                "dataset = dataset.batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE)"
            )
        case InputKind.LOADER if fed_by.library is InputLibrary.TORCH_LOADER:
            return _torch_loader(fed_by, "num_workers=WORKERS, persistent_workers=True")
        case InputKind.GENERATOR:
            return (
                "def longer():\n"
                "    for _ in range(PASSES):\n"
                f"        yield from {_generator(fed_by)}()"
            )
    return None


def _prefetch(fed_by: FedBy) -> str:
    match fed_by.kind:
        case InputKind.TF_DATA:
            return "dataset = dataset.prefetch(tf.data.AUTOTUNE)"
        case InputKind.SEQUENCE:
            return _set_on_data(fed_by, workers=2)
        case InputKind.LOADER:
            return _loader(fed_by, 1)
    return (
        "dataset = tf.data.Dataset.from_generator(\n"
        f"    {_generator(fed_by)}, output_signature=SIGNATURE\n"
        ").prefetch(tf.data.AUTOTUNE)"
    )


def _workers(fed_by: FedBy, workers: int, *, processes: bool) -> str:
    if fed_by.kind is InputKind.LOADER:
        return _loader(fed_by, workers)
    if fed_by.kind is InputKind.SEQUENCE:
        return _set_on_data(fed_by, workers=workers, use_multiprocessing=processes)
    if fed_by.kind is InputKind.TF_DATA or fed_by.hand_written:
        return _calls_at_once(fed_by, workers, processes=processes)
    options = f"workers={workers}, use_multiprocessing={processes}"
    base = "tf_keras.utils.Sequence" if fed_by.keras_2 else "keras.utils.PyDataset"
    made = f"model.fit(Batches(), {options})" if fed_by.keras_2 else f"data = Batches({options})"
    return (
        f"class Batches({base}):\n"
        "    def __len__(self):\n"
        "        return BATCHES_PER_EPOCH\n"
        "    def __getitem__(self, index):\n"
        "        return make_batch(index)  # what the generator yields\n"
        f"{made}"
    )


def _calls_at_once(fed_by: FedBy, workers: int, *, processes: bool) -> str:
    """Calls of a map make what a generator yields: in a pipeline, or for a loop that has no ``fit``."""
    in_pipeline = fed_by.kind is InputKind.TF_DATA
    make, count = (
        ("make_element", "ELEMENTS") if in_pipeline else ("make_batch", "BATCHES_PER_EPOCH")
    )
    pool, called = "", make
    if processes:
        called = "make"
        pool = (
            f'pool = multiprocessing.get_context("forkserver").Pool({workers})\n'
            "def make(index):\n"
            f"    return pool.apply({make}, (index,))\n"
        )
    options = chosen = ""
    if not processes:  # TensorFlow has threads for no more calls than cores
        chosen = ".with_options(options)"
        options = (
            "options = tf.data.Options()\n"
            f"options.threading.private_threadpool_size = {workers + 1}\n"
        )
    made = f"tf.numpy_function({called}, [index], TYPES)"
    load, first, ahead = f"    return {made}\n", "", ".prefetch(1)"
    if in_pipeline:  # the rest of it needs the shapes, and prefetches
        first, ahead = f"# {make}: returns what the generator yields, by number\n", ""
        load = f"    made = {made}\n    return tuple(map(tf.ensure_shape, made, SHAPES))\n"
    return (
        f"{first}{pool}"
        "def load(index):\n"
        f"{load}"
        f"{options}"
        f"dataset = tf.data.Dataset.range({count}).map(\n"
        f"    load, num_parallel_calls={workers}){ahead}{chosen}"
    )


def _set_on_data(fed_by: FedBy, **options: int | bool) -> str:
    """Keras 3 reads what a dataset's own attributes say, Keras 2 the arguments of ``fit``."""
    if fed_by.keras_2:
        arguments = ", ".join(f"{name}={value}" for name, value in options.items())
        return f"model.fit(data, {arguments})"
    names = ", ".join(f"data.{name}" for name in options)
    values = ", ".join(map(str, options.values()))
    return f"# data: your {_class_of(fed_by)}\n{names} = {values}"


def _loader(fed_by: FedBy, workers: int) -> str:
    """How PyTorch's loader and grain's are given worker processes."""
    match fed_by.library:
        case InputLibrary.GRAIN_LOADER:
            return (
                "data = grain.DataLoader(\n"
                "    data_source=SOURCE, sampler=SAMPLER, operations=OPERATIONS,\n"
                f"    worker_count={workers},\n)"
            )
        case InputLibrary.GRAIN_MAP_DATASET | InputLibrary.GRAIN_ITER_DATASET as library:
            options = f"grain.MultiprocessingOptions(num_workers={workers})"
            iterable = "" if library is InputLibrary.GRAIN_ITER_DATASET else ".to_iter_dataset()"
            return f"dataset = dataset{iterable}.mp_prefetch({options})"
    return _torch_loader(fed_by, f"num_workers={workers}")


def _torch_loader(fed_by: FedBy, options: str) -> str:
    """A loader of PyTorch with some options beside those that it has."""
    return (
        "# OPTIONS: those of today, such as batch_size and shuffle\n"
        f"data = {_class_of(fed_by)}(\n    DATASET, **OPTIONS,\n    {options},\n)"
    )


def _parallel_calls(remedy: ParallelCalls) -> str:
    """A line for each map, in the order in which they run."""
    calls = "tf.data.AUTOTUNE" if remedy.autotuned else remedy.calls
    before, behind = ([each.function for each in one] for one in (remedy.before, remedy.behind))
    maps = "\n".join(
        _call("dataset = dataset.map", f"{_name(function)}, num_parallel_calls={calls}")
        for function in (*before, remedy.function, *behind)
    )
    return f"{maps}{_own_threads(remedy.threads)}"


def _own_threads(threads: int | None) -> str:
    """Further lines that give a pipeline threads of its own; nothing where it needs none."""
    if threads is None:
        return ""
    return (
        "\noptions = tf.data.Options()\n"
        f"options.threading.private_threadpool_size = {threads}\n"
        "dataset = dataset.with_options(options)"
    )


def _batch_first(remedy: BatchFirst) -> str:
    function = _name(remedy.function)
    batched = _call("dataset = dataset.batch(BATCH_SIZE).map", f"{function}, {_TUNED}")
    # What else the function does stays in it.
    changed = f"# in {function}: parse_example, not parse_single_example\n"
    return f"{changed}{batched}" if remedy.parses else batched


def _parallel_filter(predicate: str) -> str:
    return (
        "def judge(*element):\n"
        "    single = len(element) == 1\n"
        f"    return {predicate}(*element), element[0] if single else element\n"
        f"dataset = dataset.map(judge, {_TUNED})\n"
        "dataset = dataset.filter(lambda keep, _: keep)\n"
        "dataset = dataset.map(lambda _, element: element)"
    )


def _open_in_parallel(remedy: OpenInParallel) -> str:
    cycle = "CYCLE_LENGTH" if remedy.in_order else remedy.calls
    calls = "tf.data.AUTOTUNE" if remedy.in_order else remedy.calls
    return (
        "dataset = dataset.interleave(\n"
        f"    {_name(remedy.function)}, cycle_length={cycle},\n"
        f"    num_parallel_calls={calls},\n){_own_threads(remedy.threads)}"
    )


def _reader(stage: str) -> str:
    """What makes the dataset of one file."""
    return f"tf.data.{stage}" if stage in _OF_ONE_FILE else "open_file"


def _cache(remedy: Cache) -> str:
    kept = 'cache("CACHE_FILE")' if remedy.on_disk else "cache()"
    if remedy.before_shuffle:
        mapped = _call("dataset = dataset.map", f"{_name(remedy.function)}, {_TUNED}")
        return f"{mapped}\ndataset = dataset.{kept}.shuffle(BUFFER_SIZE)"
    return f"dataset = dataset.{kept}  # right after {remedy.stage}"


def _smaller_batches(remedy: SmallerBatches) -> str | None:
    if remedy.dtype is None:
        return None
    sent = (
        f'images = images.astype("{remedy.dtype}")'
        if remedy.pictures
        else (f'x = x.astype("{remedy.dtype}")')
    )
    scaled = "\n# in the model: keras.layers.Rescaling(1 / 255)" if remedy.pictures else ""
    return f"{sent}{scaled}"


def _cheaper_callback(remedy: CheaperCallback) -> str | None:
    if remedy.method is None:
        return None
    owner, method, event = remedy.method.owner, remedy.method.method, remedy.method.event
    each_batch = event is CallbackEvent.BATCH
    if remedy.method.of_keras is KerasCallback.TENSORBOARD:
        often = f"update_freq={_SELDOM_BATCHES}" if each_batch else "histogram_freq=0"
        return f"{_callbacks(keras_2=remedy.keras_2)}.TensorBoard(FOLDER, {often})"
    if not owner.isidentifier() or event is CallbackEvent.OTHER:
        return None
    number, every = ("batch", _SELDOM_BATCHES) if each_batch else ("epoch", _SELDOM_EPOCHS)
    return (
        f"class Seldom({owner}):\n"
        f"    def {method}(self, {number}, logs=None):\n"
        f"        if {number} % {every} == 0:\n"
        f"            super().{method}({number}, logs)"
    )


def _call(function: str, arguments: str) -> str:
    """A call on one line, or on three where one would be too long for a report."""
    on_one = f"{function}({arguments})"
    return on_one if len(on_one) <= _WIDTH else f"{function}(\n    {arguments}\n)"


def _callbacks(*, keras_2: bool) -> str:
    return f"{'tf_keras' if keras_2 else 'keras'}.callbacks"


def _class_of(fed_by: FedBy) -> str:
    return fed_by.name or "Batches"


def _generator(fed_by: FedBy) -> str:
    return _name(fed_by.name) if fed_by.name else "batches"


def _name(function: str | None) -> str:
    """What to write for a function: its own name, without those of what it stands in."""
    return own_name(function) or "function"
