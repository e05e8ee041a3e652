"""The features of one image: how active they are, and how they push the probe's answer."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.reader import StudyReader
from core.slices.features.images import firing_pairs

NORM_FLOOR = 1e-12


@dataclass(frozen=True)
class Decision:
    """The answer of the probe for one image, and the class that it is weighed against.

    answer: the class with the largest logit. rival: the true class where the answer is wrong, else the class
    with the second largest logit. lead: logit of the answer minus that of the rival; bias: the part of it
    that no feature carries.
    """

    answer: str
    rival: str
    lead: float
    bias: float


def decision(study: StudyReader, row: int) -> Decision | None:
    """Return the decision of the probe on an image; None without a probe or with a single class."""
    of_classes = _logits(study, row)
    if of_classes is None:
        return None
    logits, bias, answer, rival = of_classes
    names = study.class_names
    lead = float(logits[answer] - logits[rival])
    return Decision(names[answer], names[rival], lead, float(bias[answer] - bias[rival]))


def features_of_image(study: StudyReader, row: int) -> pd.DataFrame:
    """List what the features of one image do, the strongest push first.

    push_j = (W[answer, j] - W[rival, j]) x_j, with the raw representation x and the weights W of the probe:
    together with the bias the pushes of all features add up to the lead of the answer (see `decision`).

    Returns:
        one row per feature that fires on the image or pushes: feature, activation (of the representation
        scaled to length 1), fires (bool), push (NaN without a probe). Without a probe in the order of the
        activation; ties by number.
    """
    raw = study.array("representations")[row].astype(np.float64)
    fires = np.zeros(len(raw), bool)
    if study.has("firing_features"):
        fires[firing_pairs(study, np.array([row]))["feature"].to_numpy()] = True
    push = np.full(len(raw), np.nan)
    if (of_classes := _logits(study, row)) is not None:
        _, _, answer, rival = of_classes
        weights = study.vector("probe_weights").astype(np.float64)
        push = (weights[answer] - weights[rival]) * raw
    return ranked_features(raw, fires, push)


def ranked_features(raw: np.ndarray, fires: np.ndarray, push: np.ndarray) -> pd.DataFrame:
    """The table of `features_of_image` of any representation.

    Args:
        raw: (n_features,) float64. fires: (n_features,) bool. push: (n_features,), NaN without an answer.
    """
    involved = np.flatnonzero(fires | (np.nan_to_num(push) != 0))
    activation = raw / max(float(np.linalg.norm(raw)), NORM_FLOOR)
    strength = np.abs(push) if np.isfinite(push).all() else activation
    order = involved[np.argsort(-strength[involved], kind="stable")]
    return pd.DataFrame(
        {"feature": order, "activation": activation[order], "fires": fires[order], "push": push[order]}
    )


def _logits(study: StudyReader, row: int) -> tuple[np.ndarray, np.ndarray, int, int] | None:
    """Logits and biases of all classes, and the codes of the answer and of its rival."""
    if not (study.labelled and study.has("probe_weights")) or len(study.class_names) < 2:
        return None
    raw = study.array("representations")[row].astype(np.float64)
    bias = study.vector("probe_bias").astype(np.float64)
    logits = study.vector("probe_weights").astype(np.float64) @ raw + bias
    order = np.argsort(-logits, kind="stable")
    answer, rival = int(order[0]), int(order[1])
    label = study.images["label"].iat[row]
    if label in study.class_names and label != study.class_names[answer]:
        rival = study.class_names.index(label)
    return logits, bias, answer, rival
