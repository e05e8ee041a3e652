"""Compare the concepts of several studies: shared and unshared words. No torch."""

from collections import Counter
from dataclasses import dataclass

import pandas as pd

from core.common.step_facts import ConceptsFacts
from core.comparison.images import Shared
from core.concepts.across import across_table, concept_counts, shared_matrix, shared_words


@dataclass(frozen=True)
class Words:
    """The words of the studies that have concepts.

    Attributes:
        across: Table B.1. matrix: words shared by each pair. shared: word, n_studies, and the number of
            features and groups of each study that have it. changes: study, gained, lost (words by the number
            of features that have them), compared with the first study that has concepts.
    """

    across: pd.DataFrame
    matrix: pd.DataFrame
    shared: pd.DataFrame
    changes: dict[str, dict[str, list[str]]]


def compare_words(shared: Shared) -> Words | None:
    """Compare the words of the studies that have concepts; None if fewer than two have."""
    counts: dict[str, Counter[str]] = {}
    facts = {}
    for name, study in zip(shared.names, shared.studies, strict=True):
        if study.has("concepts"):
            counts[name] = concept_counts(study.table("concepts"))
            facts[name] = study.facts(ConceptsFacts)
    if len(counts) < 2:
        return None
    first, *others = counts
    changes = {}
    for name in others:
        gained, lost = _only(counts[name], counts[first]), _only(counts[first], counts[name])
        changes[name] = {"gained": gained, "lost": lost}
    return Words(across_table(counts, facts), shared_matrix(counts), shared_words(counts), changes)


def _only(here: Counter[str], there: Counter[str]) -> list[str]:
    """List the words of `here` that `there` lacks, those of most features first."""
    only_here = [(word, n) for word, n in here.items() if word not in there]
    return [word for word, _ in sorted(only_here, key=lambda pair: (-pair[1], pair[0]))]
