"""Does an error go away when the features that are blamed for it are taken out? (docs/method.md 6.8)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.analysis.removal import (
    CONTRIBUTION,
    ORDERS,
    RANDOM,
    logits_without,
    random_alike,
    strongest_features,
    train_means,
)
from core.answers import class_logits
from core.answers.predictable import predictable
from core.common.formatting import percent
from core.measures.intervals import mean_intervals, share_intervals
from core.measures.slice_comparison import train_images
from core.store import Study
from core.study.chunked_array import CHUNK_ROWS
from core.study.progress import Progress

# Which planted attribute a feature responds to, for images whose truth is known (docs/method.md 6.8, 8).


CUES = ("background", "companion")  # causes of errors that are attributes of the scene as well
MOST_PLANTED = 10_000  # train images that are looked at
FEWEST_PLANTED = 20  # images with a value, and without it


@dataclass(frozen=True)
class PlantedAttributes:
    """The value of an attribute that each feature tells best, and the cause of each image's difficulty.

    Attributes:
        column, value: (n_features,) object: 'background' and 'sand', say.
        auc: (n_features,) how well the feature's activation tells images with that value from the others.
        causes: (n_images,) object, '' where unknown. values: column -> (n_images,) object.
    """

    column: np.ndarray
    value: np.ndarray
    auc: np.ndarray
    causes: np.ndarray
    values: dict[str, np.ndarray]

    @classmethod
    def of(cls, study: Study, *, seed: int = 0) -> PlantedAttributes | None:
        """Compare the features of seeded train images with their attributes; None where none are recorded."""
        if not study.has("attributes"):
            return None
        table = study.table("attributes")
        if not {"cause", *CUES} <= set(table):
            return None
        values = {column: table[column].to_numpy(object) for column in CUES}
        values["label"] = study.images["label"].to_numpy(object)
        train = np.flatnonzero(train_images(study))
        rows = np.sort(np.random.default_rng(seed).permutation(train)[:MOST_PLANTED])
        best = best_attributes(
            study.array("representations").rows(rows), {name: value[rows] for name, value in values.items()}
        )
        causes = table["cause"].fillna("").to_numpy(object)
        return cls(*best, causes, values)

    def table(self) -> pd.DataFrame:
        """Return table `planted_attributes`: feature, column, value, auc."""
        about = {"column": self.column, "value": self.value, "auc": self.auc}
        return pd.DataFrame({"feature": np.arange(len(self.auc), dtype=np.int32), **about})

    def answers(self, rows: np.ndarray, features: np.ndarray, cause: str) -> np.ndarray:
        """(n,) float64: 1 where the feature responds to the image's own value of the cause, else 0.

        NaN where the cause is no attribute, and where there is no feature (-1).
        """
        if cause not in CUES:
            return np.full(len(rows), np.nan)
        same = (self.column[features] == cause) & (self.value[features] == self.values[cause][rows])
        return np.where(features < 0, np.nan, same.astype(np.float64))


def best_attributes(
    raw: np.ndarray, values: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The concept that each feature stands for where it is known: the attribute's value it tells best.

    The area under the ROC curve of value v is (sum of the ranks of its images - n_v (n_v + 1) / 2) /
    (n_v (n - n_v)), with mean ranks at ties.

    Args:
        raw: (n, n_features). values: column -> (n,) object, None or NaN where an image has no value.
    Returns:
        column, value: (n_features,) object; auc: (n_features,) float64 in [0, 1], NaN and '' without values
        that at least `FEWEST` images have and lack.
    """
    from scipy.stats import rankdata  # here: it takes long to load, and pages need it not

    n, n_features = raw.shape
    names, masks = [], []
    for column, column_values in values.items():
        for value in sorted({one for one in column_values if isinstance(one, str)}):
            mask = column_values == value
            if FEWEST_PLANTED <= mask.sum() <= n - FEWEST_PLANTED:
                names.append((column, value))
                masks.append(mask)
    if not names:
        empty = np.full(n_features, "", object)
        return empty, empty.copy(), np.full(n_features, np.nan)
    marks = np.array(masks, np.float64)
    counts = marks.sum(1)[:, None]
    ranks = rankdata(raw, axis=0)
    areas = (marks @ ranks - counts * (counts + 1) / 2) / (counts * (n - counts))
    best = areas.argmax(0)
    pairs = np.array(names, object)[best]
    return pairs[:, 0], pairs[:, 1], areas.max(0)


