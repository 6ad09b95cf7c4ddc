"""What each kind of advice says, and the code that it writes."""

from typing import get_args

import pytest

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
from pipeprof.report.advice_code import remedy_code
from pipeprof.report.advice_text import remedy_sentence

GENERATOR = FedBy(kind=InputKind.GENERATOR, name="batches")
SEQUENCE = FedBy(kind=InputKind.SEQUENCE, name="Images")
TF_DATA = FedBy(kind=InputKind.TF_DATA, name="PrefetchDataset")

# What to do, and the first line of the code.
ADVISED: tuple[tuple[Remedy, str, str | None], ...] = (
    (
        LongerEpochs(fed_by=SEQUENCE),
        "Start the input less often: let one epoch be several passes over the data.",
        "def __len__(self):",
    ),
    (
        LongerEpochs(fed_by=TF_DATA),
        "Start the input less often: let one epoch be several passes over the data.",
        "model.fit(dataset.repeat(), steps_per_epoch=STEPS, epochs=EPOCHS)",
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
        MoreWorkers(fed_by=GENERATOR, stage="decode", workers=2, processes=True),
        "Run decode in 2 worker processes; the transport between processes costs extra.",
        "class Batches(keras.utils.PyDataset):",
    ),
    (
        MoreWorkers(fed_by=SEQUENCE, stage="decode", workers=6, processes=False),
        "Run decode in 6 worker threads.",
        "Images(…, workers=6, use_multiprocessing=False)",
    ),
    (
        MoreWorkers(
            fed_by=FedBy(kind=InputKind.SEQUENCE, name="Images", keras_2=True),
            stage="decode",
            workers=2,
            processes=True,
        ),
        "Run decode in 2 worker processes; the transport between processes costs extra.",
        "model.fit(…, workers=2, use_multiprocessing=True)",
    ),
    (
        LongerQueue(fed_by=SEQUENCE, size=16),
        "Use a longer queue, so that one slow batch does not stop the workers.",
        "Images(…, max_queue_size=16)",
    ),
    (
        OwnProcesses(fed_by=SEQUENCE, workers=2),
        "Load in worker processes, which have a GIL of their own.",
        "Images(…, workers=2, use_multiprocessing=True)",
    ),
    (
        ParallelCalls(stage="decode", function="decode", calls=2, autotuned=True),
        "Let decode make up to 2 calls at once.",
        "dataset.map(decode, num_parallel_calls=tf.data.AUTOTUNE)",
    ),
    (
        ParallelCalls(stage="decode", function="<lambda>", calls=4, autotuned=False),
        "Let decode make up to 4 calls at once.",
        "dataset.map(function, num_parallel_calls=4)",
    ),
    (
        WorkerThreads(fed_by=SEQUENCE, workers=4),
        "Use worker threads instead of processes: their batches need no transport.",
        "Images(…, workers=4, use_multiprocessing=False)",
    ),
    (
        Cache(stage="decode", function="decode", before_shuffle=False),
        "Cache the output of decode, if it is the same in each epoch and fits into memory. It helps "
        "from the second epoch on.",
        "dataset = dataset.cache()  # right after decode",
    ),
    (
        Cache(stage="decode", function="decode", before_shuffle=True),
        "Cache the output of decode, if it is the same in each epoch and fits into memory, and "
        "shuffle after the cache: a cache after shuffle keeps one order. It helps from the second "
        "epoch on.",
        "dataset.map(decode).cache().shuffle(…)",
    ),
    (
        SwitchAutotuneOn(),
        "Switch AUTOTUNE on: it tunes the pipeline, and tf.data then measures what each stage costs.",
        "options = tf.data.Options()",
    ),
    (
        LessWork(stage="decode", by_user=True),
        "Make decode cheaper, or do its work once before the training: no core is free, so more "
        "workers or threads do not help.",
        None,
    ),
    (
        LessWork(stage="map", by_user=False),
        "Give the training more CPU: no core is free, so more workers or threads do not help.",
        None,
    ),
    (
        WaitLess(stage="read"),
        "Let read wait less (faster or nearer storage, fewer and larger files): no core is free for "
        "more calls at once.",
        None,
    ),
    (
        SmallerBatches(),
        "Send less data: send small types and convert them in the model.",
        "return images.astype('uint8'), labels",
    ),
    (
        TensorflowOps(stage="decode"),
        "Write decode with TensorFlow operations, which run without the GIL.",
        None,
    ),
    (
        SaveLessOften(callback="ModelCheckpoint"),
        "Let ModelCheckpoint save once an epoch and not after batches.",
        "keras.callbacks.ModelCheckpoint(…, save_freq='epoch')",
    ),
    (
        CheaperCallback(method="Board.on_train_batch_end", each_batch=True),
        "Let Board.on_train_batch_end do less, or run it every few batches only: the training waits "
        "for it.",
        "if batch % 100 == 0: …",
    ),
    (
        CheaperCallback(method="Board.on_epoch_end", each_batch=False),
        "Let Board.on_epoch_end do less, or run it every few epochs only: the training waits for it.",
        None,
    ),
    (
        PrepareBeside(function="Images.on_epoch_end"),
        "Do the work of Images.on_epoch_end before the training, or in a thread beside it: "
        "the training waits for it between epochs.",
        None,
    ),
    (
        CheaperOwnCode(function="Agent.act"),
        "Make Agent.act cheaper, or run it beside the training: the training waits for it.",
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
