"""Which lines of a function make what it trains on."""

from textwrap import dedent

import pytest

from pipeprof.capture.probes.python.batch_lines import TrainingLine, batch_lines


def lines_of(source: str, called: str = "train_on_batch", name: str = "train") -> list[str]:
    """The lines of a function's source that make its batches; it begins in line 1."""
    text = dedent(source).lstrip()
    lines = text.splitlines()
    at = next(number for number, line in enumerate(lines, start=1) if f"{called}(" in line)
    found = batch_lines(text, name, 1, TrainingLine(line=at, called=called))
    return [lines[number - 1].strip() for number in sorted(found)]


@pytest.mark.parametrize(
    ("source", "makes"),
    [
        (
            """
            def train(model):
                model = build(model)
                for x, y in read_scans():
                    loss = model.train_on_batch(x, y)
                    log(loss)
            """,
            ["for x, y in read_scans():"],
        ),
        (
            """
            def train(model, files):
                for step in range(9):
                    paths = choose(files)
                    pause()
                    x, y = decode(paths)
                    losses.append(model.train_on_batch(x, y))
            """,
            ["paths = choose(files)", "x, y = decode(paths)"],
        ),
        (
            """
            def train(self):
                while True:
                    self.batch = next(self.batches)
                    self.seen = count(self)
                    self.model.train_on_batch(*self.batch)
            """,
            ["self.batch = next(self.batches)"],
        ),
        (
            """
            def train(model, files):
                for part in files:
                    rows = []
                    for file in part:
                        rows.append(load(file))
                        notes.append(describe(file))
                    model.train_on_batch(stack(rows))
            """,
            [
                "for part in files:",
                "rows = []",
                "for file in part:",
                "rows.append(load(file))",
                "model.train_on_batch(stack(rows))",
            ],
        ),
        (
            """
            def train(model, agent, env):
                for step in range(9):
                    agent.memory.append(env.step(agent.act()))
                    states = agent.sample()
                    model.train_on_batch(states)
            """,
            ["states = agent.sample()"],
        ),
        (
            """
            def train(model, paths):
                x = load(paths)
                return model.train_on_batch(x)
            """,
            ["x = load(paths)"],
        ),
    ],
)
def test_what_flows_into_the_call_makes_the_batch(source: str, makes: list[str]) -> None:
    assert lines_of(source) == makes


def test_of_a_call_under_another_name_the_innermost_is_taken() -> None:
    source = "while True:\n    x = read()\n    log(step(x))\n"
    assert batch_lines(source, "<module>", 1, TrainingLine(line=3, called="__call__")) == {2}


def test_what_was_bound_before_the_loop_makes_no_batch() -> None:
    source = """
        def train(model):
            x = load()
            for epoch in range(9):
                model.train_on_batch(x)
        """
    assert lines_of(source) == []


def test_a_function_inside_is_not_that_function() -> None:
    source = """
        def train(model):
            def make():
                x = load()
                return x
            while True:
                x = make()
                model.train_on_batch(x)
        """
    assert lines_of(source) == ["x = make()"]


def test_a_script_and_a_decorated_function_are_found() -> None:
    script = "for x in read():\n    fit_one(x)\n"
    assert batch_lines(script, "<module>", 1, TrainingLine(line=2, called="fit_one")) == {1}
    decorated = "@timed\ndef train():\n    for x in read():\n        fit_one(x)\n"
    assert batch_lines(decorated, "train", 1, TrainingLine(line=4, called="fit_one")) == {3}


@pytest.mark.parametrize("source", ["", "def other(): pass", "no python at all ("])
def test_another_source_has_no_such_lines(source: str) -> None:
    assert not batch_lines(source, "train", 1, TrainingLine(line=1, called="fit_one"))
