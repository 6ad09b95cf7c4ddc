"""Names of the levels that say what a whole training used of its machine, as the recording has them.

Rates are per second, parts are per million, because records hold whole numbers.
"""

from enum import Enum

MILLION = 1_000_000


class Level(Enum):
    """What a level is of; the value is its name in `pipeprof.recording.Profile.gauges`."""

    MEMORY = "memory bytes"
    """Resident in the process and its children; what several of them share counts for each."""
    DISK_READ = "disk bytes read/s"
    """Fetched from storage: what lay in the page cache does not count."""
    DISK_WRITTEN = "disk bytes written/s"
    RECEIVED = "network bytes received/s"
    """By all that share the network of this process, its own loop-back left out."""
    SENT = "network bytes sent/s"
    VOLUNTARY_SWITCHES = "voluntary context switches/s"
    """A thread gave its CPU up to wait for something."""
    FORCED_SWITCHES = "forced context switches/s"
    """A thread was made to give its CPU up to another."""
    THROTTLED = "throttled periods, per million"
    """Scheduling periods in which the container's limit on CPU stopped its processes."""
    MACHINE_CPU = "machine's CPU in use, per million"
    """Of the processors that this process may run on, by whomever."""
