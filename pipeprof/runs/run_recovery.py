"""Reads a recording that was cut off or that goes on: its checkpoint, and what the rings hold beyond it."""

from dataclasses import replace

from pipeprof.capture.collector.checkpoint import Checkpoint, resume
from pipeprof.capture.collector.collector import Progress, RingSet
from pipeprof.capture.collector.freezing import freeze_profile
from pipeprof.errors import RunDamaged
from pipeprof.recording.profile import Profile
from pipeprof.runs.codec import Decoder, Encoder
from pipeprof.runs.run_file import RunFile

# What working with facts of other types than ours leads to.
_MISFITS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def recover(file: RunFile, checkpoint: Checkpoint) -> Profile:
    """A recording that was cut off: its last checkpoint and what the rings hold beyond it.

    Raises:
        RunDamaged: checkpoint, rings and name logs do not fit together.
    """
    try:
        profile = _recover(file, checkpoint)
        # Names come from files without declared types: once to JSON and back checks them.
        encoder = Encoder()
        encoded = encoder.encode(profile)
    except _MISFITS as error:
        raise RunDamaged(
            f"expected a recording that was cut off in {file.path.name}, found one whose parts "
            f"do not fit together ({type(error).__name__})."
        ) from None
    return Decoder(encoder.numbers()).decode(Profile, encoded)


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
        events=accumulator.event_count,
        dropped=checkpoint.overhead.dropped + rings.dropped,
    )
    profile = freeze_profile(
        accumulator,
        run=replace(checkpoint.run, complete=alive, warnings=warnings),
        cores=checkpoint.cores,
        cpu_limit=checkpoint.cpu_limit,
        overhead=overhead,
    )
    end_ns = max([profile.run.end_ns, *profile.spans.end_ns[-1:].tolist()])
    return replace(profile, run=replace(profile.run, end_ns=end_ns))
