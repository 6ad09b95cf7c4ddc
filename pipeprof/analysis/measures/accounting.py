"""Where the time of a run, a loop or an epoch went: parts that are disjoint and add up to the whole."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pipeprof.analysis.findings.account_findings import (
    Account,
    AccountRow,
    EpochAccount,
    FrameworkWork,
)
from pipeprof.analysis.measures.account_rows import (
    NAMED_FROM,
    by_samples,
    ordered_rows,
    scaled_rows,
    with_rest,
)
from pipeprof.analysis.measures.between_passes import BetweenPasses, span_of
from pipeprof.analysis.measures.epoch_starts import NO_FRAMEWORK_STARTS, FrameworkStarts
from pipeprof.analysis.measures.step_parts import parts_in_steps
from pipeprof.recording.account import EPOCH_COLUMNS, HostCall, Part
from pipeprof.recording.loop import Loop
from pipeprof.recording.profile import Profile

_EPOCH = {name: index for index, name in enumerate(EPOCH_COLUMNS)}


def loop_account(
    profile: Profile, index: int, framework_starts: FrameworkStarts = NO_FRAMEWORK_STARTS
) -> Account:
    """The account of a loop from its first pass's begin to its last one's end.

    The time of other training loops that ran in between is left out.

    Args:
        profile: the recording.
        index: place of the loop in it.
        framework_starts: what of the waits at epoch starts is the framework's own work.
    """
    loop = profile.loops[index]
    totals = dict(zip(EPOCH_COLUMNS, loop.account.totals[0].tolist(), strict=True))
    parts = parts_in_steps(loop, totals)
    pass_ns = _pass_ns(loop)
    outside_ns = max(pass_ns - totals["step_ns"], 0)
    _add_outside(parts, totals, outside_ns, _startup_ns(profile, index), _shutdown_ns(loop, totals))
    between = BetweenPasses(profile)
    beside, between_ns = between.beside(index), between.own_ns(index)
    parts[Part.OWN_CODE] += max(between_ns - beside.ns, 0)
    last_ns = int(loop.steps.end_ns[-1]) if len(loop.steps) else loop.end_ns
    ended_ns = framework_starts.between_ns(loop.start_ns, last_ns)
    started = _framework_rows(parts, framework_starts.ratios, ended_ns)
    ended = _last_end_rows(parts, framework_starts.between_ns(last_ns, profile.run.end_ns))
    samples = loop.account.samples
    if any(row.calls_predict for row in beside.rows):  # a clock shows all of these calls
        samples = tuple(each for each in samples if not each.calls_predict)
    sampled = replace(loop, account=replace(loop.account, samples=samples))
    whole = _account(parts, sampled, pass_ns + between_ns, (*started, *ended, *beside.rows))
    return _with_late_computing(whole) if steps_return_early(profile, loop) else whole


def epoch_accounts(
    loop: Loop, framework_starts: FrameworkStarts = NO_FRAMEWORK_STARTS, *, late: bool = False
) -> tuple[EpochAccount, ...]:
    """The accounts of a loop's epochs, of the first ones and the last.

    Args:
        loop: the loop.
        framework_starts: as in `loop_account`.
        late: whether its steps return before a device has done their work.
    """
    found = []
    for row in loop.account.epochs.tolist():
        totals = dict(zip(EPOCH_COLUMNS, row, strict=True))
        wall_ns = max(totals["end_ns"] - totals["start_ns"], totals["step_ns"])
        parts = parts_in_steps(loop, totals, epoch=totals["epoch"])
        _add_outside(parts, totals, wall_ns - totals["step_ns"], 0, 0)
        ended_ns = framework_starts.between_ns(totals["start_ns"], totals["end_ns"])
        started = _framework_rows(parts, framework_starts.of(totals["epoch"]), ended_ns)
        whole = _of_epoch(parts, loop.account.calls_in(totals["epoch"]), wall_ns, started)
        found.append(
            EpochAccount(
                epoch=totals["epoch"],
                steps=totals["steps"],
                account=_with_late_computing(whole) if late else whole,
            )
        )
    return tuple(found)


def run_account(profile: Profile, loops: Sequence[Account]) -> Account:
    """The account of the whole run: its loops of the top level, and what lay outside of them.

    Args:
        profile: the recording.
        loops: the accounts of its loops, in their order.
    """
    run = profile.run
    wall_ns = max(run.end_ns - run.start_ns, 0)
    rows: list[AccountRow] = []
    trains = [
        index
        for index, loop in enumerate(profile.loops)
        if loop.parent is None and loop.kind.trains and span_of(loop) is not None
    ]
    for index in trains:
        rows.extend(loops[index].rows)
    outside_ns = wall_ns - sum(row.ns for row in rows)
    spans = [span for index in trains if (span := span_of(profile.loops[index])) is not None]
    first = min((start for start, _ in spans), default=run.end_ns)
    last = max((end for _, end in spans), default=run.end_ns)
    beside = BetweenPasses(profile).beside(None)
    startup_ns = max(first - run.start_ns - beside.before_ns, 0)
    shutdown_ns = max(run.end_ns - last - beside.after_ns, 0) if spans else 0
    rows.extend(beside.rows)
    rest_ns = max(outside_ns - startup_ns - shutdown_ns - beside.ns, 0)
    samples = profile.host_samples
    rows.extend(by_samples(Part.STARTUP, startup_ns, samples))
    rows.extend(by_samples(Part.OWN_CODE, rest_ns, samples))
    rows.extend(by_samples(Part.SHUTDOWN, shutdown_ns, samples))
    return Account(wall_ns=wall_ns, rows=ordered_rows(scaled_rows(rows, wall_ns)))


def steps_return_early(profile: Profile, loop: Loop) -> bool:
    """Whether steps of Keras's return before a device has done their work."""
    return not loop.kind.hand_written and profile.run.steps_return_early


