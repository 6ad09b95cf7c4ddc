from dataclasses import replace

from pipeprof.analysis.findings.references import StageReference
from pipeprof.recording.source_code import Location
from pipeprof.report.names.stage_labels import (
    as_it_runs,
    distinct_names,
    input_place,
    label_of,
    ran_on,
    stage_cost,
)
from tests.builders import input_finding, stage, stage_finding


def test_where_an_input_ran():
    assert input_place(input_finding(on_main_thread=True, workers=4)) == "main thread"
    assert input_place(input_finding(workers=4, multiprocessing=True)) == "4 processes"
    assert input_place(input_finding(workers=1, multiprocessing=False)) == "1 thread"
    assert input_place(input_finding(threads=("a", "b", "c"))) == "a +2"
    assert input_place(input_finding(threads=())) is None
    assert ran_on(("a",)) == "a"


def test_stages_of_one_name_and_place_are_numbered():
    added = stage_finding(stage("map", location=None, remark="added by Keras"))
    other = stage_finding(stage("map", location=None, remark="added by tf.data"))
    assert distinct_names([added, other, added]) == ("map (1)", "map", "map (2)")


def test_the_number_of_a_stages_copies_stands_behind_its_name() -> None:
    assert distinct_names([replace(stage_finding(), copies=6)]) == (
        "decode \N{MULTIPLICATION SIGN}6",
    )


def test_a_cost_that_is_in_part_estimated_says_so() -> None:
    assert stage_cost(stage_finding(cost_ms=15.2)) == "15.2 ms"
    assert stage_cost(replace(stage_finding(cost_ms=15.2), estimated_ratio=0.4)) == "about 15.2 ms"
    assert stage_cost(replace(stage_finding(cost_ms=15.2), estimated_ratio=0.04)) == "15.2 ms"


def test_a_stage_that_a_library_made_is_said_to_be_of_its_function() -> None:
    line = Location("train.py", 5)
    assert label_of(StageReference(name="decode", location=line)) == "decode (train.py:5)"
    made = StageReference(name="map", location=line, made_by="image_dataset_from_directory")
    assert label_of(made) == "map of image_dataset_from_directory (train.py:5)"


def test_transformations_that_run_as_one_are_named() -> None:
    augment = replace(stage("augment"), written="map → batch", runs_as="MapAndBatch", fused=True)
    assert as_it_runs(augment) == "augment (map → batch) as MapAndBatch"
    decode = replace(stage("decode"), written="map", runs_as="ParallelMapV2", parallel=True)
    assert as_it_runs(decode) is None
