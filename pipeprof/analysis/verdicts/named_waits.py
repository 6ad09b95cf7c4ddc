"""Names the waits of an account by the stages of the input that they are for."""

from dataclasses import replace

from pipeprof.analysis.findings.account_findings import Account, AccountRow
from pipeprof.analysis.findings.references import StageReference
from pipeprof.analysis.measures.epoch_starts import usual_start
from pipeprof.analysis.verdicts.verdict import Verdict
from pipeprof.recording.account import Part
from pipeprof.recording.stage import StageKind


def with_named_waits(verdict: Verdict, account: Account | None = None) -> Account:
    """An account whose waits have the stages that a reader has to look at.

    Waits are the bottleneck's, and the starts of epochs are of the stage that usually causes them.
    A row that has a name already, of a thread that feeds the loop for example, keeps it.

    Args:
        verdict: the verdict on a loop.
        account: the account of one of its epochs; without one, that of the loop.
    """
    account = account or verdict.measured.account
    stages = {Part.WAIT: _waited_for(verdict), Part.EPOCH_START: _starts_late(verdict)}
    rows = tuple(_named(row, stages.get(row.part)) for row in account.rows)
    return replace(account, rows=rows)


def _named(row: AccountRow, stage: StageReference | None) -> AccountRow:
    if row.name is not None or stage is None:
        return row
    return replace(row, name=stage.name, location=stage.location)


def _waited_for(verdict: Verdict) -> StageReference | None:
    if verdict.worst is None or verdict.worst.stage.kind is StageKind.EPOCH_START:
        return None
    return StageReference.of(verdict.worst.stage)


def _starts_late(verdict: Verdict) -> StageReference | None:
    usual = usual_start(verdict.measured.fed.epoch_starts)
    return usual.stage if usual else None
