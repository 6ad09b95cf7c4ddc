"""What a step takes with input for free: measured, or estimated from what it computes today.

Today's computing has what the input's own work holds up in it, and what cold caches cost after a wait, so
a step with input for free may be shorter: the estimate errs to the long side. It lacks what a device still
does after the step has returned, so there a step may be longer.
"""

import math

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

# How many of a loop's steps are the fast ones, which least of all held up.
_FASTEST = 0.05
# What a step takes at most to get going again after a wait: its threads have to be woken.
_GETTING_GOING_NS = 500_000
# After a pause, caches are cold: what a step computes in the thread that trains took 1.2 times as long
# after 2 ms, twice after 15 ms and 4 times after 100 ms, whether the thread slept or others worked
# meanwhile; its operations in other threads 1.3 times after 15 ms and 1.8 times after 100 ms (two cores,
# steps of 1 and of 8 ms, no pipeprof). Both grow by no more than this times the root of the pause in ms.
_COLD_THREAD, _COLD_OPERATIONS = 0.4, 0.1
_LONGEST_PAUSE_MS = 100.0


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
    shortest_ms = _shortest_ms(measured, rest_ms, held_up)
    low_ms = min(max(shortest_ms, least_ms, 0.0), ms)
    known = LimitSource.ESTIMATED
    if busy is None and may_run_ahead(measured):
        known, high_ms = LimitSource.UPPER_BOUND, step_ms
    return IdealStep(ms=ms, interval=Interval(low=low_ms, high=high_ms), known=known)


def _shortest_ms(measured: Measurements, rest_ms: float, held_up: HeldUp) -> float:
    """What a step takes at the least that neither waits nor is held up.

    It need not get going again after a pause, and finds its caches as the step before has left them.
    """
    times = measured.times
    step_ms = times.step.mean if times.step is not None else 0.0
    least_ms = rest_ms - held_up.most_ratio * step_ms
    paused = (times.wait_ratio or 0.0) + held_up.most_ratio
    if paused < COMPUTE_BELOW:
        return least_ms
    if not steps_return_early(
        measured.profile, measured.loop
    ):  # else the fast ones have not computed yet
        least_ms = min(least_ms, _fast_ms(measured, rest_ms))
    on_cpu = held_up.training_cpu_ratio
    thread_ms = least_ms if on_cpu is None else min(on_cpu * step_ms, least_ms)
    root = math.sqrt(min(paused * step_ms, _LONGEST_PAUSE_MS))
    warm_ms = thread_ms / (1 + _COLD_THREAD * root)
    warm_ms += (least_ms - thread_ms) / (1 + _COLD_OPERATIONS * root)
    return warm_ms - _GETTING_GOING_NS / MS


def _fast_ms(measured: Measurements, rest_ms: float) -> float:
    """What the fast steps take without their waits, or all of them where no clock shows single waits."""
    fast_ns, callbacks = measured.loop.compute_times.quantile_ns(_FASTEST), measured.times.callbacks
    if fast_ns is None:
        return rest_ms
    return fast_ns / MS + (callbacks.mean if callbacks else 0.0)


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
    if not measured.profile.devices and not run.uses_jax:
        return False  # on CPUs, only JAX computes on after a call has returned
    match loop.kind:
        case LoopKind.TRAIN_ON_BATCH:
            return False
        case LoopKind.CUSTOM:
            return True
        case _:
            return steps_return_early(measured.profile, loop) or loop.batch_count > loop.step_count
