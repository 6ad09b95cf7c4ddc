"""Writes the changes that tuning kept into the user's own lines, where those are plain enough.

A call is plain enough if it is the only one in the file that it can be: the ``.map(decode)`` of a function
`decode`. Everything else is left to the reader, as `pipeprof.report.tuning_code` shows it.
"""

import ast
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from pipeprof.recording.pipeline_edits import (
    AUTOTUNE,
    BatchFirst,
    CacheBehind,
    DropCache,
    Edit,
    FilterFirst,
    ParallelCalls,
    Prefetch,
    ShuffleBehind,
    ShuffleFirst,
)
from pipeprof.recording.tuning_outcome import Description, Place
from pipeprof.report.edit_names import transformation

_AUTOTUNE = "tf.data.AUTOTUNE"
# What changes which elements a place sees.
_ORDERING = (ShuffleFirst, ShuffleBehind, FilterFirst, BatchFirst, DropCache)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """Changed source code.

    Attributes:
        diff: a unified diff.
        left: the changes that are not in it.
    """

    diff: str
    left: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class _Replaced:
    """A part of the source, in bytes from its beginning, and what comes in its place."""

    start: int
    end: int
    text: bytes


def write_patch(source: str, file: str, described: Description, edits: Sequence[Edit]) -> Patch:
    """The changes as a diff of a file.

    Where transformations have to change places and their lines are not plain enough for that, no cache is
    written either: it would keep the wrong elements.

    Args:
        source: the file's text.
        file: its name, for the diff's head.
        described: the input.
        edits: what was kept.
    """
    places = {place.node: place for place in described.places}
    changed = source
    left: list[Edit] = []
    for edit in sorted(edits, key=lambda edit: isinstance(edit, CacheBehind)):
        order_is_open = any(isinstance(other, _ORDERING) for other in left)
        after = None
        if not (isinstance(edit, CacheBehind) and order_is_open):
            after = _with_edit(changed, edit, places)
        if after is None:
            left.append(edit)
        else:
            changed = after
    diff = difflib.unified_diff(
        source.splitlines(keepends=True),
        changed.splitlines(keepends=True),
        f"a/{file}",
        f"b/{file}",
        n=1,
    )
    return Patch(diff="".join(diff), left=tuple(left))


def _with_edit(source: str, edit: Edit, places: dict[str, Place]) -> str | None:
    """The source with one change, or None where its lines are not plain enough."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    text = source.encode()
    starts = [0, *accumulate(len(line) for line in text.splitlines(keepends=True))]
    replaced = _replaced(edit, places, _Source(tree, text, starts))
    if replaced is None:
        return None
    return (text[: replaced.start] + replaced.text + text[replaced.end :]).decode()


@dataclass(frozen=True, slots=True)
class _Source:
    """A file that was parsed; ``starts`` are the bytes at which its lines begin."""

    tree: ast.Module
    text: bytes
    starts: list[int]

    def begin(self, node: ast.expr) -> int:
        """Where a part begins."""
        return self.starts[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr) -> int:
        """Where a part ends."""
        return self.starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)


def _replaced(edit: Edit, places: dict[str, Place], source: _Source) -> _Replaced | None:
    match edit:
        case ParallelCalls():
            return _with_calls(_call_of(source, places.get(edit.node)), edit.calls, source)
        case CacheBehind():
            return _behind(_call_of(source, places.get(edit.node)), ".cache()", source)
        case Prefetch():
            last = list(places.values())[-1]
            return _behind(_call_of(source, last), f".prefetch({_AUTOTUNE})", source)
        case ShuffleFirst() | ShuffleBehind():
            return _exchanged(edit.shuffle, edit.node, places, source)
        case FilterFirst():
            return _exchanged(edit.filter, edit.node, places, source)
        case BatchFirst():
            return _exchanged(edit.batch, edit.node, places, source)
        case _:
            return None


def _call_of(source: _Source, place: Place | None) -> ast.Call | None:
    return _only(_calls_of(source.tree, place))


def _exchanged(one: str, other: str, places: dict[str, Place], source: _Source) -> _Replaced | None:
    """Two calls of one chain, the one directly behind the other, in the other order."""
    calls = [_call_of(source, places.get(node)) for node in (one, other)]
    for first, second in (calls, calls[::-1]):
        if first is None or second is None or not isinstance(second.func, ast.Attribute):
            continue
        if second.func.value is first and isinstance(first.func, ast.Attribute):
            begin, middle, end = source.end(first.func.value), source.end(first), source.end(second)
            text = source.text
            return _Replaced(begin, end, text[middle:end] + text[begin:middle])
    return None


def _only(calls: Iterator[ast.Call]) -> ast.Call | None:
    found = list(calls)
    return found[0] if len(found) == 1 else None


def _calls_of(tree: ast.Module, place: Place | None) -> Iterator[ast.Call]:
    """The calls that a transformation may have been written with."""
    if place is None:
        return
    method = transformation(place.op)
    function = (place.function or "").rpartition(".")[2]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr != method:
            continue
        if place.function is None or _names(node, function):
            yield node


def _names(call: ast.Call, function: str) -> bool:
    """Whether a call's first argument is the function of that name."""
    if not call.args:
        return False
    given = call.args[0]
    if isinstance(given, ast.Lambda):
        return not function.isidentifier()
    name = given.attr if isinstance(given, ast.Attribute) else getattr(given, "id", None)
    return name == function


def _with_calls(call: ast.Call | None, calls: int, source: _Source) -> _Replaced | None:
    if call is None:
        return None
    text = (_AUTOTUNE if calls == AUTOTUNE else str(calls)).encode()
    for keyword in call.keywords:
        if keyword.arg == "num_parallel_calls":
            return _Replaced(source.begin(keyword.value), source.end(keyword.value), text)
    if len(call.args) != 1:
        return None
    behind = [call.args[0], *(keyword.value for keyword in call.keywords)][-1]
    return _Replaced(source.end(behind), source.end(behind), b", num_parallel_calls=" + text)


def _behind(call: ast.Call | None, text: str, source: _Source) -> _Replaced | None:
    if call is None:
        return None
    return _Replaced(source.end(call), source.end(call), text.encode())
