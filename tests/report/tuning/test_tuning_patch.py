"""Changes written into the user's own lines."""

import ast
from dataclasses import replace

import pytest

from pipeprof.recording.loop import InputKind
from pipeprof.recording.pipeline_edits import (
    AUTOTUNE,
    AddCache,
    AddPrefetch,
    DropCache,
    Edit,
    MoveBatchFirst,
    MoveShuffleBehind,
    PrivateThreads,
    SetCalls,
    Workers,
)
from pipeprof.recording.tuning_outcome import Description, TunedTransformation
from pipeprof.report.tuning.tuning_patch import write_patch

DESCRIBED = Description(
    kind=InputKind.TF_DATA,
    name="dataset",
    has_model=True,
    places=(
        TunedTransformation(node="range", op="RangeDataset", inputs=(), calls=None),
        TunedTransformation(
            node="map", op="MapDataset", inputs=("range",), calls=None, function="make.decode"
        ),
        TunedTransformation(node="batch", op="BatchDatasetV2", inputs=("map",), calls=None),
    ),
    autotunes=True,
    cores=2,
    free_bytes=1 << 30,
)

SOURCE = """\
import tensorflow as tf

def decode(index):
    return index

ds = tf.data.Dataset.range(10)
ds = ds.map(decode)
ds = ds.batch(4)
"""

PARALLEL = SetCalls(node="map", calls=AUTOTUNE)
CACHE = AddCache(node="map")


def changed(source: str, *edits: Edit) -> list[str]:
    """The lines that the patch adds."""
    patch = write_patch(source, "train.py", DESCRIBED, edits)
    return [
        line[1:] for line in patch.diff.split("\n") if line.startswith("+") and "+++" not in line
    ]


def test_a_map_is_made_parallel_where_it_stands() -> None:
    assert changed(SOURCE, PARALLEL) == ["ds = ds.map(decode, num_parallel_calls=tf.data.AUTOTUNE)"]


def test_a_number_of_calls_that_is_there_is_exchanged() -> None:
    source = SOURCE.replace("decode)", "decode, num_parallel_calls=2, deterministic=True)")
    expected = "ds = ds.map(decode, num_parallel_calls=16, deterministic=True)"
    assert changed(source, SetCalls(node="map", calls=16)) == [expected]


def test_several_changes_of_one_line_stand_in_their_order() -> None:
    assert changed(SOURCE, CACHE, PARALLEL, AddPrefetch()) == [
        "ds = ds.map(decode, num_parallel_calls=tf.data.AUTOTUNE).cache()",
        "ds = ds.batch(4).prefetch(tf.data.AUTOTUNE)",
    ]


def test_a_chain_over_several_lines_is_changed_in_its_middle() -> None:
    source = SOURCE.replace(
        "ds = ds.map(decode)\nds = ds.batch(4)", "ds = (\n    ds.map(decode)\n    .batch(4)\n)"
    )
    assert changed(source, CACHE, AddPrefetch()) == [
        "    ds.map(decode).cache()",
        "    .batch(4).prefetch(tf.data.AUTOTUNE)",
    ]


def test_letters_of_several_bytes_do_not_shift_a_place() -> None:
    source = SOURCE.replace("ds = ds.map(decode)", 'größe = "ü"; ds = ds.map(decode)')
    assert changed(source, CACHE) == ['größe = "ü"; ds = ds.map(decode).cache()']


@pytest.mark.parametrize(
    "source",
    [
        SOURCE + "other = ds.map(decode)\n",  # which of the two?
        SOURCE.replace("ds.map(decode)", "ds.map(functools.partial(decode, 3))"),
        SOURCE.replace("def decode", "def decode("),  # no Python
    ],
)
def test_what_is_not_plain_enough_is_left(source: str) -> None:
    patch = write_patch(source, "train.py", DESCRIBED, [PARALLEL])
    assert patch.diff == ""
    assert patch.left == (PARALLEL,)


def test_what_has_no_line_of_its_own_is_left() -> None:
    patch = write_patch(SOURCE, "train.py", DESCRIBED, [PrivateThreads(threads=2), CACHE])
    assert patch.left == (PrivateThreads(threads=2),)
    assert ".cache()" in patch.diff


def test_the_diff_can_be_applied() -> None:
    patch = write_patch(SOURCE, "train.py", DESCRIBED, [PARALLEL])
    assert patch.diff.startswith("--- a/train.py\n+++ b/train.py\n@@ -6,3 +6,3 @@\n")
    ast.parse(changed(SOURCE, PARALLEL)[0])


SHUFFLED = replace(
    DESCRIBED,
    places=(
        TunedTransformation(node="range", op="RangeDataset", inputs=(), calls=None),
        TunedTransformation(node="shuffle", op="ShuffleDatasetV3", inputs=("range",), calls=None),
        TunedTransformation(
            node="map", op="MapDataset", inputs=("shuffle",), calls=None, function="decode"
        ),
    ),
)
MOVED = MoveShuffleBehind(shuffle="shuffle", node="map")


