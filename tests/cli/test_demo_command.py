"""``pipeprof demo`` records every way to feed the same training, and sets them side by side."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from pipeprof import scenarios
from pipeprof.errors import UsageError
from pipeprof.recording.loop import InputKind
from pipeprof.runs.run_search import list_runs
from pipeprof.scenarios import Scenario, Workload
from tests.cli.conftest import Command


def _take(batches: Iterable[int]) -> None:
    for _ in batches:
        pass


def _interrupt(batches: Iterable[int]) -> None:
    raise KeyboardInterrupt


def _scenario(name: str, train: Callable[[Iterable[int]], None] = _take) -> Scenario:
    return Scenario(
        name=name,
        title=f"by {name}",
        input=InputKind.ITERATOR,
        prepare=lambda: Workload(model=None, dataset=[1, 2, 3], train=train, steps=3, samples=3),
    )


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def offer(*offered: Scenario) -> None:
        def demo_scenarios(
            data: Path | None, *, on_progress: Callable[[int, int], None]
        ) -> tuple[Scenario, ...]:
            on_progress(1, 2)
            return offered

        monkeypatch.setattr(scenarios, "demo_scenarios", demo_scenarios)

    return offer


def _recorded(logdir: Path) -> set[str]:
    return {run.name for run in list_runs(logdir)}


def test_all_ways_are_set_side_by_side(
    command: Command, offer: Callable[..., None], tmp_path: Path
) -> None:
    offer(_scenario("hand"), _scenario("foot"))
    outcome = command("demo", "--logdir", "my logs")
    assert outcome.code == 0
    assert outcome.out.splitlines()[0].split() == ["by", "hand", "by", "foot"]
    assert outcome.out.endswith("pipeprof view 'my logs'\n")
    assert _recorded(tmp_path / "my logs") == {"demo-hand", "demo-foot"}


def test_some_ways_can_be_chosen(
    command: Command, offer: Callable[..., None], tmp_path: Path
) -> None:
    offer(_scenario("hand"), _scenario("foot"))
    outcome = command("demo", "foot", "--logdir", "logs")
    assert (outcome.code, _recorded(tmp_path / "logs")) == (0, {"demo-foot"})
    assert "by hand" not in outcome.out


def test_an_unknown_way_is_refused(command: Command, offer: Callable[..., None]) -> None:
    offer(_scenario("hand"), _scenario("foot"))
    outcome = command("demo", "nose")
    assert (outcome.code, outcome.out) == (2, "")
    assert "expected some of hand, foot, received nose." in outcome.err


def test_ctrl_c_shows_what_was_recorded(command: Command, offer: Callable[..., None]) -> None:
    offer(_scenario("hand"), _scenario("foot", _interrupt))
    outcome = command("demo")
    assert outcome.code == 130
    assert "by hand" in outcome.out
    assert "by foot" not in outcome.out


def test_without_tensorflow_it_says_so(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def demo_scenarios(*_: object, **__: object) -> tuple[Scenario, ...]:
        raise UsageError("here there is no tensorflow: pip install tensorflow")

    monkeypatch.setattr(scenarios, "demo_scenarios", demo_scenarios)
    outcome = command("demo")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.strip() == "pipeprof: here there is no tensorflow: pip install tensorflow"
