"""What holds for every test: a fixed terminal, quiet frameworks, and nothing of pipeprof left behind."""

import contextlib
import gc
import multiprocessing
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import chain, combinations
from operator import attrgetter
from pathlib import Path

import psutil
import pytest
from _pytest.mark.expression import Expression
from hypothesis import settings

import pipeprof
from pipeprof.capture.probes.system.processes import children_of

# No test asserts a time, and a busy machine is no failure. `tools/test --all` tries the full number of
# examples; --hypothesis-profile=thorough is for those who change what the properties prove.
settings.register_profile("quick", deadline=None, max_examples=10)
settings.register_profile("full", deadline=None, max_examples=30)
settings.register_profile("thorough", deadline=None, max_examples=500)
settings.load_profile("quick")

# Before any test imports rich or TensorFlow, and inherited by the processes that tests start.
os.environ |= {"COLUMNS": "80", "NO_COLOR": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
for name in ("FORCE_COLOR", "LINES", "TF_CONFIG", "RANK", "WORLD_SIZE", "SLURM_STEP_ID"):
    os.environ.pop(name, None)

# Where the environment switches compiled files off, every process that a test starts would compile pipeprof
# anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

HERE = Path(__file__).parent
PACKAGE = str(Path(pipeprof.__file__).parent)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# Classes of other packages that a profile changes while it is on, or might.
PATCHED = (
    ("tensorflow", "data.Dataset"),
    ("keras", "Model"),
    ("keras", "callbacks.CallbackList"),
    ("keras", "utils.PyDataset"),
    ("tf_keras", "Model"),
    ("tf_keras", "callbacks.CallbackList"),
)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves integration/ out where -m chooses nothing in it: its import alone loads TensorFlow."""
    if collection_path != HERE / "integration" or _may_choose(config.getoption("markexpr")):
        return None
    return True


def _may_choose(expression: str) -> bool:
    """Whether an integration test, with whatever other marks, can be meant by -m's expression."""
    if not expression:
        return True
    chosen = Expression.compile(expression)
    others = chosen.idents() - {"integration"}
    marks = chain.from_iterable(combinations(others, count) for count in range(len(others) + 1))
    return any(chosen.evaluate(_Marks({"integration", *some})) for some in marks)


class _Marks(frozenset[str]):
    """The marks of a test, as pytest asks for them."""

    def __call__(self, name: str, /, **_: object) -> bool:
        return name in self


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks what lies in integration/ and skips what cannot run here or now."""
    tensorflow = find_spec("tensorflow") is not None
    browser = find_spec("playwright") is not None and any(map(shutil.which, BROWSERS))
    for item in items:
        if HERE / "integration" in item.path.parents:
            item.add_marker("integration")
        if "integration" in item.keywords and not tensorflow:
            item.add_marker(pytest.mark.skip(reason="TensorFlow is not installed"))
        if "browser" in item.keywords and not browser:
            item.add_marker(pytest.mark.skip(reason="no Chromium, or no Playwright to drive it"))
        if "timed" in item.keywords and config.getoption("cov_source", default=None):
            item.add_marker(pytest.mark.skip(reason="coverage slows pipeprof down"))


@pytest.fixture(scope="session", autouse=True)
def temporary_files_of_others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps what TensorFlow and processes leave in the temporary folder among pytest's own, which go."""
    # Sockets lie there too, and their paths may have some 100 letters only.
    folder = str(tmp_path_factory.mktemp("t"))
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("TMPDIR", folder)
        changed.setattr(tempfile, "tempdir", folder)
        yield


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Proves that a test leaves no profile on, nothing patched, no thread, process or memory of ours."""
    before, processes = _traces(), _processes()
    yield
    session = sys.modules.get("pipeprof.capture.session")
    assert session is None or session.active() is None, "a profile is still on"
    assert _traces() - before == set()
    assert _still_running(_processes() - processes) == []


def _traces() -> set[str]:
    finders = [f"{finder} finds modules" for finder in sys.meta_path if _ours(type(finder))]
    threads = [f"thread {one.name} runs" for one in threading.enumerate()]
    memory = [f"{entry} is left" for entry in Path("/dev/shm").glob(f"pipeprof*{os.getpid()}*")]
    return {*finders, *(one for one in threads if "thread pipeprof" in one), *memory, *_patches()}


def _patches() -> list[str]:
    classes = [
        one
        for module, path in PATCHED
        if module in sys.modules
        for one in attrgetter(path)(sys.modules[module]).__mro__
    ]
    return [
        f"{one.__qualname__}.{name} is patched"
        for one in classes
        for name, value in vars(one).items()
        if _ours(getattr(value, "__func__", value))
    ]


def _ours(thing: object) -> bool:
    # functools.wraps disguises everything but where the code stands.
    code = getattr(thing, "__code__", None)
    if code is not None:
        return str(code.co_filename).startswith(PACKAGE)
    return str(getattr(thing, "__module__", "")).startswith("pipeprof.")


def _processes() -> set[psutil.Process]:
    found = set()
    for pid in children_of(os.getpid()):  # psutil would look at all processes of the machine
        with contextlib.suppress(psutil.NoSuchProcess):
            found.add(psutil.Process(pid))
    return found


def _still_running(processes: set[psutil.Process]) -> list[str]:
    if processes:
        _end_pools({one.pid for one in processes})
    _, running = psutil.wait_procs([one for one in processes if not _ends_last(one)], timeout=30)
    return [" ".join(one.cmdline()) for one in running if one.status() != psutil.STATUS_ZOMBIE]


def _end_pools(pids: set[int]) -> None:
    """Ends what multiprocessing started for Keras: it closes its pools, but leaves their end to chance.

    pipeprof starts nothing by multiprocessing, so nothing of its own can hide there.
    """
    gc.collect()
    for child in multiprocessing.active_children():
        if child.pid in pids:
            child.terminate()
            child.join()


def _ends_last(process: psutil.Process) -> bool:
    """Whether it is Python's own, which starts with the first semaphore and ends with the program."""
    with contextlib.suppress(psutil.Error):
        return "resource_tracker" in " ".join(process.cmdline())
    return False
