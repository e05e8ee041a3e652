"""Which images the panels of heatmaps show: by class and correctness, evenly spaced, most telling first."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from core.charts.feature_points import telling_features
from core.charts.heat_panels import Shown, StudyHeats, short
from core.charts.options import FigureOptions
from core.common.dataframes import as_text, numbers
from core.errors import StudyError
from core.store import Study

Studies = Sequence["Study"]
EVENLY = "evenly spaced by Q-Score"


def check_side_by_side(studies: Studies) -> None:
    """Raise StudyError when images of several studies cannot be compared side by side."""
    first = studies[0]
    for other in studies[1:]:
        both = f"'{first.path}' and '{other.path}'"
        if not set(first.images["image_id"]) & set(other.images["image_id"]):
            raise StudyError(f"{both} share no image; before and after need the same images")
        for size in ((640, 480), (480, 640)):
            if np.abs(np.subtract(first.transform.box(*size), other.transform.box(*size))).max() > 1:
                raise StudyError(f"{both} crop images differently, so their heatmaps do not coincide")


def of_class(facts: pd.DataFrame, label: str, correct: bool) -> pd.DataFrame:
    """Return the facts of the images of a class with this correctness."""
    return facts.loc[(facts["label"] == label) & (numbers(facts, "correct") == correct)]


def spread(facts: pd.DataFrame, n: int) -> list[int]:
    """Choose rows of at most n images, evenly spaced by Q-Score; if enough images have a firing
    discriminative feature, only these (the others have no discriminative heatmap, and Q 0)."""
    firing = facts.loc[numbers(facts, "n_firing_discriminative") > 0]
    facts = firing if len(firing) >= n else facts
    order = np.argsort(-np.nan_to_num(numbers(facts, "q_score")), kind="stable")
    return middles(facts["row"].to_numpy()[order], n).tolist()


def middles(ordered: np.ndarray, n: int) -> np.ndarray:
    """At most n of the entries: the middles of n equal parts."""
    if len(ordered) <= n:
        return ordered
    return ordered[((np.arange(n) + 0.5) * len(ordered) / n).astype(int)]


def counts_by_class(facts: pd.DataFrame, study: Study) -> np.ndarray:
    """(2, n_classes) number of correct and misclassified evaluation images."""
    codes = pd.Categorical(facts["label"], categories=study.class_names).codes
    has_class, correct = codes >= 0, numbers(facts, "correct") == 1
    n = len(study.class_names)
    return np.array([np.bincount(codes[has_class & group], minlength=n) for group in (correct, ~correct)])


def strongest_rows(study: Study, feature: int, n: int) -> list[int]:
    """Return rows of the images on which a feature is largest, best first."""
    rows = study.vector("top_images")[feature]
    return rows[rows >= 0][:n].tolist()


def top_images_of(
    study: Study, source: StudyHeats, options: FigureOptions, n: int
) -> list[tuple[int, str, list[Shown]]]:
    """Return feature, title and top images of the requested features, else of the best ones."""
    table = study.table("features").set_index("feature", drop=False)
    rows = []
    for feature in options.features or _of_different_classes(table):
        row = table.loc[feature]
        title = f"<b>{feature}</b>"
        if isinstance(row["top_class"], str) and row["purity"] > 0:
            title += f"<br>{100 * row['purity']:.0f} % {as_text(short(row['top_class']))}"
        rows.append((int(feature), title, source.shown(strongest_rows(study, feature, n))))
    return rows


def _of_different_classes(table: pd.DataFrame, most: int = 6) -> list[int]:
    """Choose the best features, of different classes as far as possible."""
    ordered = telling_features(table.reset_index(drop=True))
    seen, first, rest = set(), [], []
    for feature in ordered:
        label = table["top_class"].get(feature)
        (rest if label in seen else first).append(feature)
        seen.add(label)
    return [*first, *rest][:most]
