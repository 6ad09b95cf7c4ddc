"""What a report says against what is true, on reports made by hand."""

from pathlib import Path
from typing import Any

import pytest

from pipeprof.scenarios.validation.checking.comparing import compare_report
from pipeprof.scenarios.validation.checking.report_check import Agreement, Point, ReportCheck
from pipeprof.scenarios.validation.checking.report_keys import main_loop
from pipeprof.scenarios.validation.checking.verdict_checks import bounds_by
from pipeprof.scenarios.validation.expected import (
    EpochWaits,
    ExpectedCost,
    Loops,
    Named,
    Planted,
    Share,
)

RIGHT, WRONG, MISSING = Agreement.RIGHT, Agreement.WRONG, Agreement.MISSING
TRUTH = {"wait_ms": 20.0}


def part(name: str, s: float, called: str | None = None, location: str | None = None) -> Any:
    return {"part": name, "s": s, "ratio": s / 10.0, "name": called, "location": location}


def report(*parts: Any, **diagnosis: Any) -> dict[str, Any]:
    """A run of 10 s, all of it one loop of fit."""
    account = {"wall_s": 10.0, "parts": [*parts]}
    diagnosis = {"bound": "input", "wait_ms": {"mean": 20.0}, "bottleneck": None} | diagnosis
    loop = {
        "kind": "fit",
        "steps": 60,
        "epochs": 3,
        "account": account,
        "diagnosis": diagnosis,
    }
    return {"account": account, "loops": [loop], "diagnosis": diagnosis}


def checks(
    of_report: dict[str, Any], truth: dict[str, float] | None = None, **known: Any
) -> dict[str, ReportCheck]:
    planted = Planted(**({"name": "train", "kind": "fit", "bound": ("input",)} | known))
    return {
        check.what: check for check in compare_report(of_report, TRUTH | (truth or {}), planted)
    }


def test_the_bound_is_one_of_those_that_are_right() -> None:
    assert checks(report(bound="input"))["bound"].outcome is RIGHT
    assert checks(report(bound="compute"))["bound"].outcome is WRONG
    assert checks(report(bound="host"), bound=("host", "input"))["bound"].outcome is RIGHT


@pytest.mark.parametrize(
    ("wait_s", "host_s", "bounds"),
    [
        (0.2, 0.0, {"compute"}),
        (0.45, 0.0, {"compute", "balanced"}),
        (1.0, 0.0, {"balanced"}),
        (1.95, 0.0, {"balanced", "input"}),
        (5.0, 3.0, {"input"}),
        (3.0, 5.0, {"host"}),
    ],
)
def test_a_training_that_waits_in_fact_may_be_called_so(
    wait_s: float, host_s: float, bounds: set[str]
) -> None:
    truth = {"wait_s": wait_s, "first_batches_s": 0.0, "loop_s": 10.0}
    assert set(bounds_by(truth | {"host_s": host_s})) == bounds
    found = checks(report(bound="balanced"), truth | {"host_s": host_s}, bound=("compute",))
    assert found["bound"].outcome is (RIGHT if "balanced" in bounds else WRONG)


def test_a_key_that_is_not_there_is_missing() -> None:
    bare = {"loops": [], "diagnosis": {"bound": "input"}, "stages": []}
    known = {
        "cause": ("gil",),
        "held_up": True,
        "named": (Named(name="Dashboard"),),
        "epochs": EpochWaits(first_over=0.5, later_under=0.1),
    }
    found = checks(
        bare,
        {"wait_s": 5.0, "loop_s": 10.0, "first_batches_s": 0.0},
        **known,
    )
    assert {what for what, check in found.items() if check.outcome is MISSING} == {
        "cause",
        "wait of a step",
        "wall_wait_ratio",
        "account",
        "share of wait",
        "share of epoch_start",
        "name of Dashboard in host",
        "waiting of epochs",
        "held up by its input",
    }  # fmt: skip


