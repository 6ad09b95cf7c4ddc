"""How stages feed one another, laid out from the top down: a row a stage, a column a branch."""

from collections import defaultdict
from collections.abc import Sequence

from pipeprof.analysis.findings.findings import StageFinding
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.stage import Stage, StageKind

Edge = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Where stages stand.

    Attributes:
        rows: the stages, those that give first first; the training takes from the last ones.
        columns: the branch that each of them lies on, from 0.
        into: by row, the row of the stage that it feeds, or None where that is the training.
        left_out: stages that have no row.
    """

    rows: tuple[StageFinding, ...]
    columns: tuple[int, ...]
    into: tuple[int | None, ...]
    left_out: tuple[StageFinding, ...]


def lay_out(found: Sequence[StageFinding], stages: Sequence[Stage], most: int) -> Flow:
    """Rows for the ``most`` dearest stages; one that is left out is bridged.

    Args:
        found: the stages to show.
        stages: all stages of the run, whose parents are the stages that ask them.
        most: how many rows there may be.
    """
    by_cost = sorted(found, key=lambda each: (-each.cost_ms, each.index))
    kept = {each.index: each for each in by_cost[:most]}
    asked_by = _asked_by(kept, stages)
    askers: dict[int | None, list[int]] = defaultdict(list)
    for index, asker in asked_by.items():
        askers[asker].append(index)
    order = _walk(askers, kept)
    row_of = {index: row for row, (index, _) in enumerate(order)}
    into = [asked_by[index] for index, _ in order]
    return Flow(
        rows=tuple(kept[index] for index, _ in order),
        columns=tuple(column for _, column in order),
        into=tuple(None if asker is None else row_of[asker] for asker in into),
        left_out=tuple(by_cost[most:]),
    )


def _asked_by(kept: dict[int, StageFinding], stages: Sequence[Stage]) -> dict[int, int | None]:
    asked_by = {index: _nearest(index, kept, stages) for index in kept}
    called = set(asked_by.values())
    doors = [
        index
        for index, each in kept.items()
        if each.stage.kind is StageKind.TF_DATA_PYTHON and index not in called
    ]
    # Python code that nobody asks, beside the one stage of tf.data that asks Python code.
    if len(doors) == 1:
        for index, asker in asked_by.items():
            if asker is None and _is_users_python(stages[index]):
                asked_by[index] = doors[0]
    return asked_by


def _is_users_python(stage: Stage) -> bool:
    return stage.kind.python and stage.kind is not StageKind.TF_DATA_PYTHON


def _nearest(index: int, kept: dict[int, StageFinding], stages: Sequence[Stage]) -> int | None:
    at = kept[index].stage.parent
    while at is not None and at not in kept:
        at = stages[at].parent
    return at


def _walk(askers: dict[int | None, list[int]], kept: dict[int, StageFinding]) -> list[Edge]:
    """Each stage after all that feed it, with its column: the dearest branch goes straight on."""
    order: list[Edge] = []
    columns = 0
    todo = [(root, -1, False) for root in sorted(askers[None], reverse=True)]
    while todo:
        index, column, fed = todo.pop()
        if fed:
            order.append((index, column))
            continue
        if column < 0:
            column, columns = columns, columns + 1
        todo.append((index, column, True))
        asked = sorted(askers.get(index, ()), reverse=True)
        straight = max(asked, key=lambda each: _work_ms(each, askers, kept), default=None)
        todo.extend((each, column if each == straight else -1, False) for each in asked)
    return order


def _work_ms(
    index: int, askers: dict[int | None, list[int]], kept: dict[int, StageFinding]
) -> float:
    """The work of a stage and of all that feed it."""
    total_ms, todo = 0.0, [index]
    while todo:
        at = todo.pop()
        total_ms += kept[at].cost_ms
        todo.extend(askers.get(at, ()))
    return total_ms
