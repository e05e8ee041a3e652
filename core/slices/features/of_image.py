"""The features of one image: how active they are, and how they push the probe's answer."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.reader import StudyReader
from core.slices.features.class_logits import class_logits, explains_errors, lead_gradients
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
    """Return the decision of the probe on an image; None without a probe, with a single class, or where what
    features add is not known."""
    classes = _weighed(study, row)
    if classes is None:
        return None
    answer, rival, lead = classes
    names, bias = study.class_names, lead - float(_push(study, row, answer, rival).sum())
    return Decision(names[answer], names[rival], lead, bias) if np.isfinite(bias) else None


def features_of_image(study: StudyReader, row: int) -> pd.DataFrame:
    """List what the features of one image do, the strongest push first.

    push_j = g_j x_j, with the raw representation x and the gradient g of the lead of the answer over its
    rival (see `decision`): of a linear probe W[answer, j] - W[rival, j], and together with the bias the
    pushes of all features add up to the lead; of other answers it is local (`class_logits.lead_gradients`).

    Returns:
        one row per feature that fires on the image or pushes: feature, activation (of the representation
        scaled to length 1), fires (bool), push (NaN where it is not known). Without pushes in the order of
        the activation; ties by number.
    """
    raw = study.array("representations")[row].astype(np.float64)
    fires = np.zeros(len(raw), bool)
    if study.has("firing_features"):
        fires[firing_pairs(study, np.array([row]))["feature"].to_numpy()] = True
    classes = _weighed(study, row)
    push = np.full(len(raw), np.nan) if classes is None else _push(study, row, *classes[:2])
    return ranked_features(raw, fires, push)


def _push(study: StudyReader, row: int, answer: int, rival: int) -> np.ndarray:
    """(n_features,) float64: what each feature adds to the lead of the answer, NaN where it is not known."""
    raw = study.array("representations")[row].astype(np.float64)
    return lead_gradients(study, np.array([row]), np.array([answer]), np.array([rival]))[0] * raw


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


def _weighed(study: StudyReader, row: int) -> tuple[int, int, float] | None:
    """The codes of the answer and of its rival, and the lead of the one over the other, in logits."""
    if not (study.labelled and explains_errors(study)) or len(study.class_names) < 2:
        return None
    logits = class_logits(study, np.array([row]))[0]
    order = np.argsort(-logits, kind="stable")
    answer, rival = int(order[0]), int(order[1])
    label = study.column("images", "label").iat[row]
    if label in study.class_names and label != study.class_names[answer]:
        rival = study.class_names.index(label)
    lead = float(logits[answer] - logits[rival])
    return (answer, rival, lead) if np.isfinite(lead) else None  # no output means a label
