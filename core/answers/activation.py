"""Which activation lies between the two layers of a head whose file does not say it. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from core.common.arrays import evenly
from core.common.statistics.intervals import wilson
from core.errors import SettingsError
from core.slices.features.class_logits import by_class, own_classifier
from core.slices.features.classifier import ACTIVATIONS

if TYPE_CHECKING:
    from core.answers.classes import Match
    from core.reader import StudyReader

IMAGES = 4096  # that they are compared on
SURE = 3.0  # standard errors of the mean difference of two losses
TRIED = [name for name in ACTIVATIONS if name != "Identity"]  # nobody trains two layers without one
ALIKE = 0.98  # share of images with one answer: between such activations the choice matters little
STATE = "state it: answers STUDY --head-activation"
CHANCE = (
    "the file does not say which activation lies between the layers of the classifier, and with each of them "
    "its answers are at chance: it is a projection head, or the classes are in another order (--head-classes "
    f"FILE), or the normalisation is wrong. To take it all the same, {STATE} ReLU"
)


def likely_activation(study: StudyReader, match: Match) -> tuple[str, str]:
    """Find the activation under which labelled images have the lowest cross-entropy (`least_loss`).

    Args:
        match: which label each output means.
    Returns:
        the activation, and what was found in a line.
    Raises:
        SettingsError: with none is the accuracy above chance, or another one gives different answers and a
            loss that cannot be told from the lowest.
    """
    label = study.column("images", "label")
    known = np.unique(match.code[match.code >= 0])
    rows = np.flatnonzero(label.isin([study.class_names[code] for code in known.tolist()]).to_numpy())
    rows = rows[evenly(len(rows), IMAGES)]
    true = np.searchsorted(study.class_names, label.to_numpy(object)[rows].astype(str))
    raw, losses, answers = study.array("representations").rows(rows), {}, {}
    for name in TRIED:
        classifier = own_classifier(study, name)
        assert classifier is not None  # the layers are stored
        outputs = classifier.logits(raw)
        labels = by_class(outputs, match.code, len(study.class_names))
        logits = np.concatenate([labels, outputs[:, match.code < 0]], axis=1)
        losses[name] = least_loss(logits, true)
        answers[name] = logits.argmax(1)
    best, *others = sorted(TRIED, key=lambda name: (losses[name].mean(), name))
    right = {name: int((answers[name] == true).sum()) for name in TRIED}
    if wilson(right[best], len(rows))[0] <= np.bincount(true).max() / len(rows):
        raise SettingsError(CHANCE)
    for other in others:
        excess = losses[other] - losses[best]
        sure = excess.mean() > SURE * excess.std(ddof=1) / len(rows) ** 0.5
        if not sure and (answers[other] == answers[best]).mean() < ALIKE:
            raise SettingsError(
                f"the file does not say which activation lies between the layers of the classifier, and "
                f"{len(rows):,} labelled images do not tell {_words(best, right, rows)} from "
                f"{_words(other, right, rows)}: {STATE} {best}"
            )
    second = _words(others[0], right, rows)
    share = f"{100 * (answers[others[0]] == answers[best]).mean():.1f} %"
    return best, (
        f"the file does not say which activation lies between its layers: of {len(TRIED)} that were "
        f"tried on {len(rows):,} labelled images, {_words(best, right, rows)} fits best, then {second}, "
        f"which answers {share} of them alike"
    )


def least_loss(logits: np.ndarray, true: np.ndarray) -> np.ndarray:
    """The cross-entropy of each image at the temperature at which its mean is least.

    At temperature 1 an activation that saturates would win where a classifier is too sure of its errors.

    Args:
        logits: (n, n_names). true: (n,) places.
    """
    from scipy.optimize import minimize_scalar  # here: it takes long to load

    def losses(log_scale: float) -> np.ndarray:
        scaled = logits * np.exp(log_scale)
        return np.logaddexp.reduce(scaled, axis=1) - scaled[np.arange(len(true)), true]

    found: Any = minimize_scalar(lambda one: losses(one).mean(), bounds=(-7.0, 7.0), method="bounded")
    return losses(float(found.x))


def _words(name: str, right: dict[str, int], rows: np.ndarray) -> str:
    return f"{name} (top-1 {100 * right[name] / len(rows):.1f} %)"
