"""How many cores a run used over time."""

import numpy as np

from pipeprof.recording.lane import Cpu
from pipeprof.recording.series import FloatArray, IntArray
from pipeprof.report.figures.bins import edges, sums_between

# CPU use is given for at most so many stretches of time, none shorter than this.
_CPU_STRETCHES = 64
_CPU_STRETCH_NS = 500_000_000


def cores_used(cpu: Cpu) -> tuple[IntArray, FloatArray]:
    """How many cores were used in each stretch of time, with the middles of the stretches.

    CPU time and the time in which it was used may fall into neighbouring bins, so a single bin means
    nothing: a stretch is many bins long.
    """
    borders = stretches(cpu)
    if borders is None or cpu.used is None or cpu.sampled is None:
        return np.zeros(0, np.int64), np.zeros(0)
    sampled = sums_between(cpu.sampled, borders)
    read = sampled > 0
    middles: IntArray = (borders[:-1] + borders[1:]) // 2
    return middles[read], sums_between(cpu.used, borders)[read] / sampled[read]


def stretches(cpu: Cpu) -> IntArray | None:
    """Borders of the stretches of time in which CPU use is given, or None without any."""
    sampled = cpu.sampled
    if cpu.used is None or sampled is None or not len(sampled.sums):
        return None
    end_ns = sampled.start_ns + sampled.width_ns * len(sampled.sums)
    return edges(sampled.start_ns, end_ns, _CPU_STRETCH_NS, _CPU_STRETCHES)
