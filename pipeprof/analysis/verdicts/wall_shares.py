"""What part of a loop's wall time its waiting and its host took, and how sure that is."""

from collections.abc import Iterator

import numpy as np

from pipeprof.analysis.findings.account_findings import Account, FrameworkWork, HostPlace, PlaceName
from pipeprof.analysis.findings.findings import Interval, WallShares
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.analysis.measures.epoch_starts import NO_FRAMEWORK_STARTS, FrameworkStarts
from pipeprof.analysis.verdicts.bounds import COMPUTE_BELOW, bound_by_shares
from pipeprof.recording.account import COMPILATION_COLUMNS, EPOCH_COLUMNS, HostState, Part
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import LOOP_CHANNELS, Loop
from pipeprof.recording.series import FloatArray, IntArray

# What clocks around the model's calls leave of the steps, if it is less than this, has been seen too seldom
# to be sampled, and is no long wait.
_CLOCKED_BELOW = 2 * COMPUTE_BELOW

WAIT_PARTS = (Part.EPOCH_START, Part.WAIT)
STEP_PARTS = (Part.WAIT, Part.COMPUTE, Part.CALLBACKS, Part.OWN_CODE)
HOST_PARTS = (Part.CALLBACKS, Part.BETWEEN_EPOCHS, Part.OWN_CODE)

# Neighbouring steps are alike: so many of them are drawn together, fewer where there are few steps.
_BLOCK_STEPS = 10
_RESAMPLES = 200
_SEED = 11
# A place that takes less of the wall time is none that the host's time went to.
_PLACE_FROM = 0.002
# The middle 90 % of the resamples are the interval.
_LOW, _HIGH = 0.05, 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class WallResamples:
    """Ratios to the training's time (`Account.training_ns`), as measured and as drawn again.

    Attributes:
        wait: waiting, as measured; None when nothing measured it.
        host: the host's work, as measured.
        framework: the framework's own part of it, between epochs.
        unnamed: the part of it, between epochs, that has no name.
        waits: waiting in each resample.
        hosts: the host's work in each resample.
        wall_ns: the training's time.
        held: what the input's own work takes from the training's computing; it counts as the input's.
        hidden: the part of the waiting in which a device worked on; it counts as computing.
    """

    wait: float | None
    host: float
    framework: float
    unnamed: float
    waits: FloatArray
    hosts: FloatArray
    wall_ns: int
    held: float = 0.0
    hidden: float = 0.0

    def shares(self) -> WallShares:
        """The ratios with their intervals."""
        return WallShares(
            wait_ratio=self.wait,
            wait_interval=None if self.wait is None else _interval(self.waits),
            host_ratio=self.host,
            host_interval=_interval(self.hosts),
        )

    @property
    def bound(self) -> Bound:
        """What the loop's speed hangs on."""
        return self._bound(self.wait, self.host)

    @property
    def input(self) -> float:
        """What the input takes of the training's time: its waits, and what it holds up."""
        return self._of_input(self.wait or 0.0)

    @property
    def agreement(self) -> float:
        """The part of the resamples that have the same `bound`."""
        known = self.wait is not None
        drawn = zip(self.waits.tolist(), self.hosts.tolist(), strict=True)
        bounds = [self._bound(wait if known else None, host) for wait, host in drawn]
        return bounds.count(self.bound) / len(bounds)

    def _bound(self, wait: float | None, host: float) -> Bound:
        input_ = None if wait is None else self._of_input(wait)
        return bound_by_shares(input_, host, self.framework, self.unnamed)

    def _of_input(self, wait: float) -> float:
        return min(max(wait - self.hidden, 0.0) + self.held, 1.0)


def _interval(drawn: FloatArray) -> Interval:
    low, high = np.quantile(drawn, (_LOW, _HIGH)).tolist()
    return Interval(low=low, high=high)


def waits_known(loop: Loop) -> bool:
    """Whether anything shows how long the loop waited: clocks, or samples of what it did."""
    account = loop.account
    measured_ns = account.totals[0, EPOCH_COLUMNS.index("measured_ns")]
    blocked = (account.compilations[:, COMPILATION_COLUMNS.index("wait_ns")] >= 0).any()
    if loop.waits_by is not None and (measured_ns > 0 or blocked):
        return True
    return _is_sampled(loop)


