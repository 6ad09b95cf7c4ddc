"""Measures how often the gate of `pipeprof compare` fails equal runs, and how often a slow-down of 10 %.

Records a training again and again, as it is and made slower by a tenth, on a quiet machine and beside other
load, and draws 100 comparisons of each kind from them, a third of them beside other load.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeprof.runs.run_reading import read_run
from pipeprof.runs.run_search import list_runs
from pipeprof.scenarios.validation.resampled_runs import (
    GATE,
    UNDISTURBED_GATE,
    RecordedSide,
    measure_rates,
)

SCRIPT = Path(__file__).with_name("compared_training.py")
SLOWER = 1.10
# Threads that wait for each other would be most of the noise.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
MOST_FALSE_ALARMS, LEAST_CAUGHT = 3, 95

# Computes and rests by turns, each for two seconds.
BUSY = """
import time
while True:
    until = time.monotonic() + 2
    while time.monotonic() < until:
        pass
    time.sleep(2)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--runs", type=int, default=6, help="runs of each kind; half of it with load"
    )
    parser.add_argument("--logs", type=Path, help="keep the runs there; those that are there stay")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        logs = options.logs or Path(temporary)
        record(logs, options.runs)
        usual, slower = side(logs, "usual"), side(logs, "slower")
    right = True
    for gate in (GATE, UNDISTURBED_GATE):
        found = measure_rates(usual, slower, gate)
        print(
            f"{gate}: failed {found.false_alarms} of {found.comparisons} comparisons of equal runs, and "
            f"{found.caught} of {found.comparisons} with a slow-down of 10 %"
        )
        right = found.false_alarms <= MOST_FALSE_ALARMS and found.caught >= LEAST_CAUGHT
    return 0 if right else 1


def record(logs: Path, runs: int) -> None:
    """Records what is not there yet; both kinds in turns, so that what drifts drifts for both."""
    for load, count in (("quiet", runs), ("loaded", max(runs // 2, 2))):
        for number in range(count):
            for kind, factor in (("usual", 1.0), ("slower", SLOWER)):
                folder = logs / f"{kind}-{load}"
                if len(list_runs(folder)) > number:
                    continue
                command = [sys.executable, str(SCRIPT), str(folder), str(number), str(factor)]
                with other_load(on=load == "loaded"):
                    subprocess.run(command, check=True, env=os.environ | ONE_THREAD)
                print(f"recorded {kind} {load} {number}", flush=True)


def side(logs: Path, kind: str) -> RecordedSide:
    quiet, loaded = (
        tuple(read_run(run) for run in list_runs(logs / f"{kind}-{load}"))
        for load in ("quiet", "loaded")
    )
    return RecordedSide(quiet=quiet, loaded=loaded)


@contextmanager
def other_load(*, on: bool) -> Iterator[None]:
    """A process of somebody else's, where it is on."""
    if not on:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", BUSY]) as busy:
        try:
            yield
        finally:
            busy.terminate()


if __name__ == "__main__":
    sys.exit(main())
