"""What verdicts, causes and sources of waits are called on every surface."""

from pipeprof.analysis.findings.verdict_kinds import Bound, Cause
from pipeprof.recording.loop import WaitSource

VERDICTS = {
    Bound.INPUT: "INPUT-BOUND",
    Bound.COMPUTE: "COMPUTE-BOUND",
    Bound.HOST: "HOST-BOUND",
    Bound.BALANCED: "BALANCED",
    Bound.UNKNOWN: "UNKNOWN",
}

# How a terminal shows them, in the words of rich.
VERDICT_STYLES = {
    Bound.INPUT: "bold red",
    Bound.COMPUTE: "bold green",
    Bound.HOST: "bold red",
    Bound.BALANCED: "bold yellow",
    Bound.UNKNOWN: "bold",
}

CAUSES = {
    Cause.BLOCKING: "it waits for something other than a CPU (disk, network, sleep)",
    Cause.CPU: "it keeps a CPU core busy",
    Cause.GIL: "Python code under the GIL, one thread at a time",
    Cause.TOO_FEW_WORKERS: "its workers compute, and a core is free",
    Cause.HEAD_OF_LINE: "one slow batch holds up those behind it, which lie ready",
    Cause.SERIAL: "one call at a time",
    Cause.TRANSPORT: "batches are copied from process to process",
    Cause.HELPERS: "it waits for processes of its own",
    Cause.CPU_SATURATED: "no CPU core is left for it",
    Cause.EPOCH_START: "the input starts again at every epoch",
    Cause.CALLBACK: "callbacks run while the training stands still",
    Cause.OWN_CODE: "the training's own Python code runs while it stands still",
}

SOURCES = {
    WaitSource.GAP_TIMES: "waits read from tf.data's model",
    WaitSource.ITERATOR: "waits timed at the iterator",
    WaitSource.GENERATOR: "waits timed at the generator",
    WaitSource.TRACE: "waits read from a profiler trace",
    WaitSource.SAMPLES: "waits estimated from samples of the training's thread",
}
