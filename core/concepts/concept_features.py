"""How well single features stand for concepts that are known of the images: classes and attributes.

The feature of a concept is chosen on train images and judged on evaluation images, so many features are no
advantage by chance (docs/method.md 18.7).
"""

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from core.common.dataframes import evenly
from core.errors import StudyError
from core.measures.intervals import mean_intervals
from core.measures.slice_comparison import train_images
from core.study.reader import StudyReader

FEWEST = 20  # images of either split that have a concept, and as many that do not
MOST = 20_000  # images of either split that are looked at, evenly spaced
TOP, COVERED = 16, 0.3
SPARSE = 5  # features of a sparse probe
LABEL = "label="  # begins the names of classes
BLOCK = 1 << 20  # values that are ranked at once
COLUMNS = (
    *("concept", "n", "base_rate", "feature", "ap", "purity", "inverted_feature", "inverted_ap"),
    *("probe_features", "probe_ap"),
)
MEANS = ("ap", "inverted_ap", "probe_ap", "purity", "coverage", "base_rate")


def known_concepts(
    study: StudyReader, splits: Sequence[np.ndarray] | None = None
) -> tuple[list[str], np.ndarray]:
    """The classes and words by which features are judged: at least FEWEST images have and lack each.

    An image without a label lacks no class.

    Args:
        splits: the train and the evaluation images that are looked at, masks or rows; None: all.
    Returns:
        their names, "label=bird" or "background=brick"; (n_concepts, n_images) bool: which images have it.
    """
    columns = {"label": study.column("images", "label")}
    if study.has("attributes"):
        table = study.table("attributes").drop(columns=["image_id", "caption"], errors="ignore")
        columns |= {str(name): table[name] for name in table if table[name].dtype.kind in "OT"}
    names, rows, train = [], [], train_images(study)
    parts = (train, ~train) if splits is None else splits
    for column, values in columns.items():
        for value in sorted(values.dropna().unique(), key=str):
            has = (values == value).fillna(False).to_numpy(bool)
            lacks = ~has & (values.notna().to_numpy(bool) | (column != "label"))
            fewest = min(one[part].sum() for one in (has, lacks) for part in parts)
            if fewest >= FEWEST:
                names.append(f"{column}={value}")
                rows.append(has)
    return names, np.array(rows, bool).reshape(len(rows), study.n_images)


def concept_features(study: StudyReader) -> pd.DataFrame:
    """List for each known concept the feature that stands for it best.

    Classes are looked for among the images with a label: others may be of any class.

    Returns:
        COLUMNS. n: evaluation images with the concept; base_rate: their share, the average precision of no
        knowledge. feature: of the best average precision on train images; ap: its average precision on the
        evaluation images; purity: the share of its TOP strongest that have the concept. inverted_feature,
        inverted_ap: the same of the negated features, those that fire everywhere but on the concept.
        probe_features, probe_ap: a logistic regression on the SPARSE features of the largest standardised
        difference of means.
    Raises:
        StudyError: there are no concepts, or no train or evaluation images.
    """
    labelled = study.column("images", "label").notna().to_numpy(bool)
    every, partly = np.ones(len(labelled), bool), 0 < labelled.sum() < len(labelled)
    table = _of_images(study, every, "", LABEL) if partly else _of_images(study, every)
    of_classes = _of_images(study, labelled, LABEL) if partly else table.head(0)
    if not of_classes.empty:
        table = of_classes if table.empty else pd.concat([of_classes, table], ignore_index=True)
    if table.empty:
        raise StudyError(
            f"no concepts are known in '{study.path}': no class and no word of an attribute has {FEWEST} "
            f"train and {FEWEST} evaluation images"
        )
    return table


