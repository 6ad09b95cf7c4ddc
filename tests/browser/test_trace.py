"""The trace for Perfetto and chrome://tracing, read by the importer of the latter, which XProf ships."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.recording.span import SpanKind, Spans
from pipeprof.surfaces.timelines.chrome import to_chrome
from tests.browser.conftest import MARKUP, recorded
from tests.builders import MS, Span, gauge, spans

pytestmark = pytest.mark.browser

_IMPORT = """text => {
  const model = new tr.Model();
  new tr.importer.Import(model).importTraces([text]);
  const processes = Object.values(model.processes);
  const threads = processes.flatMap(process => Object.values(process.threads));
  return {
    threads: Object.fromEntries(threads.map(one => [one.name, one.sliceGroup.slices.length])),
    arrows: model.flowEvents.map(one => [one.startSlice?.title, one.endSlice?.title]),
    levels: processes.flatMap(one => Object.keys(one.counters)),
    warnings: model.importWarnings.map(one => one.message),
  };
}"""


@pytest.fixture
def importer(browser: Any) -> Any:
    xprof = pytest.importorskip("xprof")
    viewer = Path(xprof.__file__).parent / "static" / "trace_viewer_index.html"
    context = browser.new_context()
    page = context.new_page()
    page.goto(viewer.as_uri())
    page.wait_for_function("typeof tr === 'object' && tr.importer")
    yield page
    context.close()


def with_batches(work: Spans, ends_ns: list[int]) -> Spans:
    """Each step takes the batch whose making began with it."""
    kept = zip(work.kind, work.subject, work.start_ns, work.end_ns, work.lane, strict=True)
    singles = [
        Span(SpanKind(kind), subject, start, end, lane) for kind, subject, start, end, lane in kept
    ]
    made = sorted(one.start_ns for one in singles if one.kind is SpanKind.WORK)
    taken = [Span(SpanKind.BATCH, 0, start, end) for start, end in zip(made, ends_ns, strict=True)]
    return spans(*singles, *taken)


def test_it_is_read_without_a_warning_and_with_all_that_is_in_it(importer: Any) -> None:
    run = recorded("slow", 20, MARKUP)
    (fit,) = run.loops
    batches = with_batches(run.spans, (fit.steps.end_ns - MS).tolist())
    run = replace(run, spans=batches, gauges={"queue": gauge(1, 2)})
    read = importer.evaluate(_IMPORT, to_chrome(analyse(run)))

    assert read["warnings"] == []
    steps = len(fit.steps)
    assert sorted(read["threads"].values()) == [steps, 3 * steps]
    assert read["arrows"] == [[f"{MARKUP} (train.py:41)", "input wait"]] * steps
    assert any(name.endswith("queue") for name in read["levels"])


def test_what_breaks_the_rules_is_warned_of(importer: Any) -> None:
    overlapping = '[{"ph":"E","name":"a","pid":1,"tid":1,"ts":1}]'
    assert importer.evaluate(_IMPORT, overlapping)["warnings"] != []
