import gzip
import json
import os
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tensorboard.compat.proto.event_pb2 import Event

from pipeprof.analysis.findings.findings import Findings
from pipeprof.recording.account import EPOCH_COLUMNS
from pipeprof.recording.lane import Cpu
from pipeprof.recording.loop import Input, Loop, LoopKind
from pipeprof.recording.profile import Profile
from pipeprof.surfaces.timelines.scalar_log import ScalarLog
from pipeprof.surfaces.timelines.tensorboard import write_run
from pipeprof.surfaces.timelines.xplane import to_xspace
from tests import builders
from tests.builders import MS, SECOND

REPORT = " INPUT-BOUND   67 %\n Why   \x1b[1mdecode\x1b[0m <b>&amp; `x`\n```\n# no heading"


def some_findings(name: str = "run-1", host: str = "host-a") -> Findings:
    fit = builders.loop(
        steps=200,
        wait_ns=[20 * MS] * 100 + [0] * 100,
        compute_ns=10 * MS,
        lane=0,
        fed_by=Input(queue=builders.gauge(0, 2)),
    )
    read_ns = fit.start_ns + 400 * MS
    cpu = Cpu(
        cores=4,
        limit=2.0,
        used=builders.evenly((200 * MS,), fit.start_ns, read_ns),
        sampled=builders.evenly((200 * MS,), fit.start_ns, read_ns),
    )
    recorded = builders.profile(
        loops=(fit,),
        cpu=cpu,
        gauges={"AUTOTUNE CPU budget": builders.gauge(2)},
        run=builders.run_info(name, hosts=(host,), end_ns=fit.end_ns),
    )
    return replace(builders.findings(main=builders.loop_finding(fit)), profile=recorded)


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def read_events(path: Path) -> list[Event]:
    """The records of an event file; each is a length, its checksum, the record, its checksum."""
    content, events, offset = path.read_bytes(), [], 0
    while offset < len(content):
        length = int.from_bytes(content[offset : offset + 8], "little")
        events.append(Event.FromString(content[offset + 12 : offset + 12 + length]))
        offset += 16 + length
    return events


def event_file(logdir: Path) -> Path:
    (path,) = (logdir / "run-1").iterdir()
    return path


def series(logdir: Path) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for event in read_events(event_file(logdir)):
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name == "scalars":
                point = (event.step, value.tensor.float_val[0])
                found.setdefault(value.tag, []).append(point)
    return found


def report_text(logdir: Path) -> str:
    (text,) = (
        value.tensor.string_val[0].decode()
        for event in read_events(event_file(logdir))
        for value in event.summary.value
        if value.tag == "pipeprof/report"
    )
    return text


def test_a_run_is_a_profile_and_an_event_file(tmp_path):
    found = some_findings()
    write_run(found, tmp_path / "logs", REPORT)
    assert files_below(tmp_path / "logs") == {
        "plugins/profile/run-1/host-a.xplane.pb",
        "run-1/events.out.tfevents.1795255333.host-a.pipeprof",
    }
    profile = tmp_path / "logs/plugins/profile/run-1/host-a.xplane.pb"
    assert profile.read_bytes() == to_xspace(found)


def test_writing_it_again_replaces_it_and_what_xprof_kept_of_it(tmp_path):
    write_run(some_findings(), tmp_path, REPORT)
    first = files_below(tmp_path)
    folder = tmp_path / "plugins/profile/run-1"
    for name in ("host-a.SSTABLE", "host-a.trie.SSTABLE", "ALL_HOSTS.op_stats_v2.pb"):
        (folder / name).write_bytes(b"stale")
    (folder / "host-b.xplane.pb").write_bytes(b"another host's")
    write_run(some_findings(), tmp_path, "another report")
    assert files_below(tmp_path) == first | {"plugins/profile/run-1/host-b.xplane.pb"}
    assert report_text(tmp_path) == "    another report"


@pytest.mark.parametrize("name", ["../../outside", "/etc/run", "..", "a/b", ""])
def test_no_name_leads_out_of_the_log_folder(tmp_path, name):
    write_run(some_findings(name, host=name), tmp_path / "logs", REPORT)
    assert len(files_below(tmp_path / "logs")) == 2
    assert files_below(tmp_path) == {f"logs/{path}" for path in files_below(tmp_path / "logs")}


