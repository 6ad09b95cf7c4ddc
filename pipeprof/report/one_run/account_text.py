"""Where the time of a run and of its main loop went, in words: the head of a report and its Time line."""

from collections.abc import Iterable, Iterator, Sequence

from pipeprof.analysis.findings.account_findings import Account, EpochAccount
from pipeprof.analysis.findings.findings import LoopFinding
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.analysis.verdicts.wall_shares import HOST_PARTS, WAIT_PARTS
from pipeprof.recording.account import Part
from pipeprof.report.names.part_names import PART_NAMES, place_name, shown_parts
from pipeprof.report.numbers import duration, parts, percent, wait_percent
from pipeprof.report.one_run.verdict_text import why_unknown

# What comes second is named from this part of the training's time on, validation from a fifth.
_SECOND_FROM = 0.05
_VALIDATION_FROM = 0.2
# Waiting is nearly all, or mostly, where epochs begin.
_NEARLY_ALL, _MOSTLY = 0.9, 0.5
# What starts up or shuts down is named from this time, and this part of the whole run's, on.
_NAMED_FROM_NS, _NAMED_FROM = 1_000_000_000, 0.1

_GOES = {
    Part.CALLBACKS: "goes into callbacks",
    Part.BETWEEN_EPOCHS: "passes between epochs",
    Part.OWN_CODE: "goes into the training's own code",
}


def headline(main: LoopFinding) -> str:
    """What the training's time went to, in one sentence, or why that is not known.

    The training's time is the wall time of its loop without validation.
    """
    diagnosis = main.diagnosis
    wall = diagnosis.wall
    if diagnosis.bound is Bound.UNKNOWN or wall is None:
        return why_unknown(diagnosis)
    waits = "" if wall.wait_ratio is None else _waits(main.account, wall.wait_ratio)
    host = f"{percent(wall.host_ratio)} {{}}{_host(main.account)}"
    first, second = (host, waits) if diagnosis.bound is Bound.HOST or not waits else (waits, host)
    named = [first.format("of the training's time ")]
    if diagnosis.bound is Bound.COMPUTE and waits:
        named[0] = f"the input keeps up: {named[0]}"
    ratio = diagnosis.held_up.counted_ratio
    if ratio and diagnosis.bound in (Bound.INPUT, Bound.BALANCED):
        held = f"the input's own work takes {percent(ratio)} of each step"
        if ratio >= (wall.wait_ratio or 0.0):
            named.insert(0, f"{held} from the training")
        else:
            named.append(held)
    other = wall.wait_ratio if second is waits else wall.host_ratio
    if second and other is not None and other >= _SECOND_FROM:
        named.append(second.format(""))
    validation = main.account.ratio(Part.VALIDATION)
    if validation >= _VALIDATION_FROM:
        named.append(f"validation takes {percent(validation)} of the whole loop")
    return ", ".join(named)


def _waits(account: Account, ratio: float) -> str:
    starts_ns, whole_ns = account.ns(Part.EPOCH_START), account.ns(*WAIT_PARTS)
    where = ""
    if ratio >= _SECOND_FROM and starts_ns >= _NEARLY_ALL * whole_ns:
        where = ", nearly all of it where epochs begin"
    elif ratio >= _SECOND_FROM and starts_ns >= _MOSTLY * whole_ns:
        where = ", most at epoch starts"
    return f"{wait_percent(ratio)} {{}}waits for data{where}"


def _host(account: Account) -> str:
    """What most of the host's time is."""
    most = max(HOST_PARTS, key=account.ns)
    return _GOES[most]


def training_time(main: LoopFinding) -> str:
    """``10.3 s of training = wait 8.2 (epoch starts 8.0) + compute 2.0 + callbacks 0.1``."""
    account = main.account
    whole_ns = account.training_ns
    left_out = (Part.VALIDATION, Part.STARTUP, Part.COMPILE)
    known = {each.part: each.ns for each in shown_parts(account, *left_out)}
    waits_ns, starts_ns = account.ns(*WAIT_PARTS), account.ns(Part.EPOCH_START)
    folded_ns = sum(account.ns(part) for part in WAIT_PARTS if part not in known)
    known[Part.OTHER] = known.get(Part.OTHER, 0) - folded_ns
    order = (Part.COMPUTE, *HOST_PARTS, Part.OTHER)
    whole_ms = whole_ns / 1e6
    nothing, waits, starts = parts(whole_ms, 0.0, waits_ns / 1e6, starts_ns / 1e6)
    at_starts = f" (epoch starts {starts})" if starts != nothing else ""
    pieces = [f"wait {waits}{at_starts}"] if waits_ns else []
    pieces += _pieces(whole_ms, [(part, known[part]) for part in order if part in known])
    return f"{duration(whole_ms)} of training = {' + '.join(pieces)}"


