"""What each kind of advice says, and the code that it writes."""

from typing import get_args

import pytest

from pipeprof.analysis.findings.advice_kinds import (
    Advice,
    FeedValidation,
    LeaveInput,
    Prediction,
    Remedy,
)
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
    MappedStage,
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
from pipeprof.recording.account import CallbackEvent, CallbackMethod, FeederKind, KerasCallback
from pipeprof.recording.loop import InputKind, InputLibrary
from pipeprof.report.one_run.advice_code import remedy_code
from pipeprof.report.one_run.advice_text import describe_advice, remedy_sentence

GENERATOR = FedBy(kind=InputKind.GENERATOR, name="batches")
SEQUENCE = FedBy(kind=InputKind.SEQUENCE, name="Images")
LOADER = FedBy(kind=InputKind.LOADER, name="DataLoader", library=InputLibrary.TORCH_LOADER)
MADE_BY_KERAS = FedBy(
    kind=InputKind.SEQUENCE, name="DirectoryIterator", library=InputLibrary.KERAS_ITERATOR
)
TF_DATA = FedBy(kind=InputKind.TF_DATA, name="PrefetchDataset")


def cheaper(
    owner: str, method: str, event: CallbackEvent, of_keras: KerasCallback | None = None
) -> CheaperCallback:
    described = CallbackMethod(owner=owner, method=method, event=event, of_keras=of_keras)
    return CheaperCallback(name=described.name, method=described)


