"""The one way from a `Profile` to its `Findings`."""

from collections.abc import Sequence
from dataclasses import replace

from pipeprof.analysis.advising.autotune import find_autotune
from pipeprof.analysis.diagnosis import diagnose, find_verdict
from pipeprof.analysis.findings.account_findings import EpochAccount
from pipeprof.analysis.findings.findings import Findings, HotLine, LoopFinding
from pipeprof.analysis.findings.what_if_kinds import SupposedStep, Supposition
from pipeprof.analysis.measures.accounting import (
    epoch_accounts,
    loop_account,
    run_account,
    steps_return_early,
)
from pipeprof.analysis.measures.consumed import pair_evaluations
from pipeprof.analysis.measures.costs import StageCost, as_finding, stage_costs
from pipeprof.analysis.measures.counted_time import CountedTime, counted_times, without_pauses
from pipeprof.analysis.measures.delivery import describe_delivery
from pipeprof.analysis.measures.device_use import device_findings
from pipeprof.analysis.measures.epoch_starts import framework_starts
from pipeprof.analysis.measures.hot_lines import hot_lines, hot_lines_of
from pipeprof.analysis.measures.lane_use import (
    cpu_finding,
    lane_findings,
    overhead_finding,
    resource_finding,
)
from pipeprof.analysis.measures.loop_groups import group_loops
from pipeprof.analysis.measures.native_work import with_native_work
from pipeprof.analysis.measures.overlap import describe_input
from pipeprof.analysis.measures.service_work import find_data_workers
from pipeprof.analysis.measures.step_statistics import loop_times
from pipeprof.analysis.predicting.what_if import what_if
from pipeprof.analysis.verdicts.named_waits import with_named_waits
from pipeprof.analysis.verdicts.verdict import Measurements, Verdict
from pipeprof.errors import UsageError
from pipeprof.recording.loop import Loop, LoopKind
from pipeprof.recording.profile import Profile


def analyse(profile: Profile) -> Findings:
    """Says of each loop whether it waits for its data, and why.

    Stages, lanes and processors are described for the main loop, the longest that trains.
    """
    times_counted = counted_times(profile.loops)
    costs = tuple(
        with_native_work(each, profile, loop, counted_time)
        for each, loop, counted_time in zip(
            stage_costs(profile, times_counted), profile.loops, times_counted, strict=True
        )
    )
    verdicts, epochs = [], []
    for index, (counted_time, used) in enumerate(zip(times_counted, costs, strict=True)):
        verdict, own_epochs = _verdict_of(profile, index, counted_time, used)
        verdicts.append(verdict)
        epochs.append(own_epochs)
    loops = [
        LoopFinding(
            loop=verdict.measured.loop,
            index=index,
            account=with_named_waits(verdict),
            epochs=epochs[index],
            diagnosis=diagnose(verdict, _validations(verdicts, index), epochs[index]),
            input=verdict.measured.fed,
        )
        for index, verdict in enumerate(verdicts)
    ]
    number = next(
        (number for number, loop in enumerate(profile.loops) if loop is profile.main_loop), None
    )
    lines = hot_lines(profile)
    main_time = None if number is None else times_counted[number]
    main_cpu = cpu_finding(profile, None) if number is None else verdicts[number].measured.cpu
    main = None if number is None else loops[number]
    shown = tuple(
        found
        for found in loops
        # The time of single predictions is part of what called them.
        if found is main or not (_only_looks(found.loop) or found.loop.predicts_single_batches)
    )
    return Findings(
        profile=profile,
        account=run_account(profile, [found.account for found in loops]),
        loops=shown,
        groups=group_loops(shown, main),
        main=main,
        stages=()
        if number is None
        else tuple(
            as_finding(cost, times_counted[number], profile.lanes, lines.get(cost.index, ()))
            for cost in costs[number]
        ),
        lanes=lane_findings(profile, main_time),
        cpu=main_cpu,
        resources=resource_finding(profile, main_time),
        delivery=None
        if number is None
        else describe_delivery(profile.loops[number], profile.deliveries),
        evaluations=pair_evaluations(profile.loops, profile.main_loop),
        overhead=overhead_finding(profile),
        autotune=None if number is None else find_autotune(verdicts[number]),
        devices=device_findings(profile, main_time),
        data_workers=find_data_workers(profile),
        host_lines=_host_lines(profile, main),
    )


def predict(profile: Profile, suppositions: Sequence[Supposition]) -> SupposedStep:
    """What a step of the main loop would take if all of these were so.

    Raises:
        UsageError: nothing trained, or the run does not have what a prediction needs.
    """
    verdict = main_verdict(profile)
    if verdict is None:
        raise UsageError("expected a run with a training, received one without.")
    return what_if(verdict, *suppositions)


def main_verdict(profile: Profile) -> Verdict | None:
    """What follows from the measurements of the main loop; None where nothing trained."""
    main = profile.main_loop
    if main is None:
        return None
    index = next(number for number, loop in enumerate(profile.loops) if loop is main)
    times_counted = counted_times(profile.loops)
    used = stage_costs(profile, times_counted)[index]
    return _verdict_of(profile, index, times_counted[index], used)[0]


def _verdict_of(
    profile: Profile, index: int, counted_time: CountedTime, used: tuple[StageCost, ...]
) -> tuple[Verdict, tuple[EpochAccount, ...]]:
    loop = profile.loops[index]
    times = loop_times(loop)
    fed = describe_input(profile, loop, counted_time, used, times)
    own_starts = framework_starts(profile, loop, fed.epoch_starts)
    measured = Measurements(
        profile=profile,
        loop=loop,
        account=loop_account(profile, index, own_starts),
        counted_time=counted_time,
        times=times.without_framework(sum(own_starts.ratios.values())),
        costs=used,
        cpu=cpu_finding(profile, without_pauses(counted_time, loop)),
        fed=fed,
        starts=own_starts,
    )
    late = steps_return_early(profile, loop)
    verdict = find_verdict(measured)
    epochs = epoch_accounts(loop, own_starts, late=late)
    return verdict, tuple(
        replace(each, account=with_named_waits(verdict, each.account)) for each in epochs
    )


def _validations(verdicts: Sequence[Verdict], index: int) -> list[Verdict]:
    """The verdicts on the evaluations inside a loop, which is given by its index."""
    loops = [verdict.measured.loop for verdict in verdicts]
    return [
        verdict
        for verdict, loop in zip(verdicts, loops, strict=True)
        if loop.parent == index and loop.kind is LoopKind.EVALUATE
    ]


def _host_lines(profile: Profile, main: LoopFinding | None) -> tuple[HotLine, ...]:
    dearest = next(iter(main.diagnosis.host), None) if main else None
    if dearest is None or dearest.location is None or not isinstance(dearest.name, str):
        return ()
    return hot_lines_of(profile, dearest.name, dearest.location)


def _only_looks(loop: Loop) -> bool:
    """Whether nobody trained in it.

    It failed before its first step, or somebody took a batch to see what is in it
    (``for images, labels in ds.take(1)``).
    """
    return not loop.step_count or (loop.kind is LoopKind.CUSTOM and loop.step_count == 1)
