import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeprof.scenarios.validation import Planted, planted_trainings
from pipeprof.scenarios.validation.expected import SCRIPTS
from pipeprof.scenarios.validation.script_places import is_at, is_at_text, is_inside, lines_of

CLOCKS = {"fit_clock", "own_clock", "frozen_network"}
ALL = planted_trainings()


def functions_of(planted: Planted) -> Iterator[str]:
    yield from planted.bottleneck
    yield from (cost.stage for cost in planted.costs)
    yield from (named.function for named in planted.named if named.function is not None)


def imported_by(script: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module).partition(".")[0])
    return names


def test_each_script_is_known_and_each_known_training_has_a_script() -> None:
    scripts = {path.stem for path in SCRIPTS.glob("*.py")} - CLOCKS
    assert sorted(planted.name for planted in ALL) == sorted(scripts)


@pytest.mark.parametrize("planted", ALL, ids=lambda planted: planted.name)
def test_what_has_to_be_named_is_in_the_script(planted: Planted) -> None:
    assert set(functions_of(planted)) <= set(lines_of(planted.script))


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.py")), ids=lambda script: script.stem)
def test_scripts_know_nothing_of_pipeprof(script: Path) -> None:
    assert "pipeprof" not in imported_by(script)


@pytest.mark.parametrize("planted", ALL, ids=lambda planted: planted.name)
def test_a_training_with_a_ceiling_can_be_fed_for_free(planted: Planted) -> None:
    assert ("input_is_free" in planted.script.read_text()) == planted.ceiling


def test_some_are_for_the_tests_and_show_more_than_one_bound() -> None:
    quick = [planted for planted in ALL if planted.quick]
    assert len(quick) <= 8
    assert {bound for planted in quick for bound in planted.bound} >= {"input", "compute"}


def test_a_function_may_be_placed_at_its_line_and_at_those_of_its_decorators(
    tmp_path: Path,
) -> None:
    script = tmp_path / "train.py"
    script.write_text("@first\n@second\ndef f(): ...\n\n\nclass A:\n    def f(self): ...\n")
    assert lines_of(script) == {"f": {1, 2, 3}, "A": {6}, "A.f": {7}}
    assert is_at("/elsewhere/train.py:3", script, "f")
    assert not is_at("train.py:7", script, "f")
    assert not is_at("other.py:3", script, "f")
    assert not is_at("train.py", script, "f")
    assert not is_at(None, script, "f")


def test_a_line_may_lie_anywhere_in_a_function(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("@first\ndef f():\n    a = 1\n    return a\n\n\ndef g(): ...\n")
    assert all(is_inside(f"train.py:{line}", script, "f") for line in (2, 3, 4))
    assert not any(is_inside(f"train.py:{line}", script, "f") for line in (5, 7))
    assert not is_inside("other.py:3", script, "f")
    assert not is_inside(None, script, "f")


def test_a_line_may_be_known_by_a_text_that_stands_in_it(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("import keras\ndata = keras.load(\n)\n")
    assert is_at_text("/elsewhere/train.py:2", script, "load(")
    assert not is_at_text("train.py:1", script, "load(")
    assert not is_at_text("load.py:2", script, "load(")
    assert not is_at_text(None, script, "load(")


def test_texts_by_which_lines_are_known_stand_in_one_line() -> None:
    lines = [(each.script, each.bottleneck_line) for each in ALL if each.bottleneck_line]
    assert lines
    assert [line for script, line in lines if script.read_text().count(line) != 1] == []