def test_two_calls_of_one_chain_change_places_and_a_cache_comes_between_them() -> None:
    source = SOURCE.replace("ds.map(decode)", "ds.shuffle(100, seed=2).map(decode)")
    patch = write_patch(source, "train.py", SHUFFLED, [CACHE, MOVED, PARALLEL])
    assert (
        "+ds = ds.map(decode, num_parallel_calls=tf.data.AUTOTUNE).cache().shuffle(100, seed=2)\n"
        in patch.diff
    )
    assert patch.left == ()


def test_calls_on_lines_of_their_own_stay_on_lines_of_their_own() -> None:
    chain = "(tf.data.Dataset.range(10)\n    .shuffle(100)\n    .map(decode)\n    .batch(4)\n)\n"
    source = SOURCE[: SOURCE.index("tf.data.Dataset")] + chain
    patch = write_patch(source, "train.py", SHUFFLED, [CACHE, MOVED])
    assert patch.diff.endswith(
        "+    .map(decode).cache()\n     .shuffle(100)\n-    .map(decode)\n     .batch(4)\n"
    )


def test_where_the_order_stays_no_cache_is_written() -> None:
    source = SOURCE.replace("ds = ds.map", "ds = ds.shuffle(100)\nds = ds.map")
    patch = write_patch(source, "train.py", SHUFFLED, [MOVED, CACHE])
    assert patch.diff == ""
    assert patch.left == (MOVED, CACHE)


def of_places(*places: TunedTransformation) -> Description:
    return replace(DESCRIBED, places=(DESCRIBED.places[0], *places))


def test_flat_map_takes_no_number_of_calls_and_is_left() -> None:
    files = TunedTransformation(
        node="map", op="FlatMapDataset", inputs=("range",), calls=None, function="decode"
    )
    source = SOURCE.replace(".map(", ".flat_map(")
    patch = write_patch(source, "train.py", of_places(files), [PARALLEL])
    assert (patch.diff, patch.left) == ("", (PARALLEL,))


def test_a_last_line_without_an_end_stays_so() -> None:
    patch = write_patch(SOURCE.rstrip("\n"), "train.py", DESCRIBED, [AddPrefetch()])
    assert patch.diff.endswith(
        "-ds = ds.batch(4)\n\\ No newline at end of file\n"
        "+ds = ds.batch(4).prefetch(tf.data.AUTOTUNE)\n\\ No newline at end of file\n"
    )


def test_a_form_feed_ends_no_line() -> None:
    source = SOURCE.replace("ds = ds.map(decode)", "ds = ds.map(decode)  # \x0c here")
    assert changed(source, CACHE) == ["ds = ds.map(decode).cache()  # \x0c here"]


@pytest.mark.parametrize(
    ("imported", "name"),
    [
        ("import tensorflow", "tensorflow.data.AUTOTUNE"),
        ("import numpy, tensorflow as tflow", "tflow.data.AUTOTUNE"),
        ("from tensorflow.data import Dataset", "-1"),
    ],
)
def test_autotune_has_the_name_that_the_file_gives_it(imported: str, name: str) -> None:
    source = SOURCE.replace("import tensorflow as tf", imported)
    assert changed(source, PARALLEL) == [f"ds = ds.map(decode, num_parallel_calls={name})"]


@pytest.mark.parametrize(
    "call", ["ds.map((decode))", "ds.map(decode, **options)", "ds.map(*functions)"]
)
def test_arguments_that_are_not_plain_are_left(call: str) -> None:
    assert changed(SOURCE.replace("ds.map(decode)", call), PARALLEL) == []


def test_a_batch_may_be_that_of_another_dataset() -> None:
    elsewhere = "from data import ds\nvalidation = tf.data.Dataset.range(3).batch(4)\n"
    patch = write_patch(elsewhere, "train.py", DESCRIBED, [AddPrefetch()])
    assert (patch.diff, patch.left) == ("", (AddPrefetch(),))


def test_one_line_that_makes_two_transformations_is_left() -> None:
    again = replace(DESCRIBED.places[1], node="again", inputs=("map",))
    patch = write_patch(
        SOURCE.replace("ds = ds.map(decode)", "for _ in range(2):\n    ds = ds.map(decode)"),
        "train.py",
        of_places(DESCRIBED.places[1], again),
        [PARALLEL],
    )
    assert (patch.diff, patch.left) == ("", (PARALLEL,))


def test_lambdas_are_distinguished_by_their_lines_and_unknown_functions_are_left() -> None:
    source = SOURCE.replace(
        "ds = ds.map(decode)", "ds = ds.map(lambda x: x + 1)\nds = ds.map(lambda x: x + 2)"
    )
    second = replace(DESCRIBED.places[1], function="<lambda>", file="/home/train.py", line=8)
    patch = write_patch(source, "train.py", of_places(second), [PARALLEL])
    assert "+ds = ds.map(lambda x: x + 2, num_parallel_calls=tf.data.AUTOTUNE)\n" in patch.diff
    unknown = replace(second, function=None)
    other = SOURCE.replace("ds = ds.map(decode)", "names = frame.map(str)")
    assert write_patch(other, "train.py", of_places(unknown), [PARALLEL]).diff == ""


