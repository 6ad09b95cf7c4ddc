"""Processes that train together, in words: the verdict on all, what it rests on, what to know."""

from collections.abc import Iterator, Sequence

from pipeprof.analysis.findings.rank_findings import (
    ClocksApart,
    HostAspect,
    HostDifference,
    LateStart,
    OtherFact,
    OtherTraining,
    RankDied,
    RankFinding,
    RankProblem,
    RanksEmpty,
    RanksMissing,
    RanksRunning,
    RankTwice,
    RecordingProblem,
    RunOfRanks,
    RunVerdict,
    Straggler,
    StragglerCause,
    Synchrony,
    TrainingProblem,
    UnevenShards,
    Unnumbered,
    Unreadable,
)
from pipeprof.analysis.findings.rank_summary import StageBrief
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.report.headings import Holds, headings
from pipeprof.report.names.verdict_names import VERDICTS
from pipeprof.report.numbers import (
    amount,
    count,
    duration,
    few_digits,
    parts,
    percent,
    size,
    wait_percent,
)
from pipeprof.report.plain_text import sentence, shown

# Of many ranks these are named; the rest is counted.
_MOST_NAMED = 6
# Of problems of one kind so many have a sentence of their own.
_MOST_ALIKE = 3


def how_many(ranks: RunOfRanks) -> str:
    """``8 ranks on 2 hosts``; of fewer recordings than ranks, ``7 of 8 ranks``."""
    there = len(ranks.ranks)
    named = count(there, "rank") if there == ranks.size else f"{there:,} of {ranks.size:,} ranks"
    hosts = len({each.summary.host for each in ranks.ranks})
    return f"{named} on {count(hosts, 'host')}"


