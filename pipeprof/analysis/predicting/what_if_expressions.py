"""Reads what could be otherwise from text: ``stage=decode parallelism=4, cores=8``."""

from collections.abc import Callable

from pipeprof.analysis.findings.what_if_kinds import (
    CachedBehind,
    FreeBatches,
    LoadedAhead,
    LoadedByWorkers,
    NoCallback,
    NoEpochStarts,
    StageCosts,
    StageRuns,
    Supposition,
    WithCores,
)
from pipeprof.errors import UsageError

EXAMPLES = (
    "input=free",
    "stage=NAME cost=0.5",
    "stage=NAME parallelism=4",
    "cache=NAME",
    "prefetch=yes",
    "workers=4 processes=no",
    "epoch_starts=0",
    "callback=NAME",
    "cores=8",
)

_LARGEST = 1_000_000


def read_suppositions(text: str) -> tuple[Supposition, ...]:
    """What a text supposes; several suppositions are parted by commas.

    Raises:
        UsageError: it cannot be read.
    """
    return tuple(_read(part.strip(), text) for part in text.split(","))


def _read(part: str, whole: str) -> Supposition:
    found = [_pair(word, whole) for word in part.split()]
    pairs = dict(found)
    if len(pairs) < len(found):
        raise _not_read(whole)
    keys = frozenset(pairs)
    for known, make in _FORMS.items():
        if keys == known:
            return make(pairs)
    raise _not_read(whole)


def _pair(word: str, whole: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals or not value:
        raise _not_read(whole)
    return key, value


def _not_read(whole: str) -> UsageError:
    return UsageError(
        f"expected what could be otherwise ({'; '.join(EXAMPLES)}), received {whole!r}."
    )


def _number(pairs: dict[str, str], key: str, least: float) -> float:
    try:
        number = float(pairs[key])
    except ValueError:
        number = float("nan")
    if not least <= number <= _LARGEST:
        raise UsageError(
            f"expected a number of at least {least:g} for {key}, received {pairs[key]}."
        )
    return number


def _is_yes(pairs: dict[str, str], key: str) -> bool:
    answers = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    if pairs[key].lower() not in answers:
        raise UsageError(f"expected {key}=yes or {key}=no, received {key}={pairs[key]}.")
    return answers[pairs[key].lower()]


def _one_of(pairs: dict[str, str], key: str, value: str, made: Supposition) -> Supposition:
    if pairs[key].lower() != value:
        raise UsageError(f"expected {key}={value}, received {key}={pairs[key]}.")
    return made


_FORMS: dict[frozenset[str], Callable[[dict[str, str]], Supposition]] = {
    frozenset({"input"}): lambda pairs: _one_of(pairs, "input", "free", FreeBatches()),
    frozenset({"stage", "cost"}): lambda pairs: StageCosts(
        stage=pairs["stage"], factor=_number(pairs, "cost", 0.0)
    ),
    frozenset({"stage", "parallelism"}): lambda pairs: StageRuns(
        stage=pairs["stage"], parallelism=int(_number(pairs, "parallelism", 1))
    ),
    frozenset({"cache"}): lambda pairs: CachedBehind(stage=pairs["cache"]),
    frozenset({"prefetch"}): lambda pairs: _one_of(pairs, "prefetch", "yes", LoadedAhead()),
    frozenset({"workers"}): lambda pairs: LoadedByWorkers(
        workers=int(_number(pairs, "workers", 1)), processes=False
    ),
    frozenset({"workers", "processes"}): lambda pairs: LoadedByWorkers(
        workers=int(_number(pairs, "workers", 1)), processes=_is_yes(pairs, "processes")
    ),
    frozenset({"epoch_starts"}): lambda pairs: _one_of(pairs, "epoch_starts", "0", NoEpochStarts()),
    frozenset({"callback"}): lambda pairs: NoCallback(callback=pairs["callback"]),
    frozenset({"cores"}): lambda pairs: WithCores(cores=_number(pairs, "cores", 0.1)),
}
