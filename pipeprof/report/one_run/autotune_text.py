"""What AUTOTUNE did with a tf.data pipeline, and what stands in its way, in words."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from pipeprof.analysis.findings.input_findings import (
    AutotunedValue,
    AutotuneFinding,
    AutotuneOff,
    AutotuneWarning,
    BudgetBeyondCores,
    FixedParallelism,
    FullBuffers,
    TunedKind,
)
from pipeprof.recording.stage import Stage
from pipeprof.report.names.stage_labels import label_of, remark_of
from pipeprof.report.numbers import amount, count, percent, size


def describe_tuned(found: AutotuneFinding) -> Iterator[str]:
    """What AUTOTUNE chose: a piece for each choice, with the stages at which it made that choice.

    A name that several stages of a piece have is there once, with how many they are.
    """
    stages = {id(tuned.stage): tuned.stage for tuned in found.tuned}
    alike = Counter(stage.name for stage in stages.values())
    names: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for tuned in found.tuned:
        if tuned.value is not None:
            name = tuned.stage.name if alike[tuned.stage.name] == 1 else _placed(tuned.stage)
            names[_course(tuned, tuned.value, several_epochs=found.epochs > 1)][name] += 1
    for course, of in names.items():
        listed = (
            name if number == 1 else f"{name} ({number} times)" for name, number in of.items()
        )
        yield f"{', '.join(listed)}: {course}"


def _placed(stage: Stage) -> str:
    """The name of a stage with its line or remark, which another one of that name does not have."""
    place = stage.location.short if stage.location else remark_of(stage)
    return f"{stage.name} ({place})" if place else stage.name


def _course(tuned: AutotunedValue, value: int, *, several_epochs: bool) -> str:
    if tuned.settled_after_steps is None and tuned.least != tuned.most:
        most = value if tuned.most is None else tuned.most
        return f"between {tuned.least} and {_chosen(tuned, most)}, not settled"
    if tuned.settled_after_steps:
        steps = count(tuned.settled_after_steps, "step")
        each = " of each epoch" if several_epochs else ""
        return f"settled within {steps}{each} at {_chosen(tuned, value)}"
    return f"{_chosen(tuned, value)} from the start"


def _chosen(tuned: AutotunedValue, value: int) -> str:
    """``2 of 8 calls at once``, ``1 element of buffer``."""
    noun, place = "call", "at once"
    if tuned.kind is TunedKind.BUFFER:
        noun, place = "element", "of buffer"
    if tuned.limit is None:
        return f"{count(value, noun)} {place}"
    return f"{value:,} of {count(tuned.limit, noun)} {place}"


def autotune_warning(found: AutotuneWarning) -> str:
    """What stands in AUTOTUNE's way, and what to do, in a sentence or two."""
    match found:
        case AutotuneOff():
            return (
                "AUTOTUNE is switched off (options.autotune.enabled = False): parallelism and buffers "
                "are not tuned, and tf.data measures neither its waits nor the work of its stages."
            )
        case BudgetBeyondCores():
            allowed = "the container may use" if found.by_container else "there are"
            return (
                f"AUTOTUNE plans with {count(found.planned, 'core')}, but {allowed} only "
                f"{amount(found.cores, 'core')}: calls that it plans to run at once take turns. "
                f"Set options.autotune.cpu_budget = {found.advised}."
            )
        case FullBuffers():
            largest = "" if found.largest is None else f", most of it in {label_of(found.largest)}"
            return (
                f"The buffers of tf.data held up to {size(found.held_bytes)}{largest}: "
                f"{percent(found.held_bytes / found.memory_bytes)} of the "
                f"{size(found.memory_bytes)} of memory that the training may use."
            )
        case FixedParallelism():
            free = (
                ""
                if found.free_cpu_ratio is None
                else f", while {percent(found.free_cpu_ratio)} of the CPU is free"
            )
            value = "tf.data.AUTOTUNE" if found.advised is None else found.advised
            return (
                f"{label_of(found.stage)} is fixed at {count(found.fixed, 'call')} at once and needs "
                f"{found.needed} to keep up with the training{free}. "
                f"Write num_parallel_calls={value}."
            )
