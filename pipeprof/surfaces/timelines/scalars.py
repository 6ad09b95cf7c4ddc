"""Quantities of a run over time, for TensorBoard's scalars: of steps, epochs, queues, processors."""

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pipeprof.analysis.measures.accounting import epoch_accounts
from pipeprof.recording.account import EPOCH_COLUMNS, Part
from pipeprof.recording.lane import Cpu
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import Loop
from pipeprof.recording.profile import Profile
from pipeprof.recording.series import BoolArray, FloatArray, Gauge, IntArray
from pipeprof.surfaces.timelines.cores_over_time import cores_used

_UNSAFE = re.compile(r"[^\w.+-]+", re.ASCII)

_WAITING = (Part.WAIT, Part.EPOCH_START)
_CALLBACKS = (Part.CALLBACKS,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """A quantity over time.

    Attributes:
        tag: its name in TensorBoard.
        description: what it is.
        times_ns: when each value was reached.
        steps: how many steps the loop had done then; of a quantity of epochs, the epoch's number.
        values: the values.
    """

    tag: str
    description: str
    times_ns: IntArray
    steps: IntArray
    values: FloatArray

    def only(self, chosen: BoolArray) -> "Scalar":
        """Some of its values."""
        return replace(
            self,
            times_ns=self.times_ns[chosen],
            steps=self.steps[chosen],
            values=self.values[chosen],
        )


def safe_name(text: str, otherwise: str) -> str:
    """A name for a tag or a file, which stays in the folder that it is put in."""
    return _UNSAFE.sub("_", text).lstrip(".") or otherwise


def scalars_of(loop: Loop, profile: Profile) -> Iterator[Scalar]:
    """The quantities of a loop, and of the run while it went on."""
    group = f"pipeprof/{loop.kind.value}"
    for scalar in (
        *_of_steps(group, loop),
        *_of_gauge(f"{group}/batches_ready", "batches ready when the loop asked", loop.input.queue),
        *_of_cpu(f"{group}/cpu_ratio", profile.cpu),
        *(
            each
            for name, gauge in profile.gauges.items()
            for each in _of_gauge(f"pipeprof/{safe_name(name.lower(), 'gauge')}", name, gauge)
        ),
    ):
        yield replace(scalar, steps=_steps_reached(loop, scalar.times_ns))
    yield from _of_epochs(f"{group}/epoch", loop)


def _steps_reached(loop: Loop, times_ns: IntArray) -> IntArray:
    """How many steps of a loop were done at these times."""
    over_time = loop.over_time
    borders_ns = over_time.start_ns + over_time.width_ns * np.arange(len(over_time.sums) + 1)
    done = np.concatenate([[0], np.cumsum(over_time.sums[:, 0])])
    reached: IntArray = np.interp(times_ns, borders_ns, done).astype(np.int64)
    return reached


def _scalar(tag: str, description: str, times_ns: IntArray, values: FloatArray) -> Scalar:
    """A quantity whose steps are not known yet."""
    no_steps: IntArray = np.zeros(len(times_ns), np.int64)
    return Scalar(
        tag=tag, description=description, times_ns=times_ns, steps=no_steps, values=values
    )


def _of_steps(group: str, loop: Loop) -> Iterator[Scalar]:
    over_time = loop.over_time
    ends_ns = over_time.start_ns + over_time.width_ns * (1 + np.arange(len(over_time.sums)))
    steps, step_ns, measured, measured_ns, wait_ns, callback_ns = over_time.sums.T
    # Callbacks are known of all steps, computing is the rest of those whose waits are known.
    called_ns = callback_ns * measured / np.maximum(steps, 1)
    callbacks = ("callback_ms", "how long callbacks take of a step", callback_ns, steps)
    for name, description, total_ns, count in (
        ("step_ms", "duration of a step", step_ns, steps),
        ("wait_ms", "how long a step waits for its data", wait_ns, measured),
        *((callbacks,) if callback_ns.any() else ()),
        ("compute_ms", "the rest of a step", measured_ns - wait_ns - called_ns, measured),
    ):
        seen = count > 0
        values = total_ns[seen] / count[seen] / 1e6
        yield _scalar(f"{group}/{name}", description, ends_ns[seen], values)


def _of_epochs(group: str, loop: Loop) -> Iterator[Scalar]:
    """Quantities of whole epochs, each reached at the end of its epoch."""
    found = epoch_accounts(loop)
    numbers: IntArray = np.array([each.epoch for each in found], np.int64)
    ends_ns: IntArray = loop.account.epochs[:, EPOCH_COLUMNS.index("end_ns")]
    seconds: FloatArray = np.array([each.account.wall_ns / 1e9 for each in found])
    validated: FloatArray = np.array([each.account.ns(Part.VALIDATION) / 1e9 for each in found])
    training_s = seconds - validated
    known = training_s > 0
    shares = (
        ("wait_ratio", "part of an epoch, without validation, that waits for data", _WAITING),
        ("callbacks_ratio", "part of an epoch, without validation, in callbacks", _CALLBACKS),
    )
    for name, description, parts in shares if loop.waits_by is not None else shares[1:]:
        spent_s: FloatArray = np.array([each.account.ns(*parts) / 1e9 for each in found])
        yield Scalar(
            tag=f"{group}/{name}",
            description=description,
            times_ns=ends_ns[known],
            steps=numbers[known],
            values=spent_s[known] / training_s[known],
        )
    yield Scalar(
        tag=f"{group}/seconds",
        description="duration of an epoch, with callbacks and validation",
        times_ns=ends_ns,
        steps=numbers,
        values=seconds,
    )
    if loop.sample_count is not None and loop.step_count:
        samples = np.array([each.steps for each in found]) * loop.sample_count / loop.step_count
        yield Scalar(
            tag=f"{group}/samples_per_s",
            description="samples a second over an epoch, without validation",
            times_ns=ends_ns[known],
            steps=numbers[known],
            values=samples[known] / training_s[known],
        )


def _of_cpu(tag: str, cpu: Cpu) -> Iterator[Scalar]:
    times_ns, cores = cores_used(cpu)
    if len(cores):
        ratio = cores / min(cpu.cores, cpu.limit or cpu.cores)
        yield _scalar(tag, "CPU that the run used, of what it may use", times_ns, ratio)


def _of_gauge(tag: str, description: str, gauge: Gauge | None) -> Iterator[Scalar]:
    if gauge:
        times_ns, levels = gauge.points()
        yield _scalar(tag, description, times_ns, levels)
