import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.account_findings import HostPlace
from pipeprof.analysis.findings.advice_kinds import Verified
from pipeprof.analysis.findings.evidence_kinds import WaitsNotMeasured
from pipeprof.analysis.findings.findings import DeliveryFinding, HotLine
from pipeprof.analysis.findings.helper_finding import Helpers
from pipeprof.analysis.findings.input_findings import AutotuneOff, EpochStart, StartCause
from pipeprof.analysis.findings.machine_findings import (
    CpuFinding,
    HeldUp,
    OverheadFinding,
    ResourceFinding,
)
from pipeprof.analysis.findings.references import StageReference
from pipeprof.analysis.findings.tfdata_remedies import TensorflowOps
from pipeprof.analysis.findings.verdict_kinds import Bound, Cause
from pipeprof.clock import WallAnchor
from pipeprof.recording.lane import Role
from pipeprof.recording.level_names import DeviceLevel
from pipeprof.recording.loop import InputKind, LoopKind
from pipeprof.recording.source_code import Location
from pipeprof.report.one_run.advice_text import remedy_sentence
from pipeprof.report.one_run.autotune_text import autotune_warning
from pipeprof.report.one_run.evidence_text import evidence_sentence
from pipeprof.surfaces.json_report.as_json import to_dict, to_json
from tests.builders import (
    MORE_WORKERS,
    MS,
    PID,
    START_NS,
    advice,
    autotune_finding,
    bottleneck,
    device,
    diagnosis,
    findings,
    gauge,
    input_finding,
    lane_finding,
    loop,
    loop_finding,
    profile,
    run_info,
    spread,
    stage,
    stage_finding,
    trace_window,
)

NOTHING = {"median": None, "mean": None, "p95": None}


NOT_MEASURED = WaitsNotMeasured()


