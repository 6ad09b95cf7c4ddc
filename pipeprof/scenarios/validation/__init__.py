"""Planted trainings: plain scripts that know nothing of pipeprof, and what is known of each.

Each script in ``scripts/`` keeps clocks of its own and writes what they showed as one line of JSON, its
truth. What is known before it runs stands in the modules named ``known_…``, one for each kind of training.
"""

from itertools import chain

from pipeprof.scenarios.validation import (
    known_callbacks,
    known_computing,
    known_fits,
    known_generators,
    known_loops,
    known_sequences,
    known_tfdata,
    known_validations,
)
from pipeprof.scenarios.validation.expected import Planted

__all__ = ["Planted", "planted_trainings"]

_KNOWN = (
    known_generators,
    known_sequences,
    known_tfdata,
    known_callbacks,
    known_computing,
    known_validations,
    known_loops,
    known_fits,
)


def planted_trainings() -> tuple[Planted, ...]:
    """All planted trainings, by kind."""
    return tuple(chain.from_iterable(known.PLANTED for known in _KNOWN))
