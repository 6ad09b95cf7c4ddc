"""The tab as a person sees it in TensorBoard."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pipeprof.runs.log_folder import PLUGIN
from pipeprof.runs.run_file import RunFile, list_run_files
from pipeprof.runs.run_writing import write_run_file
from pipeprof.runs.shared_folder import rank_folder
from tests.browser.conftest import MARKUP, RANKS, SLOW_RANK, recorded
from tests.cli.conftest import write_run

pytestmark = pytest.mark.browser


def choose(tab: Any, key: str, name: str | None = None) -> None:
    tab.locator(f".shelf li[data-key='{key}'] button").click()
    tab.wait_for_selector(f".shelf li[data-key='{key}'] [aria-current='true']")
    tab.locator("main .run", has_text=f"run {name or key} ·").wait_for()


def shows(tab: Any, text: str) -> None:
    tab.locator("main h1", has_text=text).wait_for()


def test_tensorboard_shows_the_right_verdict_of_three_runs(in_tensorboard: Any) -> None:
    for key, verdict in (("slow", "INPUT-BOUND"), ("even", "BALANCED"), ("fast", "COMPUTE-BOUND")):
        choose(in_tensorboard, key)
        shows(in_tensorboard, verdict)
        in_tensorboard.wait_for_selector("[data-figure='steps'] .main-svg")
        entry = in_tensorboard.locator(f".shelf li[data-key='{key}'] .gist", has_text=verdict)
        entry.wait_for()


def test_windows_are_switched(tab: Any) -> None:
    choose(tab, "slow")
    shows(tab, "INPUT-BOUND")
    timeline = tab.locator("[data-figure='timeline']")
    select = timeline.locator("select")
    names = select.locator("option").all_inner_texts()
    assert len(names) > 2
    titles = set()
    for name in names:
        select.select_option(label=name)
        shown = timeline.locator(".view:not([hidden])")
        shown.locator(".main-svg").first.wait_for()
        assert timeline.locator(".view:visible").count() == 1
        titles.add(shown.locator(".xtitle").text_content())
    assert len(titles) == len(names)


def test_a_run_that_is_drawn_anew_keeps_its_window(tab: Any) -> None:
    choose(tab, "slow")
    timeline = tab.locator("[data-figure='timeline']")
    select = timeline.locator("select")
    select.select_option(index=2)
    timeline.evaluate("drawn => { drawn.dataset.before = 'yes' }")

    choose(tab, "slow")

    tab.locator("[data-figure='timeline']:not([data-before])").wait_for()
    assert select.evaluate("chosen => chosen.selectedIndex") == 2
    assert timeline.locator("[data-view='2']").is_visible()


@pytest.mark.skipif(find_spec("xprof") is None, reason="XProf is not installed")
def test_steps_that_tensorflow_traced_show_the_gpu_and_lead_to_xprof(tab: Any) -> None:
    choose(tab, "traced")
    timeline = tab.locator("[data-figure='timeline']")
    timeline.locator(".main-svg").first.wait_for()
    select = timeline.locator("select")
    select.select_option(label="traced: steps 40 to 44")
    shown = timeline.locator(".view:not([hidden])")
    shown.locator(".ytick text", has_text="GPU 0").wait_for()
    own = timeline.locator(".caption a:visible", has_text="TensorFlow's own trace")
    assert "run=traced_window1" in own.get_attribute("href")
    below = tab.locator("a", has_text="Traced by TensorFlow in XProf: steps 40 to 44 of fit")
    assert below.get_attribute("href") == own.get_attribute("href")
    assert "GPU 0 was busy 33 % of each step" in tab.locator("main").inner_text()


def test_two_runs_are_compared_the_earlier_first_and_swapped(tab: Any) -> None:
    button = tab.locator(".shelf-head button", has_text="compare")
    assert button.is_disabled()
    for key in ("fast", "slow"):
        tab.locator(f".shelf li[data-key='{key}'] input").check()
    keys = tab.locator(".shelf li").evaluate_all("all => all.map(each => each.dataset.key)")
    later_is_fast = keys.index("fast") < keys.index("slow")
    button = tab.locator(".shelf-head button", has_text="Compare 2 runs")
    button.click()
    shows(tab, "FASTER" if later_is_fast else "SLOWER")
    tab.locator("button", has_text="Swap").click()
    shows(tab, "SLOWER" if later_is_fast else "FASTER")
    for figure in ("changes", "accounts", "steps"):
        tab.locator(f"[data-figure='compared-{figure}'] .main-svg").first.wait_for()
    assert tab.locator(".changes tr").count() > 5


def test_several_runs_are_shown_side_by_side(tab: Any) -> None:
    for key in ("slow", "fast", "even"):
        tab.locator(f".shelf li[data-key='{key}'] input").check()
    tab.locator(".shelf-head button", has_text="Compare 3 runs").click()
    shows(tab, "3 runs side by side")
    verdicts = tab.locator(".compared tr", has_text="verdict").inner_text().split()
    assert sorted(verdicts[1:]) == ["BALANCED", "COMPUTE-BOUND", "INPUT-BOUND"]


def test_several_runs_are_compared_as_two_groups(tab: Any) -> None:
    for key in ("slow", "fast", "even"):
        tab.locator(f".shelf li[data-key='{key}'] input").check()
    tab.locator(".shelf-head button", has_text="Compare 3 runs").click()
    shows(tab, "3 runs side by side")
    button = tab.locator(".two-groups button", has_text="Compare the two groups")

    def group(key: str, side: str) -> None:
        tab.locator(f".two-groups select[aria-label='Group of {key}']").select_option(label=side)

    for key in ("slow", "fast", "even"):
        group(key, "before")
    assert button.is_disabled()
    for key in ("fast", "even"):
        group(key, "after")
    button.click()
    shows(tab, "FASTER")
    sides = tab.locator(".sides dd").all_inner_texts()
    assert (sides[0], sorted(sides[1].split(", "))) == ("slow", ["even", "fast"])
    tab.locator("button", has_text="Swap").click()
    shows(tab, "SLOWER")
    tab.locator(".two-groups summary").click()
    group("even", "after")
    button.click()
    tab.locator(".sides dd:text-is('fast')").wait_for()


def test_all_runs_are_sorted_filtered_and_opened(tab: Any) -> None:
    tab.locator("button", has_text="All runs as a table").click()
    for key in ("slow", "fast", "even"):
        tab.locator(f".runs tr[data-key='{key}'] .account-bar").wait_for()

    def shown() -> list[str]:
        found = tab.locator(".runs tbody tr").evaluate_all("all => all.map(r => r.dataset.key)")
        return [key for key in found if key in ("slow", "fast", "even")]

    head = tab.locator(".runs th[data-key='step_ms']")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert shown() == ["slow", "even", "fast"]
    head.locator("button").click()
    assert shown() == ["fast", "even", "slow"]
    tab.locator(".filters select").select_option(label="COMPUTE-BOUND")
    assert shown() == ["fast"]
    tab.locator(".filters select").select_option(index=0)
    condition = tab.locator(".filters input")
    condition.fill("step_ms>15, bound=input")
    condition.press("Enter")
    tab.locator("[role=status]", has_text=" of ").wait_for()
    assert shown() == ["slow"]
    condition.fill("speed>1")
    condition.press("Enter")
    tab.locator(".problem", has_text="received 'speed'").wait_for()
    tab.locator(".runs tr[data-key='slow'] .name button").click()
    shows(tab, "INPUT-BOUND")


def test_what_if_redraws_and_keeps_its_choice_when_the_run_is_drawn_anew(tab: Any) -> None:
    choose(tab, "on_main")
    panel = tab.locator("[data-figure='what-if']")
    panel.locator(".main-svg").first.wait_for()
    select = panel.locator("label", has_text="decode").locator("select")
    select.select_option(label="for free")
    said = panel.locator("[role=status]", has_text="With decode for free a step would take")
    said.wait_for()
    panel.evaluate("drawn => { drawn.dataset.before = 'yes' }")

    choose(tab, "on_main")

    tab.locator("[data-figure='what-if']:not([data-before])").wait_for()
    said.wait_for()


def test_names_with_markup_stay_text(tab: Any) -> None:
    choose(tab, "marked", MARKUP)
    shows(tab, "INPUT-BOUND")
    tab.locator("[data-figure='pipeline'] .main-svg").first.wait_for()
    assert tab.locator("main img, main b:has-text('bold')").count() == 0
    assert tab.evaluate("window.hacked") is None
    drawn = tab.locator("[data-figure='pipeline'] .annotation-text").all_text_contents()
    assert any("<img src=x" in text for text in drawn)


def test_one_rank_is_shown_on_demand_from_the_list_and_from_the_heat_map(tab: Any) -> None:
    choose(tab, "ranks", "run-1")
    own = tab.locator(f"[data-rank='{SLOW_RANK}']", has_text=f"Rank {SLOW_RANK} by itself")
    own.wait_for()
    heat = tab.locator("[data-figure='ranks'] .plot")
    heat.locator(".main-svg").first.wait_for()
    drawn = heat.evaluate("plot => plot.data[0].meta")
    hidden = next(number for number in range(RANKS) if number not in drawn)
    select = tab.locator(".choose-rank select")
    assert select.locator("optgroup").last.locator("option").count() == RANKS
    assert select.evaluate("list => list.value") == str(SLOW_RANK)

    select.select_option(index=select.locator("option").count() - RANKS + hidden)

    tab.locator(f"[data-rank='{hidden}']", has_text=f"Rank {hidden} by itself").wait_for()
    shows(tab, "INPUT-BOUND")  # the verdict on all
    tab.locator(f"[data-rank='{hidden}'] ~ h1", has_text="BALANCED").wait_for()
    assert select.evaluate("list => list === document.activeElement")

    heat.locator(".main-svg").first.wait_for()
    heat.scroll_into_view_if_needed()
    box = heat.locator(".nsewdrag").bounding_box()
    first_row = box["x"] + box["width"] / 2, box["y"] + 2
    tab.mouse.move(*first_row)
    heat.locator(".hoverlayer .hovertext").wait_for()
    tab.mouse.click(*first_row)

    tab.locator(f"[data-rank='{drawn[0]}']", has_text=f"Rank {drawn[0]} by itself").wait_for()


def test_a_rank_that_is_drawn_anew_stays(tab: Any, logdir: Path) -> None:
    choose(tab, "ranks", "run-1")
    tab.locator(".choose-rank select").select_option(index=20)
    shown = tab.locator("[data-rank]")
    tab.locator(f"[data-rank]:not([data-rank='{SLOW_RANK}'])").wait_for()
    number = shown.get_attribute("data-rank")
    shown.evaluate("drawn => { drawn.dataset.before = 'yes' }")
    (file,) = list_run_files(rank_folder(logdir / PLUGIN / "ranks", 0))
    file.path.touch()
    tab.locator("[data-rank]:not([data-before])").wait_for()
    assert shown.get_attribute("data-rank") == number


def test_a_damaged_run_is_reported_in_a_sentence(tab: Any) -> None:
    tab.locator(".shelf li[data-key='damaged'] button").click()
    shows(tab, "The run damaged cannot be shown")
    assert "damaged or was written by something else" in tab.locator("main").inner_text()
    tab.locator(".shelf li[data-key='damaged'] .gist", has_text="UNREADABLE").wait_for()
    choose(tab, "slow")
    shows(tab, "INPUT-BOUND")


def test_the_list_is_filtered(tab: Any) -> None:
    tab.locator("input[type=search]").fill("FAS")
    assert tab.locator(".shelf li .name").all_inner_texts() == ["fast"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_tab_is_as_dark_as_tensorboard(in_tensorboard: Any, scheme: str) -> None:
    choose(in_tensorboard, "slow")
    assert in_tensorboard.evaluate("document.documentElement.dataset.theme") == scheme
    color = in_tensorboard.locator(".plot .xtick text").first.evaluate(
        "e => getComputedStyle(e).fill"
    )
    brightness = sum(map(int, re.findall(r"\d+", color)[:3])) / 3
    assert (brightness > 128) == (scheme == "dark")


@pytest.mark.parametrize("width", [800, 1400])
@pytest.mark.parametrize(("key", "name"), [("marked", MARKUP), ("crowded", None)])
def test_labels_do_not_overlap(tab: Any, width: int, key: str, name: str | None) -> None:
    choose(tab, key, name)
    for figure, texts in (
        ("pipeline", ".annotation-text, .bartext"),
        ("account", ".legendtext, .ytick text, .bartext"),
        ("epochs", ".legendtext"),
        ("steps", ".annotation-text, .legendtext"),
        ("timeline", ".view:not([hidden]) :is(.ytick text, .xtick text, .legendtext)"),
    ):
        tab.locator(f"[data-figure='{figure}'] .main-svg").first.wait_for()
        labels = boxes(tab, figure, texts)
        assert labels
        for number, one in enumerate(labels):
            assert all(apart(one, other) for other in labels[number + 1 :]), figure
    names = boxes(tab, "pipeline", ".annotation-text")
    bars = boxes(tab, "pipeline", ".barlayer path")
    assert max(each["right"] for each in names) <= min(each["left"] for each in bars)
    assert tab.evaluate("document.querySelector('.content').scrollWidth") <= width


def boxes(tab: Any, figure: str, selector: str) -> list[dict[str, float]]:
    found = (
        tab.locator(f"[data-figure='{figure}']")
        .locator(selector)
        .evaluate_all("all => all.map(each => each.getBoundingClientRect().toJSON())")
    )
    return [box for box in found if box["width"]]


def apart(one: dict[str, float], other: dict[str, float]) -> bool:
    return (
        one["x"] + one["width"] <= other["x"] + 1
        or other["x"] + other["width"] <= one["x"] + 1
        or one["y"] + one["height"] <= other["y"] + 3
        or other["y"] + other["height"] <= one["y"] + 3
    )


def test_new_runs_and_changes_show_by_themselves(tab: Any, logdir: Path) -> None:
    folder = write_run(recorded("growing", 0), logdir, "growing")
    tab.locator(".shelf li[data-key='growing']").wait_for()
    choose(tab, "growing")
    shows(tab, "COMPUTE-BOUND")
    write_run_file(RunFile(folder, "host-a-4000"), recorded("growing", 20))
    shows(tab, "INPUT-BOUND")
    assert (logdir / PLUGIN / "growing") == folder
