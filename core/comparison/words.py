"""Compare the concepts of several studies: shared and unshared words, and transferred words. No torch."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from core.common.formatting import percent
from core.comparison.images import Shared
from core.concepts.across import across_table, concept_counts, shared_matrix, shared_words
from core.store import Study

METHODS = ("ridge", "sgd")  # ways of fitting a map between studies; the closed form first


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


@dataclass(frozen=True)
class Transfer:
    """Words transferred from one compared study to another (command `transfer`).

    Attributes:
        features: method, feature, carried, direct (its own words), n_shared; words are separated by "; ".
            Only of maps that explain at least as much as the source's mean does.
        about: for each method, the closed form first, the number of mapped features, and the agreement with
            the direct words.
        explained_share: of the source by the map of each method, on the evaluation images; None if undefined.
    """

    source: str
    target: str
    about: dict[str, dict[str, Any]]
    explained_share: dict[str, float | None]
    features: pd.DataFrame

    def explained(self, method: str) -> str:
        """State what a method's map explains, and whether it therefore carries words."""
        share = self.explained_share.get(method)
        if carries_words(share):
            return f"its map explains {percent(share)} of {self.source}"
        if share is None or share != share:
            return f"{self.source} is constant on the images, so no map explains it and no words are carried"
        return f"its map explains less of {self.source} than its mean does ({percent(share)}): no words"


def carries_words(share: float | None) -> bool:
    """Return True for a map whose explained share is not below 0: it explains no less than the mean does.

    >>> carries_words(0.94), carries_words(0.0), carries_words(-0.5), carries_words(None)
    (True, True, False, False)
    """
    return share is not None and share >= 0


def compare_words(shared: Shared) -> Words | None:
    """Compare the words of the studies that have concepts; None if fewer than two have."""
    counts: dict[str, Counter[str]] = {}
    facts = {}
    for name, study in zip(shared.names, shared.studies, strict=True):
        if study.has("concepts"):
            counts[name] = concept_counts(study.table("concepts"))
            facts[name] = study.summary("concepts")
    if len(counts) < 2:
        return None
    first, *others = counts
    changes = {
        name: {"gained": _only(counts[name], counts[first]), "lost": _only(counts[first], counts[name])}
        for name in others
    }
    return Words(across_table(counts, facts), shared_matrix(counts), shared_words(counts), changes)


def _only(here: Counter[str], there: Counter[str]) -> list[str]:
    """List the words of `here` that `there` lacks, those of most features first."""
    only_here = [(word, n) for word, n in here.items() if word not in there]
    return [word for word, _ in sorted(only_here, key=lambda pair: (-pair[1], pair[0]))]


def transfers(shared: Shared) -> list[Transfer]:
    """Read the results of the command `transfer` between these studies."""
    by_path = {
        str(study.path.resolve()): name for name, study in zip(shared.names, shared.studies, strict=True)
    }
    results = []
    for name, study in zip(shared.names, shared.studies, strict=True):
        if not study.has("transfer_concepts"):
            continue
        about = study.summary("transfer")
        source = by_path.get(str(Path(str(about.get("source", ""))).resolve()))
        # its folder name: studies are moved together, which changes their paths
        source = source or (folder if (folder := str(about.get("source_name", ""))) != name else None)
        if source not in shared.names:
            continue
        shares, features = about.get("explained_share", {}), carried_and_direct(study)
        by_method = {method: about[method] for method in METHODS if method in about}
        carrying = [method for method in by_method if carries_words(shares.get(method))]
        features = features.loc[features["method"].isin(carrying)].reset_index(drop=True)
        results.append(Transfer(source, name, by_method, shares, features))
    return results


def carried_and_direct(study: Study) -> pd.DataFrame:
    """method, feature, carried, direct, n_shared: the transferred words of each feature and its own."""
    carried = study.table("transfer_concepts", ["method", "feature", "rank", "word"])
    carried = carried.sort_values(["method", "feature", "rank"])
    direct: dict[int, list[str]] = {}
    if study.has("concepts"):
        concepts = study.table("concepts", ["group", "rank", "word", "kept"]).sort_values("rank")
        for group, word, is_kept in zip(concepts["group"], concepts["word"], concepts["kept"], strict=True):
            if is_kept and "_" not in group:
                direct.setdefault(int(group), []).append(word)
    rows: dict[tuple[str, int], list[str]] = {}
    for method, feature, word in zip(carried["method"], carried["feature"], carried["word"], strict=True):
        rows.setdefault((method, int(feature)), []).append(word)
    table = [
        [method, feature, "; ".join(words), "; ".join(direct.get(feature, [])),
         len(set(words) & set(direct.get(feature, [])))]
        for (method, feature), words in rows.items()
    ]  # fmt: skip
    return pd.DataFrame(table, columns=["method", "feature", "carried", "direct", "n_shared"])