def _of_images(
    study: StudyReader, looked_at: np.ndarray, begin: str = "", but: str | None = None
) -> pd.DataFrame:
    """The rows of `concept_features` of concepts whose names begin so, from these images alone.

    Args:
        looked_at: (n_images,) bool. but: concepts whose names begin so are left out.
    """
    splits = [np.flatnonzero(split & looked_at) for split in (train_images(study), ~train_images(study))]
    train, val = (rows[evenly(len(rows), MOST)] for rows in splits)
    names, has = known_concepts(study, (train, val))
    of_part = [name.startswith(begin) and not (but and name.startswith(but)) for name in names]
    names, has = list(itertools.compress(names, of_part)), has[np.array(of_part, bool)]
    if not names:
        return pd.DataFrame(columns=list(COLUMNS))
    raw = study.array("representations")
    learnt, judged = (np.asarray(raw.rows(rows), np.float32) for rows in (train, val))
    best = [average_precision(sign * learnt, has[:, train]).argmax(1) for sign in (1, -1)]
    rows = []
    for at, name in enumerate(names):
        truth, (feature, inverted) = has[at, val], (int(one[at]) for one in best)
        values = judged[:, feature]
        probed, answer = _sparse_probe(learnt, has[at, train], judged)
        of_one = feature, _precision(values, truth), share_of_strongest(values, truth)
        of_others = inverted, _precision(-judged[:, inverted], truth), " ".join(map(str, probed))
        rows.append((name, int(truth.sum()), truth.mean(), *of_one, *of_others, _precision(answer, truth)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def concept_means(table: pd.DataFrame, minus: pd.DataFrame | None = None) -> pd.DataFrame:
    """The means over concepts of a table of `concept_features`, with Student's 95 % intervals.

    Args:
        minus: the table of another basis, of the same concepts: the means are of the differences, concept by
            concept, whose interval is narrower than those of the two means.
    Returns:
        measure (MEANS; coverage: the share of concepts of ap above COVERED), mean, low, high, n.
    """
    values, smallest = _of_concepts(table), 0.0
    if minus is not None:
        values, smallest = values - _of_concepts(minus.set_index("concept").loc[table["concept"]]), -1.0
    mean, low, high, n = mean_intervals(values, within=(smallest, 1.0))
    return pd.DataFrame({"measure": MEANS, "mean": mean, "low": low, "high": high, "n": n})


def _of_concepts(table: pd.DataFrame) -> np.ndarray:
    """(n_concepts, len(MEANS)) float64."""
    return table.assign(coverage=(table["ap"] > COVERED).astype(float))[list(MEANS)].to_numpy(float)


def average_precision(values: np.ndarray, has: np.ndarray) -> np.ndarray:
    """How well features stand for concepts: average precision, the sum of precision times gain of recall.

    Images of equal value are found at once, so their order does not matter.

    Args:
        values: (n, n_features) float. has: (n_concepts, n) bool, with one True or more.
    Returns:
        (n_concepts, n_features) float64.
    """
    n, n_features = values.shape
    areas = np.empty((len(has), n_features))
    step = max(1, BLOCK // max(n, 1))
    for start in range(0, n_features, step):
        part = values[:, start : start + step]
        order = np.argsort(-part, axis=0, kind="stable")
        ranked = np.take_along_axis(part, order, 0)
        ends = np.ones(ranked.shape, bool)  # the last image of each value
        ends[:-1] = ranked[1:] != ranked[:-1]
        last = np.where(ends, np.arange(n)[:, None], n)
        last = np.minimum.accumulate(last[::-1], axis=0)[::-1]
        for at, one in enumerate(has):
            hits = one[order]
            precision = np.cumsum(hits, 0, dtype=np.float64) / np.arange(1, n + 1)[:, None]
            summed = np.where(hits, np.take_along_axis(precision, last, 0), 0.0).sum(0)
            areas[at, start : start + step] = summed / max(int(one.sum()), 1)
    return areas


def share_of_strongest(values: np.ndarray, truth: np.ndarray, n: int = TOP) -> float:
    """How well a feature stands for a concept: its share of the n images on which the feature is strongest.

    The mean over all orders of equal values: of a sparse feature most are 0.

    Args:
        values: (n_images,). truth: (n_images,) bool.
    """
    n = min(n, len(values))
    last = np.partition(values, len(values) - n)[len(values) - n]  # the n-th largest
    above, level = values > last, values == last
    return float((truth[above].sum() + (n - above.sum()) * truth[level].mean()) / n)


def _precision(values: np.ndarray, truth: np.ndarray) -> float:
    return float(average_precision(values[:, None], truth[None])[0, 0])


def _sparse_probe(learnt: np.ndarray, has: np.ndarray, judged: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit on train images; return the features that it uses, and its logits of the evaluation images."""
    from sklearn.linear_model import LogisticRegression

    spread = learnt.std(0, dtype=np.float64)
    apart = learnt[has].mean(0, dtype=np.float64) - learnt[~has].mean(0, dtype=np.float64)
    strength = np.divide(np.abs(apart), spread, out=np.zeros_like(spread), where=spread > 0)
    used = np.sort(np.argsort(-strength, kind="stable")[:SPARSE])
    used = used[spread[used] > 0]
    if not len(used):
        return used, np.zeros(len(judged))
    centre = learnt[:, used].mean(0, dtype=np.float64)
    fitted = LogisticRegression(max_iter=1000).fit((learnt[:, used] - centre) / spread[used], has)
    return used, fitted.decision_function((judged[:, used] - centre) / spread[used])
