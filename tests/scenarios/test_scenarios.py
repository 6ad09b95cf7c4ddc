from pathlib import Path

import pytest

from pipeprof import scenarios
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.errors import UsageError
from pipeprof.scenarios import Truth, demo_scenarios
from pipeprof.scenarios.photos import decode


def test_what_is_not_installed_is_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenarios, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="no tensorflow and no keras and no PIL: pip install"):
        demo_scenarios()


def test_pillow_is_named_as_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenarios, "find_spec", lambda name: None if name == "PIL" else name)
    with pytest.raises(UsageError, match=r"no PIL: pip install pillow$"):
        demo_scenarios()


def test_a_truth_points_at_the_line_of_the_function_and_not_of_its_wrapper() -> None:
    location = Truth(bound=Bound.INPUT, function=decode).location
    assert location is not None
    lines = Path(scenarios.__file__).with_name("photos.py").read_text().splitlines()
    assert location.file == "photos.py"
    assert lines[location.line - 1] == '@pipeprof.stage("decode")'


def test_a_truth_without_a_function_has_no_line() -> None:
    assert Truth(bound=Bound.COMPUTE).location is None
