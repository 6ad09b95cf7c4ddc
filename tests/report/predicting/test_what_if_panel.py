from pipeprof.analysis.findings.what_if_kinds import (
    CachedBehind,
    FreeBatches,
    LoadedAhead,
    LoadedByWorkers,
    NoCallback,
    NoEpochStarts,
    StageCosts,
    StageRuns,
    WithCores,
)
from pipeprof.report.predicting.what_if_panel import what_if_panel
from pipeprof.report.predicting.what_if_text import choice_name
from pipeprof.surfaces.webpages.page_what_if import what_if_data, what_if_section
from tests.builders import MS, loop, profile, stage

MARKUP = "<img src=x>"
ON_MAIN = loop(lane=0, wait_ns=20 * MS, compute_ns=10 * MS)
RUN = profile(
    loops=(ON_MAIN,), stages=(stage(MARKUP, cost_ns=20 * MS, cpu_ratio=0.1, during=ON_MAIN),)
)
UNEXPLAINED = profile(
    loops=(ON_MAIN,), stages=(stage("decode", cost_ns=6 * MS, cpu_ratio=0.1, during=ON_MAIN),)
)


def test_every_setting_of_one_or_two_controls_is_in_the_data_by_its_key() -> None:
    panel = what_if_panel(RUN)
    assert panel is not None
    (name, choices), *others = panel.controls
    assert name == f"stage {MARKUP}"
    half = panel.predictions[f"0:{choices.index('half its cost')}"]
    assert (half["ms"], half["label"]) == (20.0, "20.0 ms")
    assert half["low"] <= 20 <= half["high"]
    assert half["text"].startswith(f"With {MARKUP} at 50 % of its cost a step would take 20.0 ms")
    prefetch = next(n for n, (other, _) in enumerate(others, 1) if other == "prefetch")
    both = panel.predictions[f"0:{choices.index('half its cost')},{prefetch}:0"]
    assert both["ms"] == 10.0
    keys = {part.split(":")[0] for key in panel.predictions for part in key.split(",")}
    assert keys == {str(number) for number in range(len(panel.controls))}


def test_the_picture_begins_with_today_and_its_table_has_each_change_the_best_first() -> None:
    panel = what_if_panel(RUN)
    assert panel is not None
    assert panel.figure is not None
    (view,) = panel.figure.views
    assert view.traces[0]["x"] == [30.0, 30.0, 10.0]
    steps = [float(row[1].split()[0]) for row in view.table.rows]
    assert steps == sorted(steps)
    alone = [key for key in panel.predictions if "," not in key]
    assert len(view.table.rows) == len(alone)


def test_the_section_has_a_control_each_and_names_stay_text() -> None:
    panel = what_if_panel(RUN)
    assert panel is not None
    html = what_if_section(panel)
    assert html.count("<select>") == len(panel.controls)
    assert "<img" not in html
    data = what_if_data(panel)
    assert data is not None
    assert data["figure"]["key"] == "what-if"


def test_a_run_that_the_model_does_not_explain_says_so_instead() -> None:
    panel = what_if_panel(UNEXPLAINED)
    assert panel is not None
    html = what_if_section(panel)
    assert "the model explains 16 of 30 ms" in html
    assert "<select>" not in html
    assert what_if_data(panel) is None


def test_a_run_without_a_training_has_no_panel() -> None:
    assert what_if_panel(profile(loops=(), stages=())) is None


def test_every_choice_has_a_name() -> None:
    names = [
        choice_name(one)
        for one in (
            FreeBatches(),
            StageCosts(stage="a", factor=0.0),
            StageCosts(stage="a", factor=0.5),
            StageCosts(stage="a", factor=0.25),
            StageRuns(stage="a", parallelism=4),
            LoadedAhead(),
            LoadedByWorkers(workers=2, processes=True),
            CachedBehind(stage="a"),
            NoEpochStarts(),
            NoCallback(callback="Saver"),
            WithCores(cores=4.0),
        )
    ]
    assert names == [
        "for free",
        "for free",
        "half its cost",
        "25 % of its cost",
        "4 calls at once",
        "yes",
        "2 processes",
        "with a cache behind it",
        "without",
        "without",
        "4",
    ]