def test_a_whole_report():
    said = diagnosis(
        Bound.INPUT,
        step_ms=spread(30.00004, mean=31.23456, p95=40.0),
        callback_ms=3.0,
        host_ratio=0.1,
        host=(
            HostPlace(
                name="Board.on_epoch_end", location=Location("train.py", 41), ratio=0.08, error=0.03
            ),
        ),
        slowest=bottleneck("decode", cost_ms=19.5, share=0.96),
        cause=Cause.GIL,
        held_up=HeldUp(gil_ratio=0.3, cpu_queue_ratio=None),
        evidence=(NOT_MEASURED,),
        advice=(
            advice(verified=Verified(step_ms=12.5, speedup=2.4)),
            advice(TensorflowOps(stage="decode"), step_ms=None, speedup=None),
        ),
    )
    said = replace(said, helpers=Helpers(count=2, cores=1.9))
    start = EpochStart(
        epoch=1,
        wait_ms=400.0,
        usual_ms=2.5,
        cause=StartCause.FILL,
        stage=StageReference.of(stage()),
        elements=1_000,
        work_ms=390.0,
    )
    fed = input_finding(
        InputKind.SEQUENCE,
        workers=4,
        multiprocessing=True,
        threads=("worker 1", "worker 2"),
        queue_size=10,
        queue_mean=0.125,
        queue_empty_ratio=0.9,
        head_of_line_ratio=0.2,
        epoch_start_ms=400.0,
        epoch_starts=(start,),
    )
    found = findings(
        main=loop_finding(loop(epochs=2), said, fed),
        stages=(
            stage_finding(
                stage(),
                cost_ms=19.5,
                size_bytes=1_200,
                parallelism=4.0,
                most_parallelism=16,
                autotuned=True,
                buffer_size=2,
                buffer_mean=0.5,
                cpu_ratio=0.97,
                hot_lines=(
                    HotLine(
                        location=Location("train.py", 44),
                        function="decode",
                        text="img = Image.open(p)",
                        share=0.6125,
                        samples=245,
                    ),
                ),
            ),
        ),
        autotune=autotune_finding(AutotuneOff()),
        lanes=(lane_finding("worker 1", Role.WORKER, busy_ratio=0.9, stages=("decode",)),),
        cpu=CpuFinding(
            cores=2,
            limit=1.5,
            process_ratio=0.8,
            saturated=False,
            machine_ratio=0.85,
            throttled_ratio=0.1,
            voluntary_switches_per_s=1200.0,
            forced_switches_per_s=3.5,
        ),
        resources=ResourceFinding(
            memory_bytes=1e9,
            most_memory_bytes=1_200_000_000,
            disk_read_bytes_per_s=35e6,
            disk_written_bytes_per_s=None,
            received_bytes_per_s=0.4,
            sent_bytes_per_s=0.0,
        ),
        delivery=DeliveryFinding(
            batches=100,
            samples=3_190,
            batch_sizes={32: 99, 22: 1},
            dtypes=("float32", "int64"),
            shapes=((32, 100), (32,)),
            bytes_per_step=13_056.0,
        ),
        overhead=OverheadFinding(probe_ns=210.5, events=1_000, events_dropped=3, ratio=0.003),
        run=run_info(warnings=("Clocks differ.",)),
    )
    said_json = {
        "bound": "input",
        "confidence": 0.95,
        "wait_ratio": 0.6061,
        "wait_ratio_with_epoch_starts": 0.6061,
        "wall_wait_ratio": 0.6061,
        "wall_wait_ratio_interval": [0.6061, 0.6061],
        "wall_host_ratio": 0.1,
        "wall_host_ratio_interval": [0.1, 0.1],
        "step_ms": {"median": 30.0, "mean": 31.2346, "p95": 40.0},
        "step_ms_with_epoch_starts": 33.0,
        "wait_ms": {"median": 20.0, "mean": 20.0, "p95": 20.0},
        "callback_ms": {"median": 3.0, "mean": 3.0, "p95": 3.0},
        "compute_ms": {"median": 10.0, "mean": 10.0, "p95": 10.0},
        "samples_per_s": 1066.7,
        "bottleneck": {
            "stage": "decode",
            "kind": "generator",
            "location": "train.py:41",
            "cost_ms": 19.5,
            "share": 0.96,
        },
        "cause": "gil",
        "held_up": {"gil_ratio": 0.3, "cpu_queue_ratio": None},
        "helpers": {"count": 2, "cores": 1.9, "cpu_ratio": 0.95},
        "host": [
            {
                "name": "Board.on_epoch_end",
                "location": "train.py:41",
                "ratio": 0.08,
                "ratio_interval": [0.05, 0.11],
            }
        ],
        "ideal_step_ms": 13.0,
        "ideal_step_ms_interval": [12.0, 14.0],
        "ideal_wall_s": 1.3,
        "ideal_wall_s_interval": [1.3, 1.3],
        "speedup_limit": 2.5385,
        "speedup_limit_interval": [2.5385, 2.5385],
        "ideal_known": "estimated",
        "evidence": [evidence_sentence(NOT_MEASURED)],
        "measured_by": "gap_times",
        "advice": [
            {
                "action": "workers",
                "summary": remedy_sentence(MORE_WORKERS),
                "how": "# data: your Photos\ndata.workers, data.use_multiprocessing = 4, True",
                "predicted_step_ms": 12.0,
                "predicted_step_ms_interval": [12.0, 12.0],
                "predicted_speedup": 2.5,
                "unexplained_ms": 0.0,
                "verified": {"step_ms": 12.5, "speedup": 2.4},
            },
            {
                "action": "tensorflow_ops",
                "summary": remedy_sentence(TensorflowOps(stage="decode")),
                "how": None,
                "predicted_step_ms": None,
                "predicted_step_ms_interval": None,
                "predicted_speedup": None,
                "unexplained_ms": None,
                "verified": None,
            },
        ],
    }
    fed_json = {
        "kind": "sequence",
        "on_main_thread": False,
        "overlap_ratio": 0.26,
        "workers": 4,
        "multiprocessing": True,
        "threads": ["worker 1", "worker 2"],
        "queue": {"size": 10, "mean": 0.125, "empty_ratio": 0.9, "head_of_line_ratio": 0.2},
        "epoch_start_ms": {"median": 400.0},
        "epoch_starts": [
            {
                "epoch": 1,
                "wait_ms": 400.0,
                "usual_ms": 2.5,
                "cause": "fill",
                "stage": "decode",
                "location": "train.py:41",
                "elements": 1_000,
                "work_ms": 390.0,
                "ended_ms": 0.0,
            }
        ],
    }
    account = {
        "wall_s": 3.0,
        "parts": [
            _part("epoch_start", 0.04, 0.0133),
            _part("wait", 1.96, 0.6533),
            _part("compute", 1.0, 0.3333),
        ],
    }
    assert to_dict(found) == {
        "format": 2,
        "run": {
            "name": "run-1",
            "hosts": ["host-a"],
            "started": "2026-11-21T10:02:13+00:00",
            "duration_s": 4.0,
            "versions": {"tensorflow": "2.21.0", "keras": "3.15.1"},
            "backend": "tensorflow",
            "argv": ["train.py"],
            "exit": 0,
            "error": None,
            "ended_by": None,
            "recorded_by": "pipeprof.profile",
            "rank": None,
            "world_size": None,
            "launcher": None,
            "warnings": ["Clocks differ."],
        },
        "account": {
            "wall_s": 4.0,
            "parts": [
                _part("epoch_start", 0.04, 0.01),
                _part("wait", 1.96, 0.49),
                _part("compute", 1.0, 0.25),
                _part("shutdown", 1.0, 0.25),
            ],
        },
        "loops": [
            {
                "kind": "fit",
                "location": None,
                "model": None,
                "passes": 1,
                "epochs": 2,
                "steps": 100,
                "samples": 3_200,
                "wall_s": 3.0,
                "account": account,
                "diagnosis": said_json,
                "input": fed_json,
            }
        ],
        "loop_groups": [
            {
                "grouping": "alone",
                "kind": "fit",
                "location": None,
                "loops": [0],
                "passes": 1,
                "wall_s": 3.0,
            }
        ],
        "diagnosis": said_json,
        "epochs": [
            {
                "epoch": epoch,
                "steps": 50,
                "wait_ratio": 0.6667,
                "wall_s": 1.5,
                "parts": [
                    _part("epoch_start", 0.02, 0.0133),
                    _part("wait", 0.98, 0.6533),
                    _part("compute", 0.5, 0.3333),
                ],
            }
            for epoch in (0, 1)
        ],
        "input": fed_json,
        "host_lines": [],
        "stages": [
            {
                "name": "decode",
                "kind": "generator",
                "function": "decode",
                "location": "train.py:41",
                "made_at": None,
                "made_by": None,
                "written": None,
                "runs_as": None,
                "remark": None,
                "cost_ms": 19.5,
                "estimated_ratio": 0.0,
                "copies": 1,
                "calls": 95,
                "elements": 95,
                "elements_taken": None,
                "bytes": 1_200,
                "bytes_taken": None,
                "parallelism": {"value": 4.0, "max": 16, "autotuned": True},
                "buffer": {"size": 2, "mean": 0.5},
                "capacity_per_s": pytest.approx(4_000 / 19.5, rel=1e-3),
                "cpu_ratio": 0.97,
                "native_cores": None,
                "lanes": ["tf.data thread"],
                "hot_lines": [
                    {
                        "location": "train.py:44",
                        "function": "decode",
                        "text": "img = Image.open(p)",
                        "share": 0.6125,
                    }
                ],
            }
        ],
        "autotune": {
            "enabled": True,
            "cpu_budget": 8,
            "ram_budget_bytes": 4_000,
            "most_buffered_bytes": 2_000,
            "tuned": [
                {
                    "stage": "decode",
                    "location": "train.py:41",
                    "what": "parallelism",
                    "value": 4,
                    "least": 1,
                    "most": 4,
                    "limit": 16,
                    "settled_after_steps": 40,
                    "series": [{"step": 0, "value": 1}, {"step": 40, "value": 4}],
                }
            ],
            "warnings": [autotune_warning(AutotuneOff())],
        },
        "data_workers": [],
        "lanes": [
            {
                "name": "worker 1",
                "role": "worker",
                "pid": PID,
                "tid": PID,
                "busy_ratio": 0.9,
                "cpu_ratio": None,
                "gil_ratio": None,
                "stages": ["decode"],
                "batches": None,
            }
        ],
        "cpu": {
            "cores": 2,
            "physical_cores": None,
            "limit": 1.5,
            "process_ratio": 0.8,
            "saturated": False,
            "machine_ratio": 0.85,
            "throttled_ratio": 0.1,
            "voluntary_switches_per_s": 1200.0,
            "forced_switches_per_s": 3.5,
        },
        "resources": {
            "memory_bytes": 1_000_000_000,
            "most_memory_bytes": 1_200_000_000,
            "disk_read_bytes_per_s": 35_000_000,
            "disk_written_bytes_per_s": None,
            "received_bytes_per_s": 0,
            "sent_bytes_per_s": 0,
        },
        "device": {
            "kind": None,
            "name": None,
            "model": None,
            "step_ms": None,
            "compute_ms": None,
            "copy_in_ms": None,
            "busy_ratio": None,
            "idle_waiting_input_ratio": None,
            "own_busy_ratio": None,
            "memory_bytes": None,
            "memory_room_bytes": None,
            "own_memory_bytes": None,
            "power_w": None,
            "clock_mhz": None,
            "source": "none",
        },
        "devices": [],
        "trace_windows": [],
        "delivery": {
            "batches": 100,
            "samples": 3_190,
            "batch_sizes": {"32": 99, "22": 1},
            "dtypes": ["float32", "int64"],
            "shapes": [[32, 100], [32]],
            "bytes_per_step": 13_056.0,
            "fingerprint": None,
            "loss_batches": None,
            "raw_loss": None,
            "running_mean_loss": None,
            "consumed": None,
            "evaluations": None,
        },
        "tuning": None,
        "overhead": {"probe_ns": 210.5, "events": 1_000, "events_dropped": 3, "ratio": 0.003},
        "ranks": None,
        "hosts": [],
    }


