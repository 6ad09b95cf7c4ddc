"""Planted trainings: plain scripts that know nothing of pipeprof, and what is known of each.

Each script in ``scripts/`` keeps clocks of its own and writes what they showed as one line of JSON, its
truth. What is known before it runs stands in the modules named ``known_…``, one for each kind of training.
"""

from pipeprof.scenarios.validation.expected import Planted

__all__ = ["Planted", "planted_trainings"]


def planted_trainings() -> tuple[Planted, ...]:
    """All of them, by kind."""
    from pipeprof.scenarios.validation import known_generators, known_sequences

    return (*known_generators.PLANTED, *known_sequences.PLANTED)
