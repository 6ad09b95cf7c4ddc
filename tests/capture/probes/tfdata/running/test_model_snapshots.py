import pytest

from pipeprof.capture.probes.tfdata.running.model_snapshots import (
    GAP_WINDOW,
    ModelSnapshot,
    NodeCounters,
    NodeWork,
    differences,
    first_batch_lies_ready,
    new_gaps,
    ready_batches,
)


def node(
    node_id: int, name: str, *inputs: int, elements: int = 0, ns: int = 0, buffered: int = 0
) -> NodeCounters:
    return NodeCounters(node_id, name, inputs, elements, ns, 8 * elements, 0, buffered)


def snapshot(*nodes: NodeCounters) -> ModelSnapshot:
    return ModelSnapshot(
        nodes={one.node_id: one for one in nodes},
        output=nodes[0].node_id,
        gap_times_us=(),
        cpu_budget=2,
        ram_budget=1 << 30,
    )


def test_a_node_did_what_its_counters_grew_by() -> None:
    before = snapshot(node(1, "Root", 2, elements=10, ns=50), node(2, "Map", elements=12, ns=900))
    after = snapshot(node(1, "Root", 2, elements=11, ns=55), node(2, "Map", elements=14, ns=1100))
    assert differences(before, after) == {1: NodeWork(1, 5, 8, 0), 2: NodeWork(2, 200, 16, 0)}


def test_the_first_reading_counts_from_zero() -> None:
    after = snapshot(node(1, "Root", elements=3, ns=7))
    assert differences(None, after) == {1: NodeWork(3, 7, 24, 0)}


def test_inputs_come_and_go_and_what_did_nothing_is_left_out() -> None:
    before = snapshot(node(1, "Interleave", 3, elements=8), node(3, "Map", elements=8, ns=800))
    after = snapshot(node(1, "Interleave", 4, elements=8), node(4, "Map", elements=1, ns=100))
    assert differences(before, after) == {4: NodeWork(1, 100, 8, 0)}


@pytest.mark.parametrize(
    ("before", "after", "count", "expected"),
    [
        ((), (), 0, ()),
        ((), (1, 2), 3, (1, 2)),
        ((1, 2), (1, 2), 0, ()),
        ((1, 2), (1, 2, 3), 1, (3,)),
        ((1, 2), (1, 2, 3), 9, (3,)),  # a wrong hint does not matter while the window fills
        ((5, 5, 5), (5, 5, 5, 5), 1, (5,)),
    ],
)
def test_new_gaps_of_a_window_that_fills(
    before: tuple[int, ...], after: tuple[int, ...], count: int, expected: tuple[int, ...]
) -> None:
    assert new_gaps(before, after, count) == expected


def test_new_gaps_of_a_full_window_are_those_behind_the_overlap() -> None:
    gaps = tuple(range(GAP_WINDOW + 30))
    assert new_gaps(gaps[:GAP_WINDOW], gaps[30:], 31) == gaps[GAP_WINDOW:]


def test_equal_gaps_are_distinguished_by_the_hint() -> None:
    same = (7,) * GAP_WINDOW
    assert [len(new_gaps(same, same, count)) for count in (0, 1, 40, 100, 500)] == [
        *(0, 1, 40, 100, 100)
    ]


def test_windows_without_an_overlap_are_all_new() -> None:
    before, after = tuple(range(100)), tuple(range(500, 600))
    assert new_gaps(before, after, 250) == after


@pytest.mark.parametrize(
    ("names", "ready"),
    [
        (("Prefetch", "Batch", "Generator"), 3),
        (("Prefetch", "MapAndBatch"), 3),
        (("Batch", "Prefetch", "Generator"), None),
        (("Zip",), None),
        ((), None),
    ],
)
def test_batches_lie_ready_behind_the_first_prefetch(names, ready):
    chain = ("Root", *names)
    last = len(chain)
    running = snapshot(
        *(
            node(number, name, *((number + 1,) if number < last else ()), buffered=3)
            for number, name in enumerate(chain, 1)
        )
    )

    assert ready_batches(running) == ready


@pytest.mark.parametrize(
    ("nodes", "ready"),
    [
        ([node(1, "Root")], False),
        ([node(1, "Root", 2)], False),
        # A shuffle that fills has taken elements, and has given none.
        (
            [
                node(1, "Root", 2),
                node(2, "Prefetch", 3),
                node(3, "Shuffle", 4, buffered=300),
                node(4, "Map", elements=300),
            ],
            False,
        ),
        (
            [
                node(1, "Root", 2),
                node(2, "Prefetch", 3, buffered=1),
                node(3, "Shuffle", 4, elements=1),
                node(4, "Map", elements=301),
            ],
            True,
        ),
        # Without anything that runs ahead a batch is there when it is given.
        ([node(1, "Root", 2), node(2, "Batch", 3), node(3, "Map", elements=8)], False),
        ([node(1, "Root", 2), node(2, "Batch", 3, elements=1), node(3, "Map", elements=8)], True),
        ([node(1, "Root", 2, elements=1), node(2, "Batch", elements=1)], True),
    ],
)
def test_the_first_batch_lies_ready_once_what_is_below_the_output_has_given_it(
    nodes: list[NodeCounters], ready: bool
) -> None:
    assert first_batch_lies_ready(snapshot(*nodes)) is ready
