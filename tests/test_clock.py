"""Both clocks at one moment turn recorded times into dates."""

from pipeprof.clock import WallAnchor, now_ns


def test_a_recorded_time_becomes_a_date():
    anchor = WallAnchor(monotonic_ns=1_000, unix_ns=5_000_000)
    assert anchor.to_unix_ns(1_000) == 5_000_000
    assert anchor.to_unix_ns(1_700) == 5_000_700
    assert anchor.to_unix_ns(400) == 4_999_400


def test_an_anchor_lies_between_two_looks_at_the_clock():
    before = now_ns()
    anchor = WallAnchor.now()
    assert before <= anchor.monotonic_ns <= now_ns()