def _part(part: str, s: float, ratio: float) -> dict[str, object]:
    return {
        "part": part,
        "s": s,
        "s_interval": None,
        "ratio": ratio,
        "count": None,
        "name": None,
        "location": None,
    }


def test_a_run_without_a_loop_has_every_key():
    main = loop_finding(said=diagnosis(slowest=None))
    without, with_loop = to_dict(findings()), to_dict(findings(main=main))
    assert _keys(without) == _keys(with_loop)
    assert without["diagnosis"]["bound"] == "unknown"
    assert without["diagnosis"]["step_ms"] == NOTHING
    assert set(without["input"]["queue"].values()) == {None}


def test_what_was_not_measured_is_null():
    report = to_dict(findings(main=loop_finding(said=diagnosis(Bound.UNKNOWN, wait_ms=None))))
    said = report["diagnosis"]
    assert said["wait_ms"] == said["compute_ms"] == NOTHING
    assert said["wait_ratio"] is said["measured_by"] is said["ideal_step_ms"] is None
    assert said["bottleneck"] is None
    assert set(report["delivery"].values()) == {None}


def test_loops_of_all_kinds_are_listed_and_the_main_one_is_on_top():
    inner = loop_finding(loop(LoopKind.EVALUATE, steps=3, parent=0), diagnosis(Bound.COMPUTE))
    report = to_dict(findings(main=loop_finding(), others=(inner,)))
    assert [(each["kind"], each["steps"]) for each in report["loops"]] == [
        ("fit", 100),
        ("evaluate", 3),
    ]
    assert report["diagnosis"] == report["loops"][0]["diagnosis"]


