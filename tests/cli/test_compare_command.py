import json
import shutil
from pathlib import Path

import pytest

import pipeprof
from pipeprof.errors import PipeprofError
from tests import builders
from tests.cli.conftest import Command, write_run

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


def changed_copy(folder: Path, **changed: object) -> str:
    """The run of `GENERATOR`, with other values in its file."""
    shutil.copytree(Path(GENERATOR) / "plugins", folder / "plugins")
    [file] = folder.glob("plugins/pipeprof/*/*.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))
    return str(folder)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"format": 10**6}, "expected a run of format"),
        ({"format": None}, "found no format number"),
    ],
)
def test_a_run_of_another_format_is_refused_with_a_sentence(
    command: Command, tmp_path: Path, changed: dict[str, object], said: str
) -> None:
    done = command("compare", GENERATOR, changed_copy(tmp_path / "other", **changed))
    assert done.code == 2
    assert said in " ".join(done.err.split())
    assert "Traceback" not in done.err


def test_an_empty_folder_is_refused_with_a_sentence(command: Command, tmp_path: Path) -> None:
    done = command("compare", GENERATOR, str(tmp_path))
    assert done.code == 2
    assert "expected" in done.err
    assert str(tmp_path) in "".join(done.err.split())


def test_a_run_that_was_cut_off_is_compared_and_said_to_be(
    command: Command, tmp_path: Path
) -> None:
    loop = builders.loop(steps=60, compute_ns=10_000_000)
    for name, complete in (("whole", True), ("cut", False)):
        run = builders.run_info(name=name, complete=complete, exit_code=0 if complete else None)
        write_run(builders.profile(run=run, loops=(loop,)), tmp_path, name)
    done = command("compare", "--logdir", str(tmp_path), "whole", "cut")
    assert done.code == 0, done
    assert "cut: " in done.out


def test_a_run_without_steps_is_refused_with_a_sentence(command: Command, tmp_path: Path) -> None:
    write_run(builders.profile(run=builders.run_info(name="none"), loops=()), tmp_path, "none")
    done = command("compare", GENERATOR, str(tmp_path))
    assert (done.code, "found no steps" in " ".join(done.err.split())) == (2, True), done


def test_runs_of_other_hosts_are_compared_and_said_to_be(command: Command, tmp_path: Path) -> None:
    loop = builders.loop(steps=60, compute_ns=10_000_000)
    for host in ("here", "there"):
        run = builders.run_info(name=host, hosts=(host,))
        write_run(builders.profile(run=run, loops=(loop,)), tmp_path, host)
    arguments = ("compare", "--logdir", str(tmp_path), "here", "there")
    done = command(*arguments, "--fail-if", "step_ms>+5%")
    assert done.code == 0, done
    assert "Another host: here before, there after." in done.out


def test_json_and_a_page(command: Command, tmp_path: Path) -> None:
    page = tmp_path / "compared.html"
    done = command("compare", GENERATOR, THREADS, "--json", "--html", str(page))
    assert json.loads(done.out)["before"][0]["name"] == "generator"
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_a_page_that_cannot_be_written_is_refused_with_a_sentence(
    command: Command, tmp_path: Path
) -> None:
    done = command("compare", GENERATOR, THREADS, "--html", str(tmp_path / "none" / "page.html"))
    assert done.code == 2
    assert "name one in a folder that exists" in " ".join(done.err.split())


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
