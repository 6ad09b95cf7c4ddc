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
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path

from pipeprof.errors import PipeprofError
from pipeprof.host import machine
from pipeprof.scenarios.validation import Planted, planted_trainings
from pipeprof.scenarios.validation.checking.comparing import compare_report
from pipeprof.scenarios.validation.document import conditions_text, render_document
from pipeprof.scenarios.validation.kept_runs import KeptRun, keep_runs, read_runs
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
    try:
        runs = _run_all(chosen, options)
    except PipeprofError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("\nStopped. What has run is kept by --json FILE; --resume goes on from there.")
    results = [_compare(run) for run in runs]
    print(f"\n{render_tables(results)}\n\n{conditions_text(runs)}")
    if options.markdown is not None:
        options.markdown.write_text(render_document(planted_trainings(), runs, results))
    return 0 if all(result.is_right for result in results) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="names of trainings, or patterns of names")
    parser.add_argument("--kind", help="only those of this kind")
    parser.add_argument("--quick", action="store_true", help="only those that the tests run")
    parser.add_argument("--rounds", type=int, default=1, help="the last of several has other load")
    parser.add_argument("--ceilings", action="store_true", help="measure steps with input for free")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="keep each finished run with its report and truth"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on from the runs in that file, and leave them out"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the page of results")
    parser.add_argument("--list", action="store_true", help="print what there is, and run nothing")
    parser.add_argument(
        "--alone", action="store_true", help="run without pipeprof, and print the truth"
    )
    options = parser.parse_args()
    if options.resume and options.json is None:
        parser.error("--resume needs --json FILE, the file to go on from")
    return options


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


def _run_all(chosen: Sequence[Planted], options: argparse.Namespace) -> list[KeptRun]:
    """Runs what is not kept already; returns the runs of those that were chosen."""
    kept = {
        (run.name, run.round): run for run in (read_runs(options.json) if options.resume else ())
    }
    wanted = [(planted, number) for number in range(1, options.rounds + 1) for planted in chosen]
    for planted, number in wanted:
        key = (planted.name, number)
        if key not in kept or kept[key].failure is not None:
            kept[key] = _run(
                planted,
                number,
                measure_ceiling=options.ceilings and planted.ceiling,
                with_load=number == options.rounds > 1,
            )
            if options.json is not None:
                keep_runs(kept.values(), options.json)
        print(f"{number}/{options.rounds} {line_of(_compare(kept[key]))}", flush=True)
    return [kept[planted.name, number] for planted, number in wanted]


def _run(planted: Planted, number: int, *, measure_ceiling: bool, with_load: bool) -> KeptRun:
    run = KeptRun(name=planted.name, round=number, conditions=_conditions(), with_load=with_load)
    with _other_load() if with_load else contextlib.nullcontext():
        try:
            ceiling_ms = run_alone(planted, "--free-input")["step_ms"] if measure_ceiling else None
            watched = run_watched(planted)
        except (PipeprofError, subprocess.TimeoutExpired, OSError) as error:
            return replace(run, failure=str(error))
    return replace(run, report=watched.report, truth=watched.truth, ceiling_ms=ceiling_ms)


def _compare(run: KeptRun) -> Result:
    [planted] = _choose([run.name], None, quick=False)
    if run.report is None or run.truth is None:
        return Result(name=run.name, round=run.round, failure=run.failure)
    checks = compare_report(run.report, run.truth, planted, ceiling_ms=run.ceiling_ms)
    return Result(name=run.name, round=run.round, checks=checks)


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


@cache
def _conditions() -> str:
    packages = ("tensorflow", "keras", "tf-keras", "jax", "numpy")
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    return (
        f"pipeprof {version('pipeprof')}{_revision()}, {versions}; Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}, {_processor()}, {machine.core_count()} cores"
    )


def _revision() -> str:
    """The commit that is checked out, where this is a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f" at {done.stdout.strip()}"


def _processor() -> str:
    """Its model's name, where the system has one."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "unknown processor")


if __name__ == "__main__":
    sys.exit(main())
