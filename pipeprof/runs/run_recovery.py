"""Reads a recording that is not finished: its last checkpoint, and the later events in its rings."""

from dataclasses import replace

from pipeprof.capture.collector.checkpoint import Checkpoint, resume
from pipeprof.capture.collector.collector import Progress, RingSet
from pipeprof.capture.collector.freezing import freeze_profile
from pipeprof.errors import RunDamaged
from pipeprof.recording.profile import Profile
from pipeprof.runs.run_file import RunFile

# Errors that sums which pipeprof did not write can cause.
_MISFITS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def recover(file: RunFile, checkpoint: Checkpoint) -> Profile:
    """Makes a profile of a recording that was cut off or still goes on.

    Args:
        file: the files of the recorded process.
        checkpoint: its last checkpoint, to which the later events in its rings are added.

    Raises:
        RunDamaged: checkpoint, rings and name logs do not fit together.
    """
    try:
        return _recover(file, checkpoint)
    except _MISFITS as error:
        raise RunDamaged(
            f"expected a recording that was cut off in {file.path.name}, found one whose parts "
            f"do not fit together ({type(error).__name__})."
        ) from None


def _recover(file: RunFile, checkpoint: Checkpoint) -> Profile:
    accumulator = resume(checkpoint)
    positions = {(ring.pid, ring.number): ring.position for ring in checkpoint.rings}
    rings = RingSet(accumulator, file.host, Progress(positions, frozenset(checkpoint.ended)))
    rings.discover(file.folder)
    rings.drain()
    accumulator.settle()
    alive = file.is_alive()
    warnings = tuple(accumulator.registry.warnings)
    if alive:
        warnings = ("This run is still being recorded: figures so far.", *warnings)
    overhead = replace(
        checkpoint.overhead,
        events=accumulator.sums.event_count,
        dropped=checkpoint.overhead.dropped + rings.dropped,
    )
    profile = freeze_profile(
        accumulator.sums,
        run=replace(
            checkpoint.run,
            end_ns=max(checkpoint.run.end_ns, accumulator.latest_ns),
            complete=alive,
            warnings=warnings,
            ended_by=accumulator.registry.ended_by,
        ),
        cores=checkpoint.cores,
        physical_cores=checkpoint.physical_cores,
        cpu_limit=checkpoint.cpu_limit,
        overhead=overhead,
    )
    end_ns = max([profile.run.end_ns, *profile.spans.end_ns[-1:].tolist()])
    return replace(profile, run=replace(profile.run, end_ns=end_ns))
