"""A run and its loops in pieces of sentences: what ran, how it ended, how it was measured."""

from collections.abc import Iterator

from pipeprof.analysis.findings.findings import Findings
from pipeprof.analysis.findings.machine_findings import CpuFinding
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.recording.devices import TraceWindow
from pipeprof.recording.loop import Loop, LoopKind
from pipeprof.recording.profile import Profile
from pipeprof.recording.run_info import KerasBackend, RunInfo
from pipeprof.report.many_hosts.ranks_text import how_many
from pipeprof.report.names.verdict_names import SOURCES, VERDICTS
from pipeprof.report.numbers import count, duration, few_digits, percent
from pipeprof.report.one_run.run_facts import caveats, failure
from pipeprof.report.plain_text import sentence, shown


def heading(findings: Findings) -> Iterator[str]:
    """What ran: the run, its main loop, its software and the processors."""
    run, cpu = findings.profile.run, findings.cpu
    yield f"run {shown(run.name)}"
    if findings.ranks is not None:
        yield how_many(findings.ranks)
    elif run.rank is not None:
        yield f"rank {run.rank.number:,} of {run.rank.size:,} by itself"
    if findings.main:
        yield _extent(findings.main.loop)
    yield ", ".join(
        (
            *_software(run),
            *((count(len(run.hosts), "host"),) if len(run.hosts) > 1 else ()),
            _cores(cpu),
        )
    )


def _cores(cpu: CpuFinding) -> str:
    """``4 cores (2 physical)``: hardware threads of fewer cores are no cores of their own."""
    threads = cpu.physical_cores is not None and cpu.physical_cores < cpu.cores
    cores = f"{count(cpu.cores, 'core')}{f' ({cpu.physical_cores} physical)' if threads else ''}"
    return cores if cpu.limit is None else f"{few_digits(cpu.limit)} of {cores}"


def _extent(loop: Loop) -> str:
    return f"{kind_of(loop)}, {count(loop.epochs, 'epoch')}, {count(loop.step_count, 'step')}"


def kind_of(loop: Loop) -> str:
    """What kind of loop it is, in words."""
    return "hand-written loop" if loop.kind is LoopKind.CUSTOM else loop.kind.value


def _software(run: RunInfo) -> Iterator[str]:
    if "tensorflow" in run.versions:
        yield f"TensorFlow {_short_version(run.versions['tensorflow'])}"
    if run.backend is not None and run.keras_backend is not KerasBackend.TENSORFLOW:
        yield f"Keras on {shown(str(run.backend))}"


def _short_version(version: str) -> str:
    return shown(".".join(version.split(".")[:2]))


def troubles(run: RunInfo) -> list[str]:
    """How the training failed and what to know before trusting the rest, a sentence each."""
    failed = failure(run)
    return [sentence(text) for text in (*([failed] if failed else ()), *caveats(run))]


def how_measured(findings: Findings) -> Iterator[str]:
    """How all this is known: what counted, by which means, and what looking cost."""
    main, overhead = findings.main, findings.overhead
    if main:
        loop, diagnosis = main.loop, main.diagnosis
        first = ", first of each epoch left out" if loop.epochs > 1 else ""
        yield (
            f"{diagnosis.counted_steps:,} of {count(loop.step_count, 'step')} counted "
            f"({loop.warmup_steps} warm-up{first})"
        )
        if diagnosis.measured_by:
            yield SOURCES[diagnosis.measured_by]
        if diagnosis.bound is not Bound.UNKNOWN:
            yield f"confidence {percent(diagnosis.confidence)}"
    if overhead.events_dropped:
        yield f"{count(overhead.events_dropped, 'event')} of {overhead.events:,} lost"
    cost = "not measured" if overhead.ratio is None else percent(overhead.ratio)
    yield f"overhead {cost}"


def traced_steps(findings: Findings) -> list[str]:
    """Which steps TensorFlow's profiler traced, window by window."""
    return [_steps_of(window, findings.profile) for window in findings.profile.trace_windows]


def _steps_of(window: TraceWindow, profile: Profile) -> str:
    first, last = window.first_step, window.first_step + window.step_count - 1
    steps = f"step {first:,}" if first == last else f"steps {first:,} to {last:,}"
    return f"{steps} of {kind_of(profile.loops[window.loop])}"


def trace_windows(findings: Findings) -> list[str]:
    """Which steps were traced, with the names under which XProf shows the traces."""
    return [
        f"{steps}: {shown(window.run)} on TensorBoard's profile page (XProf)"
        for window, steps in zip(
            findings.profile.trace_windows, traced_steps(findings), strict=True
        )
    ]


def summary(findings: Findings) -> str:
    """A run in a line: the verdict, how long the main loop was, and how long a step takes."""
    main = findings.main
    if main is None:
        return "no training loop was seen"
    loop, diagnosis = main.loop, main.diagnosis
    pace = "" if diagnosis.step_ms is None else f", step {duration(diagnosis.step_ms.mean)}"
    steps = count(loop.step_count, "step")
    return f"{VERDICTS[diagnosis.bound]}  {loop.kind.value}, {steps}{pace}"
