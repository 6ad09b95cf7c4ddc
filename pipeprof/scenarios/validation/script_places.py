"""Where the functions and classes of a script begin."""

import ast
from functools import cache
from pathlib import Path


@cache
def lines_of(script: Path) -> dict[str, frozenset[int]]:
    """The lines at which each function or class may be placed: its own and its decorators'.

    Args:
        script: a file of Python.

    Returns:
        by name; methods as `Class.method`.
    """
    found: dict[str, frozenset[int]] = {}

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                name = f"{prefix}{child.name}"
                begins = [child.lineno, *(decorator.lineno for decorator in child.decorator_list)]
                found[name] = frozenset(begins)
                visit(child, f"{name}." if isinstance(child, ast.ClassDef) else prefix)
            else:
                visit(child, prefix)

    visit(ast.parse(script.read_text()), "")
    return found


def is_at(location: object, script: Path, function: str) -> bool:
    """Whether a location `file.py:12` of a report is where a function or class of the script begins."""
    return _line_in(location, script) in lines_of(script)[function]


def is_inside(location: object, script: Path, function: str) -> bool:
    """Whether a location `file.py:12` of a report is a line of a function or class of the script."""
    number = _line_in(location, script)
    ends = _ends_of(script)
    return number is not None and any(
        begin <= number <= ends[begin] for begin in lines_of(script)[function] if begin in ends
    )


@cache
def _ends_of(script: Path) -> dict[int, int]:
    """The last line of each function or class, by its first."""
    return {
        node.lineno: node.end_lineno or node.lineno
        for node in ast.walk(ast.parse(script.read_text()))
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }


def is_at_text(location: object, script: Path, text: str) -> bool:
    """Whether a location `file.py:12` of a report is a line of the script in which the text stands."""
    lines = script.read_text().splitlines()
    number = _line_in(location, script)
    return number is not None and text in lines[number - 1]


def _line_in(location: object, script: Path) -> int | None:
    if not isinstance(location, str):
        return None
    file, _, line = location.rpartition(":")
    return int(line) if Path(file).name == script.name and line.isdigit() else None
