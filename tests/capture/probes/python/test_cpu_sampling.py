"""Which calls have their CPU time read, in programs whose clock is a number."""

import random
from collections.abc import Callable, Iterable
from itertools import repeat

import pytest

from pipeprof.capture.probes.python import stage_site
from pipeprof.capture.probes.python.cpu_sampling import MOST_RATIO, CpuSampling
from pipeprof.capture.probes.python.stage_site import StageSite
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import CPU_BITS, CPU_MASK, NOT_READ
from pipeprof.recording.stage import StageKind
from tests.capture.probes.recorded import Event, spans

US = 1_000
MS = 1_000_000
COST_NS = 3 * US

# A call: how long it works on a processor, and how long it sleeps.
Call = tuple[int, int]


class Program:
    """Calls stages; its clocks move only where it works, sleeps, or reads CPU time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.cpu = self.readings = 0
        self.recorder = Recorder(None, capacity=1 << 16)
        self._lane = self.recorder.lane()
        monkeypatch.setattr(stage_site, "now_ns", lambda: self.now)
        monkeypatch.setattr(stage_site, "thread_time_ns", self._read)

    def site(self, seed: int) -> StageSite:
        site = StageSite(f"stage {seed}", StageKind.FUNCTION)
        site.cpu = CpuSampling(random.Random(seed).random)
        return site

    def call(self, site: StageSite, work: Call, inside: Callable[[], None] = lambda: None) -> None:
        begun = site.begin(self._lane)
        computes_ns, sleeps_ns = work
        self.now += computes_ns + sleeps_ns
        self.cpu += computes_ns
        inside()
        site.finish(self.recorder, self._lane, begun)

    def _read(self) -> int:
        self.now += COST_NS
        self.cpu += COST_NS
        self.readings += 1
        return self.cpu


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Program:
    return Program(monkeypatch)


def ratio_of(found: Iterable[Event]) -> float:
    """The CPU time over the own work of some calls, from the readings and what they stand for."""
    cpu = own = 0
    for event in found:
        if event.value != NOT_READ:
            stands_for = (event.value >> CPU_BITS) + 1
            cpu += stands_for * (event.value & CPU_MASK)
            own += stands_for * event.own_ns
    return cpu / own


def test_every_long_call_is_read(program: Program) -> None:
    site = program.site(0)
    for _ in range(50):
        program.call(site, (MS, 9 * MS))
    assert all(event.value >> CPU_BITS == 0 for event in spans(program.recorder))
    assert ratio_of(spans(program.recorder)) == pytest.approx(0.1, rel=0.01)


@pytest.mark.parametrize("computes_us", [1, 10, 37, 200, 900])
def test_readings_of_short_calls_take_a_share_that_nobody_notices(
    program: Program, computes_us: int
) -> None:
    site = program.site(1)
    for _ in range(5_000):
        program.call(site, (computes_us * US, 0))
    assert program.readings > 2
    assert program.readings * COST_NS < 1.5 * MOST_RATIO * program.now
    assert ratio_of(spans(program.recorder)) == pytest.approx(1.0, rel=0.01)


SHORT = (20 * US, 0)


@pytest.mark.parametrize(
    "period",
    [
        [(0, 300 * US), SHORT],
        [(20 * US, MS), SHORT, SHORT],
        [(0, 3 * MS), SHORT],
        [(0, 20 * MS), *repeat(SHORT, 30)],
        [(300 * US, 0), (0, 20 * US)],
    ],
    ids=str,
)
def test_where_long_and_short_calls_alternate_no_kind_is_preferred(
    program: Program, period: list[Call]
) -> None:
    runs, periods = 20, 1_000 // len(period)
    for seed in range(runs):
        site = program.site(seed)
        for work in period * periods:
            program.call(site, work)
    read = [event for event in spans(program.recorder) if event.value != NOT_READ]
    for work in set(period):
        its = [event.value for event in read if event.own_ns - sum(work) in (0, COST_NS)]
        stand_for = sum((value >> CPU_BITS) + 1 for value in its)
        assert stand_for == pytest.approx(runs * periods * period.count(work), rel=0.15)


def test_a_stage_that_turns_from_short_calls_to_long_ones_is_soon_read_always(
    program: Program,
) -> None:
    site = program.site(3)
    for work in [*repeat((10 * US, 0), 2_000), *repeat((0, 10 * MS), 20)]:
        program.call(site, work)
    last = spans(program.recorder)[-19:]
    assert [event.value >> CPU_BITS for event in last] == [0] * 19  # they stand for one call each


def test_the_cpu_time_of_short_inner_calls_is_not_their_callers(program: Program) -> None:
    outer, inner = program.site(4), program.site(5)

    def load() -> None:
        for _ in range(40):
            program.call(inner, (10 * US, 90 * US))

    for _ in range(300):
        program.call(outer, (2 * MS, 2 * MS), load)
    found = spans(program.recorder)
    ratios = [ratio_of(e for e in found if e.name == f"stage {n}") for n in (4, 5)]
    assert ratios == pytest.approx([0.5, 0.1], rel=0.15)


def test_one_reading_that_lost_its_processor_does_not_keep_others_from_being_read() -> None:
    cpu = CpuSampling(random.Random(6).random)
    for cost_ns in (COST_NS, 50 * MS, COST_NS):
        cpu.read(100 * US, 100 * US, cost_ns)
    assert cpu.weight < 3 * COST_NS / MOST_RATIO / (100 * US)
