"""From what has been collected to a frozen `Profile`."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeprof.capture.collector.accumulator import Accumulator
from pipeprof.capture.collector.nesting import Parents, infer_parents
from pipeprof.capture.collector.registry import SignatureCount, StackCount
from pipeprof.recording.batch_signature import Signature
from pipeprof.recording.devices import Device
from pipeprof.recording.lane import Cpu, GilSamples, Lane
from pipeprof.recording.level_names import DeviceLevel
from pipeprof.recording.profile import Profile
from pipeprof.recording.run_info import Overhead, RunInfo
from pipeprof.recording.series import Gauge
from pipeprof.recording.source_code import CodeLine, Location, StackSamples
from pipeprof.recording.stage import Stage, StageKind

# Fields of levels that belong to a stage, and of those that belong to a loop's input.
STAGE_LEVELS = ("parallelism", "buffer", "buffer_size")
LOOP_LEVELS = ("queue", "head_of_line")


def freeze_profile(
    accumulator: Accumulator,
    *,
    run: RunInfo,
    cores: int,
    cpu_limit: float | None,
    overhead: Overhead,
    nested: bool = True,
) -> Profile:
    """Everything so far as a frozen value.

    Args:
        accumulator: what has been collected.
        run: the run.
        cores: processors of the machine.
        cpu_limit: how many of them it may use, or None without a limit.
        overhead: what the looking cost.
        nested: whether to tell from intervals which stage called which, which takes the longest.
    """
    registry = accumulator.registry
    spans = accumulator.windows.freeze()
    parents: Parents = [stage.parent for stage in registry.stages]
    if nested:
        parents = infer_parents(spans, parents)
    gauges = [_FrozenGauge(g.facts, g.target, g.bins.freeze()) for g in registry.gauges]
    used, sampled = accumulator.cpu_used.freeze(), accumulator.cpu_sampled.freeze()
    return Profile(
        run=run,
        loops=tuple(
            loop.freeze(*(_level_of_loop(field, i, gauges) for field in LOOP_LEVELS))
            for i, loop in enumerate(registry.loops)
        ),
        stages=tuple(
            _freeze_stage(accumulator, index, parent, gauges)
            for index, parent in enumerate(parents)
        ),
        lanes=tuple(_freeze_lane(accumulator, index) for index in range(len(registry.lanes))),
        spans=spans,
        cpu=Cpu(
            cores=cores,
            limit=cpu_limit,
            used=used if len(used.sums) else None,
            sampled=sampled if len(sampled.sums) else None,
        ),
        deliveries=tuple(
            _freeze_signature(count) for count in registry.signatures if count.batches
        ),
        gauges={g.facts["name"]: g.gauge for g in gauges if g.facts.get("name")},
        overhead=overhead,
        stacks=tuple(_freeze_stack(c) for c in registry.stacks if c.samples > 0),
        devices=_devices(gauges),
    )


def _freeze_stage(
    accumulator: Accumulator, index: int, parent: int | None, gauges: "list[_FrozenGauge]"
) -> Stage:
    sums = accumulator.registry.stages[index]
    facts = sums.facts
    levels = {g.facts["field"]: g.gauge for g in gauges if _is_level_of_stage(g, index)}
    file = facts.get("file")
    return Stage(
        name=facts["name"],
        kind=StageKind(facts["kind"]),
        function=facts.get("function"),
        location=Location(file, facts.get("line", 0)) if file else None,
        parent=parent,
        remark=facts.get("remark"),
        written=facts.get("written"),
        runs_as=facts.get("runs_as"),
        takes=facts.get("takes"),
        work=accumulator.stage_work.freeze(index),
        lanes=dict(sums.lanes),
        lane_calls=dict(sums.lane_calls),
        parallelism=levels.get("parallelism"),
        most_parallelism=facts.get("most_parallelism"),
        autotuned=facts.get("autotuned"),
        buffer=levels.get("buffer"),
        buffer_size=levels.get("buffer_size"),
        buffer_autotuned=facts.get("buffer_autotuned"),
        workers=facts.get("workers"),
        starts=sums.starts,
    )


def _freeze_lane(accumulator: Accumulator, index: int) -> Lane:
    sums = accumulator.registry.lanes[index]
    cpu = accumulator.lane_cpu.freeze(index)
    first_ns = sums.first_ns or accumulator.start_ns
    return Lane(
        name=sums.name,
        role=sums.role,
        pid=sums.pid,
        tid=sums.tid,
        busy=accumulator.lane_busy.freeze(index),
        cpu=cpu if len(cpu.sums) else None,
        first_ns=first_ns,
        last_ns=max(sums.last_ns, first_ns),
        gil=GilSamples(held=sums.gil_held, moments=sums.gil_moments) if sums.gil_moments else None,
    )


@dataclass(frozen=True, slots=True)
class _FrozenGauge:
    facts: Mapping[str, Any]
    target: int | None
    gauge: Gauge


def _devices(gauges: "list[_FrozenGauge]") -> tuple[Device, ...]:
    """The devices of which a driver told something."""
    told: dict[str, list[_FrozenGauge]] = defaultdict(list)
    for gauge in gauges:
        if "device" in gauge.facts:
            told[gauge.facts["device"]].append(gauge)
    return tuple(
        Device(
            kind=levels[0].facts["kind"],
            name=name,
            model=levels[0].facts.get("model"),
            levels={DeviceLevel(level.facts["field"]): level.gauge for level in levels},
        )
        for name, levels in told.items()
    )


def _level_of_loop(field: str, loop: int, gauges: list[_FrozenGauge]) -> Gauge | None:
    return next(
        (g.gauge for g in gauges if g.facts.get("field") == field and g.target == loop), None
    )


def _is_level_of_stage(gauge: _FrozenGauge, stage: int) -> bool:
    return gauge.target == stage and gauge.facts.get("field") in STAGE_LEVELS


def _freeze_signature(count: SignatureCount) -> Signature:
    facts = count.facts
    return Signature(
        dtypes=tuple(facts["dtypes"]),
        shapes=tuple(tuple(shape) for shape in facts["shapes"]),
        batches=count.batches,
        samples=facts["samples"],
        size_bytes=facts["size_bytes"],
        validation=facts.get("validation", False),
    )


def _freeze_stack(count: StackCount) -> StackSamples:
    lines = tuple(
        CodeLine(
            function=line["function"],
            location=Location(line["file"], line["line"]),
            text=line["text"],
            blocks=tuple(line["blocks"]),
        )
        for line in count.facts["lines"]
    )
    return StackSamples(
        lines=lines,
        samples=count.samples,
        in_function=bool(count.facts.get("in_function", False)),
    )
