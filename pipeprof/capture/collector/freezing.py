"""Makes a frozen `Profile` of the sums of a run."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any, TypeAlias

import numpy as np

from pipeprof.capture.collector.host_time import all_host_samples
from pipeprof.capture.collector.loop_sums import LoopSums
from pipeprof.capture.collector.nesting import Parents, infer_parents
from pipeprof.capture.collector.registry import Registry
from pipeprof.capture.collector.run_sums import RunSums
from pipeprof.capture.collector.sample_rows import freeze_samples
from pipeprof.capture.collector.subject_sums import SignatureSums, StackSums
from pipeprof.capture.recorder.facts import (
    DataWorkerFacts,
    DeviceGauge,
    GaugeFacts,
    LoopGauge,
    LoopLevel,
    RunGauge,
    StageGauge,
    StageLevel,
    TraceWindowFacts,
)
from pipeprof.recording.account import HostFunction, LoopAccount
from pipeprof.recording.batch_signature import Signature
from pipeprof.recording.data_workers import DataWorker
from pipeprof.recording.devices import Device, TraceWindow
from pipeprof.recording.lane import Cpu, GilSamples, Lane, StageSamples
from pipeprof.recording.profile import Profile
from pipeprof.recording.run_info import Overhead, RunInfo
from pipeprof.recording.series import Gauge
from pipeprof.recording.source_code import StackSamples
from pipeprof.recording.stage import Stage, StageDescription

Gauges: TypeAlias = Mapping[GaugeFacts, Gauge]


def freeze_profile(
    sums: RunSums,
    *,
    run: RunInfo,
    cores: int,
    cpu_limit: float | None,
    overhead: Overhead,
    physical_cores: int | None = None,
    nested: bool = True,
) -> Profile:
    """The recording so far as a frozen value.

    Args:
        sums: the sums of the run so far.
        run: the run.
        cores: processors of the machine.
        cpu_limit: how many of them the run may use, or None without a limit.
        overhead: what the recording cost.
        physical_cores: cores that the processors are hardware threads of, or None.
        nested: whether to infer from intervals which stage called which; this takes most of the time.
    """
    registry = sums.registry
    spans = sums.spans.freeze()
    parents: Parents = [stage.parent for stage in registry.stages]
    if nested:
        parents = infer_parents(spans, parents)
    gauges = {gauge.facts: gauge.bins.freeze() for gauge in registry.gauges}
    used, sampled = sums.cpu_used.freeze(), sums.cpu_sampled.freeze()
    return Profile(
        run=run,
        loops=tuple(
            loop.freeze(
                _freeze_account(registry, loop, run.end_ns),
                queue=gauges.get(LoopGauge(level=LoopLevel.QUEUE, loop=index)),
                head_of_line=gauges.get(LoopGauge(level=LoopLevel.HEAD_OF_LINE, loop=index)),
            )
            for index, loop in enumerate(registry.loops)
        ),
        stages=tuple(
            _freeze_stage(sums, index, parent, gauges) for index, parent in enumerate(parents)
        ),
        lanes=tuple(_freeze_lane(sums, index) for index in range(len(registry.lanes))),
        spans=spans,
        cpu=Cpu(
            cores=cores,
            physical_cores=physical_cores,
            limit=cpu_limit,
            used=used if len(used.sums) else None,
            sampled=sampled if len(sampled.sums) else None,
        ),
        deliveries=tuple(
            _freeze_signature(count) for count in registry.signatures if count.batches
        ),
        gauges={of.name: gauge for of, gauge in gauges.items() if isinstance(of, RunGauge)},
        overhead=overhead,
        stacks=tuple(_freeze_stack(c) for c in registry.stacks if c.samples > 0),
        devices=tuple(_devices(gauges)),
        trace_windows=tuple(_freeze_trace_window(facts) for facts in registry.trace_windows),
        data_workers=tuple(_data_workers(registry.data_workers)),
        host_samples=freeze_samples(all_host_samples(sums), registry.places),
        iterator_ends=sums.iterator_ends.copy(),
        host_functions=tuple(
            HostFunction(part=facts.part, name=facts.name, location=facts.location)
            for facts in registry.host_calls
        ),
    )


def _freeze_account(registry: Registry, loop: LoopSums, until_ns: int) -> LoopAccount:
    reasons = [reason.text for reason in registry.reasons]
    return loop.account.freeze(until_ns, registry.host_calls, registry.places, reasons)


def _freeze_stage(sums: RunSums, index: int, parent: int | None, gauges: Gauges) -> Stage:
    stage = sums.registry.stages[index]
    facts = stage.facts

    def gauge(level: StageLevel) -> Gauge | None:
        return gauges.get(StageGauge(level=level, stage=index))

    described: dict[str, Any] = {
        each.name: getattr(facts, each.name) for each in fields(StageDescription)
    }
    return Stage(
        **described | {"parent": parent},
        work=sums.stage_work.freeze(index),
        lanes=dict(stage.lanes),
        lane_calls=dict(stage.lane_calls),
        parallelism=gauge(StageLevel.PARALLELISM),
        buffer=gauge(StageLevel.BUFFER),
        buffer_size=gauge(StageLevel.BUFFER_SIZE),
        starts=stage.starts,
    )


def _freeze_lane(sums: RunSums, index: int) -> Lane:
    lane = sums.registry.lanes[index]
    cpu = sums.lane_cpu.freeze(index)
    first_ns = lane.first_ns or sums.start_ns
    gil = GilSamples(held=lane.gil_held, samples=lane.gil_samples) if lane.gil_samples else None
    return Lane(
        name=lane.name,
        role=lane.role,
        kind=lane.identity.kind,
        named=lane.named,
        pid=lane.pid,
        tid=lane.tid,
        busy=sums.lane_busy.freeze(index),
        cpu=cpu if len(cpu.sums) else None,
        first_ns=first_ns,
        last_ns=max(lane.last_ns, first_ns),
        gil=gil,
        in_stages=StageSamples(waiting=lane.helper_waits, samples=lane.stage_samples)
        if lane.stage_samples
        else None,
    )


def _devices(gauges: Gauges) -> Iterator[Device]:
    """The devices whose drivers reported levels."""
    of_devices: dict[str, list[tuple[DeviceGauge, Gauge]]] = defaultdict(list)
    for of, gauge in gauges.items():
        if isinstance(of, DeviceGauge):
            of_devices[of.device].append((of, gauge))
    for name, found in of_devices.items():
        first, _ = found[0]
        levels = {of.level: gauge for of, gauge in found}
        yield Device(kind=first.kind, name=name, model=first.model, levels=levels)


def _freeze_signature(sums: SignatureSums) -> Signature:
    facts = sums.facts
    return Signature(
        dtypes=facts.dtypes,
        shapes=facts.shapes,
        batches=sums.batches,
        samples=facts.samples,
        size_bytes=facts.size_bytes,
        validation=facts.validation,
    )


def _freeze_stack(sums: StackSums) -> StackSamples:
    facts = sums.facts
    return StackSamples(lines=facts.lines, samples=sums.samples, in_function=facts.in_function)


def _data_workers(looks: Iterable[DataWorkerFacts]) -> Iterator[DataWorker]:
    """The workers, each with all looks at it."""
    of_workers: dict[str, list[DataWorkerFacts]] = defaultdict(list)
    for look in looks:
        of_workers[look.address].append(look)
    for address, found in of_workers.items():
        yield DataWorker(
            address=address,
            pid=next((look.pid for look in found if look.pid is not None), None),
            cores=next((look.cores for look in found if look.cores is not None), None),
            windows=tuple(look.window for look in found if look.window is not None),
            problem=found[-1].problem,
        )


def _freeze_trace_window(facts: TraceWindowFacts) -> TraceWindow:
    """A window whose trace has not been read."""
    return TraceWindow(
        run=facts.run,
        loop=facts.loop,
        start_ns=facts.start_ns,
        end_ns=facts.end_ns,
        first_step=facts.first_step,
        step_count=facts.step_count,
        ordinal=np.empty(0, np.int64),
        wait_ns=np.empty(0, np.int64),
    )
