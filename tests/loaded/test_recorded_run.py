"""`pipeprof.load` gives a recorded run, whole and without a framework."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import pipeprof
from pipeprof.analysis.analyse import analyse
from pipeprof.errors import RunNotFound
from pipeprof.surfaces.json_report.as_json import to_json
from pipeprof.surfaces.texts.terminal import render_report
from tests.builders import profile, run_info
from tests.cli.conftest import write_run


@pytest.fixture
def logdir(tmp_path: Path) -> Path:
    """A log folder with two runs; 'second' is the latest."""
    folder = tmp_path / "logs"
    for seconds, name in enumerate(("first", "second")):
        os.utime(write_run(profile(run=run_info(name)), folder, name), (seconds, seconds))
    return folder


def test_a_run_is_all_that_its_report_says(logdir: Path) -> None:
    run = pipeprof.load(logdir)
    findings = analyse(run.profile)
    assert run.profile.run.name == "second"
    assert run.report(width=72) == render_report(findings, width=72)
    assert "\x1b[" in run.report(color=True)
    assert json.dumps(run.to_dict(), indent=2) == to_json(findings)
    assert run.findings is run.findings
    assert repr(run) == "<RecordedRun 'second'>"


def test_a_run_is_chosen_by_name_or_by_its_own_folder(logdir: Path) -> None:
    for run in (
        pipeprof.load(logdir, name="first"),
        pipeprof.load(str(logdir / "plugins" / "pipeprof" / "first")),
    ):
        assert run.profile.run.name == "first"


def test_without_a_path_it_is_the_latest_of_the_default_log_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(profile(run=run_info("here")), Path("logs/pipeprof"), "here")
    assert pipeprof.load().profile.run.name == "here"


@pytest.mark.parametrize(
    ("path", "name", "message"),
    [
        ("nowhere", None, "expected a folder with runs, found no folder nowhere"),
        ("empty", None, "expected a recorded run in empty, found none: record one with"),
        ("logs", "third", "expected a run named 'third' in logs, found only: first, second"),
    ],
)
def test_where_there_is_no_run_the_error_says_what_there_is(
    logdir: Path, monkeypatch: pytest.MonkeyPatch, path: str, name: str | None, message: str
) -> None:
    monkeypatch.chdir(logdir.parent)
    Path("empty").mkdir()
    with pytest.raises(RunNotFound, match=message):
        pipeprof.load(path, name=name)


def test_a_notebook_shows_it_as_a_page(logdir: Path) -> None:
    page = pipeprof.load(logdir)._repr_html_()
    assert page.startswith("<iframe srcdoc=")
    assert "INPUT-BOUND" in page


def test_loading_and_reporting_need_no_framework(logdir: Path) -> None:
    program = (
        "import sys, pipeprof\n"
        "run = pipeprof.load(sys.argv[1])\n"
        "run.report(), run.to_dict(), run._repr_html_()\n"
        "heavy = ('tensorflow', 'keras', 'tf_keras', 'jax', 'torch', 'tensorboard', 'xprof')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(logdir)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
