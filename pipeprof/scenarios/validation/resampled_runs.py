"""How often the gate of `pipeprof compare` is right: on runs that are drawn from recorded ones.

A drawn run has the steps of a recorded run, in blocks of neighbours that are drawn with replacement: its
own variation is that of the recorded run. Two drawn runs come from different recorded runs, so that
what runs differ by is in them, too.
"""

from dataclasses import dataclass, replace

import numpy as np

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.comparing.gate import check, parse_condition
from pipeprof.analysis.comparing.run_comparison import compare_runs
from pipeprof.analysis.findings.findings import Findings
from pipeprof.recording.loop import Steps
from pipeprof.recording.profile import Profile
from pipeprof.recording.series import IntArray

BLOCK_STEPS = 20
GATE = "step_ms>+5%"
UNDISTURBED_GATE = "step_ms_p10>+5%"
COMPARISONS = 100
# Of each so many comparisons, the last one is of runs beside other load.
_LOADED_OF = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSide:
    """Recorded runs of one training.

    Attributes:
        quiet: those on a machine of their own.
        loaded: those beside other load.
    """

    quiet: tuple[Profile, ...]
    loaded: tuple[Profile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRates:
    """How often the gate failed in as many comparisons.

    Attributes:
        comparisons: how many of each kind.
        false_alarms: how often it failed equal runs.
        caught: how often it failed slower ones.
    """

    comparisons: int
    false_alarms: int
    caught: int


def measure_rates(
    usual: RecordedSide,
    slower: RecordedSide,
    gate: str = GATE,
    comparisons: int = COMPARISONS,
    seed: int = 0,
) -> GateRates:
    """Draws runs, compares them, and counts how often the gate fails.

    Args:
        usual: at least two runs of each kind.
        slower: runs of the training that was made slower.
        gate: the expression.
        comparisons: how many comparisons of equal runs, and how many of a usual with a slower one.
        seed: of the draws.
    """
    random = np.random.default_rng(seed)
    false_alarms = caught = 0
    for number in range(comparisons):
        loaded = number % _LOADED_OF == _LOADED_OF - 1
        runs = usual.loaded if loaded else usual.quiet
        others = slower.loaded if loaded else slower.quiet
        first, second = random.choice(len(runs), 2, replace=False)
        third = random.choice(len(others))
        drawn = [draw(runs[first], random, "a"), draw(runs[second], random, "b")]
        false_alarms += _fails(drawn[0], drawn[1], gate)
        caught += _fails(drawn[0], draw(others[third], random, "c"), gate)
    return GateRates(comparisons=comparisons, false_alarms=false_alarms, caught=caught)


def _fails(before: Findings, after: Findings, gate: str) -> bool:
    [outcome] = check(compare_runs([before], [after]), [parse_condition(gate)])
    return outcome.fails


def draw(profile: Profile, random: np.random.Generator, name: str) -> Findings:
    """A run with the steps of a recorded one, in blocks that are drawn with replacement."""
    loop = profile.main_loop
    assert loop is not None
    steps = loop.steps
    count = len(steps)
    blocks = -(-count // BLOCK_STEPS)
    starts = random.integers(0, max(count - BLOCK_STEPS, 1), blocks)
    places = np.concatenate([np.arange(start, start + BLOCK_STEPS) for start in starts])
    places = np.minimum(places[:count], count - 1)
    drawn = replace(loop, steps=_laid_out(steps, places))
    run = replace(profile.run, name=name)
    return analyse(replace(profile, run=run, loops=(drawn,), stages=(), trace_windows=()))


def _laid_out(steps: Steps, places: IntArray) -> Steps:
    """Steps one after the other, with the times of others."""
    durations = (steps.end_ns - steps.start_ns)[places]
    ends = steps.start_ns[0] + np.cumsum(durations)
    return replace(steps, start_ns=ends - durations, end_ns=ends, wait_ns=steps.wait_ns[places])
