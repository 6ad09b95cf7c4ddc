"""The text of a line of Python source, and the ``with`` blocks around it."""

import ast
import functools
import linecache
import warnings
from collections.abc import Mapping

_MOST_CHARACTERS = 120
_MOST_BYTES = 1 << 20


def line_text(file: str, line: int) -> str:
    """The source text of a line, without indentation; empty where it cannot be read."""
    return linecache.getline(file, line).strip()[:_MOST_CHARACTERS]


def blocks_around(file: str, line: int) -> tuple[int, ...]:
    """First lines of the ``with`` statements around a line, innermost first."""
    return _blocks(file).get(line, ())


@functools.lru_cache(maxsize=64)
def _blocks(file: str) -> Mapping[int, tuple[int, ...]]:
    source = "".join(linecache.getlines(file))
    if len(source) > _MOST_BYTES:
        return {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the user's code; Python has warned before
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    found: dict[int, tuple[int, ...]] = {}
    # Outer statements come before those inside them.
    for node in ast.walk(tree):
        if isinstance(node, ast.With):
            begins = {node.lineno, *(item.context_expr.lineno for item in node.items)}
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                found[line] = (*sorted(begins, reverse=True), *found.get(line, ()))
    return found
