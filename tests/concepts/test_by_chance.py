"""Whether a CLIP knows such pictures: planted words pass, words dealt at random are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from core.concepts.naming import DEALS, ShownWords, majority_words, n_named_by_chance, why_unknown

LIMITS: dict[str, Any] = {"least": 0.45, "most_elsewhere": 0.5}
N_IMAGES, N_UNITS = 300, 20
GENERAL = {"word0": ""}  # an order of words, in which none is more general


def shown(rng, units, *, knows: bool) -> ShownWords:
    """A word for each unit, on its images where CLIP knows them, else on as many; one is on 42 %."""
    columns = np.zeros((N_IMAGES, N_UNITS + 1))
    for word, images in enumerate(units):
        columns[images if knows else rng.choice(N_IMAGES, len(images), replace=False), word] = 1
    columns[rng.random(N_IMAGES) < 0.42, N_UNITS] = 1
    words = [f"word{at}" for at in range(N_UNITS + 1)]
    return ShownWords(words, ["word"] * len(words), sparse.csc_matrix(columns), rng.random(N_IMAGES) < 0.95)


@pytest.mark.parametrize("knows", [True, False])
def test_words__that_name_no_more_than_by_chance_are_refused(rng, knows):
    refused = [is_refused(rng, knows=knows) for _ in range(20)]
    assert sum(refused) == 0 if knows else sum(refused) >= 18


def is_refused(rng, *, knows: bool) -> bool:
    units = [rng.choice(N_IMAGES, 12, replace=False) for _ in range(N_UNITS)]
    words = shown(rng, units, knows=knows)
    named = sum(bool(majority_words(words, one, one[:0], general=GENERAL)["kept"].any()) for one in units)
    by_chance = n_named_by_chance(words, units, **LIMITS)
    why = why_unknown(named, by_chance, N_UNITS, "a CLIP")
    if why is not None:
        assert (why.kind, why.n, why.of, why.chance) == ("unknown", named, N_UNITS, by_chance)
    assert by_chance == n_named_by_chance(words, units, **LIMITS)  # seeded
    return why is not None


def test_n_named_by_chance__matches_the_rule_applied_to_dealt_words(rng):
    units = [rng.choice(N_IMAGES, 12, replace=False) for _ in range(N_UNITS)]
    words = shown(rng, units, knows=True)
    there, deal = np.flatnonzero(words.there), np.random.default_rng(3)
    n_named = 0
    for _ in range(DEALS):
        columns = words.shows.toarray()
        columns[there] = columns[there][deal.permutation(len(there))]
        dealt = replace(words, shows=sparse.csc_matrix(columns))
        n_named += sum(
            bool(majority_words(dealt, one, one[:0], general=GENERAL)["kept"].any()) for one in units
        )
    assert n_named_by_chance(words, units, **LIMITS, seed=3) == n_named / DEALS > 0


def test_words__without_a_unit_are_refused():
    assert why_unknown(0, 0, 0, "a CLIP") is not None