def test_a_folder_that_cannot_be_made_is_the_callers_business(tmp_path):
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(OSError, match="logs"):
        write_run(some_findings(), tmp_path / "logs", REPORT)


def test_a_write_that_fails_leaves_nothing_behind(tmp_path):
    taken = tmp_path / "plugins/profile/run-1/host-a.xplane.pb"
    taken.mkdir(parents=True)
    with pytest.raises(OSError, match="host-a"):
        write_run(some_findings(), tmp_path, REPORT)
    assert files_below(tmp_path) == set()


def test_scalars_run_over_the_steps_of_the_main_loop(tmp_path):
    write_run(some_findings(), tmp_path, REPORT)
    found = series(tmp_path)
    assert set(found) == {
        "pipeprof/fit/step_ms",
        "pipeprof/fit/wait_ms",
        "pipeprof/fit/compute_ms",
        "pipeprof/fit/batches_ready",
        "pipeprof/fit/cpu_ratio",
        "pipeprof/fit/epoch/wait_ratio",
        "pipeprof/fit/epoch/callbacks_ratio",
        "pipeprof/fit/epoch/seconds",
        "pipeprof/fit/epoch/samples_per_s",
        "pipeprof/autotune_cpu_budget",
    }
    assert found["pipeprof/fit/step_ms"][0] == (1, 30.0)
    assert found["pipeprof/fit/step_ms"][-1] == (200, 10.0)
    assert found["pipeprof/fit/wait_ms"][0] == (1, 20.0)
    assert found["pipeprof/fit/wait_ms"][-1] == (200, 0.0)
    assert {value for _, value in found["pipeprof/fit/compute_ms"]} == {10.0}
    steps = [step for step, _ in found["pipeprof/fit/step_ms"]]
    assert steps == sorted(set(steps))
    # 0.5 and 1.5 s into steps of 30 ms, where the 50th ends; then 0.2 s, one core of two.
    assert found["pipeprof/fit/batches_ready"] == [(16, 0.0), (49, 2.0)]
    assert found["pipeprof/fit/cpu_ratio"] == [(6, 0.5)]


def test_waits_that_nothing_measured_are_left_out(tmp_path):
    fit = builders.loop(steps=30, wait_ns=None, compute_ns=30 * MS)
    write_run(builders.findings(main=builders.loop_finding(fit)), tmp_path, REPORT)
    assert set(series(tmp_path)) == {
        "pipeprof/fit/step_ms",
        "pipeprof/fit/epoch/callbacks_ratio",
        "pipeprof/fit/epoch/seconds",
        "pipeprof/fit/epoch/samples_per_s",
    }


def test_callbacks_have_a_scalar_and_are_no_computing(tmp_path):
    fit = builders.loop(steps=30, wait_ns=10 * MS, compute_ns=20 * MS, callback_ns=5 * MS)
    write_run(builders.findings(main=builders.loop_finding(fit)), tmp_path, REPORT)
    found = series(tmp_path)
    assert {value for _, value in found["pipeprof/fit/callback_ms"]} == {5.0}
    assert {value for _, value in found["pipeprof/fit/compute_ms"]} == {15.0}


def test_epochs_have_scalars_at_their_numbers(tmp_path):
    fit = builders.loop(
        steps=40,
        epochs=2,
        wait_ns=[30 * MS] * 20 + [0] * 20,
        compute_ns=20 * MS,
        callback_ns=10 * MS,
        batch_size=32,
    )
    write_run(builders.findings(main=builders.loop_finding(fit)), tmp_path, REPORT)
    found = {name.rpartition("/")[2]: each for name, each in series(tmp_path).items()}
    assert found["wait_ratio"] == [(0, pytest.approx(0.6)), (1, 0.0)]
    assert found["callbacks_ratio"] == [(0, pytest.approx(0.2)), (1, 0.5)]
    assert found["seconds"] == [(0, 1.0), (1, pytest.approx(0.4))]
    assert found["samples_per_s"] == [(0, 640.0), (1, 1600.0)]


