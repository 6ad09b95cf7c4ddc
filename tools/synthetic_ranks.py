"""Writes a run of many ranks without a training: the events of each rank go through the real collector.

    tools/synthetic_ranks --ranks 1000 --steps 100000 logs/many

Each rank takes its place in the run's folder, collects its steps, waits and work of one stage, and writes
its recording and summary, as a process does. All steps end together; one rank's input is slow unless
--slow is -1.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.ranks.summarising import summarise
from pipeprof.capture.collector.accumulator import Accumulator
from pipeprof.capture.collector.freezing import freeze_profile
from pipeprof.capture.recorder.facts import InputFacts, LaneFacts, LoopFacts, StageFacts
from pipeprof.capture.recorder.records import RECORD_DTYPE, Kind, Records, code
from pipeprof.clock import WallAnchor
from pipeprof.recording.account import PassContext
from pipeprof.recording.lane import Role
from pipeprof.recording.loop import InputKind, LoopKind, WaitSource
from pipeprof.recording.profile import Profile
from pipeprof.recording.rank import Launcher, Machine, Rank
from pipeprof.recording.run_info import Overhead, RunInfo
from pipeprof.recording.source_code import Location
from pipeprof.recording.stage import StageKind
from pipeprof.runs.run_file import RunFile
from pipeprof.runs.run_writing import write_run_file
from pipeprof.runs.shared_folder import join_run_folder
from pipeprof.runs.summary_file import write_summary

MS = 1_000_000
START_NS = 1_000 * 1_000 * MS
_UNIX_NS = 1_795_255_333 * 1_000 * MS
_WARMUP = 5
_CHUNK = 8_192
_OWN_NS = 10 * MS
_WAIT_NS = 2 * MS
_SLOW_WAIT_NS = 30 * MS
_MAIN, _FEED, _LOOP, _STAGE = range(1, 5)
_PER_HOST = 8


def main() -> None:
    """Writes the run that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logdir", type=Path, help="log folder of the run")
    parser.add_argument("--ranks", type=int, default=1_000, help="how many")
    parser.add_argument("--steps", type=int, default=100_000, help="steps of each")
    parser.add_argument("--slow", type=int, default=3, help="the slow rank, -1 for none")
    parser.add_argument("--name", default="many", help="name of the run")
    parser.add_argument("--processes", type=int, default=2, help="how many write at once")
    options = parser.parse_args()
    began_s = time.monotonic()
    jobs = [(options, number) for number in range(options.ranks)]
    with get_context("spawn").Pool(options.processes) as pool:
        for done, _ in enumerate(pool.imap_unordered(_write, jobs, chunksize=4), 1):
            if done % 100 == 0:
                took_s = time.monotonic() - began_s
                print(f"{done} of {options.ranks} ranks, {took_s:.0f} s", file=sys.stderr)


def _write(job: tuple[argparse.Namespace, int]) -> None:
    options, number = job
    rank = Rank(
        number=number,
        size=options.ranks,
        launcher=Launcher.SLURM,
        group=f"{options.ranks:08x}{options.steps:08x}",
        job_known=True,
    )
    place = join_run_folder(options.logdir, options.name, rank)
    profile = synthetic_profile(rank, options.steps, options.slow, place.folder.parent.name)
    file = RunFile(place.folder, f"{profile.run.hosts[0]}-{4_000 + number % _PER_HOST}")
    write_summary(file, summarise(analyse(profile)))
    write_run_file(file, profile)


def synthetic_profile(rank: Rank, steps: int, slow: int, name: str) -> Profile:
    """The recording of one rank.

    Args:
        rank: its place among the others.
        steps: how many steps it takes.
        slow: number of the rank whose input is slow, -1 for none.
        name: name of the run.
    """
    collected = Accumulator.begin(start_ns=START_NS, warmup=_WARMUP)
    pid = 4_000 + rank.number % _PER_HOST
    collected.add_names(pid, _names())
    end_ns = START_NS
    for main_records, feed_records in _events(rank, steps, slow, pid):
        collected.add(pid, 0, main_records)
        collected.add(pid, 1, feed_records)
        collected.settle()
        end_ns = max(end_ns, int(main_records["end_ns"].max()))
    host = rank.number // _PER_HOST
    ahead_ns = (host % 7) * 20 * MS
    info = RunInfo(
        name=name,
        hosts=(f"node-{host:04d}",),
        anchor=WallAnchor(monotonic_ns=START_NS, unix_ns=_UNIX_NS + ahead_ns),
        start_ns=START_NS,
        end_ns=end_ns + MS,
        versions={"python": "3.11.7", "tensorflow": "2.21.0"},
        backend=None,
        argv=("train.py",),
        exit_code=0,
        error=None,
        warnings=(),
        complete=True,
        rank=rank,
        machine=Machine(
            memory_bytes=512_000_000_000, system="Linux 6.1.0", clock_ahead_ns=ahead_ns
        ),
    )
    profile = freeze_profile(
        collected.sums,
        run=info,
        cores=96,
        cpu_limit=None,
        overhead=Overhead(probe_ns=200.0, events=3 * steps, dropped=0, collector_ns=steps * 1_000),
    )
    return replace(profile, run=info)


