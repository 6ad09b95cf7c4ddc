"""What a verdict can be: what a loop's speed depends on, and why."""

from enum import Enum


class Bound(Enum):
    """What a loop's speed hangs on."""

    INPUT = "input"
    COMPUTE = "compute"
    HOST = "host"
    BALANCED = "balanced"
    UNKNOWN = "unknown"


class Cause(Enum):
    """Why the bottleneck stage holds the training up."""

    BLOCKING = "blocking"
    CPU = "cpu"
    GIL = "gil"
    TOO_FEW_WORKERS = "too_few_workers"
    HEAD_OF_LINE = "head_of_line"
    SERIAL = "serial"
    TRANSPORT = "transport"
    HELPERS = "helpers"
    CPU_SATURATED = "cpu_saturated"
    EPOCH_START = "epoch_start"
    CALLBACK = "callback"
    OWN_CODE = "own_code"
    NONE = "none"
