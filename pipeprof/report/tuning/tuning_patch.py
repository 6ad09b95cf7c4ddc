"""Writes the changes that tuning kept into the user's own lines, where those are plain enough.

A call is plain enough if it is the only one in the file that it can be: the ``.map(decode)`` of a function
`decode`, the call that makes a Sequence, the ``fit`` of Keras 2. A call without a function, such as
``.batch(32)``, may be that of another dataset: it is plain only where the file has each transformation that
has a function. Everything else is left to the reader, as `pipeprof.report.tuning.tuning_code` shows it.
"""

import ast
import difflib
import io
from collections.abc import Iterator, Sequence
from itertools import accumulate

from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.pipeline_edits import (
    AUTOTUNE,
    AddCache,
    AddPrefetch,
    DropCache,
    Edit,
    MoveBatchFirst,
    MoveFilterFirst,
    MoveShuffleBehind,
    MoveShuffleFirst,
    SetCalls,
    Workers,
)
from pipeprof.recording.source_code import own_name
from pipeprof.recording.tuning_outcome import Description, TunedTransformation
from pipeprof.report.names.edit_names import transformation

# Methods that take no function of the user's.
_PLAIN = {"batch", "cache", "padded_batch", "prefetch", "repeat", "shuffle", "skip", "take"}
# What changes which elements a place sees.
_ORDERING = (MoveShuffleFirst, MoveShuffleBehind, MoveFilterFirst, MoveBatchFirst, DropCache)


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
    for edit in sorted(edits, key=_turn):
        order_is_open = any(isinstance(other, _ORDERING) for other in left)
        after = None
        if not (isinstance(edit, AddCache) and order_is_open):
            after = (
                _with_workers(changed, edit, described)
                if isinstance(edit, Workers)
                else _with_edit(changed, edit, places)
            )
        if after is None:
            left.append(edit)
        else:
            changed = after
    diff = difflib.unified_diff(_lines(source), _lines(changed), f"a/{file}", f"b/{file}", n=1)
    return Patch(diff="".join(map(_whole, diff)), left=tuple(left))


def _turn(edit: Edit) -> int:
    """What goes to the end goes there first, and moves with it; a cache finds everything in its place."""
    return 0 if isinstance(edit, AddPrefetch) else 2 if isinstance(edit, AddCache) else 1


def _lines(text: str) -> list[str]:
    """The lines as ``patch`` counts them: other characters that end a line do not."""
    return list(io.StringIO(text, newline="\n"))


def _whole(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _with_edit(source: str, edit: Edit, places: dict[str, TunedTransformation]) -> str | None:
    """The source with one change, or None where its lines are not plain enough."""
    parsed = _parsed(source)
    replaced = None if parsed is None else _replaced(edit, places, parsed)
    return None if parsed is None or replaced is None else _changed(parsed, replaced)


def _with_workers(source: str, edit: Workers, described: Description) -> str | None:
    """The source with other workers for a Sequence, or None where no one call is plain."""
    settings = {"workers": edit.workers, "use_multiprocessing": edit.processes}
    if edit.queue != described.queue:
        settings["max_queue_size"] = edit.queue
    changed: str | None = source
    for name, value in settings.items():
        parsed = None if changed is None else _parsed(changed)
        if parsed is None:
            return None
        call = _only(_calls_with_workers(parsed.tree, described))
        replaced = None if call is None else _with_argument(call, name, str(value), parsed)
        changed = None if replaced is None else _changed(parsed, replaced)
    return changed


def _changed(source: "_Source", replaced: "_Replaced") -> str | None:
    """The source with one part replaced; None where that is no Python any more."""
    text = source.text
    changed = (text[: replaced.start] + replaced.text + text[replaced.end :]).decode()
    return None if _parsed(changed) is None else changed


def _parsed(source: str) -> "_Source | None":
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # a file with a zero byte
        return None
    text = source.encode()
    starts = [0, *accumulate(len(line) for line in text.splitlines(keepends=True))]
    return _Source(tree, text, starts)


@dataclass(frozen=True, slots=True)
class _Source:
    """A file that was parsed; ``starts`` are the bytes at which its lines begin."""

    tree: ast.Module
    text: bytes
    starts: list[int]

    def begin(self, node: ast.expr | ast.stmt) -> int:
        """Where a part begins."""
        return self.starts[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr) -> int:
        """Where a part ends."""
        return self.starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)


def _replaced(
    edit: Edit, places: dict[str, TunedTransformation], source: _Source
) -> _Replaced | None:
    match edit:
        case SetCalls():
            return _with_calls(_call_of(source, edit.node, places), edit.calls, source)
        case DropCache():
            return _without(_call_of(source, edit.node, places), source)
        case AddCache():
            return _behind(_call_of(source, edit.node, places), ".cache()", source)
        case AddPrefetch():
            last = list(places)[-1]
            return _behind(
                _call_of(source, last, places), f".prefetch({_autotune(source)})", source
            )
        case MoveShuffleFirst() | MoveShuffleBehind():
            return _exchanged(edit.shuffle, edit.node, places, source)
        case MoveFilterFirst():
            return _exchanged(edit.filter, edit.node, places, source)
        case MoveBatchFirst():
            return _exchanged(edit.batch, edit.node, places, source)
        case _:
            return None


def _call_of(source: _Source, node: str, places: dict[str, TunedTransformation]) -> ast.Call | None:
    """The call that a transformation was written with, where no doubt is left."""
    place = places.get(node)
    if place is None or sum(_looks_like(place, other) for other in places.values()) != 1:
        return None
    if place.function is None:
        written = [other for other in places.values() if other.function is not None]
        if any(_only(_calls_of(source.tree, other)) is None for other in written):
            return None
    return _only(_calls_of(source.tree, place))


