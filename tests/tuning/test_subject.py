"""Finding the function that makes an input, and what is refused of it."""

import sys
from pathlib import Path

import pytest

from pipeprof.errors import TuningRefused, UsageError
from pipeprof.recording.loop import InputKind
from pipeprof.tuning.subject import find_function, make_subject

MODULE = """
def make_batches():
    yield 1

def _own():
    yield 1

number = 3
"""


@pytest.fixture(autouse=True)
def _modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_feeds.py").write_text(MODULE)
    (tmp_path / "feeds_that_raise.py").write_text("raise KeyError('no data')")
    (tmp_path / "feeds_that_need.py").write_text("import no_such_package")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in ("own_feeds", "feeds_that_raise", "feeds_that_need"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_a_function_is_found_in_the_working_folder() -> None:
    assert find_function("own_feeds:make_batches").__name__ == "make_batches"
    assert find_function("own_feeds.py:make_batches").__name__ == "make_batches"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (
            "own_feeds",
            r"expected MODULE:FUNCTION, such as train:make_dataset, received 'own_feeds'",
        ),
        ("own_feeds:", "expected MODULE:FUNCTION"),
        (
            "own_feeds:batches",
            "expected a function of own_feeds, found no batches; its functions: _own, make_batches",
        ),
        ("own_feeds:number", "expected a function of own_feeds, found no number"),
        ("feeds_elsewhere:make", "found no feeds_elsewhere"),
        ("feeds_that_raise:make", "feeds_that_raise cannot be imported: KeyError: 'no data'"),
        ("feeds_that_need:make", "feeds_that_need cannot be imported: ModuleNotFoundError"),
    ],
)
def test_a_function_that_cannot_be_found_gets_one_sentence(name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        find_function(name)


def test_a_generator_is_described() -> None:
    subject = make_subject(find_function("own_feeds:make_batches"))
    assert subject.kind is InputKind.GENERATOR
    assert list(subject.fresh()) == [1]
    assert not subject.takes_shard


def test_what_is_no_input_is_refused() -> None:
    with pytest.raises(UsageError, match="received None"):
        make_subject(lambda: None)
    with pytest.raises(UsageError, match="received an object of class int"):
        make_subject(lambda: 42)

    def raises() -> None:
        raise KeyError("no data")

    with pytest.raises(UsageError, match="the function raised KeyError: 'no data'"):
        make_subject(raises)


def test_a_function_that_makes_something_else_the_second_time_is_refused() -> None:
    made = iter([(one for one in [1]), 42])
    with pytest.raises(TuningRefused, match="expected the same elements from each call"):
        make_subject(lambda: next(made))
