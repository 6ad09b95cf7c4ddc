"""What the workers of a tf.data service did, as a table and in lines."""

from dataclasses import replace

from rich.console import Console

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.findings import Findings
from pipeprof.report.many_hosts.service_table import service_table
from pipeprof.report.many_hosts.service_text import worker_sentences
from tests.analysis.test_service_verdict import recorded


def table(found: Findings) -> list[str]:
    made = service_table(found, 80)
    assert made is not None
    console = Console(width=80, record=True, file=None, color_system=None)
    with console.capture() as shown:
        console.print(made)
    return [line.rstrip() for line in shown.get().splitlines()]


def with_a_dead_one() -> Findings:
    made = recorded(workers=1, cpu=1.2)
    (alive,) = made.data_workers
    gone = replace(alive, address="gone:5051", windows=(), problem="it does not answer", cores=None)
    return analyse(replace(made, data_workers=(alive, gone)))


def test_a_row_for_each_stage_of_a_worker_and_a_note_for_one_that_was_not_seen() -> None:
    assert table(with_a_dead_one()) == [
        "  Data worker  no batch  cores  stage   work/elem.  parallel  busy",
        "  host0:5051      100 %  1.2/8  decode     28.0 ms         1  93 %",
        "  seen in 1 trace of 300 ms, 500 kB each · no batch: the worker had none ready",
        "  gone:5051 was not seen: it does not answer",
    ]


def test_a_line_for_each_worker() -> None:
    assert worker_sentences(with_a_dead_one()) == [
        "host0:5051: no element ready 100 % of the time · 1.2 of 8 cores used · "
        "decode 28.0 ms per element, busy 93 %",
        "gone:5051 was not seen: it does not answer",
    ]


def test_without_a_service_there_is_nothing() -> None:
    found = analyse(replace(recorded(), data_workers=()))
    assert service_table(found, 80) is None
    assert worker_sentences(found) == []


def test_many_workers_are_counted_and_not_listed() -> None:
    found = analyse(recorded(workers=30, cpu=0.5))
    assert "and 24 more workers" in " ".join(table(found))
    assert worker_sentences(found)[-1] == "and 22 more workers"
