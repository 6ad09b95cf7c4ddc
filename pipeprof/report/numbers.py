"""The words and digits in which surfaces speak to a person, so that all of them say the same.

Text that comes from a run (names, paths, messages) is untrusted: `clean` makes it fit for a screen.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timezone

from pipeprof.analysis.findings import Bottleneck, Bound, Cause, InputFinding, StageFinding
from pipeprof.recording.loop import WaitSource
from pipeprof.recording.run_info import RunInfo
from pipeprof.recording.stage import Stage

VERDICTS = {
    Bound.INPUT: "INPUT-BOUND",
    Bound.COMPUTE: "COMPUTE-BOUND",
    Bound.BALANCED: "BALANCED",
    Bound.UNKNOWN: "UNKNOWN",
}

CAUSES = {
    Cause.BLOCKING: "it waits for something other than a CPU (disk, network, sleep)",
    Cause.CPU: "it keeps a CPU core busy",
    Cause.GIL: "Python code under the GIL, one thread at a time",
    Cause.TOO_FEW_WORKERS: "its workers compute, and a core is free",
    Cause.HEAD_OF_LINE: "one slow batch holds up those behind it, which lie ready",
    Cause.SERIAL: "one call at a time",
    Cause.TRANSPORT: "batches are copied from process to process",
    Cause.CPU_SATURATED: "no CPU core is left for it",
    Cause.EPOCH_START: "the input starts anew at every epoch",
}

SOURCES = {
    WaitSource.GAP_TIMES: "Waits read from tf.data's own model (gap_times)",
    WaitSource.ITERATOR: "Waits timed at the iterator",
    WaitSource.GENERATOR: "Waits timed at the generator",
    WaitSource.TRACE: "Waits read from a profiler trace",
}

CUT_OFF = "The recording was cut off; this is what could be recovered of it."

# Stages that nobody wrote and that work less than this in a step are told in one line.
_MINOR_MS = 0.01

_ADDED = "added by "

_VERSION = re.compile(r"V\d+$")
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


def printable(text: str) -> str:
    """The text in one line, without characters that steer a terminal or cannot be encoded."""
    return "".join(
        " " if character.isspace() else character
        for character in _ANSI.sub("", text)
        if character.isspace() or character.isprintable()
    )


def clean(text: str) -> str:
    """The same with single spaces only: for names and sentences."""
    return " ".join(printable(text).split())


def duration(ms: float) -> str:
    """Milliseconds in a fitting unit and as many digits as matter: ``29.8 ms``, ``1.2 s``."""
    if 0 < ms < 0.005:
        return "<0.01 ms"
    scale, unit, digits = _unit(ms)
    return f"{ms * scale:.{digits}f} {unit}"


def parts(ms: float, *parts_ms: float) -> tuple[str, ...]:
    """Parts of a duration as bare numbers, in the unit and the digits that it is shown in."""
    scale, _, digits = _unit(ms)
    return tuple(f"{part * scale:.{digits}f}" for part in parts_ms)


def _unit(ms: float) -> tuple[float, str, int]:
    if ms < 999.5:
        return 1.0, "ms", 0 if ms == 0 or ms >= 99.95 else 2 if ms < 0.995 else 1
    return 0.001, "s", 1 if ms < 99_950 else 0


def percent(ratio: float) -> str:
    """A ratio of 0 to 1 as ``74 %``, with a digit more where it is small."""
    share = 100 * ratio
    if 0 < share < 0.05:
        return "<0.1 %"
    return f"{share:.1f} %" if 0 < share < 9.95 else f"{share:.0f} %"


def rate(per_s: float) -> str:
    """A number per second in as many digits as matter."""
    return f"{per_s:,.0f}" if per_s >= 99.5 else f"{per_s:.1f}"


def size(count_bytes: float) -> str:
    """Bytes in a fitting unit: ``38.5 MB``."""
    value, unit = float(count_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if value >= 99.95 or unit == "B" else f"{value:.1f} {unit}"


def times(factor: float) -> str:
    """How much faster: ``3.9 times``, with a digit more where it is close to 1."""
    return f"{factor:.1f} times" if factor >= 1.095 else f"{factor:.2f} times"


def count(number: int, noun: str) -> str:
    """A number and its noun: ``1 step``, ``312 steps``."""
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{ending}"


def ran_on(lanes: tuple[str, ...]) -> str | None:
    """The lane that did most of some work and how many others did any, or None without any."""
    if not lanes:
        return None
    return f"{lanes[0]} +{len(lanes) - 1}" if len(lanes) > 1 else lanes[0]


def input_place(found: InputFinding) -> str | None:
    """Where an input did its work, or None where that is not known."""
    if found.on_main_thread:
        return "main thread"
    if found.workers and found.multiprocessing is not None:
        return count(found.workers, "process" if found.multiprocessing else "thread")
    return ran_on(found.threads)


def where(stage: Stage) -> str | None:
    """The user's line that a stage stands for, else what is to be known of it, or None."""
    if stage.location:
        return stage.location.short
    return f"({stage.remark})" if stage.remark else None


def worth_a_row(
    stages: Sequence[StageFinding], slowest: Bottleneck | None
) -> tuple[Sequence[StageFinding], Sequence[StageFinding]]:
    """The stages to list each by itself, and those that the user did not write and that cost nothing.

    What the training takes from is listed: how full its buffer is says more than its cost.
    """
    minor = [
        found
        for found in stages
        if found.cost_ms < _MINOR_MS
        and (found.stage.remark or "").startswith(_ADDED)
        and found.stage.location is None
        and found.stage.parent is not None
        and (slowest is None or found.index != slowest.index)
    ]
    if len(minor) < 2:
        return stages, ()
    folded = {found.index for found in minor}
    return [found for found in stages if found.index not in folded], minor


def added_by(stages: Sequence[StageFinding]) -> str:
    """``added by Keras and tf.data``: whose these stages are, none of them the user's."""
    remarks = {(found.stage.remark or "").split(";")[0] for found in stages}
    return _ADDED + " and ".join(sorted(remark.removeprefix(_ADDED) for remark in remarks))


def as_it_runs(stage: Stage) -> str | None:
    """``decode (map → batch) as MapAndBatch``: what tf.data made of what was written, or None.

    That a transformation runs as itself is not worth saying.
    """
    if not stage.written or not stage.runs_as:
        return None
    if "→" not in stage.written and not stage.runs_as.startswith("Parallel"):
        return None
    written = "" if stage.written == stage.name else f" ({stage.written})"
    return f"{stage.name}{written} as {runs_as(stage)}"


def runs_as(stage: Stage) -> str | None:
    """``MapAndBatch``: what tf.data runs for a stage, without the version of its kernel; or None."""
    return _VERSION.sub("", stage.runs_as) if stage.runs_as else None


def started(run: RunInfo) -> datetime | None:
    """When a run began, or None where its file tells no date that there is."""
    try:
        return datetime.fromtimestamp(run.anchor.to_unix_ns(run.start_ns) / 1e9, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return None


def caveats(run: RunInfo) -> tuple[str, ...]:
    """What a reader must know before trusting the rest, one sentence each."""
    return run.warnings if run.complete else (CUT_OFF, *run.warnings)


def failure(run: RunInfo) -> str | None:
    """How the training failed, or None when it did not as far as is known."""
    if run.error is not None:
        return f"The training ended with an exception: {run.error}"
    if run.exit_code:
        return f"The training's process ended with exit code {run.exit_code}."
    return None
