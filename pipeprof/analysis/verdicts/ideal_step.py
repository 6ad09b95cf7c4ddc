"""What a step takes with input for free: measured, or estimated from what it computes today.

Today's computing has what the input's own work holds up in it, and what threads take that slept while the
loop waited, so a step with input for free may be shorter. It lacks what a device still does after the step
has returned, so it may be longer.
"""

from pipeprof.analysis.findings.findings import IdealStep, Interval, LimitSource
from pipeprof.analysis.findings.machine_findings import HeldUp
from pipeprof.analysis.measures.accounting import steps_return_early
from pipeprof.analysis.measures.device_use import busiest_ratio
from pipeprof.analysis.measures.step_statistics import MS
from pipeprof.analysis.verdicts.bounds import COMPUTE_BELOW
from pipeprof.analysis.verdicts.verdict import Measurements
from pipeprof.recording.account import Part
from pipeprof.recording.ceiling import Ceiling
from pipeprof.recording.loop import LoopKind
from pipeprof.recording.run_info import KerasBackend

# How many of a loop's steps are the fast ones, which least of all held up.
_FASTEST = 0.05
# What a step takes at most to get going again after a wait: its threads have to be woken, and find cold
# caches. Measured on two cores: steps of 1.1 ms with input for free took 1.6 to 2.4 ms after waits.
_GETTING_GOING_NS = 1_000_000


def find_ideal_step(
    measured: Measurements, step_ms: float | None, held_up: HeldUp, ceiling: Ceiling | None
) -> IdealStep | None:
    """What a step takes with input for free; None where its computing is not known.

    Args:
        measured: the loop.
        step_ms: what a step takes today; no step is ideal that takes longer.
        held_up: what of that the input's own work holds up.
        ceiling: the measured limit, or None.
    """
    rest_ms, step = rest_of(measured), measured.times.step
    if rest_ms is None or step is None or step_ms is None:
        return None
    whole_ms = step.mean
    if steps_return_early(measured.profile, measured.loop):
        whole_ms = _whole_step_ms(measured)
        step_ms = max(step_ms, whole_ms)
    if ceiling is not None:
        ms = min(ceiling.mean_ns / 1e6, step_ms)
        return IdealStep(ms=ms, interval=Interval(low=ms, high=ms), known=LimitSource.MEASURED)
    busy = busiest_ratio(measured.profile, measured.counted_time)
    least_ms = (busy or 0.0) * whole_ms
    high_ms = min(max(rest_ms, least_ms), step_ms)
    ms = min(max(rest_ms - held_up.counted_ratio * step.mean, least_ms, 0.0), high_ms)
    shortest_ms = min(
        rest_ms - held_up.most_ratio * step.mean, _after_no_wait_ms(measured, rest_ms)
    )
    low_ms = min(max(shortest_ms, least_ms, 0.0), ms)
    known = LimitSource.ESTIMATED
    if busy is None and may_run_ahead(measured):
        known, high_ms = LimitSource.UPPER_BOUND, step_ms
    return IdealStep(ms=ms, interval=Interval(low=low_ms, high=high_ms), known=known)


def _after_no_wait_ms(measured: Measurements, rest_ms: float) -> float:
    """What a step takes at the least that needs not get going again after a wait."""
    times = measured.times
    fast_ns = measured.loop.compute_times.quantile_ns(_FASTEST)
    if fast_ns is None or (times.wait_ratio or 0.0) < COMPUTE_BELOW:
        return rest_ms
    if steps_return_early(measured.profile, measured.loop):  # the fast ones have not computed yet
        return rest_ms - _GETTING_GOING_NS / MS
    called_ms = times.callbacks.mean if times.callbacks else 0.0
    return (fast_ns - _GETTING_GOING_NS) / MS + called_ms


def hidden_wait(measured: Measurements, wait_ratio: float) -> float:
    """The part of the training's time that waits for data while a device works on what was started before.

    Args:
        measured: the loop.
        wait_ratio: the part of its time in which its thread waits.
    """
    busy = busiest_ratio(measured.profile, measured.counted_time)
    if busy is None or not may_run_ahead(measured):
        return 0.0
    return max(wait_ratio - (1.0 - busy), 0.0)


def rest_of(measured: Measurements) -> float | None:
    """What a step takes without its wait, what a device still does when the step has returned included."""
    rest_ms, steps = measured.times.rest_ms, measured.loop.step_count
    if rest_ms is None or not steps or not steps_return_early(measured.profile, measured.loop):
        return rest_ms
    account = measured.account
    return max(rest_ms, account.ns(Part.COMPUTE, Part.CALLBACKS) / steps / MS)


def _whole_step_ms(measured: Measurements) -> float:
    """The loop's time a step, in which all of a device's work lies."""
    return measured.account.training_ns / max(measured.loop.step_count, 1) / MS


def may_run_ahead(measured: Measurements) -> bool:
    """Whether steps may return before a device has done their work, which then hides in the waits.

    Keras on TensorFlow waits for the device after each call of its training function, and
    `train_on_batch` gives its losses back as numbers.
    """
    loop, run = measured.loop, measured.profile.run
    if (
        not measured.profile.devices
        and run.keras_backend is not KerasBackend.JAX
        and "jax" not in run.versions
    ):
        return False  # on CPUs, only JAX computes on after a call has returned
    match loop.kind:
        case LoopKind.TRAIN_ON_BATCH:
            return False
        case LoopKind.CUSTOM:
            return True
        case _:
            return steps_return_early(measured.profile, loop) or loop.batch_count > loop.step_count
