"""The first numbers of a slice, and which images an accuracy is of."""

from typing import Any

import numpy as np

from core.common.records import Record, Templates
from core.measures.evaluate import result_column
from core.measures.slice_comparison import MEANS, means
from core.study.reader import StudyReader

# Which images an accuracy is of, and whose answers, in the fewest words: the same on every page.


_say = Templates.beside(__file__)


def evaluation_images(n: int) -> Record:
    """Name, beside a number, the n images that no answer was fitted to. 0: an old study does not say."""
    return _say("evaluation", n=n) if n else _say("unseen")


def out_of_fold(n: int, narrowed: str = "") -> Record:
    """Name, beside a number, n images of both splits that are answered by models of other folds.

    Args:
        narrowed: what is said of these images alone, such as " of bird".
    """
    return _say("out_of_fold", n=n, what=narrowed)


def filtered_images(n: int) -> Record:
    """Say, beside a measure of a slice, that it is of n filtered images, of either split."""
    return _say("filtered", n=n)


def as_corrected(scope: Record, n: int) -> Record:
    """Add to the name of images that n of their labels count as people corrected them, if any."""
    return _say("corrected", n=n, what=scope) if n else scope


# The first numbers of a slice: accuracy, confidence, Q and firing features.


NO_IMAGES = "the slice has no images"
NO_VERDICTS = (
    "whether the images of the slice are classified correctly is not known (labels and a probe tell)"
)
NAMES = {"accuracy": "accuracy", "confidence": "mean_confidence", "q_score": "mean_q", "n_firing": "n_firing"}


def headline(study: StudyReader, mask: np.ndarray) -> dict[str, Any]:
    """Headline numbers of a slice, each with its 95 % interval.

    Args:
        mask: (n_images,) bool.
    Returns:
        n; accuracy (Wilson's interval), mean_confidence, mean_q and n_firing (means over images,
        Student's), each also as NAME_interval, (low, high), and as NAME_n, the number of images behind it;
        reasons: NAME -> why a number is undefined. Numbers are NaN where undefined.
    """
    columns = {name: result_column(study, name) for name in ("correct", *MEANS)}
    table = means(mask, columns, study.groups).set_index("metric")
    n = int(np.count_nonzero(mask))
    numbers: dict[str, Any] = {"n": n, "reasons": {}}
    for metric, name in NAMES.items():
        value, low, high, n_known = (table.loc[metric, part] for part in ("value", "low", "high", "n"))
        numbers |= {
            name: float(value),
            f"{name}_interval": (float(low), float(high)),
            f"{name}_n": int(n_known),
        }
        if not n_known:
            numbers["reasons"][name] = NO_IMAGES if not n else _not_known(name)
    return numbers


def _not_known(name: str) -> str:
    if name == "accuracy":
        return NO_VERDICTS
    return f"the {name.removeprefix('mean_').replace('_', ' ')} of the images of the slice is not known"
