import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeprof.analysis.measures.batch_queue import mean_step_ms, simulated_step_ms


@given(
    pace=st.floats(0, 50),
    within=st.floats(0, 10),
    computes=st.lists(st.floats(0, 40), min_size=1, max_size=40),
    buffered=st.integers(1, 8),
)
def test_the_short_ways_are_exact(
    pace: float, within: float, computes: list[float], buffered: int
) -> None:
    simulated = simulated_step_ms(pace, within, computes, buffered)
    assert mean_step_ms(pace, within, computes, buffered) == pytest.approx(simulated, abs=1e-6)


@pytest.mark.parametrize(
    ("pace", "buffered", "step"),
    [
        (5, 2, 20),  # batches are ready early
        (40, 2, 40),  # each is waited for
        (15, 1, 22.5),  # the short step waits for 5 of 15, as no batch lies ready
    ],
)
def test_uneven_steps_wait_for_what_is_not_ready(pace: float, buffered: int, step: float) -> None:
    assert mean_step_ms(pace, 0, [10, 30], buffered) == pytest.approx(step)
