import json
import re

from pipeprof.analysis.gate import check, parse_condition
from pipeprof.analysis.run_comparison import compare_runs
from pipeprof.surfaces.compared_as_json import comparison_json
from pipeprof.surfaces.compared_markdown import render_markdown
from pipeprof.surfaces.compared_page import render_comparison_page
from pipeprof.surfaces.compared_terminal import render_comparison
from tests.analysis.test_run_comparison import of_loop, run

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


def test_the_page_shows_names_as_text() -> None:
    page = render_comparison_page(STRANGE)
    assert page.startswith("<!DOCTYPE html>")
    assert "<b>" not in page
    assert page.count("<tr>") > 8
