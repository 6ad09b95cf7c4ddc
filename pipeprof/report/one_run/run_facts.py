"""What is known of a run as a whole: when it began, how it ended, what to know before trusting it."""

from datetime import datetime, timezone

from pipeprof.recording.run_info import RunInfo

CUT_OFF = "The recording was cut off; this is what could be recovered of it."


def started(run: RunInfo) -> datetime | None:
    """When a run began, or None where its file has no date that exists."""
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
    if run.ended_by is not None:
        return f"The training was ended by {run.ended_by}."
    if run.exit_code:
        return f"The training's process ended with exit code {run.exit_code}."
    return None
