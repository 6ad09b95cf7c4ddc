"""Names of recorded levels: those of the machine, of tf.data and of devices.

A level is a number read from time to time. Rates are per second and ratios per million, because records
hold whole numbers.
"""

from enum import Enum

MILLION = 1_000_000


class Level(Enum):
    """A level of the machine or the process; the value is its name in `Profile.gauges`."""

    MEMORY = "memory bytes"
    """Resident memory of the process and its children; memory that several share counts for each."""
    MEMORY_ROOM = "memory bytes that it may use"
    """The machine's memory, or the container's limit where that is smaller."""
    DISK_READ = "disk bytes read/s"
    """Read from storage; reads from the page cache do not count."""
    DISK_WRITTEN = "disk bytes written/s"
    RECEIVED = "network bytes received/s"
    """By all processes in the network namespace of this one, without the loop-back interface."""
    SENT = "network bytes sent/s"
    VOLUNTARY_SWITCHES = "voluntary context switches/s"
    """A thread gave its CPU up to wait for something."""
    FORCED_SWITCHES = "forced context switches/s"
    """A thread was made to give its CPU up to another."""
    THROTTLED = "throttled periods, per million"
    """Scheduling periods in which the container's limit on CPU stopped its processes."""
    MACHINE_CPU = "machine's CPU in use, per million"
    """Of the processors that this process may run on; by any process."""
    GIL_CONTENTION = "contention for the GIL, per million"
    """How much of the time a thread of this process that asks for the GIL stands waiting for it."""


class TfDataLevel(Enum):
    """A level of tf.data that belongs to no single stage; the value is its name in `Profile.gauges`."""

    CPU_BUDGET = "AUTOTUNE CPU budget"
    """Calls that AUTOTUNE allows to run at once."""
    RAM_BUDGET = "AUTOTUNE RAM budget"
    """Bytes that AUTOTUNE may fill with buffers."""
    BUFFERED = "tf.data buffered bytes"
    """Bytes in all buffers of a pipeline, those of shuffles and caches included."""


class DeviceLevel(Enum):
    """A level of a device, as its driver reports it; the value is its name in `Device.levels`."""

    UTILISATION = "kernels running, per million"
    """The part of the time in which at least one kernel ran."""
    MEMORY = "device memory bytes"
    """In use by any process."""
    MEMORY_ROOM = "device memory bytes that it has"
    OWN_MEMORY = "device memory bytes of this training"
    """In use by the training's own processes."""
    OWN_UTILISATION = "kernels of this training running, per million"
    """The part of the time, as the driver measures it for each process."""
    POWER = "power, milliwatts"
    SM_CLOCK = "SM clock, MHz"
