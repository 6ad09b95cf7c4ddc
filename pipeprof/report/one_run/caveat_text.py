"""What a reader should know beside a verdict, in sentences."""

from pipeprof.analysis.findings.caveat_kinds import (
    Caveat,
    CompiledByShape,
    ContradictingWaits,
    CpuTimeBounded,
    DeviceMayRunAhead,
    EventsLost,
    ForkedWorkers,
    OpaqueGenerator,
    SharedCores,
    UnseenInput,
    WaitsOfSomeSteps,
    WaitsOfTracedSteps,
)
from pipeprof.recording.run_info import RecordedBy
from pipeprof.report.numbers import count, duration
from pipeprof.report.plain_text import shown


def caveat_sentence(found: Caveat) -> str:  # noqa: C901 - one case a kind
    """The sentence of a caveat."""
    match found:
        case ForkedWorkers():
            return (
                "The worker processes are forked while TensorFlow runs threads, so they may hang. "
                "multiprocessing.set_start_method('forkserver') is safe."
            )
        case UnseenInput():
            return (
                f"The stages that were seen work {duration(found.seen_ms)} per step, but a step waits "
                f"{duration(found.wait_ms)}: some part of the input was not seen."
            )
        case CpuTimeBounded():
            return (
                "The CPU time of this stage was not measured: 'at most' comes from the CPU time of "
                "all processes."
            )
        case SharedCores():
            idle = (
                f"The training does not use {' and '.join(map(shown, found.idle))}. "
                if found.idle
                else ""
            )
            cores = count(found.cores, "core")
            return f"{idle}Input and training share {cores}: 'with input for free' is an estimate."
        case DeviceMayRunAhead():
            return (
                "Steps may return before the device has done their work, which then looks like "
                "waiting for input: the gain with input for free is an upper bound. "
                f"{_how_to_measure(found)}"
            )
        case WaitsOfSomeSteps():
            return f"Waits were measured in {found.measured:,} of {count(found.counted, 'step')}."
        case WaitsOfTracedSteps():
            return (
                f"Waits were measured in {count(found.steps, 'traced step')}, which took "
                f"{duration(found.traced_step_ms)}; all steps took {duration(found.step_ms)}. Tracing "
                "slows steps down."
            )
        case ContradictingWaits():
            return _contradiction(found)
        case EventsLost():
            verb = "was" if found.dropped == 1 else "were"
            return f"{found.dropped:,} of {count(found.events, 'event')} {verb} lost."
        case CompiledByShape():
            return (
                "XLA compiles the model anew for each new shape of a batch, and shapes vary here. Probably "
                f"for that, {count(found.steps, 'step')} computed {duration(found.ms)} together, "
                f"{found.factor:,.0f} times as long as the others. Pad batches to a few fixed shapes, "
                "or use model.compile(jit_compile=False)."
            )
        case OpaqueGenerator():
            newer = (
                " Python 3.12 and later times inner generators without marks."
                if found.newer_python_helps
                else ""
            )
            stacks = "--stacks" if found.recorded_by is RecordedBy.COMMAND else "stacks=True"
            return (
                f"pipeprof could not look inside {found.stage.name}. To see its parts, mark them with "
                f'pipeprof.stage("name"), or sample its lines with {stacks}.{newer}'
            )


def _how_to_measure(found: DeviceMayRunAhead) -> str:
    by_command = found.recorded_by is RecordedBy.COMMAND
    limit = f"the limit with {'pipeprof ceiling' if by_command else 'pipeprof.ceiling()'}"
    if not found.traceable:
        return f"Measure {limit}."
    trace = "--trace-steps 10" if by_command else "trace_steps=10"
    return f"Measure how busy the device is with {trace}, or {limit}."


def _contradiction(found: ContradictingWaits) -> str:
    reason = (
        "the way of a batch from the generator to the training was not measured"
        if found.way_unmeasured
        else "one of the two is wrong"
    )
    return (
        f"TensorFlow's profiler measured a mean wait of {duration(found.traced_ms)} in "
        f"{count(found.steps, 'step')}, pipeprof {duration(found.measured_ms)}: {reason}."
    )
