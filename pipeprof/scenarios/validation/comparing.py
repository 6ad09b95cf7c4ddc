"""Compares a report (`--json`) with what is true of its training. Pure: values in, checks out."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from pipeprof.scenarios.validation.expected import ExpectedCost, Loops, Named, Planted, Share
from pipeprof.scenarios.validation.outcome import Agreement, ReportCheck
from pipeprof.scenarios.validation.script_places import is_at, is_at_text, is_inside

Truth = Mapping[str, float]
Report = Mapping[str, Any]

SHARE_TOLERANCE = 0.03
COST_TOLERANCE = 0.10
TIME_TOLERANCE = 0.10
IDEAL_TOLERANCE = 0.15
ACCOUNT_TOLERANCE = 0.01
# The borders of the verdict, and how near to one a training may be either.
INPUT_FROM, COMPUTE_BELOW = 0.20, 0.05
BORDER_TOLERANCE = 0.01
CLOCK_MS = 0.5  # what two clocks of one step may differ

# Parts that a longer training would not have more of; no clock of the scripts' separates them.
AROUND = ("startup", "compile", "shutdown")
TRAINING_KINDS = ("fit", "train_on_batch", "custom")

# The parts of the main loop's account, and the keys of the truth that clock them.
WITHIN_STEPS = (
    Share(parts=("wait",), truth=("wait_s",)),
    Share(parts=("compute",), truth=("compute_s",)),
)
SHARES = (
    *WITHIN_STEPS,
    Share(parts=("callbacks",), truth=("callbacks_s",)),
    Share(parts=("validation",), truth=("validation_s",)),
    Share(parts=("own_code",), truth=("own_code_s",)),
)


class _Nothing:
    """Stands for a key that a report does not have."""

    def __bool__(self) -> bool:
        return False


NOTHING = _Nothing()


def compare(
    report: Report, truth: Truth, planted: Planted, *, ceiling_ms: float | None = None
) -> tuple[ReportCheck, ...]:
    """What the report has to state of a planted training, and whether it does.

    Args:
        report: of one run, as `--json` writes it.
        truth: what the training clocked itself in that run.
        planted: what was known before.
        ceiling_ms: its step with input for free, where that was measured.
    """
    return tuple(
        chain(
            _verdict(report, truth, planted),
            _waits(report, truth),
            _account(report),
            *(_share(report, truth, share) for share in (*SHARES, *planted.shares)),
            _epoch_starts(report, truth),
            _between_epochs(report, truth),
            *(_cost(report, truth, cost) for cost in planted.costs),
            *(_named(report, truth, planted.script, named) for named in planted.named),
            _loops(report, planted),
            _epochs(report, planted),
            _advice(report, planted),
            _remarks(report, planted),
            _held_up(report, planted),
            _ideal(report, ceiling_ms),
        )
    )


def look_up(value: Any, *keys: str) -> Any:
    """What stands under nested keys; `NOTHING` where one of them is not there."""
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            return NOTHING
        value = value[key]
    return value


def main_loop(report: Report) -> Any:
    """The loop that the report's own diagnosis is of; `NOTHING` if there is none."""
    loops = [loop for loop in look_up(report, "loops") or () if loop["kind"] in TRAINING_KINDS]
    of_report = [loop for loop in loops if look_up(loop, "diagnosis") == report["diagnosis"]]
    return next(iter(of_report or loops), NOTHING)


# The verdict.


def _verdict(report: Report, truth: Truth, planted: Planted) -> Iterator[ReportCheck]:
    whole_s = _training_s(report, truth) if "loop_s" in truth else None
    bounds = tuple(dict.fromkeys((*planted.bound, *bounds_by(truth, whole_s))))
    yield _one_of("bound", look_up(report, "diagnosis", "bound"), bounds)
    if planted.cause:
        yield _one_of("cause", look_up(report, "diagnosis", "cause"), planted.cause)
    bottleneck = look_up(report, "diagnosis", "bottleneck")
    location = look_up(bottleneck, "location") or None
    if planted.no_bottleneck:
        found = bottleneck and bottleneck["stage"]
        yield ReportCheck(
            what="bottleneck", outcome=_outcome(not bottleneck), expected=None, found=found
        )
    if planted.bottleneck:
        yield from _bottleneck(bottleneck, planted)
    if planted.bottleneck_line is not None:
        yield ReportCheck(
            what="line of bottleneck",
            outcome=_outcome(is_at_text(location, planted.script, planted.bottleneck_line)),
            expected=planted.bottleneck_line,
            found=location,
        )
    if planted.bottleneck_kind is not None:
        found = look_up(bottleneck, "kind")
        yield _one_of("kind of bottleneck", found or None, (planted.bottleneck_kind,))