def _names() -> list[tuple[int, LaneFacts | LoopFacts | StageFacts]]:
    return [
        (_MAIN, LaneFacts(name="main", role=Role.MAIN)),
        (_FEED, LaneFacts(name="feed", role=Role.INPUT, ring=1)),
        (
            _LOOP,
            LoopFacts(
                kind=LoopKind.CUSTOM,
                start_ns=START_NS,
                waits_by=WaitSource.ITERATOR,
                input=InputFacts(kind=InputKind.GENERATOR, name="batches"),
                location=Location("train.py", 60),
            ),
        ),
        (
            _STAGE,
            StageFacts(
                name="load_crop",
                kind=StageKind.FUNCTION,
                function="load_crop",
                location=Location("train.py", 25),
            ),
        ),
    ]


def _events(rank: Rank, steps: int, slow: int, pid: int) -> Iterator[tuple[Records, Records]]:
    """Records of the training thread and of the thread that feeds it, some thousand steps at a time."""
    common = np.random.default_rng(7)  # the same on all ranks: it makes the steps
    own = np.random.default_rng(1_000 + rank.number)
    at_ns = START_NS + 100 * MS
    yield (
        _records([_row(Kind.THREAD, _MAIN, value=pid), _row(Kind.PASS_BEGAN, _LOOP, at_ns, at_ns)]),
        _records([_row(Kind.THREAD, _FEED, value=pid + 1)]),
    )
    begin_ns = at_ns
    for first in range(0, steps, _CHUNK):
        count = min(_CHUNK, steps - first)
        longest = _SLOW_WAIT_NS if slow >= 0 else _WAIT_NS
        drawn = common.normal(1.0, 0.05, count).clip(0.5, 1.5)
        step_ns = (longest * drawn + _OWN_NS).astype(np.int64)
        if rank.number == slow:
            wait_ns = (longest * drawn).astype(np.int64)
        else:
            wait_ns = (_WAIT_NS * own.normal(0.9, 0.05, count).clip(0.5, 1.0)).astype(np.int64)
        end_ns = at_ns + np.cumsum(step_ns)
        start_ns = end_ns - step_ns
        yield _chunk(first, start_ns, end_ns, wait_ns, rank.number == slow)
        at_ns = int(end_ns[-1])
    yield (
        _records([_row(Kind.PASS_ENDED, _LOOP, begin_ns, at_ns, inner=int(PassContext.TOP))]),
        _records([]),
    )


def _chunk(
    first: int,
    start_ns: "np.typing.NDArray[np.int64]",
    end_ns: "np.typing.NDArray[np.int64]",
    wait_ns: "np.typing.NDArray[np.int64]",
    is_slow: bool,
) -> tuple[Records, Records]:
    count = len(start_ns)
    both = np.zeros(2 * count, RECORD_DTYPE)
    waits, ends = both[::2], both[1::2]
    waits["start_ns"], waits["end_ns"] = start_ns, start_ns + wait_ns
    waits["value"], waits["code"] = 32, code(Kind.WAIT, _LOOP)
    ends["start_ns"], ends["end_ns"] = start_ns, end_ns
    ends["inner"] = first + np.arange(count)
    ends["value"], ends["code"] = 1, code(Kind.STEP, _LOOP)
    work = np.zeros(count, RECORD_DTYPE)
    work_ns = wait_ns + (_OWN_NS if is_slow else 0)
    work["start_ns"], work["end_ns"] = end_ns - work_ns, end_ns
    work["value"] = np.minimum(work_ns, MS)
    work["code"] = code(Kind.ROOT_SPAN, _STAGE)
    return both, work


def _row(
    kind: Kind, subject: int, start_ns: int = START_NS, end_ns: int = START_NS, **more: int
) -> tuple[int, int, int, int, int, int]:
    return start_ns, end_ns, more.get("inner", 0), more.get("value", 0), code(kind, subject), 0


def _records(rows: list[tuple[int, int, int, int, int, int]]) -> Records:
    return np.array(rows, RECORD_DTYPE)


if __name__ == "__main__":
    main()