# Are the features that explain an error to blame for it? (docs/method.md 6.8)
#
# The features that come first for the wrong answer are removed, and so are, for comparison, random ones of
# like activation, the most active ones, and those that come first by gradient times input.


REMOVED = (1, 3, 5)  # how many features are taken out
DRAWS = 5  # random features are drawn so many times, and the results averaged
MISCLASSIFIED, CORRECT = "misclassified", "correct"
MOST = 20_000  # images of each kind, drawn where there are more
LEAST_OF_CAUSE = 10  # errors of a cause for a row of its own
COLUMNS = (
    *("order", "removed", "images", "n", "flip_rate", "flip_low", "flip_high"),
    *("to_true", "to_true_low", "to_true_high", "difference", "difference_low", "difference_high"),
)


@dataclass(frozen=True)
class ProbeWithMeans:
    """The probe for raw rows, or another answer of the representation, and the mean of each feature.

    Attributes:
        classifier: without outputs where its layers are not stored. means: (n_features,) over train images.
        codes: (n_outputs,) the class of each output, where several may mean one; None: one each.
    """

    classifier: class_logits.Classifier
    means: np.ndarray
    n_classes: int
    codes: np.ndarray | None = None

    @classmethod
    def of(cls, study: Study) -> ProbeWithMeans:
        """Read the answer of a study that `explains_errors`, and the means (see `train_means`)."""
        means, n_classes = train_means(study), len(study.class_names)
        if study.has("probe_weights"):
            return cls(class_logits.class_weights(study), means, n_classes)
        classifier, codes = class_logits.own_classifier(study), class_logits.codes_of_outputs(study)
        if classifier is None:
            return cls(class_logits.Classifier(np.empty((0, len(means))), np.empty(0)), means, n_classes)
        return cls(classifier.of_outputs(codes >= 0), means, n_classes, codes[codes >= 0])

    @classmethod
    def of_every_output(cls, study: Study) -> tuple[ProbeWithMeans, list[str]]:
        """Read the answer as `of` does, with every output that a head gives for any image.

        Returns:
            the answer, which also holds outputs that mean no class of the study, and the names of the classes
            in their order; outputs that nothing is taken for have no name.
        """
        (names, codes), whole = predictable(study), class_logits.own_classifier(study)
        if codes is None or whole is None:
            return cls.of(study), names
        nameless = codes < 0
        codes[nameless] = len(names) + np.arange(np.count_nonzero(nameless))
        n_classes = len(names) + int(nameless.sum())
        if len(codes) == n_classes == len(np.unique(codes)):
            return cls(whole.of_outputs(np.argsort(codes)), train_means(study), n_classes), names
        return cls(whole, train_means(study), n_classes, codes), names

    def gradients(self, raw: np.ndarray, logits: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """(n, n_features): of the logit of a class for each raw row and its logits of the outputs."""
        return class_logits.class_gradients(self.classifier, raw, logits, self.codes, classes)

    def classes(self, logits: np.ndarray) -> np.ndarray:
        """(n, n_classes): the logits of the classes from those of the outputs."""
        return logits if self.codes is None else class_logits.by_class(logits, self.codes, self.n_classes)


@dataclass(frozen=True)
class Intervened:
    """Results of `intervene`: two tables, the means of all features, and a table of what features tell."""

    rates: pd.DataFrame
    by_cause: pd.DataFrame | None
    means: np.ndarray
    planted: pd.DataFrame | None


def intervene(
    study: Study,
    probe: ProbeWithMeans,
    rows: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    seed: int = 0,
    progress: Progress,
) -> Intervened:
    """Remove the features blamed for errors from images, and count whose prediction changes.

    Args:
        probe: `ProbeWithMeans.of_every_output` of the study.
        rows: 'misclassified' and 'correct' -> rows of images, class codes of their truth, (n,) each. Of more
            than `MOST` of a kind a seeded part is taken.
    Returns:
        rates: table `interventions`, per order, number of removed features and kind of image: n, flip_rate
        (share whose predicted class changes), to_true (share whose new class is the true one; NaN for correct
        images), difference (of flip_rate to that of random features on the same images), each in [0, 1] with
        a bootstrapped 95 % interval. by_cause, planted: tables `interventions_by_cause` and
        `planted_attributes`, see `PlantedAttributes`; None for images whose truth is not known. means:
        (n_features,) of the train images.
    """
    planted = PlantedAttributes.of(study, seed=seed)
    tables, causes = [], None
    with progress.stage(
        "interventions", total=sum(len(one) for one, _ in rows.values()), unit="images"
    ) as bar:
        for kind, (here, true) in rows.items():
            taken = _some(len(here), seed)
            here, true = here[taken], true[taken]
            outcome = _outcomes(study, probe, here, true, kind, seed, bar)
            tables.append(_rates(outcome, kind))
            if kind == MISCLASSIFIED and planted is not None:
                causes = _by_cause(planted, outcome, here)
    rates = pd.concat(tables, ignore_index=True).loc[:, list(COLUMNS)]
    return Intervened(rates, causes, probe.means, None if planted is None else planted.table())


def removal_in_words(rates: pd.DataFrame) -> str:
    """Say in a sentence what becomes of failures without the feature behind them that is blamed first."""
    table = rates.set_index(["order", "removed", "images"])
    wrong, random = (table.loc[order, 1, MISCLASSIFIED] for order in (CONTRIBUTION, RANDOM))
    to_correct = percent(wrong["to_true"])
    flips_at_random = percent(random["flip_rate"])
    flips = percent(wrong["flip_rate"])
    sentence = (
        f"without the feature that is blamed first, the prediction changes for {flips} "
        f"of {int(wrong['n']):,} misclassified images ({to_correct} become correct); without "
        f"a random feature of like activation for {flips_at_random}"
    )
    if (CONTRIBUTION, 1, CORRECT) in table.index and np.isfinite(
        table.loc[CONTRIBUTION, 1, CORRECT]["flip_rate"]
    ):
        sentence += (
            f"; of the correct images {percent(table.loc[CONTRIBUTION, 1, CORRECT]['flip_rate'])} break"
        )
    return sentence


@dataclass(frozen=True)
class Outcomes:
    """Changed predictions of n images after removal.

    flips, to_true: (order, removed) -> (n,) float64: 1 where the prediction changed (became the true class),
    for random features the share of draws. first: order -> (n,) int64: the first feature removed (of the last
    draw), -1 for none.
    """

    flips: dict[tuple[str, int], np.ndarray]
    to_true: dict[tuple[str, int], np.ndarray]
    first: dict[str, np.ndarray]


def _by_cause(planted: PlantedAttributes, outcome: Outcomes, rows: np.ndarray) -> pd.DataFrame:
    """Per planted cause of an error and order: cause, order, n, of_cause (share of the images whose first
    removed feature responds to the background or companion that misled), flip_rate (with one feature
    removed), each with Wilson's interval. of_cause is NaN for causes that are no attribute.
    """
    parts = []
    causes = planted.causes[rows]
    for cause in pd.unique(causes):
        here = causes == cause
        if not cause or here.sum() < LEAST_OF_CAUSE:
            continue
        for order in ORDERS:
            hit = planted.answers(rows[here], outcome.first[order][here], str(cause))
            values = np.stack([hit, outcome.flips[order, 1][here]], axis=1)
            mean, low, high, _ = share_intervals(values)
            row = {"cause": str(cause), "order": order, "n": int(here.sum())}
            row |= {"of_cause": mean[0], "of_cause_low": low[0], "of_cause_high": high[0]}
            parts.append(row | {"flip_rate": mean[1], "flip_low": low[1], "flip_high": high[1]})
    return pd.DataFrame(parts)


def _some(n: int, seed: int) -> np.ndarray:
    if n <= MOST:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).permutation(n)[:MOST])