def bounds_by(truth: Truth, whole_s: float | None = None) -> tuple[str, ...]:
    """The bounds that the training's own clocks allow: others on the machine may make it wait in fact.

    Args:
        truth: what it clocked.
        whole_s: what waits are a part of; without it the whole loop but its validation.
    """
    if "wait_s" not in truth or "loop_s" not in truth:
        return ()
    whole = whole_s or truth["loop_s"] - truth.get("validation_s", 0.0)
    wait = (truth["wait_s"] + truth.get("input_starts_s", 0.0)) / whole
    host = truth.get("host_s", truth.get("own_code_s", 0.0)) / whole
    around = (wait - BORDER_TOLERANCE, wait + BORDER_TOLERANCE)
    return tuple(_bound(near, host) for near in around)


def _bound(wait: float, host: float) -> str:
    if host >= INPUT_FROM and host > wait:
        return "host"
    if wait >= INPUT_FROM:
        return "input"
    return "compute" if max(wait, host) < COMPUTE_BELOW else "balanced"


def _bottleneck(bottleneck: Any, planted: Planted) -> Iterator[ReportCheck]:
    name = look_up(bottleneck, "stage") or None
    right = [function for function in planted.bottleneck if is_named(name, function)]
    yield ReportCheck(
        what="bottleneck", outcome=_outcome(right), expected=planted.bottleneck, found=name
    )
    location = look_up(bottleneck, "location") or None
    sampled = look_up(bottleneck, "cost_ms") is None  # known by the lines that samples met
    at = is_inside if sampled else is_at
    placed = any(at(location, planted.script, function) for function in planted.bottleneck)
    yield ReportCheck(
        what="line of bottleneck",
        outcome=_outcome(placed),
        expected=planted.bottleneck,
        found=location,
    )


def is_named(name: object, function: str) -> bool:
    """Whether a name of a report is that of a function: in full or the last part of either."""
    if not isinstance(name, str):
        return False
    return name == function or name.rpartition(".")[2] == function.rpartition(".")[2]


def _held_up(report: Report, planted: Planted) -> Iterator[ReportCheck]:
    if planted.held_up is None:
        return
    held_up = look_up(report, "diagnosis", "held_up")
    if held_up is NOTHING:
        yield _missing("held up by its input", planted.held_up)
        return
    ratios = [look_up(held_up, key) or 0.0 for key in ("gil_ratio", "cpu_queue_ratio")]
    right = (sum(ratios) >= 0.20) if planted.held_up else (sum(ratios) < 0.10)
    yield ReportCheck(
        what="held up by its input",
        outcome=_outcome(right),
        expected=planted.held_up,
        found=sum(ratios),
    )


# Times.


def _waits(report: Report, truth: Truth) -> Iterator[ReportCheck]:
    small_ms = max(SHARE_TOLERANCE * truth.get("step_ms", 0.0), truth.get("clock_ms", 0.0))
    for what, key, slack_ms in (
        ("wait of a step", "wait_ms", small_ms),
        ("step", "step_ms", 0.0),
        ("callbacks of a step", "callback_ms", 0.0),
    ):
        if key in truth:
            yield _time(what, report, key, truth[key], slack_ms=slack_ms)
    if "wait_s" in truth and "loop_s" in truth:
        whole = _training_s(report, truth)
        low = (truth["wait_s"] + truth.get("input_starts_s", 0.0)) / whole
        high = (truth["wait_s"] + _most_of_starts_s(truth)) / whole
        unsure = _unsure(truth)
        yield _ratio_between("wall_wait_ratio", report, low - unsure, high + unsure)
    if "host_s" in truth:
        whole = _training_s(report, truth)
        between_s = truth.get("between_epochs_s", 0.0)
        high = truth["host_s"] + max(truth.get("between_epochs_most_s", 0.0) - between_s, 0.0)
        high += truth.get("first_batches_s", 0.0)  # where epochs begin TensorFlow works as well
        yield _ratio_between("wall_host_ratio", report, truth["host_s"] / whole, high / whole)


