"""Recordings of processes that train together, built by hand: the last one in each step makes all wait."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.rank_findings import RunOfRanks
from pipeprof.analysis.findings.rank_summary import RankRecord
from pipeprof.analysis.ranks.many_ranks import analyse_ranks
from pipeprof.analysis.ranks.summarising import summarise
from pipeprof.clock import WallAnchor
from pipeprof.recording.lane import Cpu
from pipeprof.recording.loop import LoopKind
from pipeprof.recording.profile import Profile
from pipeprof.recording.rank import Launcher, Machine, Rank
from pipeprof.runs.run_file import RunFile
from pipeprof.runs.run_writing import write_run_file
from pipeprof.runs.shared_folder import rank_folder
from pipeprof.runs.summary_file import write_summary
from tests import builders
from tests.builders import MS, SECOND

OWN_MS = 10.0
GROUP = "0123456789abcdef"


def rank_of(number: int, size: int, group: str = GROUP, job_known: bool = False) -> Rank:
    return Rank(
        number=number, size=size, launcher=Launcher.TF_CONFIG, group=group, job_known=job_known
    )


def waits(*means_ms: float, steps: int = 100, jitter: float = 0.1, seed: int = 1) -> np.ndarray:
    """Waits of ranks by steps, in ms; each varies by ``jitter`` of its mean."""
    drawn = np.random.default_rng(seed).standard_normal((len(means_ms), steps))
    return np.array(means_ms)[:, None] * np.clip(1 + jitter * drawn, 0.2, None)


def in_lock_step(
    waits_ms: np.ndarray, own_ms: float = OWN_MS, noise_ms: float = 0.2
) -> list[Profile]:
    """Ranks whose steps end together: who waits less for data, waits for the others inside the step."""
    steps_ms = waits_ms.max(axis=0) + own_ms
    noise = np.random.default_rng(2).uniform(0, noise_ms, waits_ms.shape)
    return [
        _profile(
            number, len(waits_ms), each, steps_ms - each + noise[number] - np.roll(noise[number], 1)
        )
        for number, each in enumerate(waits_ms)
    ]


def at_own_pace(waits_ms: np.ndarray, own_ms: float = OWN_MS) -> list[Profile]:
    """Ranks that do not wait for each other."""
    own = own_ms * (1 + 0.2 * np.random.default_rng(3).random(waits_ms.shape))
    return [
        _profile(number, len(waits_ms), each, own[number]) for number, each in enumerate(waits_ms)
    ]


def _profile(number: int, size: int, wait_ms: np.ndarray, compute_ms: np.ndarray) -> Profile:
    loop = builders.loop(
        LoopKind.CUSTOM,
        steps=len(wait_ms),
        wait_ns=[round(each * MS) for each in wait_ms],
        compute_ns=[round(max(each, 0.01) * MS) for each in compute_ms],
        location=builders.DECODE,
    )
    info = replace(
        builders.run_info(hosts=(f"host-{number}",), end_ns=loop.end_ns + SECOND),
        rank=rank_of(number, size),
        machine=Machine(memory_bytes=8_000_000_000, system="Linux 6", clock_ahead_ns=0),
    )
    return builders.profile(loops=(loop,), run=info)


def write_ranks(run: Path, profiles: Sequence[Profile], *, summaries: bool = True) -> Path:
    """A run's folder with these ranks."""
    for number, profile in enumerate(profiles):
        folder = rank_folder(run, number)
        folder.mkdir(parents=True)
        file = RunFile(folder, f"host-{number}-42")
        write_run_file(file, profile)
        if summaries:
            write_summary(file, summarise(analyse(profile)))
    return run


def with_stage(
    profile: Profile,
    cost_ms: float,
    *,
    calls: int = 1,
    cpu_ratio: float | None = 0.1,
    parallelism: int | None = None,
) -> Profile:
    """With the stage that its steps wait for."""
    (loop,) = profile.loops
    stage = builders.stage(
        "load_crop",
        cost_ns=round(cost_ms * MS),
        calls=calls * loop.step_count,
        cpu_ratio=cpu_ratio,
        during=loop,
        parallelism=parallelism,
    )
    return replace(profile, stages=(stage,))


def with_info(profile: Profile, **changes: Any) -> Profile:
    """With other facts of the run."""
    return replace(profile, run=replace(profile.run, **changes))


def with_clock(profile: Profile, ahead_s: float) -> Profile:
    """On a machine whose clock is ahead."""
    anchor = profile.run.anchor
    moved = WallAnchor(
        monotonic_ns=anchor.monotonic_ns, unix_ns=anchor.unix_ns + round(ahead_s * SECOND)
    )
    machine = replace(profile.run.machine or Machine(), clock_ahead_ns=round(ahead_s * SECOND))
    return with_info(profile, anchor=moved, machine=machine)


def with_cores(profile: Profile, cores: int) -> Profile:
    return replace(profile, cpu=Cpu(cores=cores, limit=None, used=None))


def cut_off(profile: Profile, steps: int) -> Profile:
    """Of a process that died after some steps."""
    (loop,) = profile.loops
    kept = loop.steps
    waited = kept.wait_ns[:steps]
    short = builders.loop(
        loop.kind,
        steps=steps,
        wait_ns=waited.tolist(),
        compute_ns=(kept.end_ns - kept.start_ns - kept.wait_ns)[:steps].tolist(),
        location=loop.location,
    )
    return with_info(replace(profile, loops=(short,)), complete=False)


def of_profiles(
    profiles: Sequence[Profile], running: Mapping[int, bool] | None = None
) -> RunOfRanks:
    """What is found of processes with these recordings."""
    marked = running or {}
    return analyse_ranks(
        [
            RankRecord(summary=summarise(analyse(each)), running=marked.get(place, False))
            for place, each in enumerate(profiles)
        ]
    )
