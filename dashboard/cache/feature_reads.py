"""Cached reads of the features of a slice, and of one feature on it; the rules are those of `reader.py`."""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.answers.class_logits import class_push
from core.common.dataframes import numbers
from core.common.dataframes import words as texts
from core.common.group_names import is_joint
from core.errors import PeregrineError
from core.measures.slice import Slice
from core.measures.slice_features import class_firing as core_class_firing
from core.measures.slice_features import classes_tell as core_classes_tell
from core.measures.slice_features import (
    feature_activations,
    firing_class,
    firing_pairs,
    firing_rows,
    more_often_on,
    partly_labelled,
    similar_features,
    strongest_images,
)
from core.measures.slice_features import most_common_classes as core_most_common_classes
from core.measures.slice_words import disputed_heat
from core.measures.telling_features import telling_features
from core.store import Study
from dashboard.cache import concept_reads, heatmap_reads, reads
from dashboard.cache.reader import cached_read

STABLE = "Stablest first"  # of latents that another fit was looked for
SORTS = ("Most telling first", "Most frequent first", "Purest first", "Best words first", "By number", STABLE)
VERDICTS = ("core", "spurious", "undecided", "disputed")
OFTEN = 0.01  # share of images from which on a feature counts in the sentence above the list


@dataclass(frozen=True)
class Listing:
    """Which features a list holds, and in which order.

    Attributes:
        find: a word, or numbers; empty for all. sort: one of SORTS. verdict: one of VERDICTS, or empty.
        dead: also those that fire on none of the images.
    """

    find: str = ""
    sort: str = SORTS[0]
    verdict: str = ""
    dead: bool = False

    @property
    def numbers(self) -> tuple[int, ...]:
        """The feature numbers that are asked for; empty where a word is."""
        parts = re.split(r"[\s,;#]+", self.find.strip().strip("#,; "))
        all_numbers = all(part.isdecimal() and len(part) < 9 for part in parts)
        return tuple(int(part) for part in parts) if all_numbers else ()


@cached_read(max_entries=64, names_features=True)
def listed(study: Study, population: Slice) -> pd.DataFrame:
    """One row per feature, by number, with its numbers on the images of a filter.

    Columns: feature; name (the one that people gave, else the best words, empty without); rate, rate_against,
    difference, low, high, q (see `inspection.feature_differences`); likeliest, likeliest_rate, top_class,
    purity (see `most_common_classes`), firing_class and classes, in words (see `FiringClass`; all of these
    over all classes, also those that the filter leaves out by name); tail, discriminative (of the train
    images); verdict (of all images with masks, or empty; see also `disputed`); word_score (of its best word);
    stability (NaN of units, and of a basis that was learned once). After the step `domains` also part,
    top_domain and domain_purity (of all images).
    """
    features = reads.table(study, "features", ("feature", "tail", "discriminative"))
    features = features.merge(reads.feature_differences(study, population), on="feature", how="left")
    if study.has("domain_features"):
        columns = ("feature", "part", "top_domain", "domain_purity")
        features = features.merge(reads.table(study, "domain_features", columns), on="feature", how="left")
    features = features.sort_values("feature", ignore_index=True)
    number = features["feature"].tolist()
    named, verdicts, best = names(study), _verdicts(study), _best_scores(study)
    counts, sizes = class_firing(study, every_class(population))
    partly, stable = partly_labelled(study), reads.stabilities(study)
    classes = [firing_class(row, study.class_names, partly=partly) for row in counts]
    classes = classes or [None] * len(features)
    features = features.assign(**most_common_classes(study, counts, sizes, len(features)))
    features["name"] = [named.get(feature, "") for feature in number]
    features["classes"] = [firing.words if firing else "" for firing in classes]
    features["firing_class"] = classes
    features["verdict"] = [verdicts.get(feature, "") for feature in number]
    features["word_score"] = [best.get(feature, np.nan) for feature in number]
    features["stability"] = np.nan if stable is None else stable[number]
    return features


@cached_read(max_entries=8)
def n_train_images(study: Study) -> np.ndarray:
    """(n_features,) int64: the train images on which each feature fires; all images without a train split."""
    rates = numbers(reads.table(study, "features", ("feature", "activation_rate")), "activation_rate")
    return np.rint(rates / 100 * (int(np.count_nonzero(~study.is_val)) or study.n_images)).astype(np.int64)