def _training_s(report: Report, truth: Truth) -> float:
    """The loop's time by the script's clock, without validation and what started, was compiled and ended.

    No clock of the script's shows the latter: it is what the report has.
    """
    account = look_up(main_loop(report), "account")
    parts = account["parts"] if account else ()
    around = (part["s"] for part in parts if part["part"] in AROUND)
    return float(truth["loop_s"] - truth.get("validation_s", 0.0) - sum(around))


def _time(what: str, report: Report, key: str, true_ms: float, *, slack_ms: float) -> ReportCheck:
    found = look_up(report, "diagnosis", key, "mean")
    if found is NOTHING:
        return _missing(what, true_ms)
    within = max(TIME_TOLERANCE * true_ms, slack_ms, CLOCK_MS)
    right = found is not None and abs(found - true_ms) <= within
    error = None if found is None or true_ms < CLOCK_MS else found / true_ms - 1.0
    return ReportCheck(
        what=what, outcome=_outcome(right), expected=true_ms, found=found, error=error
    )


def _ratio_between(key: str, report: Report, low: float, high: float) -> ReportCheck:
    found = look_up(report, "diagnosis", key)
    return _missing(key, low) if found is NOTHING else _between(key, found, low, high)


def _between(what: str, found: float | None, low: float, high: float) -> ReportCheck:
    right = found is not None and low - SHARE_TOLERANCE <= found <= high + SHARE_TOLERANCE
    error = None if found is None else max(low - found, found - high, 0.0)
    expected = low if low == high else f"{low:.3g} to {high:.3g}"
    return ReportCheck(
        what=what, outcome=_outcome(right), expected=expected, found=found, error=error
    )


def _ideal(report: Report, ceiling_ms: float | None) -> Iterator[ReportCheck]:
    if ceiling_ms is None:
        return
    found = look_up(report, "diagnosis", "ideal_step_ms")
    if found is NOTHING:
        yield _missing("ideal step", ceiling_ms)
        return
    low, high = look_up(report, "diagnosis", "ideal_step_ms_interval") or (found, found)
    right = found is not None and (
        abs(found / ceiling_ms - 1.0) <= IDEAL_TOLERANCE
        or abs(found - ceiling_ms) <= CLOCK_MS
        or low <= ceiling_ms <= high
    )
    error = None if found is None else found / ceiling_ms - 1.0
    yield ReportCheck(
        what="ideal step", outcome=_outcome(right), expected=ceiling_ms, found=found, error=error
    )


# The account.


def _account(report: Report) -> Iterator[ReportCheck]:
    accounts = [("account", look_up(report, "account"))]
    accounts += [
        (f"account of loop {number}", look_up(loop, "account"))
        for number, loop in enumerate(look_up(report, "loops") or (), start=1)
    ]
    for what, account in accounts:
        if account is NOTHING:
            yield _missing(what, "parts that add up to the wall time")
            continue
        wall_s, parts_s = account["wall_s"], sum(part["s"] for part in account["parts"])
        yield ReportCheck(
            what=what,
            outcome=_outcome(abs(parts_s - wall_s) <= ACCOUNT_TOLERANCE * wall_s),
            expected=wall_s,
            found=parts_s,
        )


def _account_of(report: Report, *, of_run: bool) -> Any:
    return look_up(report if of_run else main_loop(report), "account")


def _share(report: Report, truth: Truth, share: Share) -> Iterator[ReportCheck]:
    if any(key not in truth for key in (*share.truth, share.whole)):
        return
    what = f"share of {' and '.join(share.parts)}"
    true_ratio = sum(truth[key] for key in share.truth) / truth[share.whole]
    account = _account_of(report, of_run=share.of_run)
    if account is NOTHING:
        yield _missing(what, true_ratio)
        return
    parts_s = sum(part["s"] for part in account["parts"] if part["part"] in share.parts)
    found = parts_s / account["wall_s"]
    error = found - true_ratio
    within = SHARE_TOLERANCE + (_unsure(truth) if share in WITHIN_STEPS else 0.0)
    yield ReportCheck(
        what=what,
        outcome=_outcome(abs(error) <= within),
        expected=true_ratio,
        found=found,
        error=error,
    )


def _unsure(truth: Truth) -> float:
    """The part of the loop by which the script's own clock may mistake waiting for computing.

    On a quiet machine it is nothing: it is what a call takes to begin beyond `CLOCK_MS`.
    """
    more_ms = max(truth.get("clock_ms", 0.0) - CLOCK_MS, 0.0)
    return more_ms / 1e3 * truth.get("steps", 0) / truth["loop_s"]


