"""Records: the struct that writes and the dtype that reads are the same."""

import numpy as np

from pipeprof.capture.recorder.records import (
    KIND_SHIFT,
    RECORD,
    RECORD_DTYPE,
    SUBJECT_MASK,
    Kind,
    code,
)


def test_writer_and_reader_agree_on_the_layout():
    packed = RECORD.pack(-1, 2, 3, -4, code(Kind.GAUGE, 9), 7)
    (record,) = np.frombuffer(packed, RECORD_DTYPE)
    assert record.tolist() == (-1, 2, 3, -4, Kind.GAUGE << KIND_SHIFT | 9, 7)


def test_a_code_gives_back_kind_and_subject():
    both = code(Kind.PROCESS_CPU, SUBJECT_MASK)
    assert (Kind(both >> KIND_SHIFT), both & SUBJECT_MASK) == (Kind.PROCESS_CPU, SUBJECT_MASK)
    assert both < 1 << 32