# What to do, and the first line of the code.
ADVISED: tuple[tuple[Remedy, str, str | None], ...] = (
    (
        LongerEpochs(fed_by=SEQUENCE),
        "Start the input less often: make an epoch several passes over the data.",
        "class Longer(Images):",
    ),
    (
        LongerEpochs(fed_by=MADE_BY_KERAS),
        "Start the input less often: make an epoch several passes over the data.",
        "class Longer(keras.utils.PyDataset):",
    ),
    (
        LongerEpochs(fed_by=TF_DATA),
        "Start the input less often: make an epoch several passes over the data.",
        "dataset = dataset.repeat(PASSES).prefetch(tf.data.AUTOTUNE)",
    ),
    (
        LongerEpochs(fed_by=TF_DATA, behind_shuffle=True),
        "Start the input less often: make an epoch several passes over the data, joined right "
        "behind shuffle.",
        "dataset = dataset.shuffle(BUFFER_SIZE).repeat(PASSES)",
    ),
    (
        LongerEpochs(fed_by=GENERATOR),
        "Start the input less often: make an epoch several passes over the data.",
        "def longer():",
    ),
    (
        LongerEpochs(fed_by=FedBy(kind=InputKind.ARRAYS, name="ndarray")),
        "Start the input less often: make an epoch several passes over the data.",
        "dataset = tf.data.Dataset.from_tensor_slices(ARRAYS)",
    ),
    (
        LongerEpochs(fed_by=LOADER),
        "Start the input less often: make an epoch several passes over the data.",
        "# OPTIONS: those of today, such as batch_size and shuffle",
    ),
    (
        OneIterator(steps=51),
        "Take all epochs from one iterator: let the dataset repeat, and give fit the number of steps "
        "of an epoch.",
        "model.fit(dataset.repeat(), steps_per_epoch=51)",
    ),
    (
        LongerEpochs(fed_by=FedBy(kind=None, name=None)),
        "Start the input less often: make an epoch several passes over the data.",
        None,
    ),
    (
        Prefetch(fed_by=TF_DATA),
        "Load the next batch while this one trains.",
        "dataset = dataset.prefetch(tf.data.AUTOTUNE)",
    ),
    (
        Prefetch(fed_by=GENERATOR),
        "Load the next batch while this one trains.",
        "dataset = tf.data.Dataset.from_generator(",
    ),
    (
        Prefetch(fed_by=SEQUENCE),
        "Load the next batch while this one trains.",
        "# data: your Images",
    ),
    (
        Prefetch(fed_by=LOADER),
        "Load the next batch while this one trains.",
        "# OPTIONS: those of today, such as batch_size and shuffle",
    ),
    (
        MoreWorkers(fed_by=GENERATOR, stage="decode", workers=2, processes=True),
        "Run decode in 2 worker processes; the transport between processes costs extra.",
        "class Batches(keras.utils.PyDataset):",
    ),
    (
        MoreWorkers(
            fed_by=FedBy(kind=InputKind.GENERATOR, name="batches", keras_2=True),
            stage="decode",
            workers=6,
            processes=False,
        ),
        "Run decode in 6 worker threads.",
        "class Batches(tf_keras.utils.Sequence):",
    ),
    (
        MoreWorkers(
            fed_by=FedBy(kind=InputKind.GENERATOR, name="batches", hand_written=True),
            stage="decode",
            workers=2,
            processes=True,
        ),
        "Run decode in 2 worker processes; the transport between processes costs extra.",
        'pool = multiprocessing.get_context("forkserver").Pool(2)',
    ),
    (
        MoreWorkers(fed_by=TF_DATA, stage="decode", workers=6, processes=False),
        "Run decode in 6 worker threads.",
        "# make_element: returns what the generator yields, by number",
    ),
    (
        MoreWorkers(fed_by=SEQUENCE, stage="decode", workers=6, processes=False),
        "Run decode in 6 worker threads.",
        "# data: your Images",
    ),
    (
        MoreWorkers(
            fed_by=FedBy(kind=InputKind.SEQUENCE, name="Images", keras_2=True),
            stage="decode",
            workers=2,
            processes=True,
        ),
        "Run decode in 2 worker processes; the transport between processes costs extra.",
        "model.fit(data, workers=2, use_multiprocessing=True)",
    ),
    (
        LongerQueue(fed_by=SEQUENCE, size=16),
        "Use a longer queue, so that one slow batch does not stop the workers.",
        "# data: your Images",
    ),
    (
        OwnProcesses(fed_by=SEQUENCE, workers=2),
        "Load in worker processes, which have a GIL of their own.",
        "# data: your Images",
    ),
    (
        ParallelCalls(stage="decode", function="decode", calls=2, autotuned=True),
        "Let decode make up to 2 calls at once.",
        "dataset = dataset.map(decode, num_parallel_calls=tf.data.AUTOTUNE)",
    ),
    (
        ParallelCalls(stage="decode", function="make.decode", calls=4, autotuned=False),
        "Let decode make up to 4 calls at once.",
        "dataset = dataset.map(decode, num_parallel_calls=4)",
    ),
    (
        ParallelCalls(stage="decode", function="<lambda>", calls=4, autotuned=False),
        "Let decode make up to 4 calls at once.",
        "dataset = dataset.map(function, num_parallel_calls=4)",
    ),
    (
        ParallelCalls(
            stage="decode",
            function="decode",
            calls=2,
            autotuned=True,
            before=(MappedStage(stage="read", function="read"),),
            behind=(MappedStage(stage="crop", function="crop"),),
        ),
        "Let decode, read and crop make up to 2 calls at once, each.",
        "dataset = dataset.map(read, num_parallel_calls=tf.data.AUTOTUNE)",
    ),
    (
        OwnThreads(stage="decode", threads=17),
        "Give the pipeline threads of its own for the calls of decode: TensorFlow has one a core, so no "
        "more of them run at once.",
        "options = tf.data.Options()",
    ),
    (
        ParallelCalls(stage="decode", function="decode", calls=16, autotuned=False, threads=17),
        "Let decode make up to 16 calls at once, on threads of its own: TensorFlow has one a core.",
        "dataset = dataset.map(decode, num_parallel_calls=16)",
    ),
    (
        ParallelFilter(stage="keep", function="keep"),
        "Let keep decide about several elements at once, in a map before the filter.",
        "def judge(*element):",
    ),
    (
        OpenInParallel(stage="open_file", function="open_file", calls=4, in_order=False),
        "The order changes: read from 4 inputs of open_file at once, with interleave in place of "
        "flat_map.",
        "dataset = dataset.interleave(",
    ),
    (
        OpenInParallel(stage="open_file", function="open_file", calls=4, in_order=True),
        "Let open_file read from several inputs at once.",
        "dataset = dataset.interleave(",
    ),
    (
        MoreFiles(reader="TFRecordDataset", calls=4),
        "The order changes: write the records that TFRecordDataset reads into several files, and "
        "read 4 of them at once.",
        "dataset = tf.data.Dataset.from_tensor_slices(FILES).interleave(",
    ),
    (
        FilterFirst(
            stage="decode", function="decode", filter="keep", predicate="keep", kept_ratio=0.25
        ),
        "Filter before decode, if keep can decide without what that adds: 75 % of its elements are "
        "thrown away afterwards.",
        "dataset = dataset.filter(keep).map(",
    ),
    (
        BatchFirst(stage="parse", function="parse", parses=True),
        "Batch before parse: parse_example parses a whole batch in one call.",
        "# in parse: parse_example, not parse_single_example",
    ),
    (
        BatchFirst(stage="tokens", function="tokens", parses=False),
        "Batch before tokens, if its function works on a whole batch as well: one call per batch costs "
        "far less.",
        "dataset = dataset.batch(BATCH_SIZE).map(",
    ),
    (
        ShuffleFirst(stage="load", function="load"),
        "Shuffle before load: the shuffle then fills with what is not loaded yet, such as file names.",
        "dataset = dataset.shuffle(BUFFER_SIZE).map(",
    ),
    (
        WorkerThreads(fed_by=SEQUENCE, workers=4),
        "Use worker threads instead of processes: their batches need no transport.",
        "# data: your Images",
    ),
    (
        Cache(stage="decode", function="decode", before_shuffle=False),
        "Cache the output of decode, if it is the same in each epoch and fits into memory. It helps "
        "from the second epoch on.",
        "dataset = dataset.cache()  # right after decode",
    ),
    (
        Cache(stage="decode", function="decode", before_shuffle=False, size_bytes=50 << 20),
        "Cache the output of decode (about 52.4 MB), if it is the same in each epoch. It helps from the "
        "second epoch on.",
        "dataset = dataset.cache()  # right after decode",
    ),
    (
        Cache(
            stage="decode",
            function="decode",
            before_shuffle=False,
            size_bytes=50 << 30,
            on_disk=True,
        ),
        "Cache the output of decode in a file (53.7 GB is much for the memory), if it is the same in each "
        "epoch. It helps from the second epoch on.",
        'dataset = dataset.cache("CACHE_FILE")  # right after decode',
    ),
    (
        Cache(stage="decode", function="decode", before_shuffle=True),
        "Cache the output of decode, if it is the same in each epoch and fits into memory, and "
        "shuffle after the cache: a cache after shuffle keeps one order. It helps from the second "
        "epoch on.",
        "dataset = dataset.map(decode, num_parallel_calls=tf.data.AUTOTUNE)",
    ),
    (
        SwitchAutotuneOn(),
        "Switch AUTOTUNE on: it tunes the pipeline, and tf.data then measures what each stage costs.",
        "options = tf.data.Options()",
    ),
    (
        LessWork(stage="decode", by_user=True, no_core_free=True),
        "Make decode cheaper, or do its work once before the training: no core is free, so more "
        "workers or threads do not help.",
        None,
    ),
    (
        LessWork(stage="map", by_user=False, no_core_free=True),
        "Give the training more CPU: no core is free, so more workers or threads do not help.",
        None,
    ),
    (
        MoreHelpers(stage="render", processes=4, waits=False),
        "Let 4 processes work for render at once: cores are free.",
        None,
    ),
    (
        MoreHelpers(stage="render", processes=4, waits=True),
        "Let 4 processes work for render at once: they mostly wait.",
        None,
    ),
    (
        WaitLess(stage="read"),
        "Let read wait less (faster or nearer storage, fewer and larger files): no core is free for "
        "more calls at once.",
        None,
    ),
    (
        MoreDataWorkers(workers=4, today=1),
        "Run 4 workers of the tf.data service, with cores of their own, instead of 1 worker.",
        "service = tf.data.experimental.service",
    ),
    (
        CheaperService(stage="tf.data service", elements=1.0, element_bytes=16_000_000),
        "Let the elements of 16.0 MB of tf.data service be smaller (send integers and convert them in "
        "the training), and where the network is fast, do not compress them.",
        "tf.data.experimental.service.distribute(",
    ),
    (
        CheaperService(stage="tf.data service", elements=32.0, element_bytes=None),
        "Batch before tf.data service and not behind it: a step takes 32 elements one by one. Where the "
        "network is fast, do not compress them.",
        "tf.data.experimental.service.distribute(",
    ),
    (
        SmallerBatches(),
        "Send less data between the processes: smaller types, smaller pictures, shorter texts.",
        None,
    ),
    (
        SmallerBatches(dtype="float32", exact=True),
        "Send float32: half the bytes, and the model reads that anyway.",
        'x = x.astype("float32")',
    ),
    (
        SmallerBatches(dtype="float16"),
        "The values are rounded: send float16, half the bytes.",
        'x = x.astype("float16")',
    ),
    (
        SmallerBatches(dtype="uint8", pictures=True),
        "The values change unless they are whole numbers from 0 to 255: send the pictures as uint8, a "
        "quarter of the bytes, and scale them in the model.",
        'images = images.astype("uint8")',
    ),
    (
        TensorflowOps(stage="decode"),
        "Write decode with TensorFlow operations, which run without the GIL.",
        None,
    ),
    (
        SaveLessOften(callback=KerasCallback.MODEL_CHECKPOINT),
        "Let ModelCheckpoint save once an epoch and not after batches.",
        "keras.callbacks.ModelCheckpoint(FILE, save_freq='epoch')",
    ),
    (
        SaveLessOften(callback=KerasCallback.BACKUP_AND_RESTORE, each_batch=False, keras_2=True),
        "Let BackupAndRestore save every few epochs.",
        "tf_keras.callbacks.BackupAndRestore(",
    ),
    (
        cheaper("Board", "on_train_batch_end", CallbackEvent.BATCH),
        "Let Board.on_train_batch_end do less, or run it every few batches only: the training waits "
        "for it.",
        "class Seldom(Board):",
    ),
    (
        cheaper("Board", "on_epoch_end", CallbackEvent.EPOCH),
        "Let Board.on_epoch_end do less, or run it every few epochs only: the training waits for it.",
        "class Seldom(Board):",
    ),
    (
        cheaper("TensorBoard", "on_epoch_end", CallbackEvent.EPOCH, KerasCallback.TENSORBOARD),
        "Let TensorBoard.on_epoch_end do less, or run it every few epochs only: the training waits "
        "for it.",
        "keras.callbacks.TensorBoard(FOLDER, histogram_freq=0)",
    ),
    (
        cheaper("Board", "on_train_end", CallbackEvent.OTHER),
        "Let Board.on_train_end do less: the training waits for it.",
        None,
    ),
    (
        CheaperCallback(name="draw"),
        "Let draw do less: the training waits for it.",
        None,
    ),
    (
        PrepareBeside(function="Images.on_epoch_end"),
        "Do the work of Images.on_epoch_end before the training, or in a thread beside it: "
        "the training waits for it between epochs.",
        None,
    ),
    (
        PredictOnBatch(calls=1245, call_ms=56.21),
        "Predict single batches with predict_on_batch: predict makes an input pipeline in each call, and "
        "its 1,245 calls took 56.2 ms each.",
        "model.predict_on_batch(x)",
    ),
    (
        CheaperOwnCode(function="Agent.act"),
        "Make Agent.act cheaper, or run it beside the training: the training waits for it.",
        None,
    ),
    (
        MoreFeeders(function="simulate", by=FeederKind.THREAD),
        "Batches may come in another order: let several threads run simulate, or make it cheaper. The "
        "training waits for it.",
        None,
    ),
    (
        MoreFeeders(function="simulate", by=FeederKind.PROCESS),
        "Batches may come in another order: let several processes run simulate, or make it cheaper. The "
        "training waits for it.",
        None,
    ),
    (
        FeedValidation(remedy=Prefetch(fed_by=TF_DATA)),
        "In the validation, which waits for data: load the next batch while this one trains.",
        "dataset = dataset.prefetch(tf.data.AUTOTUNE)",
    ),
    (
        ValidateLessOften(ratio=0.4, hand_written=False),
        "Validate less often: validation takes 40 % of the training's time.",
        "model.fit(",
    ),
    (
        ValidateLessOften(ratio=0.4, hand_written=True),
        "Validate less often: validation takes 40 % of the training's time.",
        None,
    ),
    (
        LeaveInput(device=None, device_busy_ratio=None, cores=2, cpu_busy_ratio=0.97),
        "Leave the input as it is: the model's own computing, on 2 cores, 97 % in use, is the limit. A "
        "cheaper model or a faster device is what helps.",
        None,
    ),
    (
        LeaveInput(device="GPU 0", device_busy_ratio=0.93, cores=2, cpu_busy_ratio=None),
        "Leave the input as it is: GPU 0 works 93 % of the time and is the limit. A cheaper model or a "
        "faster device is what helps.",
        None,
    ),
    (
        LeaveInput(device="GPU 0", device_busy_ratio=0.31, cores=2, cpu_busy_ratio=None),
        "Leave the input as it is: GPU 0 works 31 % of the time and waits for the host to start its work. "
        "Larger batches, steps_per_execution or jit_compile give it more work at once.",
        None,
    ),
)


