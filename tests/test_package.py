"""What pipeprof promises as a package: its names, its cheap import, and that its files fit together."""

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

import pipeprof

ROOT = Path(__file__).parent.parent
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").glob("*.md"))),
)
FRAMEWORKS = {"tensorflow", "keras", "tf_keras", "jax", "torch", "xprof"}


# One after the other, in one process: what each of them loads is loaded for those behind it too.
IMPORTED = (
    "pipeprof",
    "pipeprof.analysis",
    "pipeprof.surfaces",
    "pipeprof.scenarios",
    "pipeprof.surfaces.webpages.webpage",
    "pipeprof.cli",
)


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """What is loaded when each of these, and all before it, have been imported."""
    program = (
        "import importlib, json, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    print(json.dumps([name, list(sys.modules)]))\n"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program, *IMPORTED],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return {name: set(modules) for name, modules in map(json.loads, printed.stdout.splitlines())}


@pytest.mark.parametrize("module", IMPORTED)
def test_importing_touches_no_framework(module: str, loaded: dict[str, set[str]]) -> None:
    assert not loaded[module] & FRAMEWORKS


def test_importing_pipeprof_loads_nothing_slow(loaded: dict[str, set[str]]) -> None:
    slow = {"plotly", "tensorboard", "google.protobuf", "rich", "typer", "PIL"}
    assert not loaded["pipeprof"] & slow


def test_making_a_page_imports_no_plotly(loaded: dict[str, set[str]]) -> None:
    assert {"pipeprof.surfaces.webpages.webpage", "pipeprof.cli"} <= loaded["pipeprof.cli"]
    assert "plotly" not in loaded["pipeprof.cli"]


def test_these_names_are_promised_and_no_others() -> None:
    promised = {
        "Callback",
        "ceiling",
        "compare",
        "PipeprofError",
        "__version__",
        "load",
        "profile",
        "stage",
        "tune",
    }
    assert set(pipeprof.__all__) == promised
    # `Callback` comes with Keras, which tests/integration/test_callback.py loads.
    assert all(hasattr(pipeprof, name) for name in promised - {"Callback"})


def test_the_version_is_the_packages() -> None:
    assert pipeprof.__version__ == project()["version"]


def project() -> dict[str, Any]:
    named: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return named


def requirement(line: str) -> str:
    name = re.match(r"[\w.-]+", line)
    assert name is not None
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def test_every_dependency_has_a_fixed_version() -> None:
    wanted = chain(project()["dependencies"], *project()["optional-dependencies"].values())
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    fixed = {requirement(line) for line in lines if "==" in line and not line.startswith("#")}
    assert {requirement(line) for line in wanted} <= fixed


def test_constraints_name_no_place_to_download_from() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert not [line for line in lines if not re.match(r"#|[\w.-]+==[\w.]+( ; .*)?$", line)]


@pytest.mark.parametrize("document", DOCUMENTS[:2])
def test_the_tools_that_a_document_names_exist_and_can_be_run(document: str) -> None:
    named = set(re.findall(r"\btools/\w+", (ROOT / document).read_text()))
    assert "tools/test" in named
    assert [name for name in sorted(named) if not (ROOT / name).stat().st_mode & 0o100] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_files_that_a_document_names_exist(document: str) -> None:
    path = ROOT / document
    text = path.read_text()
    linked = [path.parent / name for name in re.findall(r"\]\(([\w./-]+)\)", text)]
    named = re.findall(r"(?<![\w/.-])((?:pipeprof|tests|tools|docs|profiles)/[\w./-]*\w)", text)
    assert [str(one) for one in (*linked, *map(ROOT.joinpath, named)) if not one.exists()] == []


def test_the_page_of_the_rooms_names_what_there_is() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    source = {path: path.read_text() for path in (ROOT / "pipeprof").rglob("*.py")}
    files = {path.name for path in source}
    rooms = {path.parent.name for path in source} | {"tests"}
    named = re.findall(r"`(\w+\.py)`", text)
    inside = re.findall(r"`(\w+)/`", text)
    types = re.findall(r"`([A-Z]\w*[a-z]\w*)[(`]", text)
    assert named
    assert inside
    assert types
    assert [name for name in named if name not in files] == []
    assert [name for name in inside if name not in rooms] == []
    known = "\n".join(source.values())
    assert [name for name in types if not re.search(rf"^(class )?{name}\b", known, re.M)] == []


def test_what_is_checked_before_a_commit_is_what_is_checked_by_hand() -> None:
    hooks = re.findall(r"entry: tools/check (\w+)", (ROOT / ".pre-commit-config.yaml").read_text())
    checks = re.search(r"set -- (.*)", (ROOT / "tools/check").read_text())
    assert checks is not None
    assert hooks == checks[1].split()


def test_a_source_distribution_holds_what_there_is() -> None:
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    included = built["targets"]["sdist"]["include"]
    assert [name for name in included if not (ROOT / name).exists()] == []
    assert {"CONTRIBUTING.md", "docs", "tests", "tools"} <= set(included)


def test_the_commands_that_readme_names_exist() -> None:
    named = set(re.findall(r"^ *pipeprof (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert named
    program = "import sys; from pipeprof.cli import main; sys.argv = ['pipeprof', '--help']; main()"
    usage = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True
    )
    assert [command for command in sorted(named) if command not in usage.stdout] == []


def test_type_checkers_may_read_the_package() -> None:
    assert (Path(pipeprof.__file__).parent / "py.typed").is_file()


def test_no_file_name_means_two_things() -> None:
    names = Counter(path.name for path in (ROOT / "pipeprof").rglob("*.py"))
    twice = {name for name, count in names.items() if count > 1}
    assert twice <= {"__init__.py", "__main__.py"}


def test_every_package_says_what_lives_there() -> None:
    for path in (ROOT / "pipeprof").rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text()), clean=True), path


def test_the_root_stays_easy_to_take_in() -> None:
    entries = [
        path
        for path in (ROOT / "pipeprof").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    ]
    assert len(entries) <= 18