def _looks_like(one: TunedTransformation, other: TunedTransformation) -> bool:
    names = (transformation(one.op), one.function), (transformation(other.op), other.function)
    return names[0] == names[1] and (one.file, one.line) == (other.file, other.line)


def _exchanged(
    one: str, other: str, places: dict[str, TunedTransformation], source: _Source
) -> _Replaced | None:
    """Two calls of one chain, the one directly behind the other, in the other order."""
    calls = [_call_of(source, node, places) for node in (one, other)]
    for first, second in (calls, calls[::-1]):
        if first is None or second is None or not isinstance(second.func, ast.Attribute):
            continue
        if second.func.value is first and isinstance(first.func, ast.Attribute):
            begin, middle, end = source.end(first.func.value), source.end(first), source.end(second)
            lower, upper = source.text[begin:middle], source.text[middle:end]
            return _Replaced(begin, end, _on_line_of(lower, upper) + _on_line_of(upper, lower))
    return None


def _on_line_of(old: bytes, new: bytes) -> bytes:
    """A call of a chain where another one stood: on a line of its own where that one was."""
    return old[: len(old) - len(old.lstrip())] + new.lstrip()


def _only(calls: Iterator[ast.Call]) -> ast.Call | None:
    found = list(calls)
    return found[0] if len(found) == 1 else None


def _calls_of(tree: ast.Module, place: TunedTransformation) -> Iterator[ast.Call]:
    """The calls that a transformation may have been written with."""
    method = transformation(place.op)
    if place.function is None and method not in _PLAIN:
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr == method and (place.function is None or _names(node, place)):
            yield node


def _names(call: ast.Call, place: TunedTransformation) -> bool:
    """Whether a call's first argument is the function of a transformation."""
    if not call.args:
        return False
    given = call.args[0]
    function = own_name(place.function)
    if isinstance(given, ast.Lambda):
        last = given.end_lineno or given.lineno
        here = place.line is None or given.lineno <= place.line <= last
        return here and function is None
    name = given.attr if isinstance(given, ast.Attribute) else getattr(given, "id", None)
    return name is not None and name == function


def _with_calls(call: ast.Call | None, calls: int, source: _Source) -> _Replaced | None:
    if call is None or not isinstance(call.func, ast.Attribute) or call.func.attr == "flat_map":
        return None  # flat_map makes one call at a time: an interleave has to take its place
    text = _autotune(source) if calls == AUTOTUNE else str(calls)
    if len(call.args) != 1:
        return None
    return _with_argument(call, "num_parallel_calls", text, source)


def _without(call: ast.Call | None, source: _Source) -> _Replaced | None:
    """A call in a chain is left out; a line that does nothing else goes with it."""
    if call is None or not isinstance(call.func, ast.Attribute):
        return None
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Assign) and node.value is call and _is_renewed(node):
            start, end = source.starts[node.lineno - 1], source.starts[(node.end_lineno or 0)]
            alone = (
                source.text[start:end].strip() == source.text[source.begin(node) : source.end(call)]
            )
            return _Replaced(start, end, b"") if alone else None
    return _Replaced(source.end(call.func.value), source.end(call), b"")


def _is_renewed(node: ast.Assign) -> bool:
    """Whether a line gives a name what a method of that name's value makes: ``ds = ds.cache()``."""
    match node:
        case ast.Assign(
            targets=[ast.Name(id=given)],
            value=ast.Call(func=ast.Attribute(value=ast.Name(id=taken))),
        ):
            return given == taken
    return False


def _calls_with_workers(tree: ast.Module, described: Description) -> Iterator[ast.Call]:
    """The calls that may give a Sequence its workers: what makes it, or the ``fit`` of Keras 2."""
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Attribute(attr="fit" | "fit_generator") if described.workers_of_fit:
                yield node
            case ast.Name(id=name) if not described.workers_of_fit and name == described.name:
                if name in classes and _hands_on(classes[name]):
                    yield node


def _hands_on(made: ast.ClassDef) -> bool:
    """Whether a class takes the arguments of the one that it is derived from."""
    for node in made.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            rest = node.args.kwarg
            return rest is not None and any(
                keyword.arg is None
                and isinstance(keyword.value, ast.Name)
                and keyword.value.id == rest.arg
                for call in ast.walk(node)
                if isinstance(call, ast.Call)
                for keyword in call.keywords
            )
    return True


def _with_argument(call: ast.Call, name: str, value: str, source: _Source) -> _Replaced | None:
    """A call with an argument, instead of the one of that name that it may have."""
    for keyword in call.keywords:
        if keyword.arg == name:
            begin, end = source.begin(keyword.value), source.end(keyword.value)
            return _Replaced(begin, end, value.encode())
    if any(keyword.arg is None for keyword in call.keywords):
        return None  # it may be among those
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    if not given:
        inside = source.end(call) - 1
        return _Replaced(inside, inside, f"{name}={value}".encode())
    behind = max(map(source.end, given))
    return _Replaced(behind, behind, f", {name}={value}".encode())


def _autotune(source: _Source) -> str:
    """How the file writes AUTOTUNE: by its own name of TensorFlow, or as the number that it is."""
    for node in ast.walk(source.tree):
        for name in node.names if isinstance(node, ast.Import) else ():
            if name.name == "tensorflow":
                return f"{name.asname or name.name}.data.AUTOTUNE"
    return str(AUTOTUNE)


def _behind(call: ast.Call | None, text: str, source: _Source) -> _Replaced | None:
    if call is None:
        return None
    return _Replaced(source.end(call), source.end(call), text.encode())
