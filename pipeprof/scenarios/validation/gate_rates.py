"""How often the gate of `pipeprof compare` is right, on groups that are drawn from recorded runs."""

from collections.abc import Sequence

import numpy as np

from pipeprof.analysis.comparing.gate import check, parse_condition
from pipeprof.analysis.comparing.run_comparison import compare_runs
from pipeprof.analysis.findings.findings import Findings
from pipeprof.recording.light_dataclasses import dataclass

GATE = "step_ms>+5%"
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

    quiet: tuple[Findings, ...]
    loaded: tuple[Findings, ...]


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
    group: int,
    comparisons: int = COMPARISONS,
    seed: int = 0,
) -> GateRates:
    """Draws groups of runs, compares them, and counts how often the gate fails.

    Args:
        usual: runs of one training: at least twice as many of each kind as a group has.
        slower: runs of that training, made slower: at least as many as a group has.
        group: runs on each side of a comparison; no run is on both sides, or twice on one.
        comparisons: how many comparisons of equal runs, and how many of usual with slower ones.
        seed: of the draws.
    """
    random = np.random.default_rng(seed)

    def drawn(runs: Sequence[Findings], count: int) -> list[Findings]:
        return [runs[place] for place in random.choice(len(runs), count, replace=False)]

    false_alarms = caught = 0
    for number in range(comparisons):
        loaded = number % _LOADED_OF == _LOADED_OF - 1
        runs = drawn(usual.loaded if loaded else usual.quiet, 2 * group)
        others = drawn(slower.loaded if loaded else slower.quiet, group)
        false_alarms += _fails(runs[:group], runs[group:])
        caught += _fails(runs[:group], others)
    return GateRates(comparisons=comparisons, false_alarms=false_alarms, caught=caught)


def _fails(before: Sequence[Findings], after: Sequence[Findings]) -> bool:
    [outcome] = check(compare_runs(before, after), [parse_condition(GATE)])
    return outcome.fails
