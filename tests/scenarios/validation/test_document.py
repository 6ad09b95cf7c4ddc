from pipeprof.scenarios.validation.checking.report_check import Agreement, Point, ReportCheck
from pipeprof.scenarios.validation.document import conditions_text, render_document
from pipeprof.scenarios.validation.expected import Planted
from pipeprof.scenarios.validation.kept_runs import KeptRun
from pipeprof.scenarios.validation.tables import Result

PLANTED = (
    Planted(name="reads", kind="generator", bound=("input",), cause=("blocking",)),
    Planted(name="posts", kind="callbacks", bound=("host",)),
    Planted(name="never_run", kind="loop", bound=("input",)),
)


def ran(name: str, number: int, *, machine_ratio: float = 0.5, **known: object) -> KeptRun:
    cpu = {"cores": 2, "limit": None, "process_ratio": 0.25, "machine_ratio": machine_ratio}
    return KeptRun(
        name=name, round=number, conditions="Python 3.11, 2 cores", report={"cpu": cpu}, **known
    )  # type: ignore[arg-type]


def of(name: str, number: int, *checks: ReportCheck) -> Result:
    return Result(name=name, round=number, checks=checks)


RIGHT = ReportCheck(point=Point.BOUND, outcome=Agreement.RIGHT, expected=("input",), found="input")
COST = ReportCheck(
    point=Point.COST, of="a|b", outcome=Agreement.WRONG, expected=10.0, found=12.0, error=0.2
)
MISSING = ReportCheck(point=Point.ACCOUNT, outcome=Agreement.MISSING, expected="parts")


def test_the_page_has_each_training_with_its_rounds_and_each_miss() -> None:
    runs = [ran("reads", 1), ran("posts", 1), ran("reads", 2, with_load=True)]
    results = [of("reads", 1, RIGHT), of("posts", 1, MISSING), of("reads", 2, RIGHT, COST)]
    page = render_document(PLANTED, runs, results)
    assert page.startswith("# Validation\n")
    assert "--rounds 2 " in page
    assert "In round 2 another program computes on one core" in page
    assert "| `reads` | generator | input | blocking | right | 1 of 2 differ |" in page
    assert "| `posts` | callbacks | host | · | 1 of 1 differ | not run |" in page
    assert "Of the 3 planted trainings these were not run: `never_run`." in page
    assert "| `posts` | 1 | account | missing | parts |" in page
    assert "| `reads` | 2 | cost of a\\|b | 12 | 10 |" in page


def test_a_run_that_failed_is_a_miss() -> None:
    failed = Result(name="reads", round=1, failure="it ended with exit code 1\nTraceback")
    run = KeptRun(name="reads", round=1, conditions="2 cores", failure=failed.failure)
    page = render_document(PLANTED, [run], [failed])
    assert "| `reads` | generator | input | blocking | failed |" in page
    assert "| `reads` | 1 | the run | it ended with exit code 1 | a report |" in page
    assert "another program" not in page


def test_no_miss_is_none() -> None:
    page = render_document(PLANTED, [ran("reads", 1)], [of("reads", 1, RIGHT)])
    assert page.endswith("## Misses\n\nNone.\n")


def test_conditions_have_what_others_used_of_the_machine() -> None:
    runs = [ran("reads", 1), ran("posts", 1, machine_ratio=1.0), ran("reads", 2, with_load=True)]
    assert conditions_text(runs) == (
        "Python 3.11, 2 cores. Other programs used 1.0 cores in the median run and 1.5 at the most."
    )
    unread = KeptRun(name="reads", round=1, conditions="2 cores", failure="exit code 1")
    assert conditions_text([unread]) == "2 cores."