def test_the_bottleneck_is_named_and_placed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeprof.scenarios.validation.expected.SCRIPTS", tmp_path)
    (tmp_path / "train.py").write_text("class Data:\n    def read(self): ...\n")
    known = {"bottleneck": ("Data.read",)}

    def outcomes(stage: str, location: str) -> tuple[Agreement, Agreement]:
        found = checks(report(bottleneck={"stage": stage, "location": location}), **known)
        return found["bottleneck"].outcome, found["line of bottleneck"].outcome

    assert outcomes("read", "/x/train.py:2") == (RIGHT, RIGHT)
    assert outcomes("Data.read", "train.py:3") == (RIGHT, WRONG)
    assert outcomes("decode", "train.py:2") == (WRONG, RIGHT)


def test_the_cause_and_the_kind_are_those_that_are_right() -> None:
    known = {"cause": ("blocking", "serial"), "bottleneck_kind": "transport"}
    named = {"stage": "transport", "location": None, "kind": "transport"}
    right = checks(report(cause="serial", bottleneck=named), **known)
    assert {right[what].outcome for what in ("cause", "kind of bottleneck")} == {RIGHT}
    other = checks(report(cause="cpu", bottleneck=named | {"kind": "sequence"}), **known)
    assert {other[what].outcome for what in ("cause", "kind of bottleneck")} == {WRONG}
    none = checks(report(cause="none"), **known)
    assert {none[what].outcome for what in ("cause", "kind of bottleneck")} == {WRONG}


def test_the_line_may_be_known_by_its_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeprof.scenarios.validation.expected.SCRIPTS", tmp_path)
    (tmp_path / "train.py").write_text("import keras\ndata = keras.load(1)\n")
    for line, outcome in ((2, RIGHT), (1, WRONG)):
        named = {"stage": "map", "location": f"train.py:{line}"}
        found = checks(report(bottleneck=named), bottleneck_line="keras.load(")
        assert found["line of bottleneck"].outcome is outcome


def test_no_bottleneck_where_none_is() -> None:
    named = {"stage": "prefetch", "location": None}
    assert checks(report(), no_bottleneck=True)["bottleneck"].outcome is RIGHT
    assert checks(report(bottleneck=named), no_bottleneck=True)["bottleneck"].outcome is WRONG


@pytest.mark.parametrize(
    ("found_ms", "outcome"), [(20.0, RIGHT), (21.9, RIGHT), (17.9, WRONG), (None, WRONG)]
)
def test_waits_are_the_scripts_own(found_ms: float | None, outcome: Agreement) -> None:
    check = checks(report(wait_ms={"mean": found_ms}))["wait of a step"]
    assert check.outcome is outcome


def test_waits_that_are_small_beside_the_step_may_differ_by_three_hundredths_of_it() -> None:
    truth = {"wait_ms": 1.0, "step_ms": 50.0}
    assert checks(report(wait_ms={"mean": 2.4}), truth)["wait of a step"].outcome is RIGHT
    assert checks(report(wait_ms={"mean": 2.6}), truth)["wait of a step"].outcome is WRONG


def test_the_parts_of_each_account_add_up() -> None:
    exact = checks(report(part("wait", 6.0), part("compute", 4.0)))
    assert (exact["account"].outcome, exact["account of loop 1"].outcome) == (RIGHT, RIGHT)
    assert checks(report(part("wait", 6.0), part("compute", 3.8)))["account"].outcome is WRONG


def test_shares_may_differ_by_three_points() -> None:
    truth = {"callbacks_s": 5.0, "loop_s": 10.0}
    near = checks(report(part("callbacks", 2.0, "A"), part("callbacks", 3.2, "B")), truth)
    assert near["share of callbacks"].outcome is RIGHT
    assert near["share of callbacks"].error == pytest.approx(0.02)
    far = checks(report(part("callbacks", 4.0)), truth)
    assert far["share of callbacks"].outcome is WRONG


def test_a_share_of_the_run_is_read_from_its_account() -> None:
    share = Share(parts=("own_code",), truth=("act_s",), whole="script_s", of_run=True)
    of_report = report()
    of_report["account"] = {"wall_s": 10.0, "parts": [part("own_code", 5.0)]}
    found = checks(of_report, {"act_s": 5.0, "script_s": 10.0}, shares=(share,))
    assert found["share of own_code"].outcome is RIGHT


