"""The tab's backend serves what lies inside the log folder, and nothing else."""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.comparing.run_comparison import compare_runs
from pipeprof.capture.session import profile as watch
from pipeprof.runs.log_folder import PLUGIN
from pipeprof.runs.run_file import RunFile
from pipeprof.runs.run_writing import write_run_file
from pipeprof.runs.shared_folder import rank_folder
from pipeprof.surfaces.webpages.compared_page import compared_body, compared_figures
from pipeprof.surfaces.webpages.webpage import plotly_js
from pipeprof.tensorboard_plugin import answers
from pipeprof.tensorboard_plugin.answers import MOST_SUMMARIES
from pipeprof.tensorboard_plugin.plugin import InputPipelinePlugin
from tests import ranks
from tests.builders import MS, loop, profile, run_info, stage, trace_window
from tests.cli.conftest import write_run
from tests.tensorboard_plugin.conftest import Tab

ROOT = Path(__file__).parents[2]
MARKUP = "<img src=x onerror=alert(1)>"


def recorded(name: str, wait_ms: int = 20):
    fit = loop(wait_ns=wait_ms * MS)
    slow = stage(MARKUP, cost_ns=wait_ms * MS, during=fit)
    return profile(run=run_info(name), loops=(fit,), stages=(slow,))


def test_runs_are_listed_the_latest_first(tab: Tab, tmp_path: Path) -> None:
    assert not tab.plugin.is_active()
    old = write_run(recorded("old"), tmp_path, "old")
    write_run(recorded("new"), tmp_path, "new")
    os.utime(old, ns=(0, 0))
    assert [run["key"] for run in tab.ask("/runs")["runs"]] == ["new", "old"]
    assert tab.plugin.is_active()


def test_runs_of_folders_below_bear_their_names(tab: Tab, tmp_path: Path) -> None:
    write_run(recorded("r"), tmp_path / "cats", "r")
    assert [run["key"] for run in tab.ask("/runs")["runs"]] == ["cats/r"]
    assert "INPUT-BOUND" in tab.ask("/run", "cats/r")["html"]


def test_a_run_is_reported_as_the_page_shows_it(tab: Tab, tmp_path: Path) -> None:
    write_run(recorded("r"), tmp_path, "r")
    answer = tab.ask("/run", "r")
    assert "67 % of the training's time waits for data" in answer["html"]
    assert [figure["key"] for figure in answer["figures"]] == ["account", "steps", "pipeline"]
    assert (answer["recording"], answer["trace"]) == (False, None)
    assert "<img" not in answer["html"]


@pytest.mark.parametrize(
    ("installed", "trace"), [(True, {"run": "cats/r", "host": "a.b"}), (False, None)]
)
def test_the_trace_of_a_run_is_named_as_xprof_names_it(
    tab: Tab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool, trace: object
) -> None:
    write_run(recorded("r"), tmp_path / "cats", "r")
    folder = tmp_path / "cats" / "plugins" / "profile" / "r"
    folder.mkdir(parents=True)
    (folder / "a.b.xplane.pb").touch()
    monkeypatch.setattr(answers, "find_spec", lambda name: name if installed else None)
    assert tab.ask("/run", "cats/r")["trace"] == trace