def test_what_is_loaded_ahead_stays_at_the_end_when_neighbours_change_places() -> None:
    batched = MoveBatchFirst(batch="batch", node="map")
    source = SOURCE.replace("ds = ds.map(decode)\nds = ds.batch(4)", "ds = ds.map(decode).batch(4)")
    for edits in ((batched, AddPrefetch()), (AddPrefetch(), batched)):
        assert changed(source, *edits) == [
            "ds = ds.batch(4).map(decode).prefetch(tf.data.AUTOTUNE)"
        ]


def test_comments_in_a_chain_stay_comments() -> None:
    source = SOURCE.replace(
        "ds = ds.map(decode)\nds = ds.batch(4)",
        "ds = (\n    ds  # rows\n    .map(decode)  # slow\n    .batch(4)  # few\n)",
    )
    assert changed(source, MoveBatchFirst(batch="batch", node="map"), PARALLEL) == [
        "    ds  # slow",
        "    .batch(4)  # rows",
        "    .map(decode, num_parallel_calls=tf.data.AUTOTUNE)  # few",
    ]


def test_ends_of_lines_stay_those_of_the_file() -> None:
    patch = write_patch(SOURCE.replace("\n", "\r\n"), "train.py", DESCRIBED, (PARALLEL, CACHE))
    lines = [line for line in patch.diff.split("\n") if line[:1] in (" ", "-", "+")][2:]
    assert lines
    assert all(line.endswith("\r") for line in lines)
    assert "+ds = ds.map(decode, num_parallel_calls=tf.data.AUTOTUNE).cache()\r" in lines


KEPT = replace(
    DESCRIBED,
    places=(
        *DESCRIBED.places[:1],
        TunedTransformation(node="cache", op="CacheDatasetV2", inputs=("range",), calls=None),
        replace(DESCRIBED.places[1], inputs=("cache",)),
        DESCRIBED.places[2],
    ),
)


@pytest.mark.parametrize(
    ("line", "taken", "written"),
    [
        ("ds = tf.data.Dataset.range(10).cache()", "-{}", "ds = tf.data.Dataset.range(10)"),
        ("ds = tf.data.Dataset.range(10)\nds = ds.cache()", "-ds = ds.cache()", None),
    ],
)
def test_a_cache_that_does_harm_is_taken_away(line: str, taken: str, written: str | None) -> None:
    source = SOURCE.replace("ds = tf.data.Dataset.range(10)", line)
    moved = write_patch(source, "train.py", KEPT, (DropCache(node="cache"), CACHE))
    assert taken.format(line) in moved.diff.split("\n")
    added = [line[1:] for line in moved.diff.split("\n") if line[:1] == "+" and line[:3] != "+++"]
    assert added == [*([written] if written else []), "ds = ds.map(decode).cache()"]
    assert not moved.left


SEQUENCE = Description(
    kind=InputKind.SEQUENCE,
    name="Rows",
    has_model=True,
    workers=1,
    queue=10,
    cores=2,
    free_bytes=1 << 30,
)
FOUR = Workers(workers=4, processes=True, queue=10)


@pytest.mark.parametrize(
    ("body", "made", "written"),
    [
        ("pass", "Rows()", "rows = Rows(workers=4, use_multiprocessing=True)"),
        ("pass", "Rows(3, )", "rows = Rows(3, workers=4, use_multiprocessing=True, )"),
        ("pass", "Rows(workers=2)", "rows = Rows(workers=4, use_multiprocessing=True)"),
        (
            "def __init__(self, **more): super().__init__(**more)",
            "Rows()",
            "rows = Rows(workers=4, use_multiprocessing=True)",
        ),
        ("def __init__(self): super().__init__()", "Rows()", None),
        ("pass", "Rows(**chosen)", None),
        ("pass", "Rows(); other = Rows()", None),
    ],
)
def test_workers_are_given_where_the_sequence_is_made(
    body: str, made: str, written: str | None
) -> None:
    source = f"class Rows(PyDataset):\n    {body}\n\nrows = {made}\n"
    patch = write_patch(source, "train.py", SEQUENCE, (FOUR,))
    assert patch.left == (() if written else (FOUR,))
    assert (f"+{written}" in patch.diff.split("\n")) == bool(written)


@pytest.mark.parametrize(("more", "plain"), [("", True), ("scaler.fit(rows)\n", False)])
def test_workers_are_given_to_the_fit_of_keras_2(more: str, plain: bool) -> None:
    source = f"rows = Rows()\n{more}model.fit(\n    rows, epochs=3\n)\n"
    described = replace(SEQUENCE, workers_of_fit=True)
    patch = write_patch(source, "train.py", described, (FOUR,))
    assert patch.left == (() if plain else (FOUR,))
    changed_line = "+    rows, epochs=3, workers=4, use_multiprocessing=True"
    assert (changed_line in patch.diff.split("\n")) is plain