def test_a_recovered_run_says_so_first():
    run = run_info(complete=False, warnings=("Clocks differ.",), error="OSError: gone", exit_code=1)
    report = to_dict(findings(run=run))["run"]
    assert report["warnings"][0].startswith("The recording was cut off")
    assert report["warnings"][1:] == ["Clocks differ."]
    assert (report["error"], report["exit"]) == ("OSError: gone", 1)


def test_a_date_that_there_is_not_is_null():
    run = replace(run_info(), anchor=WallAnchor(monotonic_ns=START_NS, unix_ns=10**30))
    assert to_dict(findings(run=run))["run"]["started"] is None


@given(st.floats(), st.floats())
def test_it_is_strict_json_whatever_the_numbers(wait_ms: float, ratio: float):
    said = replace(diagnosis(), wait_ratio=ratio, step_ms=spread(wait_ms))
    report = json.loads(
        to_json(findings(main=loop_finding(said=said))), parse_constant=_no_such_constant
    )
    shown = report["diagnosis"]["wait_ratio"]
    assert shown is None if not math.isfinite(ratio) else math.isclose(shown, ratio, abs_tol=1e-4)


def test_names_that_cannot_be_encoded_are_escaped():
    text = to_json(findings(run=run_info(name="caf\u00e9 \udcff")))
    assert text.isascii()
    assert json.loads(text)["run"]["name"] == "caf\u00e9 \udcff"


def _no_such_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def _keys(value: object) -> object:
    if isinstance(value, dict):
        return {key: _keys(each) for key, each in value.items() if key != "versions"}
    return None


def test_devices_are_reported_with_the_busiest_in_front():
    fit = loop()
    levels = {
        DeviceLevel.UTILISATION: gauge(500_000),
        DeviceLevel.OWN_UTILISATION: gauge(250_000),
        DeviceLevel.MEMORY: gauge(12_000_000_000),
        DeviceLevel.POWER: gauge(210_000),
    }
    reported = to_dict(
        analyse(
            profile(
                loops=(fit,),
                devices=(device("GPU 1", steps=0), device(model="NVIDIA H200", levels=levels)),
                trace_windows=(trace_window(fit, 10, 20 * MS, 20 * MS),),
            )
        )
    )
    assert reported["device"] == reported["devices"][0]
    assert reported["device"] == {
        "kind": "gpu",
        "name": "GPU 0",
        "model": "NVIDIA H200",
        "step_ms": 10.0,
        "compute_ms": 8.0,
        "copy_in_ms": 2.0,
        "busy_ratio": 0.3333,
        "idle_waiting_input_ratio": 0.5,
        "own_busy_ratio": 0.25,
        "memory_bytes": 12_000_000_000,
        "memory_room_bytes": None,
        "own_memory_bytes": None,
        "power_w": 210.0,
        "clock_mhz": None,
        "source": "trace",
    }
    assert [each["source"] for each in reported["devices"]] == ["trace", "none"]
    [window] = reported["trace_windows"]
    assert window == {"run": "run-1_window1", "loop": 0, "first_step": 10, "steps": 2}