def _is_sampled(loop: Loop) -> bool:
    """Whether samples show what a loop's thread did, or its clocks leave no time for much else."""
    samples = loop.account.samples
    return any(each.state is not HostState.BESIDE for each in samples) or _is_clocked(loop)


def _is_clocked(loop: Loop) -> bool:
    """Whether clocks around the model's calls leave a hand-written loop no time to wait for long."""
    totals = dict(zip(EPOCH_COLUMNS, loop.account.totals[0].tolist(), strict=True))
    plain_ns = totals["step_ns"] - totals["compile_step_ns"]
    if not loop.kind.hand_written or plain_ns <= 0:
        return False
    return bool(plain_ns - totals["model_ns"] < _CLOCKED_BELOW * plain_ns)


def measured_ratio(loop: Loop) -> float:
    """The part of its steps' time whose waiting was measured; samples are of all of it."""
    totals = dict(zip(EPOCH_COLUMNS, loop.account.totals[0].tolist(), strict=True))
    plain_ns = totals["step_ns"] - totals["compile_step_ns"]
    if plain_ns <= 0 or _is_sampled(loop):
        return 1.0
    return float(min(totals["measured_ns"] / plain_ns, 1.0))


def wall_resamples(
    loop: Loop,
    account: Account,
    starts: FrameworkStarts = NO_FRAMEWORK_STARTS,
    *,
    held: float = 0.0,
) -> WallResamples | None:
    """The ratios of a loop, drawn again from blocks of its steps and from its epochs; None without time.

    Blocks are of neighbouring steps; each epoch's first step, and what an epoch has outside of its
    steps, are blocks of their own. All else, compiling too, is the same in each resample.

    Args:
        loop: the loop.
        account: its account.
        starts: what of the waits at its epochs' starts is the framework's own work.
        held: as `WallResamples` has it.
    """
    wall_ns = account.training_ns
    if wall_ns <= 0:
        return None
    wait, host = account.ns(*WAIT_PARTS) / wall_ns, account.ns(*HOST_PARTS) / wall_ns
    drawn: FloatArray = np.zeros((_RESAMPLES, 3))
    random = np.random.default_rng(_SEED)
    for blocks, weight in _blocks(loop, account, starts):
        if len(blocks):
            chosen = random.integers(0, len(blocks), (_RESAMPLES, len(blocks)))
            drawn += (blocks[chosen].sum(axis=1) - blocks.sum(axis=0)) * weight
    chance_ns = random.normal(0.0, 1.0, _RESAMPLES) * _sampling_error_ns(loop, account)
    drawn[:, 0] += chance_ns
    drawn[:, 1] -= chance_ns
    lasted = np.maximum(wall_ns + drawn[:, 2], 1.0)
    return WallResamples(
        wait=min(wait, 1.0) if waits_known(loop) else None,
        host=min(host, 1.0),
        framework=min(_between_ns(account, *FrameworkWork) / wall_ns, host),
        unnamed=min(_between_ns(account, None) / wall_ns, host),
        waits=np.clip((wait * wall_ns + drawn[:, 0]) / lasted, 0.0, 1.0),
        hosts=np.clip((host * wall_ns + drawn[:, 1]) / lasted, 0.0, 1.0),
        wall_ns=wall_ns,
        held=held,
    )


def _sampling_error_ns(loop: Loop, account: Account) -> float:
    """The standard error of what samples count as waiting, and not as the host's work or the model's."""
    others = (HostState.FEEDING, HostState.BESIDE)
    samples = [
        each
        for each in loop.account.samples
        if each.part is Part.OWN_CODE and each.state not in others
    ]
    waits = [each for each in samples if each.state in (HostState.WAITING, HostState.MAKING)]
    sampled_ns = account.ns(Part.WAIT, Part.OWN_CODE)
    if not waits:
        return 0.0
    variance = sum((each.error or 0.0) ** 2 for each in waits)
    return float(variance**0.5 / sum(each.samples for each in samples) * sampled_ns)


def _between_ns(account: Account, *names: PlaceName | None) -> int:
    """What passes between epochs in rows of certain names."""
    return sum(
        row.ns for row in account.rows if row.part is Part.BETWEEN_EPOCHS and row.name in names
    )