def test_tensorflows_own_traces_are_linked_where_they_lie_beside(
    tab: Tab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = recorded("r")
    [fit] = run.loops
    named = ("r_window1", "r_window2", "../r_window1", "elsewhere")
    windows = tuple(trace_window(fit, 3, 20 * MS, 20 * MS, run=name) for name in named)
    write_run(replace(run, trace_windows=windows), tmp_path / "cats", "r")
    for name in ("r_window1", "elsewhere"):
        folder = tmp_path / "cats" / "plugins" / "profile" / name
        folder.mkdir(parents=True)
        (folder / "a.b.xplane.pb").touch()
    monkeypatch.setattr(answers, "find_spec", lambda name: name)
    [window] = tab.ask("/run", "cats/r")["windows"]
    assert (window["run"], window["host"]) == ("cats/r_window1", "a.b")
    assert window["name"] == "steps 3 to 4 of fit"
    assert window["end_ms"] - window["start_ms"] == pytest.approx(60.0)


def test_one_rank_of_a_run_is_reported_on_demand(tab: Tab, tmp_path: Path) -> None:
    folder = tmp_path / PLUGIN / "night"
    ranks.write_ranks(folder, ranks.in_lock_step(ranks.waits(2, 2, 30, 2)))
    answer = tab.ask("/run", "night")
    assert answer["ranks"]["shown"] == 2
    assert [number for number, _ in answer["ranks"]["all"]] == [0, 1, 2, 3]
    assert answer["ranks"]["chosen"][2] == [2, "2 straggler · host-2 · step 39.4 ms · wait 29.4 ms"]
    other = tab.ask_rank("/run", "night", "1")
    assert other["ranks"]["shown"] == 1
    assert "Rank 1 by itself" in other["html"]
    assert "by rank 2" in other["html"]
    assert tab.ask_rank("/what_if", "night", "1") != tab.ask_rank("/what_if", "night", "2")
    assert tab.ask("/summaries", "night")["night"]["bound"] == "input"
    for wrong, sentence in (
        ("9", "Rank 9 of the run night cannot be shown"),
        ("1/../2", "expected the number of a rank, received"),
    ):
        assert sentence in tab.ask_rank("/run", "night", wrong)["html"]


def test_ranks_that_come_later_are_shown_though_their_files_are_older(
    tab: Tab, tmp_path: Path
) -> None:
    folder = ranks.write_ranks(
        tmp_path / PLUGIN / "night", ranks.in_lock_step(ranks.waits(2, 2, 30, 2))
    )
    rank_folder(folder, 2).rename(tmp_path / "away")
    assert [number for number, _ in tab.ask("/run", "night")["ranks"]["all"]] == [0, 1, 3]
    (before,) = tab.ask("/runs")["runs"]
    (tmp_path / "away").rename(rank_folder(folder, 2))
    (after,) = tab.ask("/runs")["runs"]
    assert before["version"] != after["version"]
    assert tab.ask("/run", "night")["ranks"]["shown"] == 2


def test_verdicts_are_reported_for_some_runs_at_a_time(tab: Tab, tmp_path: Path) -> None:
    write_run(recorded("slow", 20), tmp_path, "slow")
    write_run(recorded("fast", 0), tmp_path, "fast")
    answered = tab.ask("/summaries", "slow", "fast", "none")
    assert {key: each["bound"] for key, each in answered.items()} == {
        "slow": "input",
        "fast": "compute",
    }
    assert answered["slow"]["gist"] == "30.0 ms per step"
    many = [f"x{number}" for number in range(MOST_SUMMARIES)]
    assert tab.ask("/summaries", *many, "slow") == {}


def test_a_verdict_is_reported_anew_when_the_run_has_changed(tab: Tab, tmp_path: Path) -> None:
    write_run(recorded("r", 20), tmp_path, "r")
    (before,) = tab.ask("/runs")["runs"]
    assert tab.ask("/summaries", "r")["r"]["bound"] == "input"
    file = RunFile(tmp_path / PLUGIN / "r", "host-a-4000")
    write_run_file(file, recorded("r", 0))
    os.utime(file.path, ns=(0, int(before["version"]) + 1))
    (after,) = tab.ask("/runs")["runs"]
    assert before["version"] != after["version"]
    assert tab.ask("/summaries", "r")["r"]["bound"] == "compute"


def test_the_rows_of_the_table_have_what_it_is_sorted_by(tab: Tab, tmp_path: Path) -> None:
    write_run(recorded("slow", 20), tmp_path, "slow")
    row = tab.ask("/summaries", "slow")["slow"]
    columns = tab.ask("/runs")["columns"]
    assert len(row["cells"]) == len(columns)
    texts = ("name", "bound")
    assert set(row["values"]) == {each["key"] for each in columns if each["key"] not in texts}
    assert row["values"]["wait_ms"] == pytest.approx(20)
    assert row["values"]["step_ms"] == pytest.approx(30)
    shares = {each["part"]: each["ratio"] for each in row["account"]}
    assert sum(shares.values()) == pytest.approx(1, abs=0.01)
    assert shares["wait"] == pytest.approx(2 / 3, abs=0.05)
    assert set(shares) <= set(tab.ask("/runs")["parts"])


def test_runs_are_chosen_by_conditions(tab: Tab, tmp_path: Path) -> None:
    write_run(recorded("slow", 20), tmp_path, "slow")
    write_run(recorded("fast", 0), tmp_path, "fast")

    def chosen(*conditions: str):
        return tab.ask_where("/chosen", *conditions)

    assert chosen("step_ms>20") == {"keys": ["slow"]}
    assert chosen("bound=compute", "step_ms<20") == {"keys": ["fast"]}
    assert chosen("bound=input", "step_ms<20") == {"keys": []}
    assert "received 'speed': " in chosen("speed>1")["problem"]
    assert "expected a condition" in chosen("step_ms")["problem"]


def test_two_runs_are_compared_as_compare_does(tab: Tab, tmp_path: Path) -> None:
    write_run(recorded("slow", 20), tmp_path / "cats", "slow")
    write_run(recorded("fast", 0), tmp_path / "cats", "fast")
    answer = tab.ask("/comparison", "cats/slow", "cats/fast")
    runs = [analyse(recorded("slow", 20)), analyse(recorded("fast", 0))]
    comparison = compare_runs(runs[:1], runs[1:])
    names = ["cats/slow", "cats/fast"]
    figures = compared_figures(comparison, names)
    assert answer["html"] == compared_body(comparison, figures, names=names)
    assert [each["key"] for each in answer["figures"]] == [each.key for each in figures]
    turned = tab.ask("/comparison", "cats/fast", "cats/slow")["html"]
    assert "FASTER" in answer["html"]
    assert "SLOWER" in turned


def test_two_groups_are_compared_as_compare_does(tab: Tab, tmp_path: Path) -> None:
    waits = {"slow-1": 20, "slow-2": 21, "fast-1": 1, "fast-2": 0}
    for name, wait_ms in waits.items():
        write_run(recorded(name, wait_ms), tmp_path, name)
    names = list(waits)
    answer = tab.ask_groups(names[:2], names[2:])
    runs = [analyse(recorded(name, wait_ms)) for name, wait_ms in waits.items()]
    comparison = compare_runs(runs[:2], runs[2:])
    figures = compared_figures(comparison, names)
    assert answer["html"] == compared_body(comparison, figures, names=names)
    assert "FASTER" in answer["html"]
    assert "SLOWER" in tab.ask_groups(names[2:], names[:2])["html"]
    assert "different runs on both sides" in tab.ask_groups(names[:2], names[1:])["html"]
    assert "received none on one" in tab.ask_groups([], names[:2])["html"]


def test_runs_are_compared(tab: Tab, tmp_path: Path) -> None:
    for name, wait_ms in (("slow", 20), ("fast", 0), ("even", 1)):
        write_run(recorded(name, wait_ms), tmp_path, name)
    answer = tab.ask("/comparison", "slow", "fast", "even")
    assert [figure["key"] for figure in answer["figures"]] == [
        "compared-accounts",
        "compared-steps",
        "compared-stages",
    ]
    assert "INPUT-BOUND" in answer["html"]
    assert "COMPUTE-BOUND" in answer["html"]
    assert "expected 2 to 8 runs to compare, received 1" in tab.ask("/comparison", "slow")["html"]


def test_what_if_has_controls_where_something_can_be_predicted(tab: Tab, tmp_path: Path) -> None:
    fit = loop(lane=0)
    slow = stage(MARKUP, cost_ns=20 * MS, cpu_ratio=0.1, during=fit)
    write_run(profile(run=run_info("r"), loops=(fit,), stages=(slow,)), tmp_path, "r")
    answer = tab.ask("/what_if", "r")
    assert "<select>" in answer["html"]
    assert "<img" not in answer["html"]
    assert answer["data"]["predictions"]["0:0"]["label"] == "20.0 ms"
    write_run(profile(run=run_info("none"), loops=(), stages=()), tmp_path, "none")
    for key in ("none", "no such run"):
        assert tab.ask("/what_if", key) == {"html": "", "data": None}


def test_a_run_without_steps_is_not_compared(tab: Tab, tmp_path: Path) -> None:
    write_run(recorded("slow", 20), tmp_path, "slow")
    write_run(profile(run=run_info("none"), loops=(), stages=()), tmp_path, "none")
    html = tab.ask("/comparison", "slow", "none")["html"]
    assert "expected a training in the run" in html
    assert "cannot be compared" in html


@pytest.mark.parametrize(
    "key",
    ["../r", "..", "/etc/passwd", "r/../../r", "plugins/pipeprof/r", "", MARKUP, "r\0", "out", "l"],
)
def test_nothing_but_the_keys_of_runs_leads_anywhere(
    tab: Tab, tmp_path: Path, key: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    secret = write_run(recorded("secret"), outside, "secret")
    run = write_run(recorded("r"), tmp_path, "r")
    (run.parent / "out").symlink_to(secret)
    (tmp_path / "l").symlink_to(outside)
    assert [each["key"] for each in tab.ask("/runs")["runs"]] == ["r"]
    answer = tab.ask("/run", key)
    assert "cannot be shown" in answer["html"]
    assert "<img" not in answer["html"]
    assert answer["figures"] == []


def test_a_log_folder_behind_a_link_is_shown(tmp_path: Path) -> None:
    write_run(recorded("r"), tmp_path / "real", "r")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert [run["key"] for run in Tab(tmp_path / "link").ask("/runs")["runs"]] == ["r"]


def test_a_file_in_a_run_that_is_a_link_is_not_followed(tab: Tab, tmp_path: Path) -> None:
    run = write_run(recorded("r"), tmp_path, "r")
    (file,) = run.glob("*.json")
    file.rename(tmp_path / "elsewhere.json")
    file.symlink_to(tmp_path / "elsewhere.json")
    assert "expected a plain file" in tab.ask("/run", "r")["html"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 99}', b"\x80\x04K\x01.", b"\0"])
def test_damaged_and_foreign_files_are_reported_in_a_sentence(
    tab: Tab, tmp_path: Path, content: bytes
) -> None:
    folder = tmp_path / PLUGIN / "bad"
    folder.mkdir(parents=True)
    (folder / "host-1.json").write_bytes(content)
    answer = tab.ask("/run", "bad")
    assert "The run bad cannot be shown" in answer["html"]
    assert "Traceback" not in answer["html"]
    assert tab.ask("/summaries", "bad")["bad"]["verdict"] == "UNREADABLE"
    assert "cannot be compared" in tab.ask("/comparison", "bad", "bad")["html"]


def test_a_run_that_cannot_be_analysed_is_reported_in_a_sentence_and_logged(
    tab: Tab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def overflow(*asked: object) -> None:
        raise OverflowError("secret")

    write_run(recorded("r"), tmp_path, "r")
    monkeypatch.setattr(answers.Readings, "findings", overflow)
    answer = tab.ask("/run", "r")
    assert "found some that do not (OverflowError)" in answer["html"]
    assert "secret" not in answer["html"]
    assert "secret" in caplog.text
    assert tab.ask("/summaries", "r")["r"]["bound"] == "unreadable"


@pytest.mark.parametrize("logdir", ["", "gs://bucket/logs", "/nowhere/at/all"])
def test_a_log_folder_that_is_none_has_no_runs(logdir: str) -> None:
    tab = Tab(logdir)
    assert tab.ask("/runs")["runs"] == []
    assert not tab.plugin.is_active()


def test_a_run_that_is_being_recorded_says_so(tab: Tab, tmp_path: Path) -> None:
    with watch(range(20), logdir=tmp_path, name="now", sample_hz=0) as session:
        list(session.dataset)
        deadline = time.monotonic() + 30
        while not tab.ask("/runs")["runs"]:  # its first checkpoint is on its way
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert tab.ask("/run", "now")["recording"] is True
    assert tab.ask("/run", "now")["recording"] is False


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/index.js", "text/javascript"),
        ("/make.js", "text/javascript"),
        ("/runs_table.js", "text/javascript"),
        ("/figures.js", "text/javascript"),
        ("/what_if.js", "text/javascript"),
        ("/tab.css", "text/css"),
        ("/page.css", "text/css"),
    ],
)
def test_the_tabs_own_files_are_served_and_load_nothing_from_elsewhere(
    tab: Tab, path: str, kind: str
) -> None:
    answer = tab.get(path)
    assert (answer.status_code, answer.mimetype) == (200, kind)
    assert not re.search(r"https?://|url\(", answer.get_data(as_text=True))


def test_plotly_is_that_of_the_installed_package(tab: Tab) -> None:
    answer = tab.get("/plotly.min.js")
    assert answer.get_data() == plotly_js().read_bytes()
    assert "max-age" in answer.headers["Cache-Control"]


def test_tensorboard_finds_the_tab_by_its_entry_point() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    (module, name) = re.findall(
        r"\[project\.entry-points\.tensorboard_plugins\]\npipeprof = \"(.+):(.+)\"", text
    )[0]
    assert (module, name) == (InputPipelinePlugin.__module__, InputPipelinePlugin.__name__)
    metadata = InputPipelinePlugin(Context()).frontend_metadata()
    assert (metadata.tab_name, metadata.es_module_path) == ("Input pipeline", "/index.js")


class Context:
    logdir = None


def test_the_tab_needs_no_tensorflow_and_loads_little_before_it_is_looked_at() -> None:
    program = (
        "import sys, json, types; sys.modules['tensorflow'] = None\n"
        "from pipeprof.tensorboard_plugin.plugin import InputPipelinePlugin as P\n"
        "early = [m for m in ('numpy', 'plotly', 'pipeprof.runs.run_reading') if m in sys.modules]\n"
        "p = P(types.SimpleNamespace(logdir='.')); p.is_active()\n"
        "print(json.dumps([early, 'keras' in sys.modules, 'plotly' in sys.modules]))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    )
    early, keras, plotly = json.loads(printed.stdout)
    assert "pipeprof.runs.run_reading" not in early
    assert not keras
    assert not plotly
