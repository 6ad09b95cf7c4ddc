"""How long tuning may take."""

from pipeprof.errors import UsageError

_MOST_S = 86_400.0


def require_budget(seconds: float) -> None:
    """Makes sure that a budget is a length of time, of a day at the most.

    Raises:
        UsageError: it is none.
    """
    if not 0 < seconds <= _MOST_S:
        raise UsageError(
            f"expected a budget of more than 0 and at most {_MOST_S:g} seconds, received {seconds:g}."
        )