def _blocks(
    loop: Loop, account: Account, framework: FrameworkStarts
) -> Iterator[tuple[FloatArray, float]]:
    """Rows of waiting, host's work and wall time, a row a block, and what a change of their sum weighs.

    Where only some of the blocks were kept, the others change as much by themselves: the weight is the
    root of how many there are to one that was kept.
    """
    steps = loop.steps
    plain = ~np.isin(steps.ordinal, loop.account.compiled_steps)
    if plain.any():
        first = steps.first_of_epoch()[plain]
        each = _of_steps(loop, account, framework)[plain]
        yield each[first], _weight(loop.epochs, int(first.sum()))
        inside = each[~first]
        length = min(max(len(inside) // _BLOCK_STEPS, 1), _BLOCK_STEPS)
        starts = np.arange(0, len(inside), length)
        if len(inside):
            weight = _weight(loop.step_count - loop.epochs, len(inside))
            yield np.add.reduceat(inside, starts, axis=0), weight
    epochs = loop.account.epochs
    if len(epochs):
        yield _of_epochs(epochs), _weight(loop.epochs, len(epochs))


def _weight(all_: int, kept: int) -> float:
    return float(np.sqrt(max(all_ / kept, 1.0))) if kept else 1.0


def _of_steps(loop: Loop, account: Account, starts: FrameworkStarts) -> FloatArray:
    """The wait, the host's part as far as it is known, and the duration of each kept step.

    Callbacks are known by time bin; of a hand-written loop, its own code as a part of all computing.
    """
    steps = loop.steps
    lasted = (steps.end_ns - steps.start_ns).astype(np.float64)
    waited = np.where(steps.measured, steps.wait_ns, 0).astype(np.float64)
    called = np.minimum(_callbacks_of(steps.end_ns, loop), lasted - waited)
    own_ns, computed_ns = account.ns(Part.OWN_CODE), account.ns(Part.COMPUTE)
    own_ratio = own_ns / (own_ns + computed_ns) if loop.kind.hand_written and own_ns else 0.0
    host = called + own_ratio * (lasted - waited - called)
    for first in np.flatnonzero(steps.first_of_epoch()).tolist():
        own_ns = waited[first] * sum(starts.of(int(steps.epoch[first])).values())
        waited[first] -= own_ns
        host[first] += own_ns
    each: FloatArray = np.column_stack([waited, host, lasted])
    return each


def _callbacks_of(ends_ns: IntArray, loop: Loop) -> FloatArray:
    """What callbacks took of steps on average in the time bins in which these steps ended."""
    over_time = loop.over_time
    if not len(over_time.sums):
        return np.zeros(len(ends_ns))
    bins = (ends_ns - 1 - over_time.start_ns) // max(over_time.width_ns, 1)
    sums = over_time.sums[np.clip(bins, 0, len(over_time.sums) - 1)]
    steps, called = (sums[:, LOOP_CHANNELS.index(name)] for name in ("steps", "callback_ns"))
    mean: FloatArray = called / np.maximum(steps, 1)
    return mean


def _of_epochs(epochs: IntArray) -> FloatArray:
    """The input's and the host's time of each kept epoch outside of its steps, validation left out."""
    column = {name: epochs[:, index] for index, name in enumerate(EPOCH_COLUMNS)}
    outside = column["end_ns"] - column["start_ns"] - column["step_ns"] - column["validation_ns"]
    lasted = np.maximum(outside, 0).astype(np.float64)
    waited = np.clip(column["outside_input_ns"], 0, lasted)
    each: FloatArray = np.column_stack([waited, lasted - waited, lasted])
    return each


def host_places(account: Account) -> tuple[HostPlace, ...]:
    """What has a name of the host's time, dearest first."""
    wall_ns = account.training_ns
    named = [row for row in account.rows if row.part in HOST_PARTS and row.name is not None]
    return tuple(
        HostPlace(
            name=row.name or "",
            location=row.location,
            ratio=min(row.ns / wall_ns, 1.0),
            error=None if row.error_ns is None else row.error_ns / wall_ns,
        )
        for row in sorted(named, key=lambda row: -row.ns)
        if wall_ns > 0 and row.ns >= _PLACE_FROM * wall_ns
    )