def _outcomes(
    study: Study, probe: ProbeWithMeans, rows: np.ndarray, true: np.ndarray, kind: str, seed: int, bar: Any
) -> Outcomes:
    keys = [(order, k) for order in ORDERS for k in REMOVED]
    unknown = np.nan if kind == CORRECT else 0.0
    flips = {key: np.zeros(len(rows)) for key in keys}
    to_true = {key: np.full(len(rows), unknown) for key in keys}
    outcomes = Outcomes(flips, to_true, {order: np.full(len(rows), -1) for order in ORDERS})
    for start in range(0, len(rows), CHUNK_ROWS):
        part = slice(start, start + CHUNK_ROWS)
        _chunk(study, probe, rows[part], true[part], part, outcomes, np.random.default_rng([seed, start]))
        bar.update(len(rows[part]))
    return outcomes


def _chunk(
    study: Study,
    probe: ProbeWithMeans,
    rows: np.ndarray,
    true: np.ndarray,
    part: slice,
    outcomes: Outcomes,
    rng: np.random.Generator,
) -> None:
    raw = study.array("representations").rows(rows).astype(np.float64)
    units = study.in_units().array("representations").rows(rows)
    classifier, started = probe.classifier, probe.classifier.start_of(raw, units)
    logits = classifier.finish(started)
    predicted = probe.classes(logits).argmax(1)

    def strongest(by: str) -> np.ndarray:
        return strongest_features(by, raw, logits, classifier, predicted, max(REMOVED), probe.codes, units)

    for order in ORDERS:
        draws = DRAWS if order == RANDOM else 1
        for _ in range(draws):
            if order == RANDOM:
                features = random_alike(raw, strongest(CONTRIBUTION), rng)
            else:
                features = strongest(order)
            outcomes.first[order][part] = features[:, 0]
            for k in REMOVED:
                changed = logits_without(classifier, started, raw, probe.means, features[:, :k])
                new_prediction = probe.classes(changed).argmax(1)
                outcomes.flips[order, k][part] += (new_prediction != predicted) / draws
                outcomes.to_true[order, k][part] += (
                    (new_prediction != predicted) & (new_prediction == true)
                ) / draws


def _rates(outcome: Outcomes, kind: str) -> pd.DataFrame:
    """The rows of `interventions` of one kind of image: shares with Wilson's intervals, and their paired
    differences to random features with Student's.
    """
    keys = list(outcome.flips)
    n = len(outcome.flips[keys[0]])
    flips = np.stack([outcome.flips[key] for key in keys], axis=1)
    random = np.stack([outcome.flips[RANDOM, k] for _, k in keys], axis=1)
    orders = [order for order, _ in keys]
    n_removed = [k for _, k in keys]
    columns: dict[str, Any] = {"order": orders, "removed": n_removed, "images": kind, "n": n}
    parts = {"flip": flips, "to_true": np.stack([outcome.to_true[key] for key in keys], axis=1)}
    for name, values in parts.items():
        mean, low, high, _ = share_intervals(values)
        columns |= {name + ("_rate" if name == "flip" else ""): mean}
        columns |= {f"{name}_low": low, f"{name}_high": high}
    difference = np.where(np.array(columns["order"]) == RANDOM, np.nan, flips - random)
    mean, low, high, _ = mean_intervals(difference, within=(-1.0, 1.0))
    columns |= {"difference": mean, "difference_low": low, "difference_high": high}
    return pd.DataFrame(columns)
