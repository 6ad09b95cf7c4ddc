"""What JAX compiles is reported while somebody listens.

JAX runs in a process of its own: it warns in every later fork of a process that it was imported into.
"""

import subprocess
import sys
from importlib.util import find_spec

import pytest

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed"),
]

_LISTENING = """
import jax
from pipeprof.capture.probes.keras.jax_compiling import COMPILED, JaxCompiling
heard = []
compiling = JaxCompiling(lambda start_ns, end_ns: heard.append(end_ns - start_ns))
"""


def printed(script: str) -> str:
    command = [sys.executable, "-c", _LISTENING + script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_compiling_is_reported_until_nobody_listens() -> None:
    script = """
compiling.install()
jax.monitoring.record_event_duration_secs(COMPILED, 0.25)
jax.monitoring.record_event_duration_secs("/jax/another", 0.5)
compiling.remove()
jax.monitoring.record_event_duration_secs(COMPILED, 0.25)
print(heard)
"""
    assert printed(script) == "[250000000]"


def test_a_new_shape_compiles_and_a_known_one_does_not() -> None:
    script = """
double = jax.jit(lambda x: 2 * x)
arrays = [jax.numpy.zeros(n) for n in (3, 3, 5)]
compiling.install()
counts = []
for array in arrays:
    double(array)
    counts.append(len(heard))
compiling.remove()
print(counts)
"""
    assert printed(script) == "[1, 1, 2]"
