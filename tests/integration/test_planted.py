"""Trainings whose bottleneck is planted get the verdict, the stage, the line and the cost that is true.

True is what was measured in the planted work itself, in the same training.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pipeprof
from pipeprof.analysis.findings.findings import Findings
from pipeprof.analysis.findings.verdict_kinds import Bound, Cause
from pipeprof.scenarios import planted_scenarios
from pipeprof.scenarios.scenario import Scenario, Truth

pytestmark = [pytest.mark.integration, pytest.mark.quick, pytest.mark.timed]

SCENARIOS = {scenario.name: scenario for scenario in planted_scenarios()}
CAUSES = {
    "slow-read": Cause.BLOCKING,
    "slow-item": Cause.BLOCKING,
    "large-batches": Cause.TRANSPORT,
    "loop": Cause.BLOCKING,
    "slow-map": Cause.BLOCKING,
    "free-input": Cause.NONE,
    "arrays": Cause.NONE,
}


@pytest.fixture(scope="module", params=SCENARIOS)
def planted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Scenario, Findings, Path]]:
    scenario = SCENARIOS[request.param]
    logdir = tmp_path_factory.mktemp(scenario.name)
    workload = scenario.prepare()
    if scenario.truth.sleep is not None:
        scenario.truth.sleep.forget()
    with pipeprof.profile(workload.dataset, logdir=logdir) as prof:
        workload.train(prof.dataset)
    assert prof.result.check() == ()
    loop = prof.result.main_loop
    assert loop is not None
    assert (loop.step_count, loop.sample_count) == (workload.steps, workload.samples)
    assert int(workload.model.optimizer.iterations) == workload.steps
    assert prof.result.run.warnings == ()
    return scenario, prof.findings, logdir


def test_the_verdict_is_the_planted_one(planted: tuple[Scenario, Findings, Path]) -> None:
    scenario, findings, _ = planted
    assert findings.main is not None
    said = findings.main.diagnosis

    assert said.bound is scenario.truth.bound
    assert said.cause is CAUSES[scenario.name]
    assert findings.main.input.kind == scenario.input.value


def test_the_bottleneck_is_the_planted_one(planted: tuple[Scenario, Findings, Path]) -> None:
    scenario, findings, _ = planted
    truth = scenario.truth
    assert findings.main is not None
    found = findings.main.diagnosis.bottleneck

    expected = planted_facts(truth)
    assert (found is None) == (truth.bound is Bound.COMPUTE)
    known = found and {
        "stage": found.stage,
        "kind": found.kind,
        "location": found.location and found.location.short,
        "cost_ms": found.cost_ms,
    }
    assert {name: (known or {})[name] for name in expected} == expected


def planted_facts(truth: Truth) -> dict[str, Any]:
    """What is known beforehand of the bottleneck: of some of it, where nothing else is planted."""
    facts = {
        "stage": truth.stage,
        "kind": truth.kind and truth.kind.value,
        "location": truth.location and truth.location.short,
        "cost_ms": truth.cost_ms and pytest.approx(truth.cost_ms, rel=0.10),
    }
    return {name: fact for name, fact in facts.items() if fact is not None}


def test_xprof_agrees(planted: tuple[Scenario, Findings, Path]) -> None:
    """XProf, reading our export, comes to the same share of input within 3 points."""
    convert = pytest.importorskip("xprof.convert.raw_to_tool_data", reason="xprof is not installed")
    _, findings, logdir = planted
    assert findings.main is not None
    wait_ratio = findings.main.diagnosis.wait_ratio
    assert wait_ratio is not None

    (trace,) = logdir.glob("plugins/profile/*/*.xplane.pb")
    data, _ = convert.xspace_to_tool_data([str(trace)], "input_pipeline_analyzer", {})
    share = input_share(data)

    assert share == pytest.approx(wait_ratio, abs=0.03)


def input_share(data: str | bytes) -> float:
    """XProf's share of input in a step, from its input-pipeline page."""
    (said,) = [t["p"] for t in json.loads(data) if "steptime_ms_average" in t.get("p", {})]
    return float(said["infeed_time_ms_avg"]) / float(said["steptime_ms_average"])
