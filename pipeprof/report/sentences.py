"""What a report says, in sentences and pieces of sentences: the same on every surface.

Returns plain text of one line each. Names that come from the run are made fit for a screen here;
what else a surface needs (escaping, colours) is its own.
"""

from collections.abc import Iterator, Sequence

from pipeprof.analysis.autotune import say_tuned
from pipeprof.analysis.bounds import bound_by_wait, wait_percent
from pipeprof.analysis.epoch_starts import say_starts
from pipeprof.analysis.findings import Advice, Bottleneck, Diagnosis, Findings, HotLine, LoopFinding
from pipeprof.analysis.input_findings import AutotuneFinding, InputFinding
from pipeprof.analysis.machine_findings import DeviceFinding
from pipeprof.analysis.verdict_kinds import Bound, Cause
from pipeprof.recording.devices import TraceWindow
from pipeprof.recording.loop import Loop, LoopKind
from pipeprof.recording.profile import Profile
from pipeprof.recording.run_info import RunInfo
from pipeprof.recording.stage import StageKind
from pipeprof.report.numbers import count, duration, parts, percent, rate, times
from pipeprof.report.plain_text import clean
from pipeprof.report.run_facts import caveats, failure
from pipeprof.report.stage_labels import input_place
from pipeprof.report.text_layout import shorten, shown
from pipeprof.report.verdict_names import CAUSES, SOURCES, VERDICTS

_SENTENCE_WIDTH = 400

# So far may wait and compute be from making up the step: beyond it, some waits are not known.
_SLACK_RATIO = 0.02

# Less than this part of what a device did is told as the training's own: others use it as well.
_ALL_OF = 0.9

_RESTART = StageKind.EPOCH_START.value

_GAINING = (Bound.INPUT, Bound.BALANCED)

_HOW_TO_WATCH = (
    "Give the dataset to pipeprof.profile(dataset) and train on prof.dataset inside its with "
    "block, or call model.fit there."
)
_HOW_TO_COUNT = "Train for more steps, or count earlier ones: pipeprof.profile(…, warmup=0)."


def sentence(text: str) -> str:
    """A sentence from the run or the analysis, fit for a screen and not endless."""
    return shorten(clean(text), _SENTENCE_WIDTH)


def heading(findings: Findings) -> Iterator[str]:
    """What ran: the run, its main loop, its software and the processors."""
    run, cpu = findings.profile.run, findings.cpu
    yield f"run {shown(run.name)}"
    if findings.main:
        yield _extent(findings.main.loop)
    yield ", ".join(
        (
            *_software(run),
            *((count(len(run.hosts), "host"),) if len(run.hosts) > 1 else ()),
            count(cpu.cores, "core")
            if cpu.limit is None
            else f"{cpu.limit:g} of {cpu.cores} cores",
        )
    )


def _extent(loop: Loop) -> str:
    return f"{kind_of(loop)}, {count(loop.epochs, 'epoch')}, {count(loop.step_count, 'step')}"


def kind_of(loop: Loop) -> str:
    """What kind of loop it is, in words."""
    return "hand-written loop" if loop.kind is LoopKind.CUSTOM else loop.kind.value


def _software(run: RunInfo) -> Iterator[str]:
    if "tensorflow" in run.versions:
        yield f"TensorFlow {_short_version(run.versions['tensorflow'])}"
    if run.backend not in (None, "tensorflow"):
        yield f"Keras on {shown(str(run.backend))}"


def _short_version(version: str) -> str:
    return shown(".".join(version.split(".")[:2]))


def troubles(run: RunInfo) -> list[str]:
    """How the training failed and what to know before trusting the rest, a sentence each."""
    failed = failure(run)
    return [sentence(text) for text in (*([failed] if failed else ()), *caveats(run))]


def waiting(said: Diagnosis) -> str:
    """How much of a step is waiting, or why that is not known."""
    if said.bound is Bound.UNKNOWN or said.wait_ratio is None:
        return _why_unknown(said)
    if _by_epoch_starts(said) and said.whole_wait_ratio is not None:
        whole = wait_percent(said.whole_wait_ratio)
        return f"{whole} of the time waits for data, mostly where epochs begin"
    ready = "the input keeps up: " if said.bound is Bound.COMPUTE else ""
    return f"{ready}{wait_percent(said.wait_ratio)} of each step waits for data"


def _by_epoch_starts(said: Diagnosis) -> bool:
    """Whether the verdict is not about the steps within epochs."""
    if said.cause is Cause.EPOCH_START:
        return True
    return said.wait_ratio is not None and bound_by_wait(said.wait_ratio) is not said.bound


def _why_unknown(said: Diagnosis) -> str:
    if said.step_ms is None:
        return "no step came after the warm-up"
    if said.measured_by is None:
        return "nothing measured how long the steps waited for data"
    return "too few steps to tell"


