"""The text of a line of Python source, the ``with`` blocks around it, and where its function begins."""

import ast
import functools
import linecache
import warnings
from collections.abc import Iterator, Mapping

_MOST_CHARACTERS = 120
_MOST_BYTES = 1 << 20
_LAMBDA = "<lambda>"


def line_text(file: str, line: int) -> str:
    """The source text of a line, without indentation; empty where it cannot be read."""
    return linecache.getline(file, line).strip()[:_MOST_CHARACTERS]


def blocks_around(file: str, line: int) -> tuple[int, ...]:
    """First lines of the ``with`` statements around a line, innermost first."""
    return _blocks(file).get(line, ())


def function_begins(file: str, name: str, line: int) -> int:
    """The line in which the function around a line begins, its decorators included.

    Args:
        file: path of the source.
        name: of the function, without that of its class.
        line: one of the function's body.

    Returns:
        that line where the file cannot be read or has no such function around it.
    """
    around = [
        begins for of, begins, ends in _functions(file) if of == name and begins <= line <= ends
    ]
    return max(around, default=line)


@functools.lru_cache(maxsize=64)
def _blocks(file: str) -> Mapping[int, tuple[int, ...]]:
    found: dict[int, tuple[int, ...]] = {}
    # Outer statements come before those inside them.
    for node in _nodes(file):
        if isinstance(node, ast.With):
            begins = {node.lineno, *(item.context_expr.lineno for item in node.items)}
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                found[line] = (*sorted(begins, reverse=True), *found.get(line, ()))
    return found


@functools.lru_cache(maxsize=64)
def _functions(file: str) -> tuple[tuple[str, int, int], ...]:
    """Name, first and last line of each function in a file."""
    found = []
    for node in _nodes(file):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = [node.lineno, *(decorator.lineno for decorator in node.decorator_list)]
            found.append((node.name, min(lines), node.end_lineno or node.lineno))
        elif isinstance(node, ast.Lambda):
            found.append((_LAMBDA, node.lineno, node.end_lineno or node.lineno))
    return tuple(found)


def _nodes(file: str) -> Iterator[ast.AST]:
    source = "".join(linecache.getlines(file))
    if len(source) > _MOST_BYTES:
        return iter(())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the user's code; Python has warned before
            return ast.walk(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError):
        return iter(())
