"""TensorBoard with the tab, in a process without TensorFlow and under a path prefix, and a browser on it.

Whatever is looked at: no request may leave the machine, and the console has no error of ours.
"""

import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pipeprof.recording.lane import Role
from pipeprof.recording.loop import Input, InputKind
from pipeprof.recording.profile import Profile
from pipeprof.recording.source_code import Location
from pipeprof.recording.span import SpanKind
from pipeprof.recording.stage import StageKind
from pipeprof.runs.log_folder import PLUGIN, PROFILES
from tests import ranks
from tests.builders import (
    MS,
    Span,
    device,
    lane,
    loop,
    profile,
    run_info,
    spans,
    stage,
    step_spans,
    trace_window,
)
from tests.cli.conftest import write_run
from tests.conftest import BROWSERS

MARKUP = '<img src=x onerror="window.hacked=1"><b>bold</b>'
# More than a heat map has rows.
RANKS, SLOW_RANK = 80, 77
LOCAL = ("127.0.0.1", "localhost", "")

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_SERVER = """
import sys, types
sys.modules["tensorflow"] = None
sys.modules["tensorboard.compat.notf"] = types.ModuleType("notf")
from tensorboard import default, program
from tensorboard.backend import http_util
http_util._CSP_SCRIPT_UNSAFE_EVAL = False  # stricter than it is: other versions may be
from pipeprof.tensorboard_plugin.plugin import InputPipelinePlugin
server = program.TensorBoard(plugins=[*default.get_static_plugins(), InputPipelinePlugin])
server.configure(argv=["", "--logdir", sys.argv[1], "--port", "0", "--path_prefix", "/tb",
                       "--load_fast", "false"])
server.main()
"""


@pytest.fixture(autouse=True)
def nothing_left_behind() -> None:
    """A browser keeps processes of its own from test to test; it is ended with the module's last."""


def recorded(
    name: str, wait_ms: int, stage_name: str = "decode", also: Sequence[Span] = ()
) -> Profile:
    """A run of 100 steps with a stage on an input thread, and intervals of both."""
    fit = loop(
        wait_ns=wait_ms * MS,
        compute_ns=10 * MS,
        epochs=4,
        fed_by=Input(kind=InputKind.GENERATOR, name=stage_name),
        lane=0,
    )
    starts = fit.steps.start_ns.tolist()
    work = [Span(SpanKind.WORK, 0, start, start + wait_ms * MS, 1) for start in starts]
    return profile(
        run=run_info(name, end_ns=fit.end_ns),
        loops=(fit,),
        stages=(
            stage(stage_name, cost_ns=wait_ms * MS, lanes={1: 1}, during=fit),
            stage("read", location=Location("data/input.py", 7), cost_ns=MS, parent=0, during=fit),
        ),
        lanes=(
            lane("main", cpu_ns=int(5e8), during=fit),
            lane("reader", Role.INPUT, cpu_ns=int(9e8), busy_ns=int(1e9), during=fit),
        ),
        spans=spans(*step_spans(fit), *work, *also),
    )


def on_main(name: str, stage_name: str = "decode") -> Profile:
    """A run of 100 steps of 30 ms, 20 of which are a stage in the training's own thread."""
    fit = loop(lane=0, wait_ns=20 * MS, compute_ns=10 * MS)
    slow = stage(stage_name, cost_ns=20 * MS, cpu_ratio=0.1, during=fit)
    return profile(run=run_info(name, end_ns=fit.end_ns), loops=(fit,), stages=(slow,))


