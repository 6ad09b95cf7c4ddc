from pipeprof.report.stage_labels import input_place, ran_on
from tests.builders import input_finding


def test_where_an_input_ran():
    assert input_place(input_finding(on_main_thread=True, workers=4)) == "main thread"
    assert input_place(input_finding(workers=4, multiprocessing=True)) == "4 processes"
    assert input_place(input_finding(workers=1, multiprocessing=False)) == "1 thread"
    assert input_place(input_finding(threads=("a", "b", "c"))) == "a +2"
    assert input_place(input_finding(threads=())) is None
    assert ran_on(("a",)) == "a"
