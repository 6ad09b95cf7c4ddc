"""Measures how often the gate of `pipeprof compare` fails equal runs, and how often a slow-down of 10 %.

Records a training again and again, as it is and made slower by a tenth, on a quiet machine and beside
other load, and draws 100 comparisons of each kind from them, a third of them beside other load: of single
runs, and of groups of them. What the gate promises: no more false alarms than 3, and with three runs on
each side, as in the README's example, at least 95 slow-downs caught.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeprof.analysis.analyse import analyse
from pipeprof.runs.run_reading import read_run
from pipeprof.runs.run_search import list_runs
from pipeprof.scenarios.validation.gate_rates import GATE, RecordedSide, measure_rates

SCRIPT = Path(__file__).with_name("compared_training.py")
SLOWER = 1.10
# Threads that wait for each other would be most of the noise.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
MOST_FALSE_ALARMS, LEAST_CAUGHT = 3, 95
GROUPS, PROMISED_GROUP = (1, 2, 3), 3

# Computes and rests by turns, each for two seconds; begins anywhere in that.
BUSY = """
import random, sys, time
time.sleep(random.Random(sys.argv[1]).uniform(0, 4))
while True:
    until = time.monotonic() + 2
    while time.monotonic() < until:
        pass
    time.sleep(2)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--runs", type=int, default=12, help="runs of each kind, and half as many with load"
    )
    parser.add_argument("--logs", type=Path, help="keep the runs there; those that are there stay")
    options = parser.parse_args()
    if options.runs < 4 * max(GROUPS):
        parser.error(f"expected at least {4 * max(GROUPS)} runs, received {options.runs}.")
    with tempfile.TemporaryDirectory() as temporary:
        logs = options.logs or Path(temporary)
        record(logs, options.runs)
        usual, slower = side(logs, "usual"), side(logs, "slower")
    right = True
    for group in GROUPS:
        found = measure_rates(usual, slower, group)
        print(
            f"{GATE}, {group} against {group}: failed {found.false_alarms} of {found.comparisons} "
            f"comparisons of equal runs, and {found.caught} of as many with a slow-down of 10 %",
            flush=True,
        )
        right &= found.false_alarms <= MOST_FALSE_ALARMS
        right &= group < PROMISED_GROUP or found.caught >= LEAST_CAUGHT
    return 0 if right else 1


def record(logs: Path, runs: int) -> None:
    """Records what is not there yet, all kinds in turns, so that what drifts drifts for all."""
    for number in range(runs):
        for kind, factor in (("usual", 1.0), ("slower", SLOWER)):
            record_one(logs / f"{kind}-quiet", number, factor, load=None)
        if number % 2:
            for kind, factor in (("usual", 1.0), ("slower", SLOWER)):
                record_one(logs / f"{kind}-loaded", number // 2, factor, load=f"{kind} {number}")


def record_one(folder: Path, number: int, factor: float, load: str | None) -> None:
    """Records a run unless it is there, beside other load that begins when its seed says."""
    if len(list_runs(folder)) > number:
        return
    command = [sys.executable, str(SCRIPT), str(folder), str(number), str(factor)]
    with other_load(load):
        subprocess.run(command, check=True, env=os.environ | ONE_THREAD)
    print(f"recorded {folder.name} {number}", flush=True)


def side(logs: Path, kind: str) -> RecordedSide:
    quiet, loaded = (
        tuple(analyse(read_run(run)) for run in list_runs(logs / f"{kind}-{load}"))
        for load in ("quiet", "loaded")
    )
    return RecordedSide(quiet=quiet, loaded=loaded)


@contextmanager
def other_load(seed: str | None) -> Iterator[None]:
    """A process of somebody else's, where it has a seed."""
    if seed is None:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", BUSY, seed]) as busy:
        try:
            yield
        finally:
            busy.terminate()


if __name__ == "__main__":
    sys.exit(main())
