from pathlib import Path

import pytest

from pipeprof.capture.probes.python.source_lines import function_begins

SOURCE = """\
def outer():
    def load(index):
        return index + 1

    return load


@first
@second
def decode(row):

    return row


class Reader:
    def load(self, index):
        return 2

double = lambda x: (
    2 * x
)
"""


@pytest.mark.parametrize(
    ("name", "line", "begins"),
    [("outer", 5, 1), ("load", 3, 2), ("decode", 12, 8), ("load", 17, 16), ("<lambda>", 20, 19)],
)
def test_a_function_begins_where_it_is_defined(
    tmp_path: Path, name: str, line: int, begins: int
) -> None:
    script = tmp_path / "train.py"
    script.write_text(SOURCE)
    assert function_begins(str(script), name, line) == begins


@pytest.mark.parametrize(("name", "line"), [("load", 5), ("other", 3)])
def test_without_such_a_function_around_it_the_line_stays(
    tmp_path: Path, name: str, line: int
) -> None:
    script = tmp_path / "train.py"
    script.write_text(SOURCE)
    assert function_begins(str(script), name, line) == line


@pytest.mark.parametrize("source", ["def load(:", None])
def test_a_file_that_cannot_be_read_leaves_the_line(tmp_path: Path, source: str | None) -> None:
    script = tmp_path / "train.py"
    if source is not None:
        script.write_text(source)
    assert function_begins(str(script), "load", 3) == 3