def time_pieces(account: Account) -> list[str]:
    """``14.9 s: start-up 3.1 (import keras 2.9)``, ``compile 1.4``, …: the parts of an account in order."""
    whole_ms = account.wall_ns / 1e6
    pieces = [
        f"{piece}{_mostly(account, each.part)}"
        for each in shown_parts(account)
        for piece in _pieces(whole_ms, [(each.part, each.ns)])
    ]
    return [f"{duration(whole_ms)}: {pieces[0]}", *pieces[1:]] if pieces else []


def _mostly(account: Account, part: Part) -> str:
    """`` (import keras 2.9)``: what most of a long start or end goes into; other parts have a table."""
    if part not in (Part.STARTUP, Part.SHUTDOWN):
        return ""
    named = [row for row in account.rows if row.part is part and row.name is not None]
    most = max(named, key=lambda row: row.ns, default=None)
    if most is None or most.name is None:
        return ""
    least_ns = max(_NAMED_FROM_NS, _NAMED_FROM * account.wall_ns, _MOSTLY * account.ns(part))
    if most.ns < least_ns:
        return ""
    (time,) = parts(account.wall_ns / 1e6, most.ns / 1e6)
    return f" ({place_name(most.name)} {time})"


def _pieces(whole_ms: float, times: Iterable[tuple[Part, int]]) -> list[str]:
    """``compute 2.0``: parts with their times, but for those of which nothing shows."""
    (nothing,) = parts(whole_ms, 0.0)
    written = [(PART_NAMES[part], parts(whole_ms, ns / 1e6)[0]) for part, ns in times]
    return [f"{name} {time}" for name, time in written if time != nothing]


# Epochs.

# Epochs whose waits or durations are further apart than this are not alike.
_ALIKE_WAIT = 0.1
_ALIKE_TIME = 1.5
_MOST_GROUPS = 4


def epoch_pieces(epochs: Sequence[EpochAccount]) -> list[str]:
    """``epoch 1 4.3 s, waits 75 %``, ``2 to 5 0.9 s each, waits 1.0 %``; none where all are alike."""
    groups = _alike(epochs)
    if len(groups) < 2:
        return []
    if len(groups) > _MOST_GROUPS:
        return list(_ranges(epochs))
    return [_described(group) for group in groups]


def _alike(epochs: Sequence[EpochAccount]) -> list[list[EpochAccount]]:
    """Runs of epochs that follow one another and are alike."""
    groups: list[list[EpochAccount]] = []
    for epoch in epochs:
        if groups and _are_alike(groups[-1][0], epoch):
            groups[-1].append(epoch)
        else:
            groups.append([epoch])
    return groups


def _are_alike(one: EpochAccount, other: EpochAccount) -> bool:
    short, long = sorted((one.account.wall_ns, other.account.wall_ns))
    apart = abs(wait_ratio(one.account) - wait_ratio(other.account))
    return apart < _ALIKE_WAIT and long <= _ALIKE_TIME * short


def wait_ratio(account: Account) -> float:
    """The part of the training's time in an account that waits for data."""
    return account.wait_ratio or 0.0


def _described(group: Sequence[EpochAccount]) -> str:
    first, last = group[0].epoch + 1, group[-1].epoch + 1
    mean_ms = sum(each.account.wall_ns for each in group) / len(group) / 1e6
    whole_ns = sum(each.account.training_ns for each in group)
    waits_ns = sum(each.account.ns(*WAIT_PARTS) for each in group)
    which = f"{first:,}" if first == last else f"{first:,} to {last:,}"
    each = "" if first == last else " each"
    waits = f"waits {percent(waits_ns / whole_ns)}" if whole_ns > 0 else ""
    return f"{which}: {duration(mean_ms)}{each}, {waits}"


def _ranges(epochs: Sequence[EpochAccount]) -> Iterator[str]:
    lengths = sorted(each.account.wall_ns / 1e6 for each in epochs)
    waits = sorted(wait_ratio(each.account) for each in epochs)
    yield f"{duration(lengths[0])} to {duration(lengths[-1])} each"
    yield f"waits {percent(waits[0])} to {percent(waits[-1])}"