def _epoch_starts(report: Report, truth: Truth) -> Iterator[ReportCheck]:
    """At least what is planted there, at most what passes before first batches and after last ones."""
    if "first_batches_s" not in truth or "loop_s" not in truth:
        return
    what = "share of epoch_start"
    low = truth.get("input_starts_s", 0.0) / truth["loop_s"]
    high = _most_of_starts_s(truth) / truth["loop_s"]
    account = _account_of(report, of_run=False)
    if account is NOTHING:
        yield _missing(what, (low, high))
        return
    parts_s = sum(part["s"] for part in account["parts"] if part["part"] == "epoch_start")
    yield _between(what, parts_s / account["wall_s"], low, high)


def _most_of_starts_s(truth: Truth) -> float:
    """What passes before epochs' first batches and after their last ones, validation left out.

    TensorFlow starts there as well, and Keras ends and starts workers; between two calls of fit Keras
    takes a first batch of a generator, and ends what is under way for the call before.
    """
    after_s = 0.0 if "validation_s" in truth else truth.get("after_last_s", 0.0)
    between_s = truth.get("between_epochs_most_s", 0.0) - truth.get("between_epochs_s", 0.0)
    return truth["first_batches_s"] + after_s + max(between_s, 0.0)


def _between_epochs(report: Report, truth: Truth) -> Iterator[ReportCheck]:
    """At least what the script does there, at most all of that time: frameworks work there too."""
    if "between_epochs_most_s" not in truth:
        return
    what = "share of between_epochs"
    high_s = truth["between_epochs_most_s"] + truth.get("first_batches_s", 0.0)
    low, high = _ends(truth.get("between_epochs_s", 0.0), high_s, truth)
    account = _account_of(report, of_run=False)
    if account is NOTHING:
        yield _missing(what, (low, high))
        return
    parts_s = sum(part["s"] for part in account["parts"] if part["part"] == "between_epochs")
    yield _between(what, parts_s / account["wall_s"], low, high)


def _ends(low_s: float, high_s: float, truth: Truth) -> tuple[float, float]:
    return low_s / truth["loop_s"], max(low_s, high_s) / truth["loop_s"]


def _named(report: Report, truth: Truth, script: Path, named: Named) -> Iterator[ReportCheck]:
    where = "host" if named.part is None else named.part
    what = f"name of {named.name} in {where}"
    entries = _entries(report, named)
    if entries is NOTHING:
        yield _missing(what, named.name)
        return
    found = [entry for entry in entries if _has_name(entry.get("name"), named.name)]
    names = tuple(str(entry.get("name")) for entry in entries)
    yield ReportCheck(what=what, outcome=_outcome(found), expected=named.name, found=names)
    if not found:
        return
    if named.function is not None:
        locations = tuple(str(entry["location"]) for entry in found)
        placed = any(is_inside(location, script, named.function) for location in locations)
        yield ReportCheck(
            what=f"line of {what}",
            outcome=_outcome(placed),
            expected=named.function,
            found=locations,
        )
    if named.truth is not None:
        true_ratio = truth[named.truth] / _whole_s(report, truth, named)
        ratio = sum(entry["ratio"] or 0.0 for entry in found)
        yield ReportCheck(
            what=f"share of {named.name}",
            outcome=_outcome(abs(ratio - true_ratio) <= SHARE_TOLERANCE),
            expected=true_ratio,
            found=ratio,
            error=ratio - true_ratio,
        )


def _whole_s(report: Report, truth: Truth, named: Named) -> float:
    """What a ratio of something that is named refers to: of the host, the training's time."""
    if named.part is None:
        return _training_s(report, truth)
    return truth["script_s" if named.of_run else "loop_s"]


def _entries(report: Report, named: Named) -> Any:
    if named.part is None:
        return look_up(report, "diagnosis", "host")
    account = _account_of(report, of_run=named.of_run)
    if account is NOTHING:
        return NOTHING
    return [part for part in account["parts"] if part["part"] == named.part]


def _has_name(found: object, name: str) -> bool:
    """Whether a name is the one that is wanted or ends in it, or begins with it where methods are named."""
    if not isinstance(found, str):
        return False
    return found == name or found.endswith(f".{name}") or found.startswith(f"{name}.")


# Stages, loops, epochs and advice.


