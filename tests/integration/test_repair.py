"""XProf's verdict on a profile of Keras's own TensorBoard callback, before and after its repair."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from pipeprof.xspace.step_repair import RepairOutcome, repair_profiles

convert = pytest.importorskip("xprof.convert.raw_to_tool_data")

BATCHES = 40
SLEEP_S = 0.02


def batches() -> Iterator[tuple[Any, Any]]:
    while True:
        time.sleep(SLEEP_S)
        yield np.zeros((8, 4), np.float32), np.zeros((8, 1), np.float32)


def conclusion(run: Path) -> dict[str, Any]:
    (path,) = run.glob("*.xplane.pb")
    data, _ = convert.xspace_to_tool_data([str(path)], "input_pipeline_analyzer", {})
    return {name: value for table in json.loads(data) for name, value in table.get("p", {}).items()}


# Keras's callback converts TensorFlow's tensors in a way that NumPy 2 warns of.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_keras_own_profile_gets_a_verdict(tmp_path: Path) -> None:
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    callback = keras.callbacks.TensorBoard(tmp_path, profile_batch=(10, 30))
    model.fit(batches(), steps_per_epoch=BATCHES, shuffle=False, verbose=0, callbacks=[callback])
    (repaired,) = repair_profiles(tmp_path)

    assert repaired.outcome is RepairOutcome.REPAIRED
    assert repaired.copy is not None
    before, after = conclusion(repaired.run), conclusion(repaired.copy)
    assert before["input_conclusion"].startswith("No step time measured")
    assert float(before["steptime_ms_average"]) == 0
    assert "HIGHLY input-bound" in after["input_conclusion"]
    assert float(after["steptime_ms_average"]) > 0
    assert repaired.steps == 21
