"""The records of event files, compared with those of TensorBoard's own writer."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.summary.writer.record_writer import RecordWriter

from pipeprof.surfaces.timelines.event_records import masked_sums, to_records


def written_by_tensorboard(messages: list[bytes]) -> bytes:
    stream = BytesIO()
    writer = RecordWriter(stream)
    for message in messages:
        writer.write(message)
    return stream.getvalue()


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_records_are_those_of_tensorboards_writer(messages: list[bytes]) -> None:
    assert to_records(messages) == written_by_tensorboard(messages)


def test_a_long_message_among_short_ones_has_its_own_sum() -> None:
    messages = [b"a", bytes(range(256)) * 20, b"", b"bc"]
    assert to_records(messages) == written_by_tensorboard(messages)


@pytest.mark.parametrize(
    ("message", "check_sum"),
    [(b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],
)
def test_check_sums_are_those_of_the_standard(message: bytes, check_sum: int) -> None:
    masked = ((check_sum >> 15 | check_sum << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert masked_sums([message]).tolist() == [masked]