def test_tags_name_the_kind_of_loop(tmp_path):
    loop = builders.loop(LoopKind.TRAIN_ON_BATCH, steps=30)
    write_run(builders.findings(main=builders.loop_finding(loop)), tmp_path, REPORT)
    assert "pipeprof/train_on_batch/step_ms" in series(tmp_path)


def test_a_run_without_loops_still_has_its_report(tmp_path):
    write_run(builders.findings(), tmp_path, REPORT)
    assert series(tmp_path) == {}
    assert "INPUT-BOUND" in report_text(tmp_path)


def scalars_of(path: Path) -> dict[str, list[int]]:
    """The steps at which each tag has a value, in the order of the file."""
    steps: dict[str, list[int]] = {}
    for event in read_events(path):
        for value in event.summary.value:
            steps.setdefault(value.tag, []).append(event.step)
    return steps


def recorded_so_far(steps: int, *further: Loop) -> Profile:
    fit = builders.loop(steps=steps, wait_ns=20 * MS, compute_ns=10 * MS)
    return builders.profile(
        loops=(fit, *further), run=builders.run_info("run-1", end_ns=fit.end_ns)
    )


def said_of(recorded: Profile) -> Findings:
    main = recorded.main_loop
    assert main is not None
    return replace(builders.findings(main=builders.loop_finding(main)), profile=recorded)


def test_scalars_come_while_the_run_is_recorded_and_each_once(tmp_path):
    log = ScalarLog(tmp_path)
    seen = []
    for steps in (0, 300, 300, 3_000, 30_000):
        log.update(recorded_so_far(steps))
        files = list((tmp_path / "run-1").glob("*")) if steps else []
        seen.append(len(scalars_of(files[0])["pipeprof/fit/step_ms"]) if files else 0)
    write_run(said_of(recorded_so_far(30_001)), tmp_path, REPORT, log)

    assert seen == sorted(seen)
    assert 0 < seen[1] == seen[2] < seen[3] < seen[4]
    (path,) = (tmp_path / "run-1").iterdir()
    written = scalars_of(path)
    assert "pipeprof/report" in written
    steps = written["pipeprof/fit/step_ms"]
    assert steps == sorted(set(steps))
    assert steps[-1] == 30_001


def test_scalars_of_epochs_come_as_epochs_end_and_each_once(tmp_path):
    log = ScalarLog(tmp_path)
    seen = []
    for epochs in (1, 2, 4):
        fit = builders.loop(steps=100 * epochs, epochs=epochs, wait_ns=20 * MS, compute_ns=10 * MS)
        rows = fit.account.epochs.copy()
        rows[-1, EPOCH_COLUMNS.index("end_ns")] += SECOND  # callbacks at its end go on
        fit = replace(fit, account=replace(fit.account, epochs=rows))
        run = builders.run_info("run-1", end_ns=fit.end_ns + SECOND)
        recorded = builders.profile(loops=(fit,), run=run)
        log.update(recorded)
        (path,) = (tmp_path / "run-1").iterdir()
        seen.append(scalars_of(path).get("pipeprof/fit/epoch/seconds", []))
    write_run(said_of(recorded), tmp_path, REPORT, log)

    assert seen == [[], [0], [0, 1, 2]]
    assert scalars_of(path)["pipeprof/fit/epoch/seconds"] == [0, 1, 2, 3]


def test_a_longer_loop_that_came_later_is_what_the_file_shows_in_the_end(tmp_path):
    log = ScalarLog(tmp_path)
    log.update(recorded_so_far(300))
    longer = builders.loop(LoopKind.CUSTOM, steps=900, start_ns=builders.START_NS + 100 * SECOND)
    both = recorded_so_far(300, longer)
    log.update(both)
    write_run(said_of(both), tmp_path, REPORT, log)

    (path,) = (tmp_path / "run-1").iterdir()
    assert {tag for tag in scalars_of(path) if "step_ms" in tag} == {"pipeprof/custom/step_ms"}


def test_what_could_not_be_appended_is_written_anew(tmp_path):
    log = ScalarLog(tmp_path)
    log.update(recorded_so_far(300))
    (path,) = (tmp_path / "run-1").iterdir()
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        log.update(recorded_so_far(3_000))
    path.rmdir()
    write_run(said_of(recorded_so_far(3_000)), tmp_path, REPORT, log)

    assert scalars_of(path)["pipeprof/fit/step_ms"][-1] == 3_000


