"""Parents of stages, found by intervals that lie inside one another."""

from hypothesis import given
from hypothesis import strategies as st

from pipeprof.capture.collector.nesting import infer_parents, is_above
from pipeprof.recording.span import SpanKind
from tests.builders import Span, spans


def work(stage: int, start: int, end: int, lane: int = 0) -> Span:
    return Span(SpanKind.WORK, stage, start, end, lane)


def test_a_stage_was_called_by_the_one_around_it():
    kept = spans(work(2, 2, 3), work(1, 1, 5), work(0, 0, 9), work(1, 6, 7))
    assert infer_parents(kept, [None] * 3) == (None, 0, 1)


def test_other_lanes_and_other_kinds_do_not_matter():
    kept = spans(
        work(0, 0, 9), work(1, 2, 3, lane=1), Span(SpanKind.WAIT, -1, 0, 9, 1), work(2, 9, 12)
    )
    assert infer_parents(kept, [None] * 3) == (None, None, None)


def test_what_is_known_stays():
    kept = spans(work(1, 1, 5), work(0, 0, 9), work(2, 2, 3))
    assert infer_parents(kept, [None, 2, None]) == (None, 2, None)


def test_the_most_frequent_caller_wins():
    kept = spans(
        work(0, 0, 9),
        work(2, 1, 2),
        work(1, 10, 19),
        work(2, 11, 12),
        work(1, 20, 29),
        work(2, 21, 22),
    )
    assert infer_parents(kept, [None] * 3) == (None, None, 1)


def test_a_stage_does_not_call_itself():
    assert infer_parents(spans(work(0, 0, 9), work(0, 1, 2)), [None]) == (None,)


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 20), st.integers(0, 20), st.integers(0, 1)),
        max_size=30,
    )
)
def test_stages_never_call_each_other_in_a_circle(made: list[tuple[int, int, int, int]]):
    kept = spans(*(work(stage, at, at + length, lane) for stage, at, length, lane in made))
    parents = infer_parents(kept, [None] * 5)
    called = [(stage, parent) for stage, parent in enumerate(parents) if parent is not None]
    assert [pair for pair in called if is_above(parents, *pair)] == []
