"""``pipeprof report`` says of a recorded run what the library says, and starts without a framework."""

import json
import os
from pathlib import Path

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.report.plain_text import MISSING
from pipeprof.runs.log_folder import DEFAULT_LOGDIR
from pipeprof.surfaces.json_report.as_json import to_json
from pipeprof.surfaces.texts.terminal import render_report
from tests.builders import MS, loop, profile, run_info, stage
from tests.cli.conftest import Command, Shell, write_run

RECORDED = profile()


def test_report_is_that_of_the_library(command: Command, tmp_path: Path) -> None:
    write_run(RECORDED, tmp_path / "logs")
    outcome = command("report", "logs")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == render_report(analyse(RECORDED), width=80) + "\n"


def test_json_is_that_of_the_library(command: Command, tmp_path: Path) -> None:
    write_run(RECORDED, tmp_path / "logs")
    outcome = command("report", "logs", "--json")
    assert outcome.out == to_json(analyse(RECORDED)) + "\n"
    assert json.loads(outcome.out)["diagnosis"]["bound"] == "input"


def test_html_is_a_file_that_needs_nothing_else(command: Command, tmp_path: Path) -> None:
    write_run(RECORDED, tmp_path / "logs")
    outcome = command("report", "logs", "--html", "page.html")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "Written to page.html\n")
    assert (tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>")


def test_html_that_cannot_be_written_is_a_sentence(command: Command, tmp_path: Path) -> None:
    write_run(RECORDED, tmp_path / "logs")
    outcome = command("report", "logs", "--html", "missing/page.html")
    assert outcome.code == 2
    assert "expected a file that can be written, received --html missing/page.html" in outcome.err


def test_the_default_is_that_of_the_library(command: Command, tmp_path: Path) -> None:
    write_run(RECORDED, tmp_path / DEFAULT_LOGDIR)
    assert command("report").code == 0


def _write_two(logdir: Path) -> Path:
    first = write_run(profile(run=run_info("first")), logdir, "first")
    second = write_run(profile(run=run_info("second")), logdir, "second")
    os.utime(first, ns=(0, 0))
    return second


def test_runs_are_chosen_by_name_and_the_latest_without_one(
    command: Command, tmp_path: Path
) -> None:
    second = _write_two(tmp_path / "logs")
    assert "run second" in command("report", "logs").out
    assert "run first" in command("report", "logs", "--run", "first").out
    assert "run second" in command("report", str(second)).out


def test_list_names_every_run_and_what_it_says(command: Command, tmp_path: Path) -> None:
    _write_two(tmp_path / "logs")
    empty = write_run(profile(loops=()), tmp_path / "logs", "third")
    os.utime(empty, ns=(1, 1))
    short = write_run(profile(loops=(loop(steps=0),)), tmp_path / "logs", "fourth")
    os.utime(short, ns=(2, 2))
    damaged = write_run(RECORDED, tmp_path / "logs", "fifth")
    (damaged / "host-a-4000.json").write_text("{")
    os.utime(damaged, ns=(3, 3))
    outcome = command("report", "logs", "--list")
    table, problem = outcome.out.split("\n\n")
    lines = [line.split() for line in table.splitlines()]
    assert [line[:4] for line in lines[1:]] == [
        ["first", "INPUT-BOUND", "100", "30.0"],
        ["third", "UNKNOWN", MISSING, MISSING],
        ["fourth", "UNKNOWN", "0", MISSING],
        ["second", "INPUT-BOUND", "100", "30.0"],
    ]
    assert problem.strip().startswith("fifth cannot be read: expected a run of pipeprof")


def test_the_list_is_sorted_and_filtered(command: Command, tmp_path: Path) -> None:
    _write_two(tmp_path / "logs")
    listed = command("report", "logs", "--list", "--sort=-name", "--where", "bound=input")
    assert [line.split()[0] for line in listed.out.splitlines()[1:]] == ["second", "first"]
    wrong = command("report", "logs", "--list", "--sort", "speed")
    assert (wrong.code, "received 'speed'" in wrong.err) == (2, True)
    alone = command("report", "logs", "--sort", "step_ms")
    assert (alone.code, "beside --list" in alone.err) == (2, True)


@pytest.mark.parametrize("option", [(), ("--list",), ("--json",)])
@pytest.mark.parametrize(
    ("where", "reason"), [("missing", "found no folder missing"), (".", "found none")]
)
def test_no_run_is_one_sentence(
    command: Command, where: str, reason: str, option: tuple[str, ...]
) -> None:
    outcome = command("report", where, *option)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("pipeprof: expected a ")
    assert reason in outcome.err
    assert outcome.err.count("\n") == 1


def test_an_unknown_name_is_one_sentence(command: Command, tmp_path: Path) -> None:
    write_run(RECORDED, tmp_path / "logs")
    outcome = command("report", "logs", "--run", "other")
    assert outcome.code == 2
    assert outcome.err.startswith("pipeprof: expected a run named 'other'")


def test_no_framework_is_loaded(shell: Shell) -> None:
    write_run(RECORDED, shell.folder / DEFAULT_LOGDIR)
    shell.write(
        "watch.py",
        "import sys\n"
        "from pipeprof.cli import main\n"
        "heavy = ('tensorflow', 'keras', 'tf_keras', 'jax', 'torch', 'plotly', 'tensorboard')\n"
        "for option in ([], ['--json'], ['--list']):\n"
        "    sys.argv = ['pipeprof', 'report', *option]\n"
        "    try:\n"
        "        main()\n"
        "    except SystemExit as ended:\n"
        "        print('code', ended.code)\n"
        "print('loaded', [name for name in heavy if name in sys.modules])\n",
    )
    outcome = shell.python("watch.py")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.count("code 0\n") == 3
    assert outcome.out.endswith("loaded []\n")


def test_a_reader_that_goes_away_leaves_no_traceback(shell: Shell) -> None:
    write_run(RECORDED, shell.folder / DEFAULT_LOGDIR)
    process = shell.start("-m", "pipeprof", "report", "--json")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err


def test_what_if_predicts_a_step(command: Command, tmp_path: Path) -> None:
    during = loop(lane=0)
    recorded = profile(loops=(during,), stages=(stage(cost_ns=20 * MS, during=during),))
    write_run(recorded, tmp_path / "logs")
    outcome = command("report", "logs", "--what-if", "input=free", "--what-if", "cores=8")
    assert (outcome.code, outcome.err) == (0, "")
    first, second = outcome.out.splitlines()
    assert first.startswith("With input for free a step would take 10.0 ms")
    assert second.startswith("With 8 cores a step would take ")
    outcome = command("report", "logs", "--what-if", "stage=paint cost=0")
    assert outcome.code == 2
    assert "expected a stage of the main loop" in outcome.err