def test_every_kind_has_its_sentence_here() -> None:
    assert {type(remedy) for remedy, _, _ in ADVISED} == set(get_args(Remedy))


@pytest.mark.parametrize(("remedy", "sentence", "first_line"), ADVISED)
def test_what_is_advised_and_how_to_write_it(
    remedy: Remedy, sentence: str, first_line: str | None
) -> None:
    assert remedy_sentence(remedy) == sentence
    code = remedy_code(remedy)
    assert (code.splitlines()[0] if code else None) == first_line


@pytest.mark.parametrize("remedy", [remedy for remedy, _, _ in ADVISED])
def test_code_can_be_pasted(remedy: Remedy) -> None:
    """It is Python that leaves nothing out, short enough for a report."""
    code = remedy_code(remedy) or ""
    compile(code, "advice", "exec")
    assert "…" not in code
    assert "..." not in code
    assert len(code.splitlines()) <= 8
    assert max(map(len, code.splitlines()), default=0) <= 67  # the code of a report in 80 columns


@pytest.mark.parametrize("remedy", [remedy for remedy, _, _ in ADVISED])
def test_no_advice_is_about_how_pipeprof_was_called(remedy: Remedy) -> None:
    """It stands in reports of `pipeprof run` and of the Python interface alike."""
    written = f"{remedy_sentence(remedy)} {remedy_code(remedy)}"
    assert not {word for word in ("pipeprof", "prof.dataset", "--") if word in written}


@pytest.mark.parametrize(
    ("prediction", "said"),
    [
        (
            Prediction(step_ms=9.6, low_ms=9.6, high_ms=9.6, speedup=3.3),
            "(predicted 9.6 ms per step, 3.3 times as fast).",
        ),
        (
            Prediction(step_ms=9.6, low_ms=9.1, high_ms=10.4, speedup=3.3, unexplained_ms=0.1),
            "(predicted 9.6 ms per step, 9.1 to 10.4 ms, 3.3 times as fast).",
        ),
        (
            Prediction(step_ms=9.6, low_ms=7.6, high_ms=9.6, speedup=3.3, unexplained_ms=2.0),
            "(predicted 9.6 ms per step, 7.6 to 9.6 ms, 3.3 times as fast; 2.0 ms of it "
            "are unexplained).",
        ),
    ],
)
def test_a_prediction_has_an_interval_and_what_it_could_not_explain(
    prediction: Prediction, said: str
) -> None:
    written = describe_advice(Advice(remedy=Prefetch(fed_by=TF_DATA), prediction=prediction))
    assert written == f"Load the next batch while this one trains {said}"
