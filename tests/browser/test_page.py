"""The page as one file, opened from disk."""

from pathlib import Path
from typing import Any

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.surfaces.webpages.webpage import render_in_notebook, render_page
from tests.browser.conftest import MARKUP, on_main, recorded

pytestmark = pytest.mark.browser


@pytest.fixture
def opened(page: Any, tmp_path: Path) -> Any:
    file = tmp_path / "report.html"
    file.write_text(render_page(analyse(recorded(MARKUP, 20, MARKUP))), encoding="utf-8")
    page.goto(file.as_uri())
    page.wait_for_selector("[data-figure='cpu'] .main-svg")
    return page


def test_the_page_draws_itself_and_names_stay_text(opened: Any) -> None:
    assert opened.locator("h1").inner_text().startswith("INPUT-BOUND")
    figures = opened.locator("[data-figure]").count()
    assert figures >= 4
    assert opened.locator(".view:not([hidden]) .plot .main-svg:first-child").count() == figures
    assert opened.locator("img").count() == 0
    assert opened.evaluate("window.hacked") is None


def test_the_account_stands_at_the_top_with_its_table(opened: Any) -> None:
    account = opened.locator("header [data-figure='account']")
    assert account.locator(".barlayer path").count() > 0
    account.locator("summary").click()
    rows = account.locator("tr").all_inner_texts()
    assert rows[0].split() == ["part", "what", "where", "calls", "run", "share", "fit"]
    assert any(row.startswith("wait") for row in rows)


def test_what_if_draws_the_prediction_of_the_chosen_changes(page: Any, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(render_page(analyse(on_main(MARKUP, MARKUP))), encoding="utf-8")
    page.goto(file.as_uri())
    panel = page.locator("[data-figure='what-if']")
    panel.locator(".main-svg").first.wait_for()

    def chosen_bar() -> float:
        return panel.locator(".bars .point path").nth(1).bounding_box()["width"]

    before = chosen_bar()
    first = panel.locator("select").first
    first.select_option(label="half its cost")
    panel.locator("[role=status]", has_text="a step would take 20.0 ms").wait_for()
    panel.locator(".bartext", has_text="20.0 ms").wait_for()
    assert chosen_bar() == pytest.approx(before * 2 / 3, rel=0.05)
    panel.locator("label", has_text="prefetch").locator("select").select_option(label="yes")
    panel.locator("[role=status]", has_text="a step would take 10.0 ms").wait_for()
    assert panel.locator("select:disabled").count() == panel.locator("select").count() - 2
    first.select_option(index=0)
    panel.locator("[role=status]", has_text="With prefetch a step").wait_for()
    assert panel.locator("select:disabled").count() == 0
    assert page.locator("img").count() == 0


def test_windows_are_switched(opened: Any) -> None:
    timeline = opened.locator("[data-figure='timeline']")
    timeline.locator("select").select_option(index=1)
    timeline.locator(".view[data-view='1'] .main-svg").first.wait_for()
    assert timeline.locator(".view:visible").count() == 1


@pytest.mark.parametrize("scheme", ["dark"])
def test_on_paper_it_is_light_and_narrow_and_afterwards_as_before(opened: Any, scheme: str) -> None:
    def drawn() -> tuple[float, str]:
        svg = opened.locator("[data-figure='steps'] .main-svg").first
        text = opened.locator("[data-figure='steps'] .xtick text").first
        return svg.bounding_box()["width"], text.evaluate("e => getComputedStyle(e).fill")

    before = drawn()
    opened.emulate_media(media="print")
    bar = opened.locator("[data-figure='steps'] .bars path").first
    assert bar.bounding_box()["height"] > 5
    assert opened.locator("[data-figure='timeline'] summary").first.is_hidden()
    opened.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert drawn()[0] <= 700
    assert drawn()[1] != before[1]
    opened.emulate_media(media="screen")
    opened.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert drawn() == before


def test_a_notebook_shows_it_in_a_frame(page: Any, tmp_path: Path) -> None:
    file = tmp_path / "notebook.html"
    frame = render_in_notebook(analyse(recorded("slow", 20)))
    file.write_text(f"<!DOCTYPE html><p>a cell</p>{frame}", encoding="utf-8")
    page.goto(file.as_uri())
    inside = page.frame_locator("iframe")
    inside.locator("[data-figure='cpu'] .main-svg").first.wait_for()
    assert inside.locator("h1").inner_text().startswith("INPUT-BOUND")
