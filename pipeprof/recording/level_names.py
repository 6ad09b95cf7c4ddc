"""Names of the levels of a whole training, as the recording has them: its machine, its tf.data.

Rates are per second, parts are per million, because records hold whole numbers.
"""

from enum import Enum

MILLION = 1_000_000


class Level(Enum):
    """What a level is of; the value is its name in `Profile.gauges`."""

    MEMORY = "memory bytes"
    """Resident in the process and its children; what several of them share counts for each."""
    MEMORY_ROOM = "memory bytes that it may use"
    """Those of the machine, or fewer where its container allows no more."""
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


class TfDataLevel(Enum):
    """What a level of tf.data is of that belongs to no single stage; as in `Level`."""

    CPU_BUDGET = "AUTOTUNE CPU budget"
    """Calls that AUTOTUNE lets run at once."""
    RAM_BUDGET = "AUTOTUNE RAM budget"
    """Bytes that AUTOTUNE may fill with buffers."""
    BUFFERED = "tf.data buffered bytes"
    """What lies in all buffers of a pipeline, a shuffle's and a cache's included."""


class DeviceLevel(Enum):
    """What a level of a device is of, as its driver tells it; the value is its name in the file."""

    UTILISATION = "kernels running, per million"
    """Of the time, in which at least one kernel ran."""
    MEMORY = "device memory bytes"
    """In use, by whomever."""
    MEMORY_ROOM = "device memory bytes that it has"
    OWN_MEMORY = "device memory bytes of this training"
    """In use by the training's own processes."""
    OWN_UTILISATION = "kernels of this training running, per million"
    """Of the time; the driver notes it for each process."""
    POWER = "power, milliwatts"
    SM_CLOCK = "SM clock, MHz"
