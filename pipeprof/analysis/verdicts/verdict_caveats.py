"""What a reader should know beside a verdict: what was not measured, and what may go wrong."""

import re
from collections.abc import Iterator

from pipeprof.analysis.findings.caveat_kinds import (
    Caveat,
    CpuTimeBounded,
    DeviceMayRunAhead,
    EventsLost,
    ForkedWorkers,
    OpaqueGenerator,
    SharedCores,
    UnseenInput,
    WaitsOfSomeSteps,
    WaitsOfTracedSteps,
)
from pipeprof.analysis.findings.findings import LimitSource
from pipeprof.analysis.findings.references import StageReference
from pipeprof.analysis.findings.verdict_kinds import Bound, Cause
from pipeprof.analysis.measures.device_use import device_findings, has_accelerator
from pipeprof.analysis.verdicts.shape_compiling import compiled_by_shape
from pipeprof.analysis.verdicts.traced_waits import contradicting_waits
from pipeprof.analysis.verdicts.verdict import Verdict
from pipeprof.recording.loop import WaitSource
from pipeprof.recording.run_info import KerasBackend
from pipeprof.recording.stage import StageKind

# Stages that account for less of the wait than this leave something unseen.
_EXPLAINED_FROM = 0.5

# So many of the steps with a measured wait are as good as all.
_NEARLY_ALL = 0.95

# Generators inside a generator are timed from this Python on (generator_chains).
_TIMES_INNER_GENERATORS = (3, 12)


def find_caveats(verdict: Verdict) -> Iterator[Caveat]:
    """All that weakens a verdict or a prediction, and dangers that were seen."""
    yield from _of_forking(verdict)
    yield from _of_bottleneck(verdict)
    if verdict.waits_for_input:
        yield from _of_limit(verdict)
    yield from _of_waits(verdict)
    overhead = verdict.measured.profile.overhead
    if overhead.dropped > 0:
        yield EventsLost(dropped=overhead.dropped, events=overhead.events)
    yield from _of_generator(verdict)
    by_shape = compiled_by_shape(verdict.measured)
    if by_shape is not None:
        yield by_shape


def _of_limit(verdict: Verdict) -> Iterator[SharedCores | DeviceMayRunAhead]:
    """What makes the step with input for free an estimate, or a bound."""
    measured = verdict.measured
    profile, ideal = measured.profile, verdict.ideal
    if ideal is not None and ideal.known is LimitSource.UPPER_BOUND:
        yield DeviceMayRunAhead(
            recorded_by=profile.run.recorded_by,
            traceable="tensorflow" in profile.run.versions
            and profile.run.keras_backend is not KerasBackend.JAX,
        )
    devices = device_findings(profile, measured.counted_time)
    known = all(device.busy_ratio is not None for device in devices)
    if known and not has_accelerator(profile, measured.counted_time):
        idle = tuple(device.name for device in devices)
        yield SharedCores(cores=measured.cpu.cores, idle=idle)


def _of_forking(verdict: Verdict) -> Iterator[ForkedWorkers]:
    """A hang that may come at any time, however fast the input is."""
    forks = verdict.measured.loop.input.start_method == "fork"
    if forks and "tensorflow" in verdict.measured.profile.run.versions:
        yield ForkedWorkers()


def _of_bottleneck(verdict: Verdict) -> Iterator[Caveat]:
    wait, worst = verdict.measured.times.wait, verdict.worst
    if not verdict.waits_for_input or wait is None or not verdict.measured.costs:
        return
    if verdict.cause is not Cause.EPOCH_START and verdict.input_ms < _EXPLAINED_FROM * wait.mean:
        yield UnseenInput(seen_ms=verdict.input_ms, wait_ms=wait.mean)
    if worst is not None and verdict.cause is Cause.BLOCKING and worst.cpu_ratio is None:
        yield CpuTimeBounded()


def _of_waits(verdict: Verdict) -> Iterator[Caveat]:
    """A trace measures the waits of its own steps only, and takes time itself."""
    times = verdict.measured.times
    if verdict.measured.loop.waits_by is WaitSource.TRACE:
        if times.wait is not None and times.compute is not None and times.step is not None:
            yield WaitsOfTracedSteps(
                steps=times.measured,
                traced_step_ms=times.wait.mean + (times.rest_ms or 0.0),
                step_ms=times.step.mean,
            )
    elif _some_unmeasured(verdict):
        yield WaitsOfSomeSteps(measured=times.measured, counted=times.counted)
    contradiction = contradicting_waits(verdict.measured)
    if contradiction is not None:
        yield contradiction


def _some_unmeasured(verdict: Verdict) -> bool:
    times = verdict.measured.times
    known = verdict.bound is not Bound.UNKNOWN and times.sampled_wait_ms is None
    return known and times.measured < _NEARLY_ALL * times.counted


def _of_generator(verdict: Verdict) -> Iterator[OpaqueGenerator]:
    """A bottleneck that is a generator of which nothing inside was measured."""
    worst, profile = verdict.worst, verdict.measured.profile
    if worst is None or worst.stage.kind is not StageKind.GENERATOR or profile.stacks:
        return
    if any(stage.parent == worst.index for stage in profile.stages):
        return
    python = profile.run.versions.get("python")
    if python is None:
        return
    version = tuple(map(int, re.findall(r"\d+", python)[:2]))
    yield OpaqueGenerator(
        stage=StageReference.of(worst.stage),
        newer_python_helps=version < _TIMES_INNER_GENERATORS,
        recorded_by=profile.run.recorded_by,
    )
