"""What is advised about real trainings that wait for a planted place, and that it can be pasted."""

import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import pipeprof
from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.advice_kinds import Advice
from pipeprof.recording.profile import Profile
from pipeprof.report.one_run.advice_code import remedy_code
from tests.integration.feeds import BATCH, Batch, batch, digits, model, train

pytestmark = [
    pytest.mark.integration,
    # How many elements a filter keeps is not known before.
    pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning"),
]

SLEEP_S = 0.004


def asleep(value: Any) -> Any:
    """The value, after a sleep in Python."""

    def sleep(given: np.ndarray) -> np.ndarray:
        time.sleep(SLEEP_S)
        return given

    slept = tf.numpy_function(sleep, [value], value.dtype)
    slept.set_shape(value.shape)
    return slept


def decode(image: Any, label: Any) -> Any:
    return asleep(image), label


def keep(_: Any, label: Any) -> Any:
    return label < 3


def slow_keep(_: Any, label: Any) -> Any:
    return asleep(label) >= 0


def augment(image: Any, label: Any) -> Any:
    return image + tf.random.normal(image.shape), label


def open_part(part: Any) -> tf.data.Dataset:
    return samples().shard(4, part).map(decode)


def samples() -> (
    tf.data.Dataset
):  # made anew: one made inside open_part belongs to that function's graph
    return tf.data.Dataset.from_tensor_slices(digits())


def generated() -> Iterator[Batch]:
    for index in range(60):
        time.sleep(0.02)
        yield batch(index)


PIPELINES: dict[str, Callable[[], Any]] = {
    "filtered": lambda: samples().map(decode).filter(keep).batch(4),
    "slow filter": lambda: samples().filter(slow_keep).batch(BATCH),
    "opened": lambda: tf.data.Dataset.range(4).flat_map(open_part).batch(BATCH),
    "random": lambda: samples().map(decode).map(augment).batch(BATCH),
    "cached": lambda: samples().cache().map(decode).batch(BATCH),
}


def advised(recorded: Profile) -> dict[str, Advice]:
    main = analyse(recorded).main
    assert main is not None
    return {advice.action: advice for advice in main.diagnosis.advice}


@pytest.fixture(scope="module", name="given")
def fixture_given(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Advice]]:
    @cache
    def given(name: str) -> dict[str, Advice]:
        with pipeprof.profile(logdir=tmp_path_factory.mktemp("runs"), warmup=1) as session:
            train(model(), PIPELINES[name](), epochs=2)
        return advised(session.result)

    return given


def test_a_filter_behind_what_is_dear_comes_first(given: Any) -> None:
    advice = given("filtered")["filter_first"]
    names = {"dataset": samples(), "decode": decode, "keep": keep, "tf": tf}
    exec(remedy_code(advice.remedy) or "", names)
    before, after = (
        [label for _, label in each.as_numpy_iterator()]
        for each in (samples().map(decode).filter(keep), names["dataset"])
    )
    assert after == before
    assert advice.prediction is not None
    assert advice.prediction.low_ms < advice.prediction.high_ms


def test_a_slow_filter_is_never_written_as_a_map_of_its_function(given: Any) -> None:
    assert "parallel_filter" in given("slow filter")
    codes = [remedy_code(advice.remedy) or "" for advice in given("slow filter").values()]
    assert not [code for code in codes if "map(slow_keep" in code]


def test_the_function_of_a_flat_map_is_never_written_as_that_of_a_map(given: Any) -> None:
    codes = [remedy_code(advice.remedy) or "" for advice in given("opened").values()]
    assert codes != []
    assert not [code for code in codes if "map(open_part" in code]


def test_what_is_random_is_not_cached_and_no_second_cache_is_advised(given: Any) -> None:
    assert given("random")["cache"].remedy.stage == "decode"
    assert "cache" not in given("cached")


def test_a_training_that_a_callback_joined_gets_the_advice_of_a_whole_profile(
    tmp_path: Path,
) -> None:
    with pipeprof.profile(logdir=tmp_path) as session:
        train(model(), generated(), epochs=1)
    callback = pipeprof.Callback(tmp_path, verbose=0)
    train(model(), generated(), epochs=1, callbacks=[callback])

    whole, joined = advised(session.result), advised(callback.result)
    assert list(whole) == list(joined) == ["workers"]
    for given in (whole, joined):  # how many workers depends on what else the machine does
        code = remedy_code(given["workers"].remedy) or ""
        assert code.startswith("class Batches")
        assert "use_multiprocessing=False" in code
