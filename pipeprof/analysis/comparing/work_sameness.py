"""Whether runs did the same work, so that their times can be compared."""

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Any

import numpy as np

from pipeprof.analysis.findings.findings import Findings
from pipeprof.analysis.findings.losses import losses_of
from pipeprof.recording.delivered_content import BATCH_COLUMNS
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import Loop


class Aspect(Enum):
    """In what runs may differ."""

    BACKEND = "backend"
    CORES = "cores"
    DEVICES = "devices"
    PARAMETERS = "parameters"
    COMPUTE_DTYPE = "compute_dtype"
    OPTIMIZER = "optimizer"
    BATCH_SIZE = "batch_size"
    ARRAYS = "arrays"
    LOOP = "loop"
    INPUT = "input"
    STEPS = "steps"
    EPOCHS = "epochs"
    SAMPLES = "samples"
    HOST = "host"
    VERSIONS = "versions"
    CONTENT = "content"
    ORDER = "order"
    LOSSES = "losses"

    @property
    def forbids_gate(self) -> bool:
        """Whether the times of runs that differ in it say nothing about a change of the code."""
        return self in _FORBIDDING


_FORBIDDING = (
    Aspect.BACKEND,
    Aspect.CORES,
    Aspect.DEVICES,
    Aspect.PARAMETERS,
    Aspect.BATCH_SIZE,
)


class Sameness(Enum):
    """Whether runs did the same work."""

    SAME = "same"
    """Equal samples in equal order, in batches of one size, for models of one size."""
    OTHER_ORDER = "other_order"
    """Equal samples in another order."""
    DIFFERENT = "different"
    UNKNOWN = "unknown"
    """Nothing differs in what was recorded, but the content of the batches was not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Differs:
    """Something in which two groups of runs differ; the values are for readers.

    Attributes:
        aspect: in what.
        before: values of the first group.
        after: values of the second group.
    """

    aspect: Aspect
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LossMatch:
    """The losses of two runs, batch by batch.

    Attributes:
        compared: batches whose losses both runs have.
        equal: how many of the first of them are equal to a millionth.
        largest: largest difference, as a part of the loss.
    """

    compared: int
    equal: int
    largest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Whether two groups of runs did the same work.

    Attributes:
        sameness: whether they did.
        differs: in what they differ, what matters most first.
        losses: how far the losses of the first runs of the groups agree, or None.
    """

    sameness: Sameness
    differs: tuple[Differs, ...]
    losses: LossMatch | None

    @property
    def forbids_gate(self) -> tuple[Differs, ...]:
        """The differences for which a gate cannot decide."""
        return tuple(each for each in self.differs if each.aspect.forbids_gate)


# Losses are 32-bit floats.
_EQUAL = 1e-6

_NOT_WORK = (Aspect.HOST, Aspect.VERSIONS, Aspect.CORES, Aspect.DEVICES, Aspect.LOSSES)
# Of a loop of one's own no epochs are known, so that these may differ where the batches are equal.
_OF_EPOCHS = (Aspect.EPOCHS, Aspect.CONTENT, Aspect.ORDER)
_CONTENT_COLUMNS = [BATCH_COLUMNS.index("samples"), BATCH_COLUMNS.index("content")]
# Feeding a model in another way is what is often compared: it is not other work.
_HOW_FED = (Aspect.INPUT, Aspect.LOOP)


def compare_work(before: Sequence[Findings], after: Sequence[Findings]) -> Work:
    """Compares what two groups of runs did; each has a main loop."""
    differs = tuple(_differences(before, after))
    if _are_equal_batch_by_batch((*before, *after)):
        differs = tuple(each for each in differs if each.aspect not in _OF_EPOCHS)
    losses = _match_losses(before[0], after[0])
    return Work(sameness=_sameness(before, after, differs), differs=differs, losses=losses)


def _are_equal_batch_by_batch(runs: Sequence[Findings]) -> bool:
    """Whether all runs consumed equal batches, one after the other, and all batches were kept."""
    found = []
    for findings in runs:
        loop = _main(findings)
        delivery = loop.delivery if loop is not None else None
        if delivery is None or not 0 < delivery.batch_count == len(delivery.batches):
            return False
        found.append(delivery.batches[:, _CONTENT_COLUMNS])
    return all(np.array_equal(found[0], each) for each in found[1:])


def _sameness(
    before: Sequence[Findings], after: Sequence[Findings], differs: Sequence[Differs]
) -> Sameness:
    aspects = {each.aspect for each in differs} - {*_NOT_WORK, *_HOW_FED}
    if aspects - {Aspect.ORDER}:
        return Sameness.DIFFERENT
    if any(_content(findings) is None for findings in (*before, *after)):
        return Sameness.UNKNOWN
    return Sameness.OTHER_ORDER if aspects else Sameness.SAME