def name_ranks(numbers: Sequence[int]) -> str:
    """``rank 3``, ``ranks 0 to 3 and 7``, ``ranks 1, 5, 9 and 40 more``."""
    pieces = []
    for first, last in _runs(numbers):
        pieces.append(f"{first:,}" if first == last else f"{first:,} to {last:,}")
    noun = "rank" if len(numbers) == 1 else "ranks"
    if len(pieces) > _MOST_NAMED:
        named = sum(last - first + 1 for first, last in list(_runs(numbers))[:_MOST_NAMED])
        pieces = [*pieces[:_MOST_NAMED], f"{len(numbers) - named:,} more"]
    if len(pieces) == 1:
        return f"{noun} {pieces[0]}"
    return f"{noun} {', '.join(pieces[:-1])} and {pieces[-1]}"


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of each stretch of numbers that follow one another."""
    first = last = None
    for number in sorted(numbers):
        if first is None or last is None:
            first = last = number
        elif number == last + 1:
            last = number
        else:
            yield first, last
            first = last = number
    if first is not None and last is not None:
        yield first, last


# The verdict


def run_verdict(ranks: RunOfRanks) -> list[str]:
    """The verdict on all ranks, a line each: the first follows the name of the verdict."""
    verdict = ranks.verdict
    match verdict.synchrony:
        case Synchrony.LOCK_STEP:
            return [sentence(line) for line in _in_lock_step(ranks, verdict)]
        case Synchrony.FREE | Synchrony.UNKNOWN:
            return [sentence(line) for line in _at_own_pace(ranks, verdict)]


def _in_lock_step(ranks: RunOfRanks, verdict: RunVerdict) -> Iterator[str]:
    late = verdict.stragglers
    others = len(ranks.ranks) - len(late)
    if late:
        yield f"{_by(late)}: {_stage_of(late[0])}; {_others_wait(others, verdict, late)}"
    elif verdict.in_turn_ms:
        yield (
            "by a different rank from step to step: "
            f"the last one makes all wait {duration(verdict.in_turn_ms)} longer than its mean wait"
        )
    else:
        yield "no rank makes the others wait: their inputs take about the same time"
    if verdict.wait_ratio is not None:
        whose = (
            "a rank's data" if not late else f"data of {name_ranks([each.rank for each in late])}"
        )
        yield f"{wait_percent(verdict.wait_ratio)} of the training's time waits for {whose}"
    if verdict.step_ms is not None:
        less = ""
        if verdict.without_ms is not None:
            less = f", {duration(verdict.without_ms)} with an input like that of the others (estimated)"
        yield f"step {duration(verdict.step_ms)}{less}"


def _by(late: Sequence[Straggler]) -> str:
    return f"by {name_ranks([each.rank for each in late])}"


def _others_wait(others: int, verdict: RunVerdict, late: Sequence[Straggler]) -> str:
    whom = "it" if len(late) == 1 else "them"
    wait = duration(verdict.others_wait_ms)
    if others == 1:
        return f"the other rank waits {wait} a step for {whom}"
    return f"the other {others:,} ranks wait {wait} a step for {whom}"


def _stage_of(late: Straggler) -> str:
    """``its load_crop (train.py:25) takes 41.0 ms where others take 12.0``."""
    stage, usual = late.stage, late.usual_stage
    wait, usual_wait = _pair(late.wait_ms, late.usual_wait_ms)
    if stage is None:
        return f"its steps wait {wait} for data where others wait {usual_wait}"
    if usual is None:
        return f"its {_stage_name(stage)} takes {duration(stage.cost_ms)}, which others do not have"
    if late.cause in (StragglerCause.FEWER_WORKERS, StragglerCause.FEWER_CORES) and (
        stage.cost_ms < 1.25 * usual.cost_ms
    ):
        return f"its steps wait {wait} for {_stage_name(stage)} where others wait {usual_wait}"
    cost, usual_cost = _pair(stage.cost_ms, usual.cost_ms)
    return f"its {_stage_name(stage)} takes {cost} where others take {usual_cost}"


def _pair(value_ms: float, usual_ms: float) -> tuple[str, str]:
    """Two durations in the unit of the first; the second without its unit."""
    return duration(value_ms), parts(value_ms, usual_ms)[0]


def _stage_name(stage: StageBrief) -> str:
    where = f" ({_short(stage.location)})" if stage.location else ""
    return f"{shown(stage.name)}{where}"


def _short(location: str) -> str:
    return location.rpartition("/")[2]


def _at_own_pace(ranks: RunOfRanks, verdict: RunVerdict) -> Iterator[str]:
    if len(ranks.ranks) == 1:
        yield "of one rank alone it cannot be seen whether the others wait for it"
        return
    if verdict.slowest is not None and verdict.step_ms is not None:
        usual = verdict.usual_step_ms or 0.0
        step, usual_step = _pair(verdict.step_ms, usual)
        yield f"rank {verdict.slowest:,} is the slowest: {step} a step where others take {usual_step}"
        if verdict.stragglers:
            yield _stage_of(verdict.stragglers[0])
    else:
        yield "no rank is slower than the others"
    if verdict.synchrony is Synchrony.FREE:
        yield "the ranks' steps do not end together: each goes at its own pace"
    else:
        yield "too few common steps to see whether the ranks wait for each other"
    if verdict.wait_ratio is not None:
        yield f"{wait_percent(verdict.wait_ratio)} of the slowest rank's time waits for data"


# Why


def reasons_of_run(ranks: RunOfRanks) -> list[str]:
    """What the verdict on all ranks rests on, a sentence each."""
    verdict = ranks.verdict
    found = [_cause_sentence(late, ranks) for late in verdict.stragglers[:_MOST_NAMED]]
    if verdict.waits_shared:
        found.append(
            "All ranks wait for the slowest input as they ask for a batch (tf.distribute asks all of "
            "them at once), so the other ranks seem to wait for their own."
        )
    elif verdict.synchrony is Synchrony.LOCK_STEP and (verdict.stragglers or verdict.in_turn_ms):
        found.append(
            "All steps end together, so what the other ranks wait for the last one passes inside "
            "their all-reduce and looks like computing in their own reports."
        )
    return [sentence(each) for each in found]


def _cause_sentence(late: Straggler, ranks: RunOfRanks) -> str:
    stage, usual = late.stage, late.usual_stage
    own = ranks.rank(late.rank)
    rank = f"Rank {late.rank:,}"
    host = f" ({shown(own.summary.host)})" if own is not None and own.summary.host else ""
    match late.cause:
        case StragglerCause.MORE_DATA:
            return f"{rank}{host} has more data a step: {_data(late, own)}. The shards are uneven."
        case StragglerCause.FEWER_CORES:
            usable = own.summary.processors.usable if own else 0.0
            return (
                f"{rank}{host} may use {amount(usable, 'core')}, the others "
                f"{few_digits(late.usual_processors)}."
            )
        case StragglerCause.FEWER_WORKERS:
            few = few_digits(stage.parallelism) if stage and stage.parallelism else "fewer"
            many = few_digits(usual.parallelism) if usual and usual.parallelism else "more"
            return f"{rank}{host} runs {few} calls of it at once, the others {many}."
        case StragglerCause.OTHER_LOAD:
            return f"{rank}{host}: {_load(own)}."
        case StragglerCause.SLOW_STORAGE:
            return (
                f"{rank}{host} waits there longer for files, network or sleep: its CPU time is "
                f"{_cpu(stage, usual)}. A slow disk or a slow path to the data does that."
            )
        case StragglerCause.MORE_CPU_WORK:
            return (
                f"{rank}{host} needs more CPU time for it: {_cpu(stage, usual)}. Its processor is slower, "
                "or its data need more work."
            )
        case StragglerCause.UNKNOWN:
            return f"pipeprof cannot see why it takes longer on rank {late.rank:,}{host}."


def _cpu(stage: StageBrief | None, usual: StageBrief | None) -> str:
    if stage is None or usual is None or stage.cpu_ratio is None or usual.cpu_ratio is None:
        return "not known"
    own_ms, usual_ms = stage.cost_ms * stage.cpu_ratio, usual.cost_ms * usual.cpu_ratio
    return f"{duration(own_ms)} a step, that of the others {duration(usual_ms)}"


def _data(late: Straggler, own: RankFinding | None) -> str:
    stage, usual = late.stage, late.usual_stage
    if stage is not None and usual is not None and stage.elements >= 1.25 * usual.elements > 0:
        return (
            f"{few_digits(stage.elements)} elements of {_stage_name(stage)}, "
            f"the others {few_digits(usual.elements)}"
        )
    if own is not None and own.summary.samples and own.summary.steps:
        return f"{few_digits(own.summary.samples / own.summary.steps)} samples"
    return "more than the others"


def _load(own: RankFinding | None) -> str:
    processors = own.summary.processors if own is not None else None
    if processors is not None and (processors.throttled_ratio or 0.0) >= 0.1:
        stopped = percent(processors.throttled_ratio or 0.0)
        return f"its container's CPU limit stops it in {stopped} of its periods"
    if processors is not None and processors.machine_ratio is not None:
        return (
            f"other programs use its processors, which are {percent(processors.machine_ratio)} busy"
        )
    return "other programs use its processors"


# What to know


def rank_problem_sentences(ranks: RunOfRanks) -> list[str]:
    """What a reader must know of the ranks, a sentence each; of many of one kind the first ones."""
    lines = []
    for alike in _by_kind(ranks.problems):
        lines += [sentence(problem_sentence(each)) for each in alike[:_MOST_ALIKE]]
        left_out = len(alike) - _MOST_ALIKE
        if left_out > 0:
            lines.append(f"and {left_out:,} more of this kind: pipeprof report --json --ranks all")
    return lines


def _by_kind(problems: Sequence[RankProblem]) -> list[list[RankProblem]]:
    """Problems of each kind; of ranks that ended, those first that ended first."""
    kinds: dict[type, list[RankProblem]] = {}
    for each in problems:
        kinds.setdefault(type(each), []).append(each)
    if RankDied in kinds:
        kinds[RankDied].sort(key=lambda each: each.step if isinstance(each, RankDied) else 0)
    return list(kinds.values())


def problem_sentence(problem: RankProblem) -> str:
    """What a reader must know, in one sentence."""
    if isinstance(problem, RecordingProblem):
        return _recording_sentence(problem)
    return _training_sentence(problem)


def _recording_sentence(problem: RecordingProblem) -> str:
    match problem:
        case RanksMissing(ranks=numbers, size=whole):
            return (
                f"There is no recording of {name_ranks(numbers)} of {whole:,}: if they lie elsewhere, "
                "bring them together with 'pipeprof merge'."
            )
        case RanksEmpty(ranks=numbers):
            whose, verb = ("folder", "is") if len(numbers) == 1 else ("folders", "are")
            return (
                f"The {whose} of {name_ranks(numbers)} {verb} empty: the files were not copied, or the "
                "file system shows them late (NFS within a minute)."
            )
        case RankTwice(rank=number, recordings=found):
            return (
                f"There are {found} recordings of rank {number:,}: the one with more steps is used."
            )
        case OtherTraining(fact=OtherFact.TIME, ranks=numbers, value=late):
            return (
                f"{_subject(numbers)} began {late} s after the others had ended: another training, "
                "which is left out. Give each training a name of its own."
            )
        case OtherTraining(ranks=numbers, fact=OtherFact.JOB):
            return f"{_subject(numbers)} ran in another job: another training, which is left out."
        case OtherTraining(ranks=numbers, fact=fact, value=value, usual=usual):
            return (
                f"{_subject(numbers)} trained with other {fact.value} ({value}, not {usual}): another "
                "training, which is left out."
            )
        case Unreadable(name=name, reason=reason):
            return f"{shown(name)} cannot be read: {reason}"
        case Unnumbered(count=found):
            return (
                f"No launcher gave these {found} processes ranks: they are numbered in the order of "
                "their files."
            )


def _training_sentence(problem: TrainingProblem) -> str:
    match problem:
        case RankDied(rank=number, step=step, ended_by=signal, error=error):
            how = f": {error}" if error else f" by {signal}" if signal else ""
            return f"Rank {number:,} ended after {count(step, 'step')}{how}; what it had is used."
        case RanksRunning(ranks=numbers):
            verb = "is" if len(numbers) == 1 else "are"
            return f"{_subject(numbers)} {verb} still being recorded: figures so far."
        case LateStart(rank=number, late_s=late):
            return f"Rank {number:,} began {duration(1e3 * late)} after the first one."
        case ClocksApart(host=host, ahead_ms=ahead):
            way = "ahead of" if ahead > 0 else "behind"
            return (
                f"The clock of {shown(host)} is {duration(abs(ahead))} {way} the others; steps are "
                "compared by their numbers, not by clocks."
            )
        case UnevenShards():
            noun = "samples" if problem.of_samples else "steps"
            return (
                f"The shards are uneven: rank {problem.most:,} had {problem.most_count:,} {noun}, "
                f"rank {problem.fewest:,} {problem.fewest_count:,}."
            )


def _subject(numbers: Sequence[int]) -> str:
    """Ranks as the subject of a sentence."""
    return name_ranks(numbers).capitalize()


def host_lines(ranks: RunOfRanks) -> list[str]:
    """In what machines differ, a line for each aspect."""
    return [sentence(_difference(each)) for each in ranks.differences]


def _difference(found: HostDifference) -> str:
    others = "; ".join(
        f"{name_ranks(numbers)}: {_value(found.aspect, value)}" for value, numbers in found.values
    )
    names = {
        HostAspect.CORES: "cores",
        HostAspect.LIMIT: "CPU limit",
        HostAspect.MEMORY: "memory",
        HostAspect.SYSTEM: "system",
        HostAspect.VERSION: found.name,
    }
    return f"{names[found.aspect]}: {_value(found.aspect, found.usual)}, but {others}"


def _value(aspect: HostAspect, value: str | float | None) -> str:
    if value is None:
        return "none"
    if aspect is HostAspect.MEMORY and not isinstance(value, str):
        return size(value * 1e9)
    return value if isinstance(value, str) else few_digits(value)


# The ranks as a table

RANK_COLUMNS = headings(
    rank=Holds.TEXT,
    host=Holds.NAME,
    step=Holds.NUMBER,
    wait=Holds.NUMBER,
    for_others=Holds.NUMBER,
    bottleneck=Holds.NAME,
    by_itself=Holds.TEXT,
)
MOST_ROWS = 8


def chosen_ranks(ranks: RunOfRanks, most: int = MOST_ROWS) -> list[tuple[str, RankFinding]]:
    """Ranks that stand for all, each with why: all of few; of many the stragglers, ended ones, extremes."""
    if len(ranks.ranks) <= most:
        return [(_remark(each, ranks), each) for each in ranks.ranks]
    late = [each.rank for each in ranks.verdict.stragglers][: most // 2]
    died = [each.rank for each in ranks.problems if isinstance(each, RankDied)][:2]
    chosen = dict.fromkeys([*late, *died, ranks.shown], "")
    waited = sorted(
        (each for each in ranks.ranks if each.wait_ms is not None and each.number not in chosen),
        key=lambda each: each.wait_ms or 0.0,
    )
    if waited:
        chosen.setdefault(waited[0].number, "shortest wait")
        chosen.setdefault(waited[len(waited) // 2].number, "median")
        chosen.setdefault(
            waited[-1].number, "longest wait" if not late else "longest of the others"
        )
    found = {each.number: each for each in ranks.ranks}
    return [
        (remark or _remark(found[number], ranks), found[number])
        for number, remark in sorted(chosen.items())
        if number in found
    ]


def _remark(each: RankFinding, ranks: RunOfRanks) -> str:
    if each.straggles:
        return "straggler"
    ended = [one.rank for one in ranks.problems if isinstance(one, RankDied)]
    return "ended early" if each.number in ended else ""


def rank_cells(remark: str, each: RankFinding) -> tuple[str | None, ...]:
    """The texts of a rank's row, one for each of `RANK_COLUMNS`."""
    bottleneck = each.summary.bottleneck
    return (
        f"{each.number:,} {remark}".strip(),
        each.summary.host,
        None if each.step_ms is None else duration(each.step_ms),
        None if each.wait_ms is None else duration(each.wait_ms),
        None if each.held_ms is None else duration(each.held_ms),
        None if bottleneck is None else f"{bottleneck.name} {duration(bottleneck.cost_ms)}",
        None if each.summary.bound is Bound.UNKNOWN else VERDICTS[each.summary.bound],
    )


def rank_choice(each: RankFinding, remark: str = "") -> str:
    """A rank in a list to choose from: ``3 straggler · node-0 · step 42.0 ms · wait 30.0 ms``."""
    number, host, step, wait, *_ = rank_cells(remark, each)
    timed = [f"step {step}" if step else None, f"wait {wait}" if wait else None]
    return " · ".join(part for part in (number, host, *timed) if part)