def _with_late_computing(account: Account) -> Account:
    """What Keras waits for at the end of an epoch, without a name of the user's, is the device's work."""
    rows = [
        replace(row, part=Part.COMPUTE, name=None, location=None)
        if row.part is Part.BETWEEN_EPOCHS and row.name in (None, FrameworkWork.BETWEEN_EPOCHS)
        else row
        for row in account.rows
    ]
    computing = AccountRow(
        part=Part.COMPUTE, ns=sum(row.ns for row in rows if row.part is Part.COMPUTE)
    )
    others = (row for row in rows if row.part is not Part.COMPUTE)
    return Account(wall_ns=account.wall_ns, rows=ordered_rows((*others, computing)))


# Outside of steps.


def _add_outside(
    parts: defaultdict[Part, int],
    totals: Mapping[str, int],
    outside_ns: int,
    startup_ns: int,
    shutdown_ns: int,
) -> None:
    callbacks_ns = min(max(totals["outside_callback_ns"], 0), outside_ns)
    validation_ns = min(totals["validation_ns"], outside_ns - callbacks_ns)
    rest_ns = outside_ns - callbacks_ns - validation_ns
    input_ns = min(max(totals["outside_input_ns"], 0), rest_ns)
    rest_ns -= input_ns
    startup_ns = min(startup_ns, rest_ns)
    parts[Part.CALLBACKS] += callbacks_ns
    parts[Part.VALIDATION] += validation_ns
    parts[Part.EPOCH_START] += input_ns
    shutdown_ns = min(shutdown_ns, rest_ns - startup_ns)
    parts[Part.STARTUP] += startup_ns
    parts[Part.SHUTDOWN] += shutdown_ns
    parts[Part.BETWEEN_EPOCHS] += rest_ns - startup_ns - shutdown_ns


def _pass_ns(loop: Loop) -> int:
    account = loop.account
    if account.pass_count:
        return sum(account.pass_ns)
    return loop.end_ns - loop.start_ns


