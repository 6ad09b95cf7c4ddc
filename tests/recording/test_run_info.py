"""What is known of a run by its backend."""

import pytest

from pipeprof.recording.run_info import KerasBackend
from tests.builders import run_info


@pytest.mark.parametrize(
    ("name", "backend", "early"),
    [
        ("tensorflow", KerasBackend.TENSORFLOW, False),
        ("jax", KerasBackend.JAX, True),
        ("torch", KerasBackend.TORCH, True),
        ("openvino", None, False),
        (None, None, False),
    ],
)
def test_on_some_backends_steps_return_early(
    name: str | None, backend: KerasBackend | None, early: bool
) -> None:
    run = run_info(backend=name)
    assert (run.keras_backend, run.steps_return_early) == (backend, early)