def _cost(report: Report, truth: Truth, cost: ExpectedCost) -> Iterator[ReportCheck]:
    what, true_ms = f"cost of {cost.stage}", truth[cost.truth]
    stages = [
        stage
        for stage in look_up(report, "stages") or ()
        if is_named(stage["name"], cost.stage) or is_named(stage.get("function"), cost.stage)
    ]
    if not stages:
        names = tuple(stage["name"] for stage in look_up(report, "stages") or ())
        yield ReportCheck(what=what, outcome=Agreement.WRONG, expected=true_ms, found=names)
        return
    found = stages[0]["cost_ms"]
    error = None if found is None else found / true_ms - 1.0
    right = error is not None and abs(error) <= COST_TOLERANCE
    yield ReportCheck(
        what=what, outcome=_outcome(right), expected=true_ms, found=found, error=error
    )
    if cost.copies is not None:
        copies = look_up(stages[0], "copies")
        yield _one_of(f"copies of {cost.stage}", copies, (cost.copies,))


def _loops(report: Report, planted: Planted) -> Iterator[ReportCheck]:
    loops: Sequence[Any] = look_up(report, "loops") or ()
    for wanted in planted.loops:
        of_kind = [loop for loop in loops if loop["kind"] == wanted.kind]
        yield ReportCheck(
            what=f"loops of {wanted.kind}",
            outcome=_outcome(len(of_kind) == wanted.count),
            expected=wanted.count,
            found=len(of_kind),
        )
        yield from _steps_and_epochs(of_kind, wanted)
    for kind in planted.no_loops:
        found = sum(loop["kind"] == kind for loop in loops)
        yield ReportCheck(
            what=f"loops of {kind}", outcome=_outcome(not found), expected=0, found=found
        )


def _steps_and_epochs(loops: Sequence[Any], wanted: Loops) -> Iterator[ReportCheck]:
    for key, expected in (("steps", wanted.steps), ("epochs", wanted.epochs)):
        if expected is not None:
            found = tuple(loop[key] for loop in loops)
            yield ReportCheck(
                what=f"{key} of {wanted.kind}",
                outcome=_outcome(all(number == expected for number in found)),
                expected=expected,
                found=found,
            )


def _epochs(report: Report, planted: Planted) -> Iterator[ReportCheck]:
    if planted.epochs is None:
        return
    what, wanted = "waiting of epochs", planted.epochs
    expected = f"the first over {wanted.first_over}, later ones under {wanted.later_under}"
    epochs = look_up(report, "epochs")
    if epochs is NOTHING:
        yield _missing(what, expected)
        return
    ratios = tuple(epoch["wait_ratio"] for epoch in epochs)
    right = (
        len(ratios) > 1
        and ratios[0] >= wanted.first_over
        and all(ratio <= wanted.later_under for ratio in ratios[1:])
    )
    yield ReportCheck(what=what, outcome=_outcome(right), expected=expected, found=ratios)


def _advice(report: Report, planted: Planted) -> Iterator[ReportCheck]:
    if not planted.advised and not planted.not_advised:
        return
    advice = look_up(report, "diagnosis", "advice") or ()
    text = "\n".join(f"{one['action']} {one['summary']} {one['how']}" for one in advice).lower()
    for word in planted.advised:
        yield ReportCheck(
            what="advice", outcome=_outcome(word in text), expected=word, found=text or None
        )
    for word in planted.not_advised:
        yield ReportCheck(
            what="advice",
            outcome=_outcome(word not in text),
            expected=f"no {word}",
            found=text or None,
        )


def _remarks(report: Report, planted: Planted) -> Iterator[ReportCheck]:
    evidence = look_up(report, "diagnosis", "evidence") or ()
    warnings = look_up(report, "run", "warnings") or ()
    text = " ".join((*evidence, *warnings))
    for word in planted.remarked:
        yield ReportCheck(
            what="remark", outcome=_outcome(word in text), expected=word, found=text or None
        )


# Checks.


def _one_of(what: str, found: object, right: tuple[Any, ...]) -> ReportCheck:
    if found is NOTHING:
        return _missing(what, right)
    return ReportCheck(what=what, outcome=_outcome(found in right), expected=right, found=found)


def _outcome(right: object) -> Agreement:
    return Agreement.RIGHT if right else Agreement.WRONG


def _missing(what: str, expected: object) -> ReportCheck:
    return ReportCheck(what=what, outcome=Agreement.MISSING, expected=expected)
