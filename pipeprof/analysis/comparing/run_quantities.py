"""The quantities of a run by which it is compared with others, each with how much it varies in the run.

Names are those of the JSON report, so that a gate's expressions can name what a report shows.
"""

from collections import defaultdict
from collections.abc import Iterator
from enum import Enum

import numpy as np

from pipeprof.analysis.comparing.run_noise import Measured
from pipeprof.analysis.findings.account_findings import Account
from pipeprof.analysis.findings.findings import Findings, LoopFinding
from pipeprof.analysis.measures.step_blocks import StepBlocks, step_blocks
from pipeprof.recording.account import Part
from pipeprof.recording.lane import Role
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.series import FloatArray

# Fewer epochs do not show how much they differ. The first one also compiles.
_FEWEST_EPOCHS = 4
_OWN_NS = 1
_NOTHING: FloatArray = np.empty(0)


class Unit(Enum):
    """What a quantity is measured in."""

    MS = "ms"
    S = "s"
    RATIO = "ratio"
    PER_S = "per_s"


class Group(Enum):
    """Where in a comparison a quantity is shown."""

    STEP = "step"
    WHOLE = "whole"
    ACCOUNT = "account"
    STAGE = "stage"
    LANE = "lane"


class StepPart(Enum):
    """A step, or what it is made of."""

    WHOLE = "step"
    WAIT = "wait"
    COMPUTE = "compute"
    CALLBACKS = "callbacks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A quantity by which runs are compared.

    Attributes:
        what: what it is, with its unit (``step_ms``, ``cost_ms``).
        unit: what it is measured in.
        group: where it is shown.
        subject: what it is a quantity of: a part of the account or of a step, or the name of a stage or
            a lane; None for the whole run.
        more_is_worse: whether a run is worse where it is more; None where it is neither.
    """

    what: str
    unit: Unit
    group: Group
    subject: Part | StepPart | str | None = None
    more_is_worse: bool | None = True

    @property
    def name(self) -> str:
        """Its name in expressions: ``step_ms``, ``stage:decode.cost_ms``."""
        match self.group:
            case Group.STEP | Group.WHOLE:
                return self.what
            case Group.ACCOUNT | Group.STAGE | Group.LANE:
                named = self.subject.value if isinstance(self.subject, Enum) else self.subject
                return f"{self.group.value}:{named}.{self.what}"


Quantities = dict[str, tuple[Quantity, Measured]]


def quantities_of(findings: Findings) -> Quantities:
    """The quantities of a run's main loop, by name; those that were not measured are not there."""
    main = findings.main
    if main is None:
        return {}
    blocks = step_blocks(main.loop)
    found = [
        *(_of_steps(blocks) if blocks is not None else ()),
        *_of_whole(main, blocks),
        *_of_account(main),
        *_of_stages(findings, blocks),
        *_of_lanes(findings, blocks),
    ]
    return {quantity.name: (quantity, measured) for quantity, measured in found}


def _of_steps(all_blocks: StepBlocks) -> Iterator[tuple[Quantity, Measured]]:
    """Of the quieter half of the run: parts add up to the step, and bursts of other load do not count."""
    blocks = all_blocks.quieter_half()
    for what, part, values in (
        ("step_ms", StepPart.WHOLE, blocks.step_ms),
        ("wait_ms", StepPart.WAIT, blocks.wait_ms),
        ("compute_ms", StepPart.COMPUTE, blocks.compute_ms),
        ("callback_ms", StepPart.CALLBACKS, blocks.callback_ms),
        ("step_ms_p10", None, blocks.low_ms),
    ):
        measured = Measured.of_blocks(values)
        if measured is not None:
            yield Quantity(what=what, unit=Unit.MS, group=Group.STEP, subject=part), measured


def _of_whole(main: LoopFinding, blocks: StepBlocks | None) -> Iterator[tuple[Quantity, Measured]]:
    wall = main.diagnosis.wall
    if main.diagnosis.samples_per_s is not None:
        quantity = Quantity(
            what="samples_per_s", unit=Unit.PER_S, group=Group.WHOLE, more_is_worse=False
        )
        varies = _NOTHING
        if blocks is not None:
            varies = main.diagnosis.samples_per_s * np.median(blocks.step_ms) / blocks.step_ms
        yield quantity, Measured(value=main.diagnosis.samples_per_s, blocks=varies)
    if main.loop.step_count:
        each = main.account.training_ns / 1e6 / main.loop.step_count
        varies = blocks.step_ms if blocks is not None else _NOTHING
        yield (
            Quantity(what="wall_step_ms", unit=Unit.MS, group=Group.WHOLE),
            Measured(value=each, blocks=varies),
        )
    if wall is not None and wall.wait_ratio is not None:
        waits = _over_epochs(main, Part.WAIT, Part.EPOCH_START)
        yield (
            Quantity(what="wall_wait_ratio", unit=Unit.RATIO, group=Group.WHOLE),
            Measured(value=wall.wait_ratio, blocks=waits),
        )
    if wall is not None:
        host = _over_epochs(main, Part.CALLBACKS, Part.BETWEEN_EPOCHS, Part.OWN_CODE)
        yield (
            Quantity(what="wall_host_ratio", unit=Unit.RATIO, group=Group.WHOLE),
            Measured(value=wall.host_ratio, blocks=host),
        )


def _over_epochs(main: LoopFinding, *parts: Part) -> FloatArray:
    """Some parts of an account together in each epoch but the first, as a part of its time."""
    accounts = [epoch.account for epoch in main.epochs[1:]]
    if len(accounts) < _FEWEST_EPOCHS:
        return _NOTHING
    return np.array([account.ratio(*parts) for account in accounts])


def _of_account(main: LoopFinding) -> Iterator[tuple[Quantity, Measured]]:
    account: Account = main.account
    for part in Part:
        ns = account.ns(part)
        varies = _over_epochs(main, part)
        ratio = Measured(value=account.ratio(part), blocks=varies)
        yield Quantity(what="ratio", unit=Unit.RATIO, group=Group.ACCOUNT, subject=part), ratio
        seconds = Measured(value=ns / 1e9, blocks=varies * account.wall_ns / 1e9)
        yield Quantity(what="s", unit=Unit.S, group=Group.ACCOUNT, subject=part), seconds


def _of_stages(
    findings: Findings, blocks: StepBlocks | None
) -> Iterator[tuple[Quantity, Measured]]:
    costs: dict[str, float] = defaultdict(float)
    varies: dict[str, FloatArray] = {}
    for found in findings.stages:
        name = found.stage.name
        costs[name] += found.cost_ms
        if blocks is not None:
            each = blocks.per_step(found.stage.work, _OWN_NS) / 1e6
            varies[name] = each + varies[name] if name in varies else each
    for name, cost_ms in costs.items():
        quantity = Quantity(what="cost_ms", unit=Unit.MS, group=Group.STAGE, subject=name)
        yield quantity, Measured(value=cost_ms, blocks=varies.get(name, _NOTHING))


def _of_lanes(findings: Findings, blocks: StepBlocks | None) -> Iterator[tuple[Quantity, Measured]]:
    for found, lane in zip(findings.lanes, findings.profile.lanes, strict=False):
        if found.busy_ratio is None or lane.role is Role.OTHER:
            continue
        quantity = Quantity(
            what="busy_ratio",
            unit=Unit.RATIO,
            group=Group.LANE,
            subject=lane.name,
            more_is_worse=None,
        )
        varies = _NOTHING if blocks is None else blocks.per_ns(lane.busy, 0)
        yield quantity, Measured(value=found.busy_ratio, blocks=varies)