def test_waiting_over_the_wall_lies_between_what_the_first_start_may_be() -> None:
    truth = {"wait_s": 4.0, "input_starts_s": 1.0, "first_batches_s": 2.0, "loop_s": 10.0}
    for ratio, outcome in ((0.48, RIGHT), (0.55, RIGHT), (0.46, WRONG), (0.64, WRONG)):
        found = checks(report(wall_wait_ratio=ratio), truth)
        assert found["wall_wait_ratio"].outcome is outcome, ratio


def test_epochs_start_at_least_as_long_as_the_input_makes_them() -> None:
    truth = {"input_starts_s": 2.0, "first_batches_s": 4.0, "loop_s": 10.0}
    for s, outcome in ((1.8, RIGHT), (4.2, RIGHT), (1.6, WRONG), (4.4, WRONG)):
        found = checks(report(part("epoch_start", s)), truth)
        assert found["share of epoch_start"].outcome is outcome


@pytest.mark.parametrize(("s", "outcome"), [(1.8, RIGHT), (3.2, RIGHT), (1.6, WRONG), (3.4, WRONG)])
def test_between_epochs_lies_what_the_script_does_there_and_keras(
    s: float, outcome: Agreement
) -> None:
    truth = {"between_epochs_s": 2.0, "between_epochs_most_s": 3.0, "loop_s": 10.0}
    found = checks(report(part("between_epochs", s)), truth)
    assert found["share of between_epochs"].outcome is outcome
    host = checks(report(wall_host_ratio=s / 10.0), truth | {"host_s": 2.0})
    assert host["wall_host_ratio"].outcome is outcome


def test_a_clock_that_is_slow_itself_may_err_by_that() -> None:
    truth = {"wait_s": 2.0, "loop_s": 10.0, "first_batches_s": 0.0, "steps": 100}
    slow = truth | {"clock_ms": 4.5}
    of_report = report(part("wait", 2.6), wait_ms={"mean": 24.4})
    assert checks(of_report, truth)["share of wait"].outcome is WRONG
    assert checks(of_report, slow)["share of wait"].outcome is RIGHT
    assert checks(of_report, truth)["wait of a step"].outcome is WRONG
    assert checks(of_report, slow)["wait of a step"].outcome is RIGHT
    far = report(part("wait", 2.8), wait_ms={"mean": 24.6})
    assert checks(far, slow)["share of wait"].outcome is WRONG
    assert checks(far, slow)["wait of a step"].outcome is WRONG
    assert checks(of_report, truth | {"clock_ms": 0.4})["share of wait"].outcome is WRONG


def test_what_the_host_does_is_named_and_has_its_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeprof.scenarios.validation.expected.SCRIPTS", tmp_path)
    (tmp_path / "train.py").write_text("class Dashboard: ...\n")
    host = [{"name": "Dashboard.on_train_batch_end", "location": "train.py:1", "ratio": 0.4}]
    named = Named(name="Dashboard", function="Dashboard", truth="posting_s")
    found = checks(report(host=host), {"posting_s": 4.1, "loop_s": 10.0}, named=(named,))
    assert {check.outcome for what, check in found.items() if "Dashboard" in what} == {RIGHT}
    assert len([what for what in found if "Dashboard" in what]) == 3
    compiled = report(part("compile", 5.0), host=host)  # so that it is 0.82 of what is left
    found = checks(compiled, {"posting_s": 4.1, "loop_s": 10.0}, named=(named,))
    assert found["share of Dashboard"].outcome is WRONG
    other = checks(report(host=[]), {"posting_s": 4.1, "loop_s": 10.0}, named=(named,))
    assert other["name of Dashboard in host"].outcome is WRONG


def test_a_stage_costs_what_it_took_within_a_tenth() -> None:
    known = {"costs": (ExpectedCost(stage="decode", truth="decode_ms", copies=6),)}
    stage = {"name": "decode", "cost_ms": 88.0, "copies": 6}
    found = checks(report() | {"stages": [stage]}, {"decode_ms": 84.0}, **known)
    assert found["cost of decode"].outcome is RIGHT
    assert found["copies of decode"].outcome is RIGHT
    stage = {"name": "decode", "cost_ms": 15.7}
    found = checks(report() | {"stages": [stage]}, {"decode_ms": 84.0}, **known)
    assert found["cost of decode"].outcome is WRONG
    assert found["copies of decode"].outcome is MISSING
    found = checks(report() | {"stages": []}, {"decode_ms": 84.0}, **known)
    assert found["cost of decode"].outcome is WRONG