def in_order(study: Study, population: Slice, asked: Listing) -> pd.DataFrame:
    """The rows of `listed` that a list holds, in its order."""
    features = listed(study, population)
    if asked.numbers:
        features = features.loc[np.isin(features["feature"].to_numpy(), asked.numbers)].reset_index(drop=True)
    elif asked.find.strip():
        scores = _found_scores(study, asked.find) | _named(study, asked.find)
        features = features.loc[np.isin(features["feature"].to_numpy(), list(scores))].reset_index(drop=True)
        features["word_score"] = [scores[int(feature)] for feature in features["feature"]]
    has_rate = np.isfinite(numbers(features, "rate"))  # of no image, nothing can be said
    features = features.loc[
        has_rate if asked.dead or asked.numbers else numbers(features, "rate") > 0
    ].reset_index(drop=True)
    if asked.verdict:
        features = features.loc[np.array(texts(features, "verdict")) == asked.verdict].reset_index(drop=True)
    number = features["feature"].to_numpy()
    keys = [-_strength(study, population, features, asked.sort), -numbers(features, "rate"), number]
    if asked.sort == SORTS[0] and not np.isfinite(numbers(features, "difference")).any():
        lifts = _lifts(study, asked.verdict).reindex(number).to_numpy()  # the clearest first, as on Overview
        keys = [-lifts, *keys] if np.isfinite(lifts).any() else keys
    return features.take(np.lexsort(keys[::-1])).reset_index(drop=True)


def _strength(study: Study, population: Slice, features: pd.DataFrame, sort: str) -> np.ndarray:
    """(n,) float64: what a list is ordered by, largest first; undefined values come last."""
    if sort == SORTS[0]:
        return -np.argsort(telling(study, population))[features["feature"].to_numpy()].astype(float)
    if sort == "By number":
        value = -numbers(features, "feature")
    elif sort == "Most frequent first":
        value = numbers(features, "rate")
    elif sort == "Purest first":
        value = numbers(features, "purity")
    elif sort == STABLE and (stable := reads.stabilities(study)) is not None:
        value = stable[features["feature"].to_numpy()]
    else:
        value = numbers(features, "word_score")
    return np.where(np.isfinite(value), value, -np.inf)


@cached_read(max_entries=32, names_features=True)
def telling(study: Study, population: Slice) -> list[int]:
    """See `telling_features`: of the images of a filter; without names of people that cannot be read."""
    masks = reads.population(study, population)
    try:
        return telling_features(study, *masks)
    except PeregrineError:  # a page says so where it shows that itself
        return telling_features(study, *masks, named=False)


classes_tell = cached_read(max_entries=8)(core_classes_tell)


def names(study: Study) -> dict[int, str]:
    """What features are called on cards: "night sky · blue", "yellow, on cat", "strong on bird"."""
    return reads.feature_words(study, " · ")


@cached_read(max_entries=8, names_features=True)
def namesakes(study: Study) -> Counter[str]:
    """How many features with words have each name."""
    worded = {*reads.words_alone(study), *reads.names_given(study)}
    return Counter(name for feature, name in names(study).items() if feature in worded)


def title(study: Study, feature: int) -> str:
    """What a feature is called on a card: its name, "Feature 12" without one, "Latent 12" in a basis."""
    return names(study).get(feature) or f"{study.feature_kind} {feature}"


def every_class(population: Slice) -> Slice:
    """The filter without its condition on the true class."""
    return Slice.joined(part for part in population.parts() if not part.labels)


class_firing = cached_read(max_entries=32)(reads.of_filter(core_class_firing))


def most_common_classes(
    study: Study, counts: np.ndarray, sizes: np.ndarray, n_features: int
) -> dict[str, object]:
    """The columns of `listed` that need labels, from `class_firing`; undefined without labels."""
    if not study.labelled:
        nothing = np.full(n_features, np.nan)
        return {"likeliest": None, "likeliest_rate": nothing, "top_class": None, "purity": nothing}
    common = core_most_common_classes(counts, sizes).reindex(range(n_features))
    classes = np.array([*study.class_names, None], object)  # -1 is no class
    return {
        "likeliest": classes[common["likeliest"].fillna(-1).to_numpy(int)],
        "likeliest_rate": common["likeliest_rate"].to_numpy(),
        "top_class": classes[common["top"].fillna(-1).to_numpy(int)],
        "purity": common["purity"].to_numpy(),
    }


def more_often_here(study: Study, population: Slice) -> np.ndarray | None:
    """(n_features,) bool: the features that fire more often on the class of a filter than on any other one.

    None where the filter does not name a single class.
    """
    if len(population.labels) != 1 or population.labels[0] not in study.class_names:
        return None
    counts, sizes = class_firing(study, every_class(population))
    return more_often_on(counts, sizes, study.class_names.index(population.labels[0]))


@cached_read(max_entries=8, names_features=True)
def disputed(study: Study) -> dict[int, tuple[str, list[int]]]:
    """See `core.measures.slice_words.disputed_heat`; without the features that people named."""
    given = reads.names_given(study)
    return {feature: of for feature, of in disputed_heat(study).items() if feature not in given}


