from pipeprof.report.stage_labels import distinct_names, input_place, ran_on
from tests.builders import input_finding, stage


def test_where_an_input_ran():
    assert input_place(input_finding(on_main_thread=True, workers=4)) == "main thread"
    assert input_place(input_finding(workers=4, multiprocessing=True)) == "4 processes"
    assert input_place(input_finding(workers=1, multiprocessing=False)) == "1 thread"
    assert input_place(input_finding(threads=("a", "b", "c"))) == "a +2"
    assert input_place(input_finding(threads=())) is None
    assert ran_on(("a",)) == "a"


def test_stages_of_one_name_and_place_are_numbered():
    added = stage("map", location=None, remark="added by Keras")
    other = stage("map", location=None, remark="added by tf.data")
    assert distinct_names([added, other, added]) == ("map (1)", "map", "map (2)")
