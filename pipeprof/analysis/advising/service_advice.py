"""What to do about a slow tf.data service: more workers, or a cheaper way from them to the training."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from math import ceil

from pipeprof.analysis.advising.prediction import with_prediction
from pipeprof.analysis.findings.advice_kinds import Advice
from pipeprof.analysis.findings.tfdata_remedies import CheaperService, MoreDataWorkers
from pipeprof.analysis.findings.verdict_kinds import Cause
from pipeprof.analysis.measures.costs import StageCost
from pipeprof.analysis.predicting.training_model import with_stages
from pipeprof.analysis.verdicts.bottleneck import needed_ms
from pipeprof.analysis.verdicts.verdict import Verdict
from pipeprof.recording.stage import StageKind

# Nobody's next step is to start more workers than so many times today's.
_MOST_TIMES = 4

_HELPED = (Cause.TOO_FEW_WORKERS, Cause.SERIAL, Cause.BLOCKING, Cause.CPU, Cause.CPU_SATURATED)


def more_data_workers(verdict: Verdict) -> Iterator[Advice]:
    """Stages of a service's workers run in each of them at once: with more workers more of them."""
    worst, ideal_ms = verdict.worst, verdict.ideal_ms
    workers = verdict.measured.context.workers
    if worst is None or not ideal_ms or worst.stage.kind is not StageKind.TF_DATA_WORKER:
        return
    if workers is None or verdict.cause not in _HELPED:
        return
    today = worst.stage.workers or workers.count
    times = needed_ms(worst, verdict.measured.costs) / ideal_ms
    wanted = min(max(ceil(today * times), today + 1), _MOST_TIMES * today)
    costs = tuple(
        replace(
            cost, place=replace(cost.place, parallelism=cost.place.parallelism * wanted / today)
        )
        if cost.stage.kind is StageKind.TF_DATA_WORKER
        else cost
        for cost in verdict.measured.costs
    )
    remedy = MoreDataWorkers(workers=wanted, today=today)
    yield from with_prediction(verdict, remedy, partial(with_stages, costs=costs))


def cheaper_service(verdict: Verdict, worst: StageCost) -> Advice:
    """What makes the way from the workers to the training cheaper."""
    steps = max(verdict.measured.counted_time.steps, 1)
    size = worst.size_bytes
    return Advice(
        remedy=CheaperService(
            stage=worst.stage.name,
            elements=worst.calls / steps,
            element_bytes=round(size / worst.calls) if size and worst.calls else None,
        )
    )
