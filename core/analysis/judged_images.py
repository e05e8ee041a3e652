"""The images on which remedies are compared, and what people said of their labels and of features."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.analysis.folds import assign_folds, in_several
from core.config import RemediesConfig, RunOptions
from core.errors import SettingsError
from core.measures.evaluate import class_column
from core.measures.highlights import background_features
from core.measures.image_columns import unit_codes
from core.store import Study
from core.study.label_decisions import LEFT, corrected_labels, decisions
from core.study.traces import read_traces

SPURIOUS = "spurious"  # in a tag or a name that people gave to a feature


@dataclass(frozen=True)
class JudgedImages:
    """Labelled images whose class lies in two folds or more.

    Attributes:
        rows: (n,) int, ascending. labels, truth: (n,) int, as they are given and as people corrected them,
            places in `names`; truth is -1 where nobody knows it. stays: (n,) bool, people left the label.
        units, folds: (n,) int, folds without gaps. names: (n_classes,) int, codes of the study.
    """

    rows: np.ndarray
    labels: np.ndarray
    truth: np.ndarray
    stays: np.ndarray
    units: np.ndarray
    folds: np.ndarray
    names: np.ndarray

    @property
    def n_folds(self) -> int:
        return int(self.folds.max(initial=-1)) + 1

    @classmethod
    def of(cls, study: Study, config: RemediesConfig) -> "JudgedImages":
        """Folds and units are those of the step `crossfit` with the same seed."""
        codes, units = class_column(study, "label"), unit_codes(study)
        labelled = np.flatnonzero(codes >= 0)
        folds = assign_folds(codes[labelled], units[labelled], config.folds, config.seed)
        several = in_several(codes[labelled], folds)
        rows = labelled[several]
        place = pd.Index(np.asarray(study.class_names, object))
        corrected = corrected_labels(study).iloc[rows].to_numpy(object)
        truth = np.where(pd.isna(corrected), -1, place.get_indexer(pd.Index(corrected)))
        names = np.unique(np.concatenate([codes[rows], truth[truth >= 0]]))
        of_fold = np.unique(folds[several], return_inverse=True)[1]
        at = np.searchsorted(names, np.maximum(truth, 0))
        of_truth = np.where(truth >= 0, at, -1)
        stays = _left_by_people(study)[rows]
        return cls(rows, np.searchsorted(names, codes[rows]), of_truth, stays, units[rows], of_fold, names)


def _left_by_people(study: Study) -> np.ndarray:
    """(n_images,) bool: whether somebody decided that the label is right."""
    decided = decisions(study)
    left = decided.loc[(decided["by_decision"] == LEFT).to_numpy(bool), "image_id"]
    return study.column("images", "image_id").isin(left.tolist()).to_numpy(bool)


def spurious_features(study: Study, config: RemediesConfig) -> np.ndarray:
    """(k,) int, ascending: the spurious features that remedies switch off, named or found.

    Those that `config` names, else those that look at the background by the masks of the study
    (`overlap_by_feature`), and those that people call spurious by a tag or a name.

    Raises:
        SettingsError: there is no such feature.
    """
    n_features = study.array("representations").shape[1]
    if config.features:
        unknown = [feature for feature in config.features if not 0 <= feature < n_features]
        if unknown:
            raise SettingsError(f"no feature {unknown[0]} in '{study.path}'; it has 0 to {n_features - 1}")
        return np.unique(config.features)
    traced = read_traces(study.path).features.items()
    by_people = []
    for number, one in traced:
        texts = (one.name, *one.tags)
        if number < n_features and any(SPURIOUS in text.casefold() for text in texts):
            by_people.append(number)
    return np.unique(np.array([*background_features(study), *by_people], np.int64))


def decided_outside(study: Study, config: RemediesConfig, run: RunOptions) -> dict[str, str]:
    """Identify what people decided on labels and called spurious, which lies outside the manifest."""
    decided: list[Any] = decisions(study)[["image_id", "corrected_label", "by_decision"]].values.tolist()
    texts = [[str(one) for one in row] for row in decided]
    content = json.dumps([texts, spurious_features(study, config).tolist()])
    return {"decisions": hashlib.sha256(content.encode()).hexdigest()}