@cached_read(max_entries=8, names_features=True)
def _verdicts(study: Study) -> dict[int, str]:
    if not study.has("overlap_by_feature"):
        return {}
    table = study.table("overlap_by_feature", ["feature", "verdict"]).drop_duplicates("feature")
    verdicts = dict(zip(table["feature"].tolist(), texts(table, "verdict"), strict=True))
    return verdicts | dict.fromkeys(disputed(study), "disputed")


@cached_read(max_entries=8)
def _lifts(study: Study, verdict: str) -> pd.Series:
    """By feature how many times as much of its heat lies on what the verdict says as of a uniform heatmap;
    empty for other verdicts than core and spurious.
    """
    if verdict not in ("core", "spurious") or not study.has("overlap_by_feature"):
        return pd.Series(dtype=float)
    table = study.table("overlap_by_feature", ["feature", "mask", "lift"])
    return table.loc[table["mask"] == verdict].set_index("feature")["lift"]


@cached_read(max_entries=8)
def _best_scores(study: Study) -> dict[int, float]:
    return _found_scores(study, "") if study.has("concepts") else {}


def _found_scores(study: Study, text: str) -> dict[int, float]:
    """The best score among the kept words of each single feature that hold a text."""
    if not study.has("concepts"):
        return {}
    scores = concept_reads.groups_with(study, text)
    return {int(group): score for group, score in scores.items() if not is_joint(group)}


def _named(study: Study, text: str) -> dict[int, float]:
    """The best score among the words of each feature whose name holds a text: one given by people or, without
    words, that of its classes.
    """
    phrase, best = " ".join(text.split()).casefold(), _best_scores(study)
    called = reads.names_given(study) if study.has("concepts") else names(study)
    matches = [number for number, name in called.items() if phrase in name.casefold()]
    return {number: best.get(number, np.nan) for number in matches}


@cached_read(max_entries=32)
def _stored_pairs(study: Study, population: Slice) -> pd.DataFrame:
    """See `core.measures.slice_features.firing_pairs`, of the images of a filter with stored heatmaps."""
    mask, _ = reads.population(study, population)
    rows = heatmap_reads.stored_rows(study)
    return firing_pairs(study, rows[mask[rows]])


@cached_read(max_entries=64)
def strongest(
    study: Study, population: Slice, features: tuple[int, ...], limit: int
) -> dict[int, tuple[list[int], int]]:
    """For each feature images of a filter on which it fires, most active first, and how many of them, from
    the first, have a stored heatmap of it; only where these are too few, the others follow.
    """
    pairs = _stored_pairs(study, population)
    pairs = pairs.loc[np.isin(pairs["feature"].to_numpy(), features)].reset_index(drop=True)
    row, feature = pairs["row"].to_numpy(), pairs["feature"].to_numpy()
    is_listed = np.zeros(len(pairs), bool)
    for one in features:
        is_listed |= (feature == one) & np.isin(row, heatmap_reads.rows_with(study, one))
    stored = strongest_images(pairs.loc[is_listed].reset_index(drop=True), features, limit)
    strongest_rows = {}
    for one in features:
        rows = stored[one]
        if len(rows) < limit:
            plain = _strongest_plain(study, population, one, limit)
            rows = rows + [row for row in plain if row not in rows]
        strongest_rows[one] = rows[:limit], len(stored[one])
    return strongest_rows


def _strongest_plain(study: Study, population: Slice, feature: int, limit: int) -> list[int]:
    """The images of a filter on which a feature is most active; the list of its strongest ones among all
    images spares a look at every image where it holds enough of them.
    """
    mask, _ = reads.population(study, population)
    if study.has("top_images"):
        top = reads.top_rows(study, feature)
        top = top[np.isin(top, firing_rows(study, feature, mask))]
        if len(top) >= limit:
            return top[:limit].tolist()
    return activations(study, feature, population)[0][:limit].tolist()


activations = cached_read(max_entries=32)(reads.of_filter(feature_activations))
similar = cached_read(max_entries=64)(reads.of_filter(similar_features))


@cached_read(max_entries=64)
def push(study: Study, feature: int) -> pd.DataFrame:
    """See `core.answers.class_logits.class_push`, on those images on which the feature is largest and fires.

    On all on which it is largest where it fires on none: in a small study these are most of the images.
    """
    rows = reads.top_rows(study, feature) if study.has("top_images") else np.empty(0, np.int64)
    fires = rows[np.isin(rows, firing_rows(study, feature, np.ones(study.n_images, bool)))]
    return class_push(study, feature, fires if len(fires) else rows)
