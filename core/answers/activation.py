"""Which activation lies between the two layers of a head whose file does not say it. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
ALIKE = 0.98  # share of images with one answer: between such activations the choice matters little
STATE = "state it: --head-activation"
CHANCE = (
    "the file does not say which activation lies between the layers of the classifier, and with each of them "
    "its answers are at chance: it is a projection head, or the classes are in another order (--head-classes "
    f"FILE), or the normalisation is wrong. To take it all the same, {STATE} ReLU"
)


def likely_activation(study: StudyReader, match: Match) -> tuple[str, str]:
    """Find the activation under which labelled images have the lowest cross-entropy.

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
    raw, at, losses, answers = study.array("representations").rows(rows), np.arange(len(rows)), {}, {}
    for name in ACTIVATIONS:
        classifier = own_classifier(study, name)
        assert classifier is not None  # the layers are stored
        outputs = classifier.logits(raw)
        labels = by_class(outputs, match.code, len(study.class_names))
        logits = np.concatenate([labels, outputs[:, match.code < 0]], axis=1)
        losses[name] = np.logaddexp.reduce(logits, axis=1) - logits[at, true]
        answers[name] = logits.argmax(1)
    best, *others = sorted(ACTIVATIONS, key=lambda name: (losses[name].mean(), name))
    right = {name: int((answers[name] == true).sum()) for name in ACTIVATIONS}
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
    second = others[0]
    return best, (
        f"the file does not say which activation lies between its layers: of {len(ACTIVATIONS)} that were "
        f"tried on {len(rows):,} labelled images, {_words(best, right, rows)} has the lowest loss "
        f"({losses[best].mean():.3f}; {_words(second, right, rows)} {losses[second].mean():.3f})"
    )


def _words(name: str, right: dict[str, int], rows: np.ndarray) -> str:
    return f"{name} (top-1 {100 * right[name] / len(rows):.1f} %)"
