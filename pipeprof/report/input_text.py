"""How the input of a loop ran, in pieces of sentences: what fed it, where, how far ahead, its tuning."""

from collections.abc import Iterator

from pipeprof.analysis.findings import LoopFinding
from pipeprof.analysis.input_findings import AutotuneFinding, InputFinding
from pipeprof.report.autotune_text import autotune_warning, describe_tuned
from pipeprof.report.epoch_start_text import describe_starts
from pipeprof.report.numbers import duration, level, percent
from pipeprof.report.plain_text import sentence, shown
from pipeprof.report.stage_labels import input_place


def input_pieces(main: LoopFinding) -> Iterator[str]:
    """What fed a loop, where that ran, and how far ahead of the training it was."""
    found = main.input
    if found.kind is not None:
        yield f"{found.kind} {shown(main.loop.input.name)}" if main.loop.input.name else found.kind
    place = input_place(found)
    if place is not None:
        yield f"ran on {shown(place)}"
    beside = overlap(found)
    if beside is not None:
        yield f"{beside} of its work overlapped with computing"
    if found.queue_mean is not None and found.queue_size is not None:
        yield f"{level(found.queue_mean)} of {found.queue_size} batches ready"
    if found.queue_empty_ratio is not None:
        yield f"queue empty {percent(found.queue_empty_ratio)} of the time"
    starts = describe_starts(found.epoch_starts)
    if starts is not None:
        yield starts
    elif found.epoch_start_ms is not None:
        yield f"first batch of an epoch took {duration(found.epoch_start_ms)}"


def tuning(found: AutotuneFinding) -> list[str]:
    """What AUTOTUNE did with the pipeline, and what stands in its way: pieces and sentences."""
    return [
        sentence(text) for text in (*describe_tuned(found), *map(autotune_warning, found.warnings))
    ]


def overlap(found: InputFinding) -> str | None:
    """How much of the input work ran beside the training, or None where that is not known."""
    if found.overlap_ratio is None:
        return None
    return f"{'about ' if found.overlap_estimated else ''}{percent(found.overlap_ratio)}"
