import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.findings import HotLine
from pipeprof.recording.loop import Input, InputKind, LoopKind
from pipeprof.recording.source_code import Location
from pipeprof.report.figures.of_run import figures_of
from pipeprof.surfaces.webpages.page_report import comparison_body, report_body
from pipeprof.surfaces.webpages.webpage import (
    plotly_js,
    read_static,
    render_in_notebook,
    render_page,
)
from tests import ranks
from tests.builders import (
    MS,
    bottleneck,
    diagnosis,
    findings,
    lane,
    loop,
    loop_finding,
    profile,
    run_info,
    spans,
    stage,
    stage_finding,
    step_spans,
)

MARKUP = "</script><img src=x onerror=alert(1)>\u2028&<b>"


def recorded(name: str = "decode"):
    fed = Input(kind=InputKind.GENERATOR, name=name)
    fit = loop(epochs=2, fed_by=fed, lane=0)
    inner = loop(LoopKind.EVALUATE, steps=20, parent=0)
    return analyse(
        profile(
            run=run_info(name, argv=("train.py", name), warnings=(name,), error=name),
            loops=(fit, inner),
            stages=(stage(name, location=Location(name, 3), during=fit),),
            lanes=(lane(name, cpu_ns=MS, during=fit),),
            spans=spans(*step_spans(fit)),
        )
    )


class Seen(HTMLParser):
    """Which elements a page has, and what they load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.handlers: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for key, value in attrs if key in ("src", "href", "srcset")]
        self.handlers += [key for key, _ in attrs if key.startswith("on")]


def test_the_page_is_one_file_that_loads_nothing_and_is_not_large() -> None:
    page = render_page(recorded())
    seen = Seen(page)
    assert seen.loads == []
    assert "link" not in seen.tags
    assert len(page.encode()) < 6_000_000
    assert "@import" not in read_static("page.css")
    assert not re.search(r"url\(|https?:", read_static("page.css") + read_static("figures.js"))


def test_verdict_why_and_next_come_before_the_pictures_and_those_before_the_tables() -> None:
    body = report_body(recorded(), ())
    order = ["INPUT-BOUND", ">Why<", ">Next<", ">Details<"]
    assert [body.index(each) for each in order] == sorted(body.index(each) for each in order)
    page = render_page(recorded())
    assert page.index("INPUT-BOUND") < page.index('data-figure="steps"') < page.index(">Details<")


def test_names_with_markup_stay_text_in_the_page_and_in_its_script() -> None:
    page = render_page(recorded(MARKUP))
    seen = Seen(page)
    assert "img" not in seen.tags
    assert seen.handlers == []
    assert seen.tags.count("script") == 3
    # None of the text, data and scripts that are not Plotly's own may hold it either.
    own = page.replace(plotly_js().read_text(encoding="utf-8"), "")
    assert "<img" not in own
    assert "\u2028" not in own


def test_the_data_of_the_figures_can_be_read_back() -> None:
    page = render_page(recorded(MARKUP))
    (held,) = re.findall(r'<script id="figures" type="application/json">(.*?)</script>', page)
    data = json.loads(held)
    assert [each["key"] for each in data["figures"]][:4] == [
        "account",
        "epochs",
        "steps",
        "pipeline",
    ]
    assert set(data["templates"]) == {"light", "dark"}
    places = re.findall(r'data-figure="([\w-]+)"', page)
    assert places.pop(places.index("pipeline") + 1) == "what-if"
    assert places == [each["key"] for each in data["figures"]]


def test_each_figure_says_the_same_as_a_table() -> None:
    body = report_body(recorded(), ())
    assert "As a table" not in body
    page = render_page(recorded())
    views = page.count('class="view"')
    assert views == page.count("s a table</summary>") == page.count('class="plot"')


@pytest.mark.parametrize(
    "said",
    [
        findings(),
        findings(main=loop_finding(said=diagnosis(wait_ms=None))),
        analyse(profile(loops=())),
        analyse(profile(loops=(loop(steps=2),), lanes=())),
    ],
)
def test_what_was_not_measured_is_not_shown_as_a_number(said) -> None:
    page = render_page(said)
    own = page.replace(plotly_js().read_text(encoding="utf-8"), "")
    assert "None" not in own
    assert not re.search(r"\bnan\b", own, re.IGNORECASE)
    assert 'class="share"' not in own or "wait" in own


@pytest.mark.parametrize(("count", "is_open"), [(3, True), (60, False)])
def test_the_stages_stand_among_the_tables(count: int, is_open: bool) -> None:
    stages = tuple(stage(f"map_{number}") for number in range(count))
    said = analyse(profile(stages=stages))
    body = report_body(said, figures_of(said))
    opened = " open" if is_open else ""
    assert f"<details{opened}><summary>Stages ({count})</summary>" in body
    assert body.count("<td>map_1</td>") == 2


def test_an_unknown_verdict_shows_how_to_get_one() -> None:
    body = report_body(findings(), ())
    assert "UNKNOWN" in body
    assert "pipeprof.profile(dataset)" in body


def test_runs_are_compared_in_one_table() -> None:
    body = comparison_body([("a", recorded()), (MARKUP, recorded())], ())
    assert body.count("INPUT-BOUND") == 2
    assert "img" not in Seen(body).tags


def test_in_a_notebook_the_page_is_in_a_frame_of_its_own() -> None:
    frame = render_in_notebook(recorded(MARKUP))
    seen = Seen(frame)
    assert seen.tags == ["iframe"]
    assert seen.loads == []


def test_lines_that_the_time_goes_to_stand_below_why() -> None:
    line = HotLine(
        location=Location("train.py", 43), function="decode", text="x = y < z", share=0.4, samples=9
    )
    found = replace(stage_finding(), hot_lines=(line,))
    said = diagnosis(slowest=bottleneck(index=0))
    body = report_body(findings(main=loop_finding(said=said), stages=(found,)), ())
    assert "<td>train.py:43</td><td>40 %</td><td>x = y &lt; z</td>" in body
    without = report_body(findings(main=loop_finding(said=said), stages=(stage_finding(),)), ())
    assert "hot-lines" not in without


def test_memory_and_disk_are_shown_where_they_were_measured() -> None:
    said = findings(main=loop_finding())
    assert ">Machine<" not in report_body(said, ())
    used = replace(said.resources, most_memory_bytes=3_000_000_000, disk_read_bytes_per_s=2e6)
    body = report_body(replace(said, resources=used), ())
    assert "memory up to 3.0 GB · 2.0 MB/s read from disk<" in body


def test_of_several_ranks_the_verdict_on_all_stands_above_that_on_one() -> None:
    profiles = ranks.in_lock_step(ranks.waits(2, 30, 2))
    found = replace(ranks.of_profiles(profiles), shown=1)
    page = render_page(replace(analyse(profiles[1]), ranks=found))
    text = re.sub(r"<[^>]+>", " ", page)
    assert text.index("by rank 1: its steps wait") < text.index("Rank 1 by itself")
    assert page.count('data-figure="ranks"') == 1
    alone = render_page(analyse(profiles[1]))
    assert 'data-figure="ranks"' not in alone
    assert "by itself" in alone  # it is a rank among others, which the heading says