def crowded() -> Profile:
    """A run with long names, many branches and many lanes, all of it tuned."""
    fit = loop(epochs=30, lane=0)
    long = "a_name_that_does_not_want_to_end_" * 3
    stages = tuple(
        stage(
            f"{number}_{long}",
            StageKind.TF_DATA,
            cost_ns=(number + 1) * MS,
            during=fit,
            location=Location(f"{long}.py", number),
            parent=None if number == 0 else number // 3,
            parallelism=4,
            autotuned=True,
            buffer=3,
            buffer_size=8,
        )
        for number in range(60)
    )
    starts = fit.steps.start_ns.tolist()
    work = [
        Span(SpanKind.WORK, lane, start + lane * MS // 2, start + lane * MS, lane)
        for start in starts
        for lane in range(1, 30)
    ]
    lanes = (lane("main"), *(lane(f"{number} {long}", Role.WORKER) for number in range(1, 30)))
    return profile(
        run=run_info("crowded", end_ns=fit.end_ns),
        loops=(fit,),
        stages=stages,
        lanes=lanes,
        spans=spans(*step_spans(fit), *work),
    )


def traced() -> Profile:
    """A run with a GPU that was traced for some of its steps, and the trace's file."""
    fit = recorded("traced", 20).loops[0]
    starts = fit.steps.start_ns[40:45].tolist()
    busy = [Span(SpanKind.WORK, -1, at + 20 * MS, at + 28 * MS, 2) for at in starts]
    run = recorded("traced", 20, also=busy)
    return replace(
        run,
        lanes=(*run.lanes, lane("GPU 0", Role.DEVICE, tid=None, during=fit)),
        devices=(device(steps=5, start_ns=starts[0]),),
        trace_windows=(trace_window(fit, 40, *[20 * MS] * 5, run="traced_window1"),),
    )


@pytest.fixture(scope="session")
def logdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logs")
    write_run(recorded("slow", 20), folder, "slow")
    write_run(recorded("even", 1), folder, "even")
    write_run(recorded("fast", 0), folder, "fast")
    write_run(recorded(MARKUP, 20, MARKUP), folder, "marked")
    write_run(on_main("on_main"), folder, "on_main")
    write_run(crowded(), folder, "crowded")
    write_run(traced(), folder, "traced")
    for name in ("traced", "traced_window1"):
        (folder / PROFILES / name).mkdir(parents=True)
        (folder / PROFILES / name / "host-a.xplane.pb").touch()
    means = [2.0] * RANKS
    means[SLOW_RANK] = 30.0
    ranks.write_ranks(folder / PLUGIN / "ranks", ranks.in_lock_step(ranks.waits(*means)))
    damaged = folder / PLUGIN / "damaged"
    damaged.mkdir()
    (damaged / "host-1.json").write_text("{")
    return folder


@pytest.fixture(scope="module")
def address(logdir: Path) -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(logdir)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        found = (re.search(r"at (http://\S+)", line) for line in process.stderr)
        yield next(each.group(1) for each in found if each)
        process.terminate()


# Not for longer than these tests run: others look out for processes that are left.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    # Where it is not installed, these tests are skipped, and only then is it missed.
    playwright = importlib.import_module("playwright.sync_api")
    executable = next(filter(None, map(shutil.which, BROWSERS)))
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=executable, args=list(_FLAGS))
        yield started
        started.close()


@pytest.fixture
def width() -> int:
    return 1400


@pytest.fixture
def scheme() -> str:
    return "light"


@pytest.fixture
def page(browser: Any, width: int, scheme: str) -> Iterator[Any]:
    """A page that is watched: what it asks for and what its console says."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    opened = context.new_page()
    asked: list[str] = []
    errors: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.extend(_ours(message)))
    yield opened
    context.close()
    assert [url for url in asked if _leaves(url)] == []
    assert errors == []


def _leaves(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme not in ("data", "blob", "about") and (parts.hostname or "") not in LOCAL


def _ours(message: Any) -> list[str]:
    """Errors of our own pages; TensorBoard itself asks for fonts that it does not serve."""
    url = message.location.get("url", "")
    own = "pipeprof" in url or url.startswith("file:") or not url
    return [f"{message.text} ({url})"] if message.type == "error" and own else []


@pytest.fixture
def in_tensorboard(page: Any, address: str) -> Any:
    """The tab's frame in TensorBoard's own page, with a run drawn."""
    page.goto(f"{address}#pipeprof")
    frame = page.wait_for_selector("iframe[src*='name=pipeprof']").content_frame()
    frame.wait_for_selector(".plot .main-svg, .message")
    return frame


@pytest.fixture
def tab(page: Any, address: str) -> Any:
    """The same without TensorBoard's page around it, which takes seconds to load."""
    page.goto(f"{address}data/plugin_entry.html?name=pipeprof")
    page.wait_for_selector(".plot .main-svg, .message")
    return page
