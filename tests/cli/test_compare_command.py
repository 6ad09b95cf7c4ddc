import json
from pathlib import Path

import pytest

import pipeprof
from pipeprof.errors import PipeprofError
from tests.cli.conftest import Command

PROFILES = Path(__file__).parents[2] / "profiles"
GENERATOR, THREADS = str(PROFILES / "generator"), str(PROFILES / "sequence-threads")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((GENERATOR, THREADS), 0, "A step is"),
        ((GENERATOR, THREADS, "--fail-if", "step_ms>+5%"), 0, "pass"),
        ((THREADS, GENERATOR, "--fail-if", "step_ms>+5%"), 1, "FAIL"),
        ((THREADS, "--", GENERATOR, "--fail-if", "step_ms>+5%", "--markdown"), 1, "FAIL"),
        ((THREADS, GENERATOR, "--fail-if", "steps>+5%"), 2, "these runs have step_ms"),
        ((THREADS, GENERATOR, "--fail-if", "step_ms+5%"), 2, "expected an expression"),
        ((THREADS, THREADS), 2, "different runs"),
        ((THREADS, str(PROFILES / "arrays"), "--fail-if", "step_ms>+5%"), 2, "another"),
        ((THREADS,), 2, "expected two runs"),
        ((THREADS, "--"), 2, "expected two runs"),
        ((THREADS, "/nowhere/at/all"), 2, "check the path"),
    ],
)
def test_exit_codes_and_reasons(
    command: Command, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = command("compare", *arguments)
    assert (done.code, said in done.out + done.err) == (code, True), done


def test_json_and_a_page(command: Command, tmp_path: Path) -> None:
    page = tmp_path / "compared.html"
    done = command("compare", GENERATOR, THREADS, "--json", "--html", str(page))
    assert json.loads(done.out)["before"][0]["name"] == "generator"
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_runs_are_compared_in_python() -> None:
    run = pipeprof.load(THREADS)
    compared = pipeprof.compare(GENERATOR, [run])
    assert "before  generator" in compared.report(width=80)
    assert compared.to_dict()["after"][0]["name"] == "sequence-threads"
    assert [each.fails for each in compared.check("step_ms>+5%")] == [False]
    assert pipeprof.compare(run.profile, GENERATOR).comparison.row("step_ms") is not None


@pytest.mark.parametrize("wrong", [[], 3])
def test_what_is_no_run_is_refused(wrong: object) -> None:
    with pytest.raises(PipeprofError, match="expected "):
        pipeprof.compare(GENERATOR, wrong)  # type: ignore[arg-type]


def test_a_bug_is_not_taken_for_a_failed_gate(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug of pipeprof's")

    monkeypatch.setattr("pipeprof.loaded.compared_runs.compare", broken)
    done = command("compare", GENERATOR, THREADS)
    assert done.code == 2
    assert "RuntimeError: a bug of pipeprof's" in done.err