def _differences(before: Sequence[Findings], after: Sequence[Findings]) -> Iterator[Differs]:
    for aspect in Aspect:
        read = _READ.get(aspect)
        if read is None:
            continue
        first = {value for value in map(read, before) if value is not None}
        second = {value for value in map(read, after) if value is not None}
        if first and second and first != second:
            yield Differs(aspect=aspect, before=_shown(first), after=_shown(second))


def _shown(values: set[Any]) -> str:
    return ", ".join(sorted(map(str, values)))


def _main(findings: Findings) -> Loop | None:
    return findings.main.loop if findings.main is not None else None


def _of_loop(read: Callable[[Loop], Any]) -> Callable[[Findings], Any]:
    def of_findings(findings: Findings) -> Any:
        loop = _main(findings)
        return None if loop is None else read(loop)

    return of_findings


def _of_model(name: str) -> Callable[[Findings], Any]:
    return _of_loop(lambda loop: getattr(loop.trained_model, name) if loop.trained_model else None)


def _batch_size(findings: Findings) -> int | None:
    delivery, loop = findings.delivery, _main(findings)
    if delivery and delivery.consumed and delivery.consumed.batch_size:
        return delivery.consumed.batch_size
    if delivery and delivery.batch_sizes:
        return max(delivery.batch_sizes)
    if loop is None or not loop.sample_count or not loop.batch_count or loop.epochs < 1:
        return None
    # The short batch at an epoch's end makes the mean a little less.
    each = loop.sample_count / loop.batch_count
    return None if each != int(each) else int(each)


def _arrays(findings: Findings) -> str | None:
    delivery = findings.delivery
    if delivery is None or delivery.consumed is None or not delivery.consumed.shapes:
        return None
    shape = delivery.consumed.shapes[0]
    pairs = zip(shape.dtypes, shape.shapes, strict=True)
    return ", ".join(f"{dtype} {list(lengths[1:])}" for dtype, lengths in pairs)


def _versions(findings: Findings) -> str | None:
    versions = findings.profile.run.versions
    known = [
        f"{name} {versions[name]}"
        for name in ("python", "tensorflow", "keras", "jax", "torch")
        if name in versions
    ]
    return ", ".join(known) or None


def _devices(findings: Findings) -> str | None:
    return ", ".join(sorted(d.model or d.kind for d in findings.profile.devices)) or None


def _content(findings: Findings) -> str | None:
    delivery = findings.delivery
    return delivery.consumed.unordered if delivery and delivery.consumed else None


def _order(findings: Findings) -> str | None:
    delivery = findings.delivery
    return delivery.consumed.ordered if delivery and delivery.consumed else None


_READ: dict[Aspect, Callable[[Findings], Any]] = {
    Aspect.BACKEND: lambda findings: findings.profile.run.backend,
    Aspect.CORES: lambda findings: findings.profile.cpu.limit or findings.profile.cpu.cores,
    Aspect.DEVICES: _devices,
    Aspect.PARAMETERS: _of_model("parameters"),
    Aspect.COMPUTE_DTYPE: _of_model("compute_dtype"),
    Aspect.OPTIMIZER: _of_model("optimizer"),
    Aspect.BATCH_SIZE: _batch_size,
    Aspect.ARRAYS: _arrays,
    Aspect.LOOP: _of_loop(lambda loop: loop.kind.value),
    Aspect.INPUT: _of_loop(lambda loop: loop.input.kind.value if loop.input.kind else None),
    Aspect.STEPS: _of_loop(lambda loop: loop.step_count),
    Aspect.EPOCHS: _of_loop(lambda loop: loop.epochs),
    Aspect.SAMPLES: _of_loop(lambda loop: loop.sample_count),
    Aspect.HOST: lambda findings: ", ".join(findings.profile.run.hosts),
    Aspect.VERSIONS: _versions,
    Aspect.CONTENT: _content,
    Aspect.ORDER: _order,
}


def _match_losses(first: Findings, second: Findings) -> LossMatch | None:
    """The raw losses where both have them, batch by batch."""
    loops = _main(first), _main(second)
    deliveries = [loop.delivery for loop in loops if loop is not None]
    if len(deliveries) < 2 or deliveries[0] is None or deliveries[1] is None:
        return None
    one, other = losses_of(deliveries[0]), losses_of(deliveries[1])
    _, here, there = np.intersect1d(one.ordinal, other.ordinal, return_indices=True)
    if not len(here):
        return None
    left, right = one.raw[here], other.raw[there]
    known = np.isfinite(left) & np.isfinite(right)
    left, right = left[known], right[known]
    if not len(left):
        return None
    apart = np.abs(left - right) / np.maximum(np.maximum(np.abs(left), np.abs(right)), 1e-12)
    # A raw loss that is a difference of two means is known less exactly the later it is in its epoch.
    exact = _EQUAL * np.maximum(1.0, one.samples_before[here][known])
    unequal = np.flatnonzero(apart > exact)
    equal = int(unequal[0]) if len(unequal) else len(apart)
    return LossMatch(compared=len(apart), equal=equal, largest=float(apart.max()))
