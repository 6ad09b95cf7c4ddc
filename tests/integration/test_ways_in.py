"""Profiles that begin before a framework is imported, and Keras on other backends: in processes of
their own.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]

TRAIN = """
import sys
import pipeprof

def profiled():
    with pipeprof.profile(logdir=sys.argv[1]) as prof:
        assert not {"tensorflow", "keras"} & set(sys.modules)
        IMPORTS
        import keras
        from tests.integration.feeds import Digits, model, train
        train(model(), Digits())
    return prof.result, keras

result, keras = profiled()
[loop] = result.loops
print(loop.kind.value, loop.input.kind.value, loop.epochs, loop.step_count, loop.sample_count)
print(result.run.backend, loop.waits_by.value, len(loop.steps) - int(loop.steps.measured.sum()))
print([stage.name for stage in result.stages if stage.kind.value == "sequence"])
print(result.run.warnings, result.check(), keras.Model.fit.__code__.co_filename.count("pipeprof"))
"""


def run(script: str, logdir: Path, **environment: str) -> list[str]:
    """What a script writes to its standard output, by lines."""
    done = subprocess.run(
        [sys.executable, "-c", script, str(logdir)],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env=os.environ | environment,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("imports", ["", "import tensorflow", "import tf_keras"])
def test_a_profile_may_begin_before_anything_is_imported(imports: str, tmp_path: Path) -> None:
    if "tf_keras" in imports:
        pytest.importorskip("tf_keras", reason="Keras 2 is not installed")
    out = run(TRAIN.replace("IMPORTS", imports), tmp_path)
    assert out == [
        "fit sequence 3 30 480",
        "tensorflow gap_times 0",  # the usual gap stands for that of an epoch's last step
        "['Digits.__getitem__']",
        "() () 0",
    ]


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_batches_are_waited_for_in_python_on_other_backends(backend: str, tmp_path: Path) -> None:
    if find_spec(backend) is None:
        pytest.skip(f"Keras's backend {backend} is not installed")
    out = run(TRAIN.replace("IMPORTS", ""), tmp_path, KERAS_BACKEND=backend)
    assert out == [
        "fit sequence 3 30 480",
        f"{backend} iterator 0",
        "['Digits.__getitem__']",
        "() () 0",
    ]
