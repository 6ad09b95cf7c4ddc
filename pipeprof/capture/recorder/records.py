"""The format of a recorded event, in memory and on disk.

Every event is one `RECORD`: two times, two numbers (``inner`` and ``value``), and its kind and subject.
`Kind` documents what the numbers mean. The subject is a number from `pipeprof.capture.recorder.name_log`.
"""

import struct
from enum import IntEnum

import numpy as np
import numpy.typing as npt

Records = npt.NDArray[np.void]

# start_ns, end_ns, inner, value, code = kind << 24 | subject, lap.
RECORD = struct.Struct("<qqqqII")
RECORD_DTYPE = np.dtype(
    [
        ("start_ns", "<i8"),
        ("end_ns", "<i8"),
        ("inner", "<i8"),
        ("value", "<i8"),
        ("code", "<u4"),
        ("lap", "<u4"),
    ]
)
KIND_SHIFT = 24
SUBJECT_MASK = (1 << KIND_SHIFT) - 1
NOT_READ = -1
BETWEEN_STEPS = 1 << 8
WEIGHT_SHIFT = 16


class Kind(IntEnum):
    """The kind of an event, with its subject and the meaning of ``inner`` and ``value``."""

    THREAD = 1
    """From here on the ring is a lane's (subject). value: its native thread id."""
    ROOT_SPAN = 2
    """A stage (subject) worked, called from outside any stage. inner: nanoseconds in stages called
    from within; value: its own CPU nanoseconds, those stages' left out, as `cpu_value` packs them with the
    number of calls that they stand for, or `NOT_READ`."""
    NESTED_SPAN = 3
    """As `ROOT_SPAN`, but called from within another stage of its thread."""
    WORK = 4
    """A stage (subject) worked for ``value`` nanoseconds in ``inner`` calls at some time between."""
    WAIT = 5
    """A loop (subject) was blocked for a batch. inner: the batch's signature, or 0 where nobody looked at
    it; value: samples in it, or `NOT_READ`."""
    STEP = 6
    """A loop (subject) took a step. inner: its ordinal; value: epoch << 32 | batches."""
    GAP = 7
    """A loop (subject) spent ``value`` nanoseconds of step number ``inner`` not waiting."""
    GAUGE = 8
    """A level (subject) was ``value``."""
    BYTES = 9
    """A stage (subject) gave ``value`` bytes and took ``inner`` bytes from others."""
    CPU = 10
    """A lane (subject) used ``value`` nanoseconds of CPU between start and end, and stood ready for
    ``inner`` nanoseconds without being given one."""
    BATCH = 11
    """A batch with a certain signature (subject) was delivered."""
    SAMPLES = 12
    """A loop (subject) took ``value`` samples since the last such event."""
    PROCESS_CPU = 13
    """All processes of the training used ``value`` nanoseconds of CPU between start and end."""
    STACK = 14
    """A stack of the user's code (subject) was sampled in ``value`` samples between start and end."""
    GIL = 15
    """A lane (subject) held the GIL in ``value`` of ``inner`` samples between start and end."""
    EPOCH_START = 16
    """A stage (subject) began anew with its iterator at start. Until end, about when the first batch had
    been taken, it worked for ``value`` nanoseconds. inner: elements it then held << 32 | calls."""
    CALLED = 17
    """A worker began to make item number ``value`` in a stage (subject) at start. It is at it until a
    span of that stage follows that began no earlier."""
    TAKEN = 18
    """A loop (subject) took a batch in the step that ran or ended at end; the work that made it began at
    start."""
    GENERATOR_WAIT = 19
    """TensorFlow was blocked in a ``from_generator`` for an element. The loop that runs waited for it only
    where nothing runs ahead of the loop: where `WaitSource.GENERATOR` measures its waits. value: 1 for a
    generator that Keras made to feed a loop, 0 for one that the user wrote."""
    PASS_BEGAN = 20
    """A pass of a loop (subject) began at start: a call of ``fit``, or a stretch of a hand-written loop.
    inner: what it runs inside, a `PassContext` value."""
    PASS_ENDED = 21
    """A pass of a loop (subject) lasted from start to end. inner: as of `PASS_BEGAN`."""
    EPOCH_BEGAN = 22
    """Epoch number ``inner`` of a loop (subject) began at start."""
    EPOCH_ENDED = 23
    """Epoch number ``inner`` of a loop (subject) lasted from start to end, its callbacks included."""
    HOST_CALL = 24
    """The training thread ran something of the host's (subject: a callback's method, a dataset's
    ``on_epoch_end``) from start to end. inner: number of its loop; value: its epoch, or -1 outside."""
    COMPILE = 25
    """A function that a loop (subject) called from start to end was traced or compiled. inner: when
    tracing had ended, or 0; value: number of the reason, or 0."""
    MODEL = 26
    """The model of a hand-written loop (subject) worked from start to end."""
    HOST_SAMPLE = 27
    """A sample of the training thread at a place (subject) at end; start: begin of the step of a
    hand-written loop that ran, else the end. inner: number of the loop, 0 outside of all; value: its
    `HostState` value, plus `BETWEEN_STEPS` outside of the loop's steps, plus the number of samples that it
    stands for, less one, << `WEIGHT_SHIFT`."""
    FIRST_READY = 28
    """The first batch of epoch number ``inner`` of a loop (subject) lay ready at start."""
    ESTIMATED_WORK = 29
    """Of the work of a stage (subject) that was recorded between start and end, ``value`` nanoseconds were
    not counted but estimated."""
    DELIVERED = 30
    """The model of a loop (subject) is given a batch; to record it took from start to end. inner: its hash;
    value: epoch << 32 | samples + 1, where 0 stands for samples that are not known."""
    LOSS = 31
    """The loss of a loop (subject) after its batch number ``inner & 0xFFFFFFFF`` was the 64-bit float whose
    bits ``value`` has, a mean over ``inner >> 32`` samples (0 where that is not known)."""
    MOMENT = 32
    """All threads of the process but pipeprof's used ``value`` nanoseconds of CPU between start and end,
    which lie a millisecond or so apart."""
    IN_STAGE = 33
    """A lane (subject) was in a stage in ``inner`` samples between start and end. value: in how many of
    them it waited for another process or for a pool."""
    ITERATOR_END = 34
    """An iterator of tf.data and the pipeline behind it were destroyed from start to end."""
    HOST_CALL_OPEN = 35
    """A call of the host's (subject) that began at start had not ended at end. inner and value as in
    `HOST_CALL`."""


# CPU time of more than 18 minutes in one call is taken as that.
CPU_BITS = 40
CPU_MASK = (1 << CPU_BITS) - 1


def cpu_value(cpu_ns: int, weight: int) -> int:
    """What a span records of its CPU time.

    Args:
        cpu_ns: own CPU time of the call.
        weight: how many calls of the stage it stands for, at least 1.
    """
    return weight - 1 << CPU_BITS | min(cpu_ns, CPU_MASK)


def code(kind: Kind, subject: int) -> int:
    """The number that stands for both."""
    return kind << KIND_SHIFT | subject