def _startup_ns(profile: Profile, index: int) -> int:
    """The time from a loop's first pass to its first step; 0 where its model had trained before.

    Of a loop that failed before its first step it is all.
    """
    loop = profile.loops[index]
    start_ns = loop.account.start_ns
    trained_before = any(
        other.model is not None and other.model == loop.model and other.kind.trains
        for other in profile.loops[:index]
    )
    if start_ns is None or trained_before:
        return 0
    return max(loop.start_ns - start_ns, 0) if loop.step_count else _pass_ns(loop)


def _shutdown_ns(loop: Loop, totals: Mapping[str, int]) -> int:
    """The time from the last epoch's end to the end of a training of one pass.

    What has a place there (callbacks, a dataset's ``on_epoch_end``, workers that end) is left out.
    """
    account = loop.account
    if account.end_ns is None or account.pass_count != 1 or not len(account.epochs):
        return 0
    placed = ("outside_callback_ns", "outside_call_ns", "outside_input_ns")
    in_epochs = account.epochs[:, [_EPOCH[name] for name in placed]].sum()
    # Of many epochs some are not kept: how much of it is not theirs is not known then.
    placed_ns = max(sum(totals[name] for name in placed) - int(in_epochs), 0)
    return max(account.end_ns - int(account.epochs[-1, _EPOCH["end_ns"]]) - placed_ns, 0)


# Rows.


def _framework_rows(
    parts: dict[Part, int], ratios: Mapping[FrameworkWork, float], ended_ns: int
) -> tuple[AccountRow, ...]:
    """Takes the framework's own work out of the waits at epoch starts; gives its rows.

    Args:
        parts: what was counted, from which it is taken.
        ratios: the part of these waits.
        ended_ns: what ends of iterators took between epochs.
    """
    waited_ns = parts[Part.EPOCH_START]
    own_ns = {work: round(waited_ns * ratio) for work, ratio in ratios.items()}
    parts[Part.EPOCH_START] -= sum(own_ns.values())
    ended_ns = min(ended_ns, parts[Part.BETWEEN_EPOCHS])
    parts[Part.BETWEEN_EPOCHS] -= ended_ns
    own_ns[FrameworkWork.ITERATOR_END] = own_ns.get(FrameworkWork.ITERATOR_END, 0) + ended_ns
    return tuple(
        AccountRow(part=Part.BETWEEN_EPOCHS, ns=ns, name=work) for work, ns in own_ns.items() if ns
    )


def _last_end_rows(parts: dict[Part, int], ended_ns: int) -> tuple[AccountRow, ...]:
    """Takes the end of the last epoch's iterator out of what passes at the end; gives its row."""
    ended_ns = min(ended_ns, parts[Part.SHUTDOWN])
    parts[Part.SHUTDOWN] -= ended_ns
    row = AccountRow(part=Part.SHUTDOWN, ns=ended_ns, name=FrameworkWork.ITERATOR_END)
    return (row,) if ended_ns else ()


def _account(
    parts: Mapping[Part, int], loop: Loop, wall_ns: int, more: Iterable[AccountRow]
) -> Account:
    rows = list(more)
    for part, ns in parts.items():
        named = _called(part, ns, loop.account.calls)
        if named:
            rows.extend(with_rest(part, ns, named))
        else:
            rows.extend(by_samples(part, ns, loop.account.samples))
    return Account(wall_ns=wall_ns, rows=ordered_rows(scaled_rows(rows, wall_ns)))


def _of_epoch(
    parts: Mapping[Part, int],
    calls: Sequence[HostCall],
    wall_ns: int,
    more: Iterable[AccountRow],
) -> Account:
    rows = list(more)
    for part, ns in parts.items():
        rows.extend(with_rest(part, ns, _called(part, ns, calls)))
    return Account(wall_ns=wall_ns, rows=ordered_rows(scaled_rows(rows, wall_ns)))


def _called(part: Part, ns: int, calls: Sequence[HostCall]) -> list[AccountRow]:
    """What calls of the host's hold of a part that took so long."""
    return [
        AccountRow(
            part=part,
            ns=call.total_ns,
            count=call.calls,
            name=call.name,
            location=call.location,
            callback=call.callback,
        )
        for call in calls
        if call.part is part and call.total_ns >= NAMED_FROM * ns
    ]