def speed(said: Diagnosis) -> Iterator[str]:
    """How long a step takes and what it is made of, how many samples a second, how evenly."""
    if said.step_ms is None:
        return
    yield f"step {duration(said.step_ms.mean)}{_step_parts(said, said.step_ms.mean)}"
    if said.samples_per_s is not None:
        yield f"{rate(said.samples_per_s)} samples/s"
    if said.step_ms.p95 > 2 * said.step_ms.median:
        yield (
            f"uneven: half of the steps under {duration(said.step_ms.median)}, "
            f"1 in 20 over {duration(said.step_ms.p95)}"
        )


def _step_parts(said: Diagnosis, step_ms: float) -> str:
    """What the mean step is made of: means add up, unless the wait of some steps is not known."""
    if said.wait_ms is None or said.compute_ms is None:
        return ""
    wait_ms, compute_ms = said.wait_ms.mean, said.compute_ms.mean
    wait, compute = parts(step_ms, wait_ms, compute_ms)
    if abs(step_ms - wait_ms - compute_ms) > _SLACK_RATIO * step_ms:
        return f" (where measured, wait {wait} and compute {compute})"
    return f" = wait {wait} + compute {compute}"


def _outcome(step_ms: float | None, speedup: float | None, before_ms: float | None = None) -> str:
    before = "" if before_ms is None else f" instead of {duration(before_ms)} with epoch starts"
    return ", ".join(
        (
            *(() if step_ms is None else (f"{duration(step_ms)} a step{before}",)),
            *(() if speedup is None else (f"{times(speedup)} as fast",)),
        )
    )


def _slowest(slowest: Bottleneck, cause: Cause) -> str:
    place = f" ({shown(slowest.location.short)})" if slowest.location else ""
    reason = f": {CAUSES[cause]}" if cause in CAUSES else ""
    return (
        f"{shown(slowest.stage)}{place} takes {duration(slowest.cost_ms)} a step, "
        f"{percent(slowest.share)} of all input work{reason}."
    )


def expected(advice: Advice) -> str:
    """What an advice gave or should give, or nothing."""
    predicted = _outcome(advice.predicted_step_ms, advice.predicted_speedup)
    if advice.verified is None:
        return f"predicted {predicted}" if predicted else ""
    measured = _outcome(advice.verified.step_ms, advice.verified.speedup)
    return f"measured {measured}; predicted {predicted}" if predicted else f"measured {measured}"


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
        yield f"{found.queue_mean:.1f} of {found.queue_size} batches ready"
    if found.queue_empty_ratio is not None:
        yield f"queue empty {percent(found.queue_empty_ratio)} of the time"
    starts = say_starts(found.epoch_starts)
    if starts is not None:
        yield starts
    elif found.epoch_start_ms is not None:
        yield f"first batch of an epoch took {duration(found.epoch_start_ms)}"


def tuning(found: AutotuneFinding) -> list[str]:
    """What AUTOTUNE did with the pipeline, and what stands in its way: pieces and sentences."""
    return [sentence(text) for text in (*say_tuned(found), *found.warnings)]


def devices(findings: Findings) -> list[str]:
    """How busy each device was, a sentence each; none of one that nothing was measured of."""
    return [_device(found) for found in findings.devices if found.busy_ratio is not None]


def _device(found: DeviceFinding) -> str:
    name = shown(found.name if found.model is None else f"{found.name} ({found.model})")
    busy = percent(found.busy_ratio or 0.0)
    if found.step_ms is None:
        own = found.own_busy_ratio
        others = own is not None and own < _ALL_OF * (found.busy_ratio or 0.0)
        whose = f", {percent(own or 0.0)} for this training" if others else ""
        return (
            f"{name} was busy {busy} of the time{whose}, as its driver says{_driver_says(found)}."
        )
    copies = f", {duration(found.copy_in_ms)} of it copies to it" if found.copy_in_ms else ""
    idle = (
        f"; it stood idle {percent(found.idle_waiting_ratio)} of the time while the training waited "
        "for input"
        if found.idle_waiting_ratio
        else ""
    )
    step = f"device step {duration(found.step_ms)}{copies}"
    traced = count(found.traced_steps, "traced step")
    return f"{name} was busy {busy} of each step ({step}){idle} ({traced}){_driver_says(found)}."


def _driver_says(found: DeviceFinding) -> str:
    """Memory, power and clock, as far as they are known."""
    said = []
    used, room, own = found.memory_bytes, found.memory_room_bytes, found.own_memory_bytes
    if used is not None and room:
        others = own is not None and own < _ALL_OF * used
        whose = f" ({_gigabytes(own or 0.0)} by this training)" if others else ""
        said.append(f"{_gigabytes(used)} of its {_gigabytes(room)} in use{whose}")
    if found.power_w is not None:
        said.append(f"{found.power_w:.0f} W")
    if found.clock_mhz is not None:
        said.append(f"{found.clock_mhz:,.0f} MHz")
    return f"; {', '.join(said)}" if said else ""


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.3g} GB"


def traced_steps(findings: Findings) -> list[str]:
    """Which steps TensorFlow's profiler traced, window by window."""
    return [_steps_of(window, findings.profile) for window in findings.profile.trace_windows]