def test_events_carry_the_date_of_the_recording(tmp_path):
    write_run(some_findings(), tmp_path, REPORT)
    started_s = builders.ANCHOR.unix_ns / SECOND
    times = [event.wall_time for event in read_events(event_file(tmp_path))]
    assert min(times) == started_s
    assert max(times) <= started_s + 5


def test_the_report_is_a_block_that_its_own_text_cannot_end(tmp_path):
    write_run(some_findings(), tmp_path, REPORT)
    text = report_text(tmp_path)
    assert all(line.startswith("    ") for line in text.splitlines())
    assert "\x1b" not in text
    assert "Why   decode <b>&amp; `x`" in text


def test_writing_loads_no_framework(tmp_path):
    program = (
        "import sys, pathlib\n"
        "from tests.surfaces.timelines.test_tensorboard import some_findings\n"
        "from pipeprof.surfaces.timelines.tensorboard import ScalarLog, write_run\n"
        "write_run(some_findings(), pathlib.Path(sys.argv[1]), 'report')\n"
        "print([name for name in ('tensorflow', 'keras', 'xprof') if name in sys.modules])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "[]\n"
    assert len(files_below(tmp_path)) == 2


# A real TensorBoard


@contextmanager
def tensorboard(logdir: Path) -> Iterator[str]:
    """The address of a TensorBoard on ``logdir`` that ends with the block."""
    arguments = ["--logdir", str(logdir), "--port", "0", "--host", "127.0.0.1"]
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "NO_PROXY": "127.0.0.1"}
    log = logdir.with_suffix(".log")
    with (
        log.open("wb") as stream,
        subprocess.Popen(
            [sys.executable, "-m", "tensorboard.main", *arguments],
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=quiet,
        ) as process,
    ):
        try:
            yield _address(process, log)
        finally:
            process.terminate()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    while process.poll() is None:
        if said := re.search(r"http://[^ ]+:\d+/", log.read_text()):
            return said.group()
        time.sleep(0.1)
    raise AssertionError(f"TensorBoard ended: {log.read_text()}")


def get_json(address: str, route: str, **query: str) -> object:
    url = f"{address}data/{route}?{urllib.parse.urlencode(query)}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=60) as answer:
        content = answer.read()
        packed = answer.headers.get("Content-Encoding") == "gzip"
    return json.loads(gzip.decompress(content) if packed else content)


@pytest.mark.integration
def test_tensorboard_shows_the_run(tmp_path):
    pytest.importorskip("xprof")
    logdir = tmp_path / "logs"
    write_run(some_findings(), logdir, REPORT)
    with tensorboard(logdir) as address:
        while "run-1" not in get_json(address, "plugin/scalars/tags"):
            time.sleep(0.2)
        tags = get_json(address, "plugin/scalars/tags")["run-1"]
        assert set(tags) == set(series(logdir))
        points = get_json(
            address, "plugin/scalars/scalars", run="run-1", tag="pipeprof/fit/step_ms"
        )
        assert [point[1:] for point in points] == [
            list(point) for point in series(logdir)["pipeprof/fit/step_ms"]
        ]
        assert get_json(address, "plugin/text/tags") == {"run-1": ["pipeprof/report"]}
        (shown,) = get_json(address, "plugin/text/text", run="run-1", tag="pipeprof/report")
        assert shown["text"].startswith("<pre><code> INPUT-BOUND")
        assert "decode &lt;b&gt;&amp;amp; `x`\n```\n# no heading" in shown["text"]
        assert get_json(address, "plugin/profile/runs") == ["run-1"]
        tools = get_json(address, "plugin/profile/run_tools", run="run-1")
        assert {"overview_page", "input_pipeline_analyzer"} <= set(tools)
        assert any(tool.startswith("trace_viewer") for tool in tools)
        tables = get_json(
            address,
            "plugin/profile/data",
            run="run-1",
            tag="input_pipeline_analyzer",
            host="host-a",
        )
        waits = np.r_[np.full(95, 20.0), np.zeros(100)]
        said = tables[1]["p"]
        assert float(said["infeed_time_ms_avg"]) == pytest.approx(waits.mean(), abs=0.1)
