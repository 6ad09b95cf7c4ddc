"""A pytest plugin with the fixture `pipeprof_profile`, for trainings inside a test suite.

pytest loads it in every suite where pipeprof is installed, so it imports nothing that takes long.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pipeprof.capture.session import Session


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option for the log folder."""
    parser.addoption(
        "--pipeprof-logdir",
        metavar="DIR",
        help="Keep the runs of pipeprof_profile in this log folder, to compare them later.",
    )


@pytest.fixture
def pipeprof_profile(request: pytest.FixtureRequest, tmp_path: Path) -> "Callable[..., Session]":
    """`pipeprof.profile` for a test's training; the run is named for the test.

    ::

        def test_the_training_does_not_wait(pipeprof_profile):
            with pipeprof_profile(train_ds) as prof:
                model.fit(prof.dataset, epochs=2)
            assert prof.findings.main.diagnosis.wait_ratio < 0.2

    It takes the arguments of `pipeprof.profile`. Runs are written to a temporary folder, or to that of
    ``--pipeprof-logdir``, where ``pipeprof compare`` finds them.
    """
    kept = request.config.getoption("--pipeprof-logdir")
    logdir = Path(kept) if kept else tmp_path / "pipeprof"
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", request.node.name).strip("-.") or "test"

    def profile(dataset: Any = None, **arguments: Any) -> "Session":
        import pipeprof

        return pipeprof.profile(dataset, **{"logdir": logdir, "name": name, **arguments})

    return profile
