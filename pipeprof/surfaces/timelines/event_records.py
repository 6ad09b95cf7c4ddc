"""The records of TensorBoard's event files: messages with their lengths and check sums.

TensorBoard's own writer needs modules that take longer to import than a run takes to write.
Format: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details (TFRecord), with
CRC-32C (Castagnoli; RFC 3720, appendix B.4) check sums.
"""

import functools
import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = 0xA282EAD8
_LENGTH = struct.Struct("<Q")
_SUM = struct.Struct("<I")


def to_records(messages: Sequence[bytes]) -> bytes:
    """Some messages as the records of an event file."""
    lengths = [_LENGTH.pack(len(message)) for message in messages]
    sums = masked_sums([*lengths, *messages]).tolist()
    of_lengths, of_messages = sums[: len(lengths)], sums[len(lengths) :]
    parts = zip(lengths, of_lengths, messages, of_messages, strict=True)
    return b"".join(
        part
        for length, of_length, message, of_message in parts
        for part in (length, _SUM.pack(of_length), message, _SUM.pack(of_message))
    )


def masked_sums(messages: Sequence[bytes]) -> npt.NDArray[np.uint32]:
    """The masked check sum of each message; a byte of all messages is added at once."""
    table = _table()
    lengths = np.array([len(message) for message in messages], np.int64)
    order = np.argsort(-lengths, kind="stable")
    begins = (np.cumsum(lengths) - lengths)[order]
    content = np.frombuffer(b"".join(messages), np.uint8)
    # How many messages, the longest first, have a byte at each position.
    counts = len(messages) - np.searchsorted(
        np.sort(lengths), np.arange(lengths.max(initial=0)), "right"
    )
    sums = np.full(len(messages), 0xFFFFFFFF, np.uint32)
    for position, count in enumerate(counts.tolist()):
        so_far = sums[:count]
        index = (so_far ^ content[begins[:count] + position]) & 0xFF
        sums[:count] = table[index] ^ (so_far >> 8)
    sums = ~sums
    masked = np.empty_like(sums)
    masked[order] = ((sums >> 15) | (sums << 17)) + np.uint32(_MASK_DELTA)
    return masked


@functools.cache
def _table() -> npt.NDArray[np.uint32]:
    """The check sum of each single byte."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1)
    return table.astype(np.uint32)