def test_loops_are_as_many_as_they_are() -> None:
    known = {"loops": (Loops(kind="fit", steps=60, epochs=3),), "no_loops": ("predict",)}
    found = checks(report(), **known)
    assert found["loops of fit"].outcome is RIGHT
    assert found["steps of fit"].outcome is RIGHT
    assert found["epochs of fit"].outcome is RIGHT
    assert found["loops of predict"].outcome is RIGHT
    found = checks(report(), loops=(Loops(kind="fit", count=2, steps=30),), no_loops=("fit",))
    assert {found[what].outcome for what in ("loops of fit", "steps of fit")} == {WRONG}


def test_epochs_wait_as_they_do() -> None:
    known = {"epochs": EpochWaits(first_over=0.7, later_under=0.05)}
    for ratios, outcome in (((0.8, 0.01), RIGHT), ((0.8, 0.2), WRONG), ((0.8,), WRONG)):
        epochs = [{"wait_ratio": ratio} for ratio in ratios]
        found = checks(report() | {"epochs": epochs}, **known)
        assert found["waiting of epochs"].outcome is outcome


def test_advice_has_some_words_and_not_others() -> None:
    advice = [{"action": "cache", "summary": "Keep it", "how": "ds.cache()"}]
    for known, outcome in (
        ({"advised": ("cache",)}, RIGHT),
        ({"advised": ("prefetch",)}, WRONG),
        ({"not_advised": ("dataset.map",)}, RIGHT),
        ({"not_advised": ("cache",)}, WRONG),
    ):
        assert checks(report(advice=advice), **known)["advice"].outcome is outcome


def test_remarks_stand_in_the_evidence_or_in_a_warning() -> None:
    run = {"warnings": ["traced 5 times"]}
    for word, outcome in (("50th", RIGHT), ("5 times", RIGHT), ("shape", WRONG)):
        found = checks(report(evidence=["every 50th step"]) | {"run": run}, remarked=(word,))
        assert found["remark"].outcome is outcome


@pytest.mark.parametrize(
    ("ratios", "held_up", "outcome"),
    [
        ((0.5, 0.1), True, RIGHT),
        ((0.0, None), True, WRONG),
        ((0.0, 0.01), False, RIGHT),
        ((0.3, 0.0), False, WRONG),
    ],
)
def test_computing_is_held_up_or_not(
    ratios: tuple[float, float | None], held_up: bool, outcome: Agreement
) -> None:
    found = report(held_up=dict(zip(("gil_ratio", "cpu_queue_ratio"), ratios, strict=True)))
    assert checks(found, held_up=held_up)["held up by its input"].outcome is outcome


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        ({"ideal_step_ms": 11.0}, RIGHT),
        ({"ideal_step_ms": 14.0}, WRONG),
        ({"ideal_step_ms": 14.0, "ideal_step_ms_interval": [9.0, 15.0]}, RIGHT),
        ({}, MISSING),
    ],
)
def test_the_ideal_is_the_ceiling_or_its_interval_holds_it(
    found: dict[str, Any], outcome: Agreement
) -> None:
    planted = Planted(name="train", kind="fit", bound=("input",))
    [ideal] = [
        check
        for check in compare_report(report(**found), TRUTH, planted, ceiling_ms=10.0)
        if check.point is Point.IDEAL_STEP
    ]
    assert ideal.outcome is outcome


def test_the_main_loop_is_the_one_of_the_reports_own_diagnosis() -> None:
    main = report()
    other = {"kind": "fit", "diagnosis": {"bound": "compute"}}
    predict = {"kind": "predict", "diagnosis": main["diagnosis"]}
    main["loops"] = [predict, other, *main["loops"]]
    assert main_loop(main) is main["loops"][2]
