"""Runs planted trainings under `pipeprof run`, and compares each report with what is true of the training.

Prints a line for each, then tables: what was taken for what, and the errors of costs, shares, waits and
ideal steps. Exit code 1 when a report is wrong or does not have what it has to have.
"""

import argparse
import contextlib
import fnmatch
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from pipeprof.errors import PipeprofError
from pipeprof.host import machine
from pipeprof.scenarios.validation import Planted, planted_trainings
from pipeprof.scenarios.validation.comparing import compare
from pipeprof.scenarios.validation.planted_runs import run_alone, run_watched
from pipeprof.scenarios.validation.tables import Result, line_of, render_tables

# Computes and rests by turns, each for two seconds.
BUSY = """
import time
while True:
    until = time.monotonic() + 2.0
    while time.monotonic() < until:
        pass
    time.sleep(2.0)
"""


def main() -> int:
    """Runs what was asked for; returns the exit code."""
    options = _options()
    chosen = _choose(options.names, options.kind, quick=options.quick)
    if options.list:
        for planted in chosen:
            print(f"{planted.kind:12} {planted.name}{'  (quick)' if planted.quick else ''}")
        return 0
    if options.alone:
        for planted in chosen:
            print(f"{planted.name}: {json.dumps(run_alone(planted))}", flush=True)
        return 0
    results = []
    for number in range(1, options.rounds + 1):
        with_load = number == options.rounds > 1
        for result in _run_round(chosen, number, ceilings=options.ceilings, with_load=with_load):
            print(f"{number}/{options.rounds} {line_of(result)}", flush=True)
            results.append(result)
    print(f"\n{render_tables(results)}\n{_conditions()}")
    if options.json is not None:
        options.json.write_text(json.dumps([_plain(result) for result in results], indent=1))
    return 0 if all(result.is_right for result in results) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="names of trainings, or patterns of names")
    parser.add_argument("--kind", help="only those of this kind")
    parser.add_argument("--quick", action="store_true", help="only those that the tests run")
    parser.add_argument("--rounds", type=int, default=1, help="the last of several has other load")
    parser.add_argument("--ceilings", action="store_true", help="measure steps with input for free")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all comparisons, for programs")
    parser.add_argument("--list", action="store_true", help="print what there is, and run nothing")
    parser.add_argument(
        "--alone", action="store_true", help="run without pipeprof, and print the truth"
    )
    return parser.parse_args()


def _choose(names: Sequence[str], kind: str | None, *, quick: bool) -> list[Planted]:
    chosen = [
        planted
        for planted in planted_trainings()
        if (not names or any(fnmatch.fnmatch(planted.name, name) for name in names))
        and kind in (None, planted.kind)
        and (planted.quick or not quick)
    ]
    if not chosen:
        sys.exit("No planted training has such a name; see tools/validate --list")
    return chosen


def _run_round(
    chosen: Sequence[Planted], number: int, *, ceilings: bool, with_load: bool
) -> Iterator[Result]:
    for planted in chosen:
        with _other_load() if with_load else contextlib.nullcontext():
            yield _validate(planted, number, measure_ceiling=ceilings and planted.ceiling)


def _validate(planted: Planted, number: int, *, measure_ceiling: bool) -> Result:
    try:
        ceiling_ms = run_alone(planted, "--free-input")["step_ms"] if measure_ceiling else None
        watched = run_watched(planted)
    except (PipeprofError, subprocess.TimeoutExpired, OSError) as error:
        return Result(name=planted.name, round=number, failure=str(error))
    checks = compare(watched.report, watched.truth, planted, ceiling_ms=ceiling_ms)
    return Result(name=planted.name, round=number, checks=checks)


@contextlib.contextmanager
def _other_load() -> Iterator[None]:
    """A process of somebody else's, on the last core."""
    command = [sys.executable, "-c", BUSY]
    with subprocess.Popen(command) as busy:
        try:
            if hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(busy.pid, {max(os.sched_getaffinity(0))})
            yield
        finally:
            busy.terminate()


def _plain(result: Result) -> dict[str, object]:
    checks = [asdict(check) | {"outcome": check.outcome.value} for check in result.checks]
    return {
        "name": result.name,
        "round": result.round,
        "failure": result.failure,
        "checks": checks,
    }


def _conditions() -> str:
    packages = ("tensorflow", "keras", "tf-keras", "jax", "numpy")
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    return (
        f"{versions}; Python {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}, {machine.core_count()} cores, load {os.getloadavg()[0]:.1f}."
    )


if __name__ == "__main__":
    sys.exit(main())
