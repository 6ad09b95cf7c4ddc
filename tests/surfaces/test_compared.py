import json
import re

import pytest

from pipeprof.analysis.comparing.gate import check, parse_condition
from pipeprof.analysis.comparing.run_comparison import Comparison, compare_runs
from pipeprof.report.figures.changes import changes_figure
from pipeprof.report.runs.run_comparison_text import (
    noise_sentence,
    outcome_sentence,
    trouble_sentences,
    verdict_sentence,
)
from pipeprof.surfaces.json_report.compared_as_json import comparison_json
from pipeprof.surfaces.texts.compared_markdown import render_markdown
from pipeprof.surfaces.texts.compared_terminal import render_comparison
from pipeprof.surfaces.webpages.compared_page import compared_body, render_comparison_page
from pipeprof.surfaces.webpages.webpage import plotly_js
from tests.analysis.comparing.test_run_comparison import of_loop, run

SLOWER = compare_runs([run()], [run(12.0, 1)])
OUTCOMES = check(SLOWER, [parse_condition("step_ms>+5%"), parse_condition("wait_ms>+500%")])
STRANGE = compare_runs([run()], [of_loop(run(10.0, 1).profile.loops[0], "<b>|`x`\n# no")])


def test_the_terminal_shows_work_table_sentence_and_gate() -> None:
    text = render_comparison(SLOWER, OUTCOMES, width=80)
    assert max(map(len, text.splitlines())) <= 80
    lines = text.splitlines()
    assert lines[0].split() == ["before", "run-0-10.0"]
    step = next(line for line in lines if line.strip().startswith("step"))
    assert step.split()[-1] == "worse"
    assert re.search(r"A step is 1[789] % longer", text)
    assert "FAIL  step_ms>+5%" in text
    assert "pass  wait_ms>+500%" in text
    assert "--fingerprint" in text


@pytest.mark.parametrize(
    ("after_ms", "expression", "said"),
    [
        (12.0, "step_ms>+5%", "beyond the noise."),
        (10.3, "step_ms>+0.1%", "but not beyond the noise (±"),
        (10.0, "step_ms>+0.1%", "hides such a change. Compare more runs."),
        (10.0, "step_ms>+50%", "after."),
        (8.0, "step_ms>+0.1%", "after."),
    ],
)
def test_the_gate_says_where_the_noise_is_too_large_for_it(
    after_ms: float, expression: str, said: str
) -> None:
    comparison = compare_runs([run(10.0, 1)], [run(after_ms, 2)])
    [outcome] = check(comparison, [parse_condition(expression)])
    assert said in outcome_sentence(outcome)


def test_more_runs_make_the_noise_smaller_and_the_text_says_how_large_it_is() -> None:
    single = compare_runs([run(10.0, 1)], [run(10.0, 2)])
    several = compare_runs([run(10.0, n) for n in range(3)], [run(10.0, n) for n in range(3, 6)])

    def noise(comparison: Comparison) -> float:
        [percent] = re.findall(r"Noise: ±([0-9.]+) % of a step", noise_sentence(comparison))
        return float(percent)

    assert noise(several) < noise(single)
    assert "A1 A2 A3 -- B1 B2 B3" in noise_sentence(single)
    assert "6 runs differ" in noise_sentence(several)


def test_parts_that_changed_are_named_where_the_step_did_not() -> None:
    comparison = compare_runs([run(100.0, wait_ms=1.0)], [run(99.0, 1, wait_ms=3.0)])
    sentence = verdict_sentence(comparison)
    assert sentence.startswith("A step did not change beyond the noise of ±")
    assert "; what did: wait 3.0 times" in sentence
    equal = verdict_sentence(compare_runs([run(10.0)], [run(10.0, 1)]))
    assert "what did" not in equal


def test_what_went_wrong_with_a_run_is_said_before_its_times() -> None:
    cut = of_loop(run(10.0, 3).profile.loops[0], "cut", complete=False, exit_code=None)
    comparison = compare_runs([run()], [cut, run(10.0, 1)])
    [trouble] = trouble_sentences(comparison)
    assert trouble.startswith("cut: ")
    assert trouble in " ".join(render_comparison(comparison, width=200).split())
    assert "cut: " in render_markdown(comparison)
    assert trouble_sentences(SLOWER) == []


def test_a_narrow_screen_and_ascii_are_enough() -> None:
    text = render_comparison(SLOWER, OUTCOMES, width=40, ascii_only=True)
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 40


def test_markdown_is_a_table_and_names_cannot_break_it() -> None:
    text = render_markdown(SLOWER, OUTCOMES)
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in table} == {6}
    strange = render_markdown(STRANGE)
    assert "<b>" not in strange
    assert "\n# no" not in strange


def test_json_has_quantities_intervals_and_the_gate() -> None:
    found = json.loads(comparison_json(SLOWER, OUTCOMES))
    assert [each["fails"] for each in found["gate"]] == [True, False]
    step = next(each for each in found["quantities"] if each["name"] == "step_ms")
    assert step["worse"] is step["beyond_noise"] is True
    assert step["change_interval"][0] < step["change"] < step["change_interval"][1]
    assert found["work"]["sameness"] == "unknown"


def own(page: str) -> str:
    """The page without Plotly."""
    return page.replace(plotly_js().read_text(encoding="utf-8"), "")


def test_the_page_shows_names_as_text() -> None:
    page = own(render_comparison_page(STRANGE))
    assert page.startswith("<!DOCTYPE html>")
    assert "<b>|" not in page
    assert page.count("<tr>") > 8


def test_the_page_has_badge_work_gate_and_a_place_for_each_figure() -> None:
    page = own(render_comparison_page(SLOWER, OUTCOMES))
    assert '<span class="badge">SLOWER</span>' in page
    assert "Was it the same work?" in page
    assert "FAIL: step_ms&gt;+5%" in page
    (held,) = re.findall(r'<script id="figures" type="application/json">(.*?)</script>', page)
    keys = [each["key"] for each in json.loads(held)["figures"]]
    assert keys == re.findall(r'data-figure="([\w-]+)"', page)
    assert keys[0] == "compared-changes"
    assert 'class="mark-worse"' in page


@pytest.mark.parametrize(
    ("comparison", "word"),
    [
        (SLOWER, "SLOWER"),
        (compare_runs([run(12.0)], [run(10.0, 1)]), "FASTER"),
        (compare_runs([run(10.0)], [run(10.3, 1)]), "NO DIFFERENCE"),
    ],
)
def test_the_badge_says_what_became_of_a_step(comparison: Comparison, word: str) -> None:
    assert f'<span class="badge">{word}</span>' in compared_body(comparison, ())


def test_changes_are_drawn_with_their_ranges() -> None:
    figure = changes_figure(SLOWER)
    assert figure is not None
    (view,) = figure.views
    longer = next(trace for trace in view.traces if trace["name"] == "longer")
    names = [row[0] for row in view.table.rows]
    step = longer["y"].index(names.index("step"))
    row = SLOWER.row("step_ms")
    assert row is not None
    assert row.difference is not None
    assert longer["x"][step] == pytest.approx(row.change, abs=1e-3)
    low = longer["x"][step] - longer["error_x"]["arrayminus"][step]
    assert low == pytest.approx(row.difference.low, abs=1e-3)
    assert sum(len(trace["y"]) for trace in view.traces) == len(names)
