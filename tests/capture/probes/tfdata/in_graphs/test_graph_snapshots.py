import numpy as np
import pytest

from pipeprof.capture.probes.tfdata.in_graphs.graph_snapshots import (
    LoopShare,
    find_input,
    share_of_call,
    snapshot_of,
)
from pipeprof.recording.intervals import no_intervals
from pipeprof.xspace.graph_iterators import GraphIterators, TracedIterator


def traced(**places: tuple[int, int]) -> GraphIterators:
    """Elements and work by place, whose names are written with two underscores between."""
    return GraphIterators(
        places={
            tuple(place.replace("Opened", "FlatMap[]").split("__")): TracedIterator(
                elements=elements, work_ns=work_ns
            )
            for place, (elements, work_ns) in places.items()
        },
        anchors=no_intervals(),
    )


IN_A_LOOP = traced(
    Root=(2, 0),
    Root__Prefetch=(2, 0),
    Root__Prefetch__Scan=(2, 7),
    Root__Prefetch__Scan__Batch=(2, 4),
    Root__Prefetch__Scan__Batch__FlatMap=(8, 0),
    Root__Prefetch__Scan__Batch__Opened__Map=(8, 80),
    Root__Prefetch__Scan__Batch__FlatMap__Range=(1, 1),
)


def test_the_loop_takes_its_elements_from_below_the_scan() -> None:
    assert find_input(IN_A_LOOP) == ("Root", "Prefetch", "Scan", "Batch")
    assert find_input(traced(Root=(1, 0), Root__Map=(1, 0))) == ("Root", "Map")
    assert find_input(traced()) is None


def test_a_scan_of_the_users_is_no_loop() -> None:
    users = traced(Root=(1, 0), Root__Batch=(1, 0), Root__Batch__Scan=(1, 0))
    assert find_input(users) == ("Root", "Batch")


def test_a_trace_is_read_as_a_model_of_the_users_pipeline() -> None:
    snapshot = snapshot_of(IN_A_LOOP, ("Root", "Prefetch", "Scan", "Batch"), 2.0)
    nodes = [
        (node.node_id, node.name, node.inputs, node.num_elements, node.processing_time_ns)
        for node in sorted(snapshot.nodes.values())
    ]
    assert (snapshot.output, nodes) == (
        1,
        [
            (1, "Root", (2,), 4, 0),
            (2, "Batch", (3,), 4, 8),
            (3, "FlatMap", (4, 5), 16, 0),
            (4, "Range", (), 2, 2),  # what lasts comes right after the stage that asks it
            (5, "Map", (), 16, 160),
        ],
    )


# The first element is waited for from 10 to 40, the others for 4 of 10 each.
ASKED = np.array([[10, 40], [46, 50], [56, 60], [66, 70], [76, 80]])


@pytest.mark.parametrize(
    ("window", "call", "share"),
    [
        # All of it, up to where it finds that there is no more.
        ((0, 90), (5, 80), LoopShare(elements=4, wait_ns=46)),
        # Of the first 80 of 160: it goes on as after the first element.
        ((0, 80), (0, 160), LoopShare(elements=13, wait_ns=78)),
        ((200, 300), (0, 160), LoopShare(elements=0, wait_ns=0)),
    ],
)
def test_what_was_traced_of_a_call_stands_for_the_rest(
    window: tuple[int, int], call: tuple[int, int], share: LoopShare
) -> None:
    assert share_of_call(ASKED - 1000, window, call, 1000) == share
    assert share_of_call(no_intervals(), window, call, 1000) == LoopShare(elements=0, wait_ns=0)
