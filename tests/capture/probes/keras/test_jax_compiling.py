"""What JAX compiles is reported while somebody listens."""

import pytest

jax = pytest.importorskip("jax")

from pipeprof.capture.probes.keras.jax_compiling import COMPILED, JaxCompiling  # noqa: E402

pytestmark = pytest.mark.integration


def test_compiling_is_reported_until_nobody_listens() -> None:
    heard: list[tuple[int, int]] = []
    compiling = JaxCompiling(lambda start_ns, end_ns: heard.append((start_ns, end_ns)))
    compiling.install()
    jax.monitoring.record_event_duration_secs(COMPILED, 0.25)
    jax.monitoring.record_event_duration_secs("/jax/another", 0.5)
    compiling.remove()
    jax.monitoring.record_event_duration_secs(COMPILED, 0.25)
    [(start_ns, end_ns)] = heard
    assert end_ns - start_ns == 250_000_000


def test_a_new_shape_compiles_and_a_known_one_does_not() -> None:
    heard: list[tuple[int, int]] = []
    compiling = JaxCompiling(lambda start_ns, end_ns: heard.append((start_ns, end_ns)))
    double = jax.jit(lambda x: 2 * x)
    arrays = [jax.numpy.zeros(n) for n in (3, 3, 5)]
    compiling.install()
    counts = []
    for array in arrays:
        double(array)
        counts.append(len(heard))
    compiling.remove()
    assert counts == [1, 1, 2]