def _steps_of(window: TraceWindow, profile: Profile) -> str:
    first, last = window.first_step, window.first_step + window.step_count - 1
    steps = f"step {first:,}" if first == last else f"steps {first:,} to {last:,}"
    return f"{steps} of {kind_of(profile.loops[window.loop])}"


def trace_windows(findings: Findings) -> list[str]:
    """The same with the names under which XProf shows them."""
    return [
        f"{steps}: {shown(window.run)} on TensorBoard's profile page (XProf)"
        for window, steps in zip(
            findings.profile.trace_windows, traced_steps(findings), strict=True
        )
    ]


def overlap(found: InputFinding) -> str | None:
    """How much of the input work ran beside the training, or None where that is not known."""
    if found.overlap_ratio is None:
        return None
    return f"{'about ' if found.overlap_estimated else ''}{percent(found.overlap_ratio)}"


def loop_line(found: LoopFinding, loops: Sequence[Loop]) -> str:
    """One of the loops that the report is not about, in a line."""
    loop, said = found.loop, found.diagnosis
    inside = "" if loop.parent is None else f" inside {kind_of(loops[loop.parent])}"
    pace = "" if said.step_ms is None else f", step {duration(said.step_ms.mean)}"
    waits = "" if said.wait_ratio is None else f", waits {wait_percent(said.wait_ratio)}"
    if said.bound is not Bound.UNKNOWN and _by_epoch_starts(said):
        waits = f", {waiting(said)}"
    steps = count(loop.step_count, "step")
    return f"{kind_of(loop)}{inside}, {steps}: {VERDICTS[said.bound]}{pace}{waits}"


def how_measured(findings: Findings) -> Iterator[str]:
    """How all this is known: what counted, by which means, and what looking cost."""
    main, overhead = findings.main, findings.overhead
    if main:
        loop, said = main.loop, main.diagnosis
        if said.measured_by:
            yield SOURCES[said.measured_by]
        first = ", first of each epoch left out" if loop.epochs > 1 else ""
        yield (
            f"{said.counted_steps:,} of {count(loop.step_count, 'step')} counted "
            f"({loop.warmup_steps} warm-up{first})"
        )
        if said.bound is not Bound.UNKNOWN:
            yield f"confidence {percent(said.confidence)}"
    if overhead.events_dropped:
        yield f"{count(overhead.events_dropped, 'event')} of {overhead.events:,} lost"
    cost = "not measured" if overhead.ratio is None else percent(overhead.ratio)
    yield f"cost of looking {cost}"


def with_free_input(said: Diagnosis) -> str | None:
    """What the training would reach if batches cost nothing, where that is less than it takes."""
    free = _outcome(said.ideal_step_ms, said.speedup_limit, _step_with_starts(said))
    return f"with input for free: {free}" if said.bound in _GAINING and free else None


def _step_with_starts(said: Diagnosis) -> float | None:
    """What the speed-up compares with, where that is not the step time as it was shown."""
    return said.whole_step_ms if said.cause is Cause.EPOCH_START else None


def reasons(said: Diagnosis) -> list[str]:
    """Why it is as the verdict says, a sentence each."""
    sentences = [sentence(each) for each in said.evidence]
    slowest = said.bottleneck
    # Evidence that begins with the bottleneck needs no other introduction, and where the beginnings
    # of epochs are the cause, a stage within them is not to blame.
    within = said.cause is Cause.EPOCH_START and slowest and slowest.kind != _RESTART
    if slowest and not within and not (sentences and clean(slowest.stage) in sentences[0]):
        sentences.insert(0, _slowest(slowest, said.cause))
    return sentences


def hot_lines(findings: Findings) -> tuple[HotLine, ...]:
    """The lines that the bottleneck's time goes to, dearest first; none where nobody looked."""
    slowest = findings.main.diagnosis.bottleneck if findings.main else None
    if slowest is None:
        return ()
    return next((stage.hot_lines for stage in findings.stages if stage.index == slowest.index), ())


def how_to_see(findings: Findings) -> str | None:
    """What to do where there is no verdict, or None where there is one, or something else first."""
    said = findings.main.diagnosis if findings.main else None
    if said is None and findings.profile.run.error is not None:
        return None  # what failed before it trained has no use for a profiler
    if said is not None and said.bound is not Bound.UNKNOWN:
        return None
    too_few = said is not None and (said.step_ms is None or said.measured_by is not None)
    return _HOW_TO_COUNT if too_few else _HOW_TO_WATCH


def advised(advice: Advice) -> str:
    """What to do, with what it gave or should give."""
    told, outcome = sentence(advice.summary), expected(advice)
    return f"{told.rstrip('.')} ({outcome})." if outcome else told


def summary(findings: Findings) -> str:
    """A run in a line: the verdict, how long the main loop was, and how long a step takes."""
    main = findings.main
    if main is None:
        return "no training loop was seen"
    loop, said = main.loop, main.diagnosis
    pace = "" if said.step_ms is None else f", step {duration(said.step_ms.mean)}"
    steps = count(loop.step_count, "step")
    return f"{VERDICTS[said.bound]}  {loop.kind.value}, {steps}{pace}"
