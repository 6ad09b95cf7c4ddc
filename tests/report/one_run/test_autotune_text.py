"""What stands in AUTOTUNE's way, in sentences."""

import pytest

from pipeprof.analysis.findings.input_findings import (
    AutotuneOff,
    AutotuneWarning,
    BudgetBeyondCores,
    FixedParallelism,
    FullBuffers,
)
from pipeprof.analysis.findings.references import StageReference
from pipeprof.report.one_run.autotune_text import autotune_warning

GB = 1_000_000_000
DECODE = StageReference(name="decode")


@pytest.mark.parametrize(
    ("warning", "sentence"),
    [
        (
            AutotuneOff(),
            "AUTOTUNE is switched off (options.autotune.enabled = False): parallelism and buffers "
            "are not tuned, and tf.data measures neither its waits nor the work of its stages.",
        ),
        (
            BudgetBeyondCores(planned=8, cores=1.5, by_container=True, advised=2),
            "AUTOTUNE plans with 8 cores, but the container may use only 1.5 cores: calls that it "
            "plans to run at once take turns. Set options.autotune.cpu_budget = 2.",
        ),
        (
            BudgetBeyondCores(planned=16, cores=8, by_container=False, advised=8),
            "AUTOTUNE plans with 16 cores, but there are only 8 cores: calls that it plans to run at "
            "once take turns. Set options.autotune.cpu_budget = 8.",
        ),
        (
            FullBuffers(held_bytes=3 * GB, memory_bytes=12 * GB, largest=DECODE),
            "The buffers of tf.data held up to 3.0 GB, most of it in decode: 25 % of the 12.0 GB of "
            "memory that the training may use.",
        ),
        (
            FixedParallelism(stage=DECODE, fixed=1, needed=4, free_cpu_ratio=0.7, advised=None),
            "decode is fixed at 1 call at once and needs 4 to keep up with the training, while 70 % "
            "of the CPU is free. Write num_parallel_calls=tf.data.AUTOTUNE.",
        ),
        (
            FixedParallelism(stage=DECODE, fixed=2, needed=6, free_cpu_ratio=None, advised=6),
            "decode is fixed at 2 calls at once and needs 6 to keep up with the training. Write "
            "num_parallel_calls=6.",
        ),
    ],
)
def test_what_a_warning_says(warning: AutotuneWarning, sentence: str) -> None:
    assert autotune_warning(warning) == sentence
