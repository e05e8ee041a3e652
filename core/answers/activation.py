"""Which activation lies between the two layers of a head whose file does not say it. No torch."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.common.dataframes import evenly
from core.common.labels.match import Match
from core.common.statistics.intervals import wilson
from core.errors import SettingsError
from core.reader import StudyReader
from core.slices.features.class_logits import by_class, own_classifier

IMAGES = 4096  # that they are compared on
SURE = 3.0  # standard errors of the mean difference of two losses
TRIED = (
    "ReLU",
    "GELU",
    "SiLU",
    "Tanh",
    "ReLU6",
    "Hardswish",
    "Identity",
)  # the most common between two layers first
ALIKE = 0.98  # share of images with one answer: between such activations the choice matters little
STATE = "state it: answers STUDY --head-activation"
CHANCE = (
    "the file does not say which activation lies between the layers of the classifier, and with each of them "
    "its answers are at chance: it is a projection head, or the classes are in another order (--head-classes "
    f"FILE), or the normalisation is wrong. To take it all the same, {STATE} ReLU"
)


def likely_activation(study: StudyReader, match: Match) -> tuple[str, str]:
    """Find the activation under which labelled images have the lowest cross-entropy (`least_loss`), or the
    most common of those whose cross-entropy cannot be told from it.

    Args:
        match: which label each output means.
    Returns:
        the activation, and what was found in a line.
    Raises:
        SettingsError: with none is the accuracy above chance, or of those that cannot be told apart another
            one gives different answers.
    """
    label = study.column("images", "label")
    matched_codes = np.unique(match.code[match.code >= 0])
    rows = np.flatnonzero(label.isin([study.class_names[code] for code in matched_codes.tolist()]).to_numpy())
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
    best, second = sorted(TRIED, key=lambda name: losses[name].mean())[:2]
    right = {name: int((answers[name] == true).sum()) for name in TRIED}
    if wilson(right[best], len(rows))[0] <= np.bincount(true).max() / len(rows):
        raise SettingsError(CHANCE)
    taken, *alike = [name for name in TRIED if not _is_worse(losses[name] - losses[best])]
    same = {name: (answers[name] == answers[taken]).mean() for name in TRIED}
    for other in alike:
        if same[other] < ALIKE:
            images, of_taken, of_other = len(rows), _words(taken, right, rows), _words(other, right, rows)
            raise SettingsError(
                f"the file does not say which activation lies between the layers of the classifier, and "
                f"{images:,} labelled images do not tell {of_taken} from {of_other}: {STATE} {taken}"
            )
    tried = (
        f"the file does not say which activation lies between its layers: of {len(TRIED)} that were tried on "
        f"{len(rows):,} labelled images, {_words(taken, right, rows)} "
    )
    if alike:
        least = 100 * min(same[name] for name in alike)
        return taken, (
            f"{tried}is taken as the most common of those that fit. {', '.join(alike)} fit as well, and "
            f"answer {least:.1f} % of the images alike or more; confidences depend on it, so {STATE} NAME"
        )
    return taken, (
        f"{tried}fits best, then {_words(second, right, rows)}, which answers {100 * same[second]:.1f} % of "
        "them alike"
    )


def _is_worse(excess: np.ndarray) -> bool:
    """Whether losses exceed the lowest ones by more than chance; (n,) differences."""
    return excess.mean() > SURE * excess.std(ddof=1) / len(excess) ** 0.5


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

    minimum: Any = minimize_scalar(lambda one: losses(one).mean(), bounds=(-7.0, 7.0), method="bounded")
    return losses(float(minimum.x))


def _words(name: str, right: dict[str, int], rows: np.ndarray) -> str:
    return f"{name} (top-1 {100 * right[name] / len(rows):.1f} %)"
