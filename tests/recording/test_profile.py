"""What makes a profile consistent, and the few things that it works out itself."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from pipeprof.recording.account import HostFunction, Part
from pipeprof.recording.invariants import find_damage
from pipeprof.recording.lane import GilSamples
from pipeprof.recording.level_names import DeviceLevel
from pipeprof.recording.loop import LoopKind
from pipeprof.recording.profile import Profile
from pipeprof.recording.series import HISTOGRAM_BINS, Binned, Histogram
from pipeprof.recording.source_code import Location, StackSamples
from pipeprof.recording.span import SpanKind
from pipeprof.recording.stage import StageKind
from tests.builders import (
    MS,
    Span,
    device,
    evenly,
    gauge,
    lane,
    loop,
    profile,
    spans,
    stage,
    step_spans,
    trace_window,
)

FIT = loop(steps=4, wait_ns=2 * MS, compute_ns=MS)
SAVE = HostFunction(part=Part.CALLBACKS, name="Save.on_epoch_end", location=Location("a.py", 3))


def changed(value: Any, **changes: Any) -> Any:
    """The value with parts replaced; ``a__b`` is part ``b`` of part ``a``."""
    for name, new in changes.items():
        first, _, rest = name.partition("__")
        inner = changed(getattr(value, first), **{rest: new}) if rest else new
        value = dataclasses.replace(value, **{first: inner})
    return value


def with_loop(**changes: Any) -> Profile:
    return profile(loops=(changed(FIT, **changes),))


def with_stage(**changes: Any) -> Profile:
    return profile(stages=(changed(stage(during=FIT), **changes),))


def with_device(**changes: Any) -> Profile:
    return profile(devices=(changed(device(), **changes),))


def with_window(**changes: Any) -> Profile:
    window = trace_window(FIT, 1, 2 * MS, 2 * MS)
    return profile(loops=(FIT,), trace_windows=(changed(window, **changes),))


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


def test_a_consistent_profile_has_no_problems():
    kept = spans(*step_spans(FIT), Span(SpanKind.WORK, 0, FIT.start_ns, FIT.start_ns + MS))
    whole = profile(loops=(FIT,), stages=(stage(during=FIT, buffer=1, parallelism=2),), spans=kept)
    assert whole.check() == ()


def with_spans(*kept: Span) -> Profile:
    """Two stages and one lane."""
    return profile(spans=spans(*kept), stages=(stage("read"), stage("decode")), lanes=(lane(),))


@pytest.mark.parametrize(
    ("damaged", "problem"),
    [
        (with_loop(parent=1), "loop 0: no loop 1 to be its parent"),
        (with_loop(parent=-1), "loop 0: no loop -1"),
        (with_loop(parent=0), "loop 0 is its own ancestor"),
        (with_loop(lane=1), "loop 0: no lane 1 to run on"),
        (with_loop(steps__wait_ns=ints(1)), "loop 0: columns of different lengths"),
        (with_loop(steps__epoch=np.zeros((4, 1), np.int64)), "loop 0: columns"),
        (with_loop(over_time__width_ns=0), "loop 0: bins 0 ns wide"),
        (with_loop(over_time__sums=np.zeros((3, 2), np.int64)), "loop 0: sums of other channels"),
        (with_loop(over_time__sums=ints(1, 2)), "loop 0: sums of other channels"),
        (with_loop(input__queue=changed(gauge(1), width_ns=-1)), "loop 0: bins -1 ns wide"),
        (with_loop(step_times=Histogram(counts=ints(-1), sum_ns=0)), "negative counts"),
        (
            with_loop(
                step_times=Histogram(counts=np.zeros(HISTOGRAM_BINS + 1, np.int64), sum_ns=0)
            ),
            "too many bins",
        ),
        (with_stage(parent=4), "stage 0 (decode): no stage 4 to ask it"),
        (with_stage(parent=0), "stage 0 is its own ancestor"),
        (with_stage(lanes={0: 1, 7: 1}), "stage 0 (decode): ran on a lane that is none"),
        (with_stage(takes=1e300), "stage 0 (decode): takes 1e+300 elements for one"),
        (with_stage(buffer=changed(gauge(1, 2), zeros=ints(1))), "stage 0: columns"),
        (
            with_stage(work__sums=np.zeros((1, 4), np.int64)),
            "stage 0: sums of other channels than 7",
        ),
        (profile(lanes=(changed(lane(), busy=evenly((1, 2), 0, 9)),)), "lane 0: sums of other"),
        (profile(gauges={"RAM": changed(gauge(1), counts=ints())}), "RAM: columns"),
        (profile(spans=changed(spans(), lane=ints(1))), "spans: columns"),
        (with_spans(Span(SpanKind.WORK, 2, 0, 5)), "a work span of something that is not there"),
        (with_spans(Span(SpanKind.WAIT, -2, 0, 5)), "a wait span of something"),
        (with_spans(Span(SpanKind.STEP, 3, 0, 5)), "a step span of something"),
        (with_spans(Span(SpanKind.BATCH, 1, 0, 5)), "a batch span of something"),
        (with_spans(Span(SpanKind.CALL, 0, 0, 5)), "a call span of something"),
        (with_spans(Span(SpanKind.COMPILE, 1, 0, 5)), "a compile span of something"),
        (with_spans(Span(SpanKind.WORK, 0, 0, 5, lane=1)), "a span on a lane that is none"),
        (
            profile(spans=changed(spans(Span(SpanKind.WAIT, -1, 0, 5)), kind=ints(7))),
            "a span of no known kind",
        ),
        (with_spans(Span(SpanKind.WORK, 0, 0, 2**62)), "spans: a time that no clock shows"),
        (with_loop(steps__end_ns=ints(1, 2, 3, 2**61)), "loop 0: a time that no clock shows"),
        (profile(lanes=(changed(lane(), first_ns=-(2**61)),)), "lane 0: a time that no clock"),
        (changed(profile(), run__end_ns=2**62), "run: a time that no clock shows"),
        (profile(lanes=(lane(gil=GilSamples(held=3, samples=2)),)), "lane 0: held the GIL more"),
        (profile(stacks=(StackSamples(lines=(), samples=1),)), "stack 0: without lines"),
        (with_device(steps__busy_ns=ints(1)), "device 0 (GPU 0): columns of different lengths"),
        (with_device(levels={DeviceLevel.POWER: changed(gauge(1), width_ns=0)}), "device 0"),
        (with_device(steps__end_ns=np.full(10, 2**61)), "device 0: a time that no clock shows"),
        (with_window(loop=1), "window 0: no loop 1 whose steps it traced"),
        (with_window(wait_ns=ints(1, 2, 3)), "window 0: columns"),
        (with_window(start_ns=-(2**61)), "window 0: a time that no clock shows"),
    ],
)
def test_damage_is_reported_and_stops_the_check(damaged: Profile, problem: str):
    assert problem in find_damage(damaged)[0]
    assert damaged.check() == find_damage(damaged)


def test_stages_that_ask_each_other_in_a_circle_are_damage():
    circle = tuple(stage(name, parent=parent) for name, parent in (("a", 1), ("b", 2), ("c", 1)))
    assert profile(stages=circle).check() == ("stage 1 is its own ancestor",)
    chain = tuple(stage(name, parent=parent) for name, parent in (("a", 1), ("b", 2), ("c", None)))
    assert profile(stages=chain).check() == ()


@pytest.mark.parametrize(
    ("contradicting", "problem"),
    [
        (
            with_loop(steps__wait_ns=ints(0, 0, 4 * MS, 0)),
            "loop 0: a step waits longer than it lasts",
        ),
        (with_loop(steps__start_ns=FIT.steps.start_ns - ints(0, 1, 0, 0)), "loop 0: steps overlap"),
        (
            with_stage(work=Binned(start_ns=0, width_ns=1, sums=ints(1, -1, 0, 0, 0, 0, 0)[None])),
            "stage 0 (decode): negative work",
        ),
        (with_spans(Span(SpanKind.WORK, 0, 9, 5)), "a span ends before it begins"),
        (
            with_spans(Span(SpanKind.WORK, 0, 0, 5), Span(SpanKind.WORK, 1, 3, 8)),
            "spans of lane 0 overlap without nesting",
        ),
        (
            changed(
                with_spans(Span(SpanKind.CALL, 0, 0, 5), Span(SpanKind.COMPILE, 0, 3, 8)),
                host_functions=(SAVE,),
            ),
            "spans of lane 0 overlap without nesting",
        ),
    ],
)
def test_a_contradiction_is_no_damage(contradicting: Profile, problem: str):
    assert find_damage(contradicting) == ()
    assert contradicting.check() == (problem,)


def test_spans_of_several_lanes_and_steps_need_not_nest():
    kept = (
        Span(SpanKind.WORK, 0, 0, 5),
        Span(SpanKind.WORK, 0, 3, 8, lane=1),
        Span(SpanKind.STEP, 0, 2, 7),
        Span(SpanKind.WORK, 1, 5, 6),
        Span(SpanKind.WAIT, -1, 1, 5),
    )
    assert changed(with_spans(*kept), lanes=(lane(), lane("feed")), loops=(FIT,)).check() == ()


def test_the_main_loop_is_the_longest_that_trains():
    fit = loop(steps=5)
    evaluate = loop(LoopKind.EVALUATE, steps=50, start_ns=fit.end_ns)
    custom = loop(LoopKind.CUSTOM, steps=6, start_ns=evaluate.end_ns)
    assert profile(loops=(fit, evaluate, custom)).main_loop is custom
    assert profile(loops=(evaluate,)).main_loop is evaluate
    assert profile(loops=()).main_loop is None


def test_a_place_is_named_in_full_and_in_short():
    place = Location("src/data/train.py", 41)
    assert (str(place), place.short) == ("src/data/train.py:41", "train.py:41")


def test_what_is_pythons_is_known_by_kind():
    foreign = {kind for kind in StageKind if not kind.python}
    assert foreign == {
        StageKind.TRANSPORT,
        StageKind.EPOCH_START,
        StageKind.TF_DATA,
        StageKind.TF_DATA_REMOTE,
        StageKind.TF_DATA_WORKER,
    }
