"""What to do about a host that lets the training stand still: callbacks, work between epochs, own code."""

from collections.abc import Iterator, Sequence

from pipeprof.analysis.advising.fed_by import trains_with_keras_2
from pipeprof.analysis.findings.account_findings import AccountRow
from pipeprof.analysis.findings.advice_kinds import Advice, Remedy
from pipeprof.analysis.findings.host_remedies import (
    CheaperCallback,
    CheaperOwnCode,
    PredictOnBatch,
    PrepareBeside,
    SaveLessOften,
)
from pipeprof.analysis.measures.step_statistics import MS
from pipeprof.analysis.verdicts.bounds import COMPUTE_BELOW
from pipeprof.analysis.verdicts.verdict import Verdict
from pipeprof.analysis.verdicts.wall_shares import HOST_PARTS
from pipeprof.recording.account import (
    CallbackEvent,
    CallbackMethod,
    KerasCallback,
    Part,
    PassContext,
)
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.source_code import has_name

_MOST = 3

# Fewer calls of ``predict`` than these are nobody's habit.
_FEWEST_CALLS = 5


def host_advice(verdict: Verdict) -> Iterator[Advice]:
    """What to do about the dearest places of the host, dearest first."""
    everywhere, inside = _single_predictions(verdict)
    if verdict.walls is not None:
        account, wall_ns = verdict.measured.account, verdict.walls.wall_ns
        rows = [row for row in account.rows if row.part in HOST_PARTS and _is_the_users(row)]
        dear = [row for row in rows if row.ns >= COMPUTE_BELOW * wall_ns]
        predicts = list(_predict_on_batch(inside, wall_ns))
        yield from predicts
        dear = [row for row in dear if not (predicts and row.calls_predict)]
        for row in _one_a_line(sorted(dear, key=lambda row: -row.ns))[:_MOST]:
            yield Advice(remedy=_remedy(row, keras_2=trains_with_keras_2(verdict)))
        if predicts:
            return
    run = verdict.measured.profile.run
    yield from _predict_on_batch(everywhere, run.end_ns - run.start_ns)


@dataclass(slots=True)
class _Predictions:
    """Calls of ``predict`` for a batch each, and their time together."""

    calls: int = 0
    ns: int = 0


def _single_predictions(verdict: Verdict) -> tuple[_Predictions, _Predictions]:
    """The predictions for a batch each: all of the run, and those that belong to the training's time."""
    trained = verdict.measured.loop
    everywhere, inside = _Predictions(), _Predictions()
    for loop in verdict.measured.profile.loops:
        account = loop.account
        if not loop.predicts_single_batches:
            continue
        whole_ns = sum(account.pass_ns)
        meanwhile = loop.start_ns < trained.end_ns and trained.start_ns < loop.end_ns
        inside_ns = whole_ns - (0 if meanwhile else account.pass_ns[PassContext.TOP])
        everywhere.ns += whole_ns
        everywhere.calls += account.pass_count
        inside.ns += inside_ns
        inside.calls += round(account.pass_count * inside_ns / max(whole_ns, 1))
    return everywhere, inside


def _predict_on_batch(found: _Predictions, wall_ns: int) -> Iterator[Advice]:
    """Calls of ``predict`` for a batch each make an input pipeline each."""
    if found.calls >= _FEWEST_CALLS and found.ns >= COMPUTE_BELOW * wall_ns:
        yield Advice(remedy=PredictOnBatch(calls=found.calls, call_ms=found.ns / found.calls / MS))


def _one_a_line(rows: Sequence[AccountRow]) -> list[AccountRow]:
    """The dearest row of each line, and those whose line is not known."""
    lines = {str(row.location): row for row in reversed(rows) if row.location is not None}
    return [row for row in rows if row.location is None or lines[str(row.location)] is row]


def _is_the_users(row: AccountRow) -> bool:
    if not isinstance(row.name, str):
        return False
    # What is met at the line that calls ``fit`` is Keras's own work around the training.
    if row.calls_fit:
        return False
    return row.part is not Part.BETWEEN_EPOCHS or has_name(row.name)


def _remedy(row: AccountRow, *, keras_2: bool) -> Remedy:
    name = row.name if isinstance(row.name, str) else ""
    if row.part is Part.CALLBACKS:
        return _callback_remedy(name, row.callback, keras_2=keras_2)
    if row.part is Part.BETWEEN_EPOCHS:
        return PrepareBeside(function=name)
    if row.location is not None and not has_name(name):
        name = f"the code at {row.location.short}"
    return CheaperOwnCode(function=name)


def _callback_remedy(name: str, method: CallbackMethod | None, *, keras_2: bool) -> Remedy:
    if (
        method is not None
        and method.of_keras in (KerasCallback.MODEL_CHECKPOINT, KerasCallback.BACKUP_AND_RESTORE)
        and method.event is not CallbackEvent.OTHER
    ):
        each_batch = method.event is CallbackEvent.BATCH
        return SaveLessOften(callback=method.of_keras, each_batch=each_batch, keras_2=keras_2)
    return CheaperCallback(name=name, method=method, keras_2=keras_2)
