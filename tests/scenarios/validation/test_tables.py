from pipeprof.scenarios.validation.checking.report_check import Agreement, Point, ReportCheck
from pipeprof.scenarios.validation.tables import Result, line_of, render_tables


def check(
    point: Point, outcome: Agreement, expected: object, found: object, error: float | None = None
) -> ReportCheck:
    return ReportCheck(point=point, outcome=outcome, expected=expected, found=found, error=error)


RIGHT = check(Point.BOUND, Agreement.RIGHT, ("input",), "input")
WRONG = check(Point.BOUND, Agreement.WRONG, ("host", "input"), "compute")
MISSING = check(Point.ACCOUNT, Agreement.MISSING, "parts", None)


def test_the_line_of_a_run_says_what_differs() -> None:
    assert line_of(Result(name="reads", round=1, checks=(RIGHT,))) == "ok      reads: 1 checks"
    assert line_of(Result(name="reads", round=1, checks=(RIGHT, MISSING, WRONG))) == (
        "differs reads: bound: compute, true is host or input; missing: account"
    )
    failed = Result(name="reads", round=1, failure="it ended with exit code 1")
    assert line_of(failed) == "FAILED  reads: it ended with exit code 1"


def test_the_tables_count_what_was_taken_for_what() -> None:
    cost = check(Point.COST, Agreement.WRONG, 10.0, 12.0, error=0.2)
    text = render_tables(
        [
            Result(name="reads", round=1, checks=(RIGHT, cost)),
            Result(name="posts", round=1, checks=(WRONG,)),
        ]
    )
    assert text.startswith("0 of 2 trainings right in all points.\n")
    assert text.splitlines()[2:7] == [
        "| bound: true \\ found | compute | host | input |",
        "|---|---|---|---|",
        "| compute | · | · | · |",
        "| host | 1 | · | · |",
        "| input | · | · | 1 |",
    ]
    assert "| costs | 1 | 0 | 0 | 20.0 % | 20.0 % | 20.0 % |" in text
    assert "| bound | 2 | 1 |" in text


def test_a_training_is_right_if_it_is_in_each_round() -> None:
    results = [
        Result(name="reads", round=1, checks=(RIGHT,)),
        Result(name="reads", round=2, checks=(WRONG,)),
        Result(name="posts", round=1, checks=(RIGHT,)),
        Result(name="posts", round=2, checks=(RIGHT,)),
    ]
    text = render_tables(results)
    assert text.startswith("1 of 2 trainings right in all points and all rounds.\n")


def test_a_check_counts_in_the_row_of_its_point() -> None:
    line = check(Point.BOTTLENECK_LINE, Agreement.RIGHT, ("read",), "train.py:3")
    of_host = check(Point.LINE, Agreement.WRONG, "Dashboard", "train.py:9")
    text = render_tables([Result(name="reads", round=1, checks=(line, of_host))])
    assert "| its line | 1 | 1 |" in text
    assert "| its lines | 1 | 0 |" in text
    assert "| bottleneck, or that there is none | 0 | 0 |" in text
