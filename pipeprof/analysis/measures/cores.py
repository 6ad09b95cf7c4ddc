"""How many cores' worth of work the processors of a run can do.

Two hardware threads of one core (hyper-threads) share what it computes with: together they do little more
than one alone. The system counts the time of each as if it were a core.
"""

from pipeprof.analysis.findings.machine_findings import CpuFinding

# What a second thread on a core adds to what the core does alone, for most programs.
_SECOND_THREAD = 0.25


def cores_allowed(cpu: CpuFinding) -> float:
    """Cores' worth of CPU time that a run may use; at least a sliver, to divide by."""
    return max(min(cpu.cores, cpu.limit if cpu.limit is not None else cpu.cores), 0.01)


def worth_of_cores(cpu: CpuFinding) -> float:
    """How many cores without hyper-threads could do the work that a run's processors can."""
    return at_full_speed(cores_allowed(cpu), cpu)


def at_full_speed(used: float, cpu: CpuFinding) -> float:
    """The work that is done in some CPU time, in cores that run one thread each.

    The system gives each core one thread before it gives any core a second one.

    Args:
        used: CPU time over time, in hardware threads.
        cpu: the processors.
    """
    whole = cpu.cores if cpu.physical_cores is None else cpu.physical_cores
    return min(used, whole) + _SECOND_THREAD * max(used - whole, 0.0)


def used_ratio(ratio: float, cpu: CpuFinding) -> float:
    """The part of the processors' work that is done while so much of their CPU time is used.

    Args:
        ratio: CPU time in use over what a run may use.
        cpu: the processors.
    """
    return at_full_speed(ratio * cores_allowed(cpu), cpu) / worth_of_cores(cpu)
