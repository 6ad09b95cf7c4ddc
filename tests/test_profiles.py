"""The recorded runs in profiles/ are read, and said of them is what was said when they were reviewed.

After a change of the report that is meant, ``tools/record_profiles --reports`` remakes what is compared.
"""

import json
import re
from pathlib import Path

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.findings import Findings
from pipeprof.analysis.findings.verdict_kinds import Bound
from pipeprof.runs.run_reading import read_run
from pipeprof.runs.run_search import find_run
from pipeprof.surfaces.json_report.as_json import to_dict
from pipeprof.surfaces.texts.terminal import render_report
from pipeprof.xspace.xplane_schema import XSpace

PROFILES = Path(__file__).parents[1] / "profiles"
RUNS = (
    "generator",
    "sequence-threads",
    "sequence-processes",
    "tf.data-untuned",
    "tf.data-tuned",
    "arrays",
    "custom-loop",
)
MOST_BYTES = 300_000
MOST_LINES = 42
SCREEN_LINES = 24
# Whatever the folder that home folders lie in is called: four letters, and an absolute path.
HOME = re.compile(rb"/[a-z]{4}/")


def findings(name: str) -> Findings:
    recorded = read_run(find_run(PROFILES / name))
    assert recorded.check() == ()
    return analyse(recorded)


def test_all_runs_are_tried():
    folders = {path.name for path in PROFILES.iterdir() if path.is_dir()}
    assert folders == {*RUNS, "gpu-trace"}


@pytest.mark.parametrize("name", RUNS)
def test_a_recorded_run_says_what_it_said(name: str):
    found = findings(name)
    assert found.main is not None
    assert (found.main.diagnosis.bound is Bound.COMPUTE) is (name == "arrays")
    assert render_report(found, width=80) + "\n" == (PROFILES / name / "report.txt").read_text()
    assert to_dict(found) == json.loads((PROFILES / name / "report.json").read_text())


@pytest.mark.parametrize("name", RUNS)
def test_verdict_why_and_next_fit_on_one_screen(name: str):
    lines = (PROFILES / name / "report.txt").read_text().splitlines()
    behind = next(n for n, line in enumerate(lines) if line.startswith("  Time "))
    summary = lines[: behind - 1]  # an empty line parts them
    assert len(summary) < SCREEN_LINES  # the prompt takes one
    assert max(map(len, lines)) <= 80
    assert len(lines) <= MOST_LINES


@pytest.mark.parametrize("name", RUNS)
def test_a_recorded_run_is_small_and_names_no_machine(name: str):
    files = [path for path in (PROFILES / name).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    for path in files:
        content = path.read_bytes()
        assert not HOME.search(content)
    (trace,) = (PROFILES / name).rglob("*.xplane.pb")
    assert list(XSpace.FromString(trace.read_bytes()).hostnames) == ["workstation"]
