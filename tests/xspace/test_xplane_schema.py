import pytest

from pipeprof.xspace.xplane_schema import XSpace, XStat


def small_space():
    space = XSpace(hostnames=["host-a"], warnings=["look here"])
    plane = space.planes.add(id=1, name="/host:CPU")
    plane.event_metadata[7].id = 7
    plane.event_metadata[7].name = "decode"
    plane.stat_metadata[3].id = 3
    plane.stat_metadata[3].name = "step_num"
    line = plane.lines.add(id=2, name="worker", timestamp_ns=5)
    line.events.add(
        metadata_id=7,
        offset_ps=0,
        duration_ps=9,
        stats=[
            XStat(metadata_id=3, int64_value=-1),
            XStat(metadata_id=3, uint64_value=2**64 - 1),
            XStat(metadata_id=3, double_value=0.5),
            XStat(metadata_id=3, str_value="text"),
            XStat(metadata_id=3, ref_value=3),
        ],
    )
    return space


def test_a_file_reads_back_as_it_was_written():
    assert XSpace.FromString(small_space().SerializeToString()) == small_space()


def test_an_offset_of_zero_is_there_and_not_a_number_of_occurrences():
    event = XSpace.FromString(small_space().SerializeToString()).planes[0].lines[0].events[0]
    assert event.WhichOneof("value") == "offset_ps"


def test_fields_unknown_here_survive():
    newer = small_space().SerializeToString() + b"\xfa\x01\x02hi"
    assert XSpace.FromString(newer).SerializeToString() == newer


@pytest.mark.integration
def test_tensorflow_in_the_same_process_reads_the_same():
    xplane_pb2 = pytest.importorskip("tensorflow.tsl.profiler.protobuf.xplane_pb2")
    content = small_space().SerializeToString()
    theirs = xplane_pb2.XSpace.FromString(content)
    assert str(theirs) == str(small_space())
    assert theirs.SerializeToString() == content
