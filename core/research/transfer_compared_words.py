"""Words transferred between compared studies (command `transfer`): for `compare`. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from core.common.formatting import percent
from core.common.group_names import is_joint
from core.compare.images import Shared
from core.research.transfer_topic import TransferFacts
from core.store import Study

METHODS = ("ridge", "sgd")  # ways of fitting a map between studies; the closed form first


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
    """Return True for a map (research) that explains no less than the mean does: its share is not below 0.

    >>> carries_words(0.94), carries_words(0.0), carries_words(-0.5), carries_words(None)
    (True, True, False, False)
    """
    return share is not None and share >= 0


class Transfers(list[Transfer]):
    """What `compare` asks for: the transfers between some studies, and what they say."""

    @classmethod
    def of(cls, shared: Shared) -> Transfers:
        """Read the results of the command `transfer` between these studies."""
        return cls(_transfers(shared))

    def sentences(self) -> list[str]:
        """State what each map explains, and how the words that it carries agree with the study's own."""
        return [_sentence(one, method, about) for one in self for method, about in one.about.items()]

    def report(self) -> list[dict[str, Any]]:
        """Return the transfers as JSON-able dicts."""
        return [vars(one) | {"features": one.features.to_dict("records")} for one in self]


def _sentence(transfer: Transfer, method: str, about: dict[str, Any]) -> str:
    names = f"words of {transfer.source} transferred to {transfer.target}"
    line = f"{names} ({method}): {transfer.explained(method)}"
    if not carries_words(transfer.explained_share.get(method)):
        return line
    line += f"; {about.get('n_with_words', 0)} features get words"
    names = ("precision", "jaccard", "chance")
    measured = {name: value for name in names if (value := about.get(name)) is not None and value == value}
    if "precision" in measured:
        line += f", precision {measured['precision']:.2f} against their own words"
    if {"jaccard", "chance"} <= measured.keys():
        line += f", Jaccard {measured['jaccard']:.2f} (chance {measured['chance']:.2f})"
    return line


def _transfers(shared: Shared) -> list[Transfer]:
    """Read the results of the command `transfer` between these studies."""
    by_path = {
        str(study.path.resolve()): name for name, study in zip(shared.names, shared.studies, strict=True)
    }
    results = []
    for name, study in zip(shared.names, shared.studies, strict=True):
        if not study.has("transfer_concepts"):
            continue
        facts = study.facts(TransferFacts)
        source = by_path.get(str(Path(facts.source).resolve()))
        # its folder name: studies are moved together, which changes their paths
        source = source or (facts.source_name if facts.source_name != name else None)
        if source not in shared.names:
            continue
        features = _carried_and_direct(study)
        of_methods = {method: getattr(facts, method) for method in METHODS}
        by_method = {method: dict(about) for method, about in of_methods.items() if about is not None}
        shares = {method: facts.explained_share.get(method) for method in by_method}
        carrying = [method for method in by_method if carries_words(shares.get(method))]
        features = features.loc[features["method"].isin(carrying)].reset_index(drop=True)
        results.append(Transfer(source, name, by_method, shares, features))
    return results


def _carried_and_direct(study: Study) -> pd.DataFrame:
    """method, feature, carried, direct, n_shared: the transferred words of each feature and its own."""
    carried = study.table("transfer_concepts", ["method", "feature", "rank", "word"])
    carried = carried.sort_values(["method", "feature", "rank"])
    direct: dict[int, list[str]] = {}
    if study.has("concepts"):
        concepts = study.table("concepts", ["group", "rank", "word", "kept"]).sort_values("rank")
        for group, word, is_kept in zip(concepts["group"], concepts["word"], concepts["kept"], strict=True):
            if is_kept and not is_joint(group):
                direct.setdefault(int(group), []).append(word)
    rows: dict[tuple[str, int], list[str]] = {}
    for method, feature, word in zip(carried["method"], carried["feature"], carried["word"], strict=True):
        rows.setdefault((method, int(feature)), []).append(word)
    table = []
    for (method, feature), words in rows.items():
        direct_words = direct.get(feature, [])
        n_shared = len(set(words) & set(direct_words))
        table.append([method, feature, "; ".join(words), "; ".join(direct_words), n_shared])
    return pd.DataFrame(table, columns=["method", "feature", "carried", "direct", "n_shared"])
