"""Which lines of a function make the batch that it trains on, read from its source. Knows no framework.

Only names are followed: what is bound to a name that the call which trains takes, and to the names that
this is made of, within the loop around that call.
"""

import ast
from collections.abc import Iterator

from pipeprof.recording.light_dataclasses import dataclass

# Lists that a batch is built up in.
_GROWING = ("append", "extend", "insert")
# Names of the object whose methods run: it is in every line.
_OWN_OBJECT = ("self", "cls")
_MODULE = "<module>"

_Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (*_FUNCTIONS, ast.ClassDef, ast.Lambda)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingLine:
    """Where a function trains.

    Attributes:
        line: of the call.
        called: the name of what it calls.
    """

    line: int
    called: str


@dataclass(frozen=True, slots=True)
class _Binding:
    """Lines that bind names, and the names that they are made of."""

    targets: frozenset[str]
    made_of: frozenset[str]
    lines: range


def batch_lines(source: str, name: str, first_line: int, trains: TrainingLine) -> frozenset[int]:
    """The lines of a function on which what it trains on is made.

    Args:
        source: the text of its file.
        name: of its code; ``<module>`` for a script.
        first_line: of its code, decorators included.
        trains: its call that trains.

    Returns:
        line numbers; none where the source is not that of the function.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return frozenset()
    scope = _find_scope(tree, name, first_line)
    if scope is None:
        return frozenset()
    nodes = list(_inside(scope))
    calls = [node for node in nodes if isinstance(node, ast.Call) and _covers(node, trains.line)]
    named = [call for call in calls if _called(call) == trains.called]
    # An object that is called may have any name: the innermost call is it.
    calls = named or [call for call in calls if not any(map(_has_call, _arguments(call)))]
    around = [node for node in nodes if isinstance(node, _LOOPS) and _covers(node, trains.line)]
    region = min(around, key=lambda node: node.lineno, default=None)
    bindings = [
        binding
        for node in ([region, *_inside(region)] if region is not None else nodes)
        if (binding := _binding(node)) is not None
    ]
    arguments = [each for call in calls for each in _arguments(call)]
    needed = {path for argument in arguments for path in _paths(argument)}
    found = {line for argument in arguments if _has_call(argument) for line in _lines(argument)}
    open_ones = bindings
    while True:
        used = [binding for binding in open_ones if binding.targets & needed]
        if not used:
            return frozenset(found)
        open_ones = [binding for binding in open_ones if not binding.targets & needed]
        for binding in used:
            found.update(binding.lines)
            needed |= binding.made_of


def _find_scope(tree: ast.Module, name: str, first_line: int) -> _Scope | None:
    if name == _MODULE:
        return tree
    for node in ast.walk(tree):
        if isinstance(node, _FUNCTIONS) and node.name == name:
            decorators = [decorator.lineno for decorator in node.decorator_list]
            if min([node.lineno, *decorators]) == first_line:
                return node
    return None


def _inside(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes inside a node but those of functions and classes that are written in it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, _SCOPES):
            yield child
            yield from _inside(child)


def _covers(node: ast.expr | ast.stmt, line: int) -> bool:
    return line in _lines(node)


def _lines(node: ast.expr | ast.stmt) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _arguments(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def _has_call(node: ast.expr) -> bool:
    return any(isinstance(each, ast.Call) for each in ast.walk(node))


def _called(call: ast.Call) -> str | None:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else None


def _binding(node: ast.AST) -> _Binding | None:
    """What a statement binds; a ``for`` by its head, a list that grows by what is added."""
    match node:
        case ast.Assign(targets=targets, value=value):
            return _bound(targets, value)
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            return _bound([target], value)
        case ast.AugAssign(target=target, value=value) | ast.NamedExpr(target=target, value=value):
            return _bound([target], value)
        case ast.For(target=target, iter=value) | ast.AsyncFor(target=target, iter=value):
            lines = range(node.lineno, _lines(value).stop)
            return _Binding(_targets([target]), frozenset(_paths(value)), lines)
        case ast.withitem(context_expr=value, optional_vars=ast.expr() as target):
            return _bound([target], value)
        case ast.Call(func=ast.Attribute(value=grows, attr=attr), args=args) if attr in _GROWING:
            made_of = frozenset(path for each in args for path in _paths(each))
            return _Binding(_targets([grows]), made_of, _lines(node))
    return None


def _bound(targets: list[ast.expr], value: ast.expr) -> _Binding:
    return _Binding(_targets(targets), frozenset(_paths(value)), _lines(value))


def _targets(nodes: list[ast.expr]) -> frozenset[str]:
    """The names that are bound: ``x``, ``self.x``; of ``x[0]`` all of ``x``."""
    found: set[str] = set()
    pending = list(nodes)
    while pending:
        node = pending.pop()
        match node:
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                pending.extend(parts)
            case ast.Starred(value=inner) | ast.Subscript(value=inner):
                pending.append(inner)
            case ast.Name() | ast.Attribute():
                path = _path(node)
                if path is not None:
                    found.add(path)
    return frozenset(found)


def _paths(node: ast.AST) -> Iterator[str]:
    """The names that an expression is made of, with those before their dots."""
    for each in ast.walk(node):
        if isinstance(each, (ast.Name, ast.Attribute)):
            path = _path(each)
            if path is not None and path not in _OWN_OBJECT:
                yield path


def _path(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = _path(node.value)
        return None if before is None else f"{before}.{node.attr}"
    return None
