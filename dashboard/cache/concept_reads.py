"""Cached reads of concepts, failures and groups of features; the rules are those of `reader.py`."""

from collections import Counter

import numpy as np
import pandas as pd
from PIL import Image

from core.answers.class_logits import explains_errors
from core.common.dataframes import numbers, words
from core.common.group_names import JOINED_BY, group_features, is_joint
from core.common.picture_bytes import image_address, image_file
from core.common.step_facts import ConceptsFacts
from core.concepts.blame import ProbeWithMeans
from core.data.picture_limits import wanted
from core.errors import PeregrineError
from core.measures.slice import Slice
from core.measures.slice_comparison import train_images
from core.measures.slice_words import MOST_WORDS, best_first
from core.pictures import confused
from core.pictures.confused import Without, pushing_sentence
from core.store import Study
from core.study.chunked_array import CHUNK_ROWS
from dashboard.cache import reads
from dashboard.cache.reader import cached_read

# Cached reads of concepts and failures; the rules are those of `reader.py`.


CROP_SIDE = 200  # pixels of the longer side of a crop


def of_group(study: Study, name: str, group: str) -> pd.DataFrame:
    """The rows of one of the tables `concepts`, `captions`, … that belong to a feature or group."""
    table = reads.table(study, name)
    return table.loc[table["group"].to_numpy(object) == group].reset_index(drop=True)


@cached_read(max_entries=16)
def explained(study: Study, population: Slice | None = None) -> pd.DataFrame:
    """One row per explained feature or group, best word score first: group, name, words (kept ones, best
    first), top_class (most common among its images, or missing), n_images, score (its best word's).

    population: images and classes of this filter only; groups without images in it are left out.
    """
    high = study.table("highly_activating", ["group", "image_id"])
    if population is not None:
        high = high.loc[reads.mask(study, population)[rows_of(study, high)]].reset_index(drop=True)
    n_images = high["group"].astype(str).value_counts(sort=False)
    groups, by_group = n_images.index, _kept(study).groupby("group")
    words = by_group["word"].agg(" · ".join).reindex(groups, fill_value="")
    score = by_group["score"].agg("max").reindex(groups)
    table = pd.DataFrame({"group": groups, "name": groups.map(plain_name), "n_images": n_images.to_numpy()})
    table["words"] = words.to_numpy()
    table["score"] = score.to_numpy(float)
    table["top_class"] = groups.map(_top_classes(study, high))
    return table.sort_values("score", ascending=False, kind="stable", ignore_index=True)


def word_counts(study: Study) -> pd.DataFrame:
    """One row per kept word, the one of most features first, ties by word: word, n_features (features and
    groups that kept it), score (its best).
    """
    table = _kept(study)
    counts = table.groupby("word")["score"].agg(n_features="size", score="max").reset_index()
    return counts.sort_values(["n_features", "word"], ascending=[False, True], ignore_index=True)


def groups_with(study: Study, text: str) -> dict[str, float]:
    """The best score, for every group that has any, of its kept words that hold the text.

    A word holds it where one of its parts, or several in a row, begin with it: "red" finds "red brick", not
    "scattered".
    """
    table = _kept(study)
    phrase = " ".join(text.lower().split())
    matches = table.loc[
        (" " + table["word"].str.lower()).str.contains(f" {phrase}", regex=False).to_numpy(bool)
    ].reset_index(drop=True)
    best = {
        str(group): float(numbers(rows, "score").max())
        for group, rows in matches.groupby("group", sort=False)
    }
    return dict(sorted(best.items(), key=lambda pair: -pair[1]))


@cached_read(max_entries=64)
def described_with(study: Study, text: str) -> pd.DataFrame:
    """The images that were described with a text, one row each, the best caption first: row, caption, cosine.

    A caption holds the text as in `groups_with`.
    """
    phrase = " ".join(text.lower().split())
    captions = study.table("captions", ["image_id", "caption", "cosine"])
    lower = " " + captions["caption"].str.lower()
    matches = captions.loc[lower.str.contains(f" {phrase}", regex=False).to_numpy(bool)]
    matches = matches.sort_values("cosine", ascending=False, kind="stable").drop_duplicates("image_id")
    return matches.assign(row=rows_of(study, matches)).reset_index(drop=True)


def class_counts(study: Study, group: str) -> pd.DataFrame:
    """How many of a group's images are of each class: label, n_images; the most common first."""
    rows = rows_of(study, of_group(study, "highly_activating", group))
    labels = study.column("images", "label").iloc[rows].dropna()
    counts = sorted(Counter(map(str, labels)).items(), key=lambda pair: (-pair[1], pair[0]))
    return pd.DataFrame(counts, columns=["label", "n_images"])


def rows_of(study: Study, table: pd.DataFrame) -> np.ndarray:
    """(n,) int64: image rows of a table's column image_id."""
    rows = study.rows_held(table["image_id"].tolist())
    return np.array([rows[name] for name in table["image_id"]], np.int64)


def boxes_of(high: pd.DataFrame, rows: np.ndarray) -> dict[int, tuple[float, float, float, float]]:
    """By image row the crop that was described: left, top, right, bottom; NaN where there is none."""
    sides = [numbers(high, side).tolist() for side in ("left", "top", "right", "bottom")]
    return dict(zip(rows.tolist(), zip(*sides, strict=True), strict=True))


def unit_name(study: Study, group: str) -> str:
    """What a feature, or a group of features such as "3+98", is called."""
    if not is_joint(group):
        return reads.feature_name(study, int(group))
    return f"{study.feature_kind}s {plain_name(group)}"


def crop_url(study: Study, row: int, box: tuple[float, float, float, float]) -> str:
    """The part of an image that CLIP was shown, as an address that holds it; empty where it is gone now."""
    try:
        return _crop(study, row, box) if np.isfinite(box).all() else ""
    except (PeregrineError, OSError, KeyError):
        return ""


@cached_read(max_entries=2048)
def _crop(study: Study, row: int, box: tuple[float, float, float, float]) -> str:
    left, top, right, bottom = (round(side) for side in box)
    picture = study.image(row).crop((left, top, right, bottom))
    picture.thumbnail((CROP_SIDE, CROP_SIDE), Image.Resampling.BILINEAR)
    return image_address(image_file(picture, quality=85))


def size_of(study: Study, row: int) -> list[int] | None:
    """Width and height of the original picture; None where it cannot be read now."""
    try:
        with wanted(side=CROP_SIDE):
            picture = study.image(row)
        return list(picture.info.get("original_size", picture.size))
    except (PeregrineError, OSError, KeyError):
        return None


LEAST_PUSH = 0.1  # share of the lead that a feature needs to be named as its cause


@cached_read(max_entries=256)
def confused_rows(study: Study, where: Slice, true: str, predicted: str) -> np.ndarray:
    """The images of a filter that are of one class and are taken for another, most confident first."""
    are_confused = Slice(confusion=(true, predicted), correct=False).mask(study)
    rows = np.flatnonzero(reads.population(study, where)[0] & are_confused)
    confidence = numbers(reads.images(study), "confidence")[rows]
    return rows[np.argsort(-confidence, kind="stable")]


@cached_read(max_entries=4, spinner="Averaging the train images")
def _probe(study: Study) -> ProbeWithMeans:
    return ProbeWithMeans.of_every_output(study)[0]


@cached_read(max_entries=256)
def behind_confusion(study: Study, where: Slice, true: str, predicted: str) -> pd.DataFrame:
    """See `core.pictures.confused`: of the images of a filter; empty where what features add is not known."""
    rows = confused_rows(study, where, true, predicted)[:CHUNK_ROWS]
    if not (rows.size and study.has("representations") and explains_errors(study)):
        return pd.DataFrame(columns=confused.COLUMNS)
    return confused.behind_confusion(study, _probe(study), rows, true, predicted)


@cached_read(max_entries=256)
def without_feature(study: Study, rows: np.ndarray, feature: int, true: str, predicted: str) -> Without:
    """See `core.pictures.confused`."""
    return confused.without_feature(study, _probe(study), rows, feature, true, predicted)


def pushers(study: Study, where: Slice, true: str, predicted: str, n: int) -> list[int]:
    """The features that push most towards the answer: the causes that every page names."""
    return _behind_answer(study, where, true, predicted)["feature"].astype(int).tolist()[:n]


def pushed_by(study: Study, where: Slice, true: str, predicted: str, n: int = 2) -> str:
    """Say which they are; "" where they are not known, or where none is at least LEAST_PUSH of the lead: many
    push a little then.
    """
    behind = _behind_answer(study, where, true, predicted).head(n)
    behind = behind.loc[~(behind["share"].to_numpy(float) < LEAST_PUSH)]  # an unknown share stays
    if behind.empty:
        return ""
    names, shares = reads.feature_names(study, behind["feature"]), numbers(behind, "share").tolist()
    return pushing_sentence(predicted, names, shares, behind["too_little"].tolist())


def _behind_answer(study: Study, where: Slice, true: str, predicted: str) -> pd.DataFrame:
    behind = behind_confusion(study, where, true, predicted)
    return behind.loc[behind["side"] == "predicted"]


@cached_read(max_entries=8)
def _kept(study: Study) -> pd.DataFrame:
    table = study.table("concepts")
    return table.loc[table["kept"].to_numpy(bool)].reset_index(drop=True)


def plain_name(group: str) -> str:
    """The numbers alone, for a table that has the words in a column of their own.

    >>> plain_name("12"), plain_name("3+98")
    ('12', '3 + 98')
    """
    return group.replace(JOINED_BY, f" {JOINED_BY} ")


def _top_classes(study: Study, high: pd.DataFrame) -> dict[str, str]:
    """The most common class among the images of each group, with its share; of equals the first by name."""
    if not study.labelled:
        return {}
    images = study.kept("images").frame(["image_id", "label"]).set_index("image_id")
    labels = images["label"].reindex(high["image_id"]).astype(str)
    shares = labels.groupby([high["group"].to_numpy(), labels.to_numpy()]).size()
    shares = shares / shares.groupby(level=0).transform("sum")
    best = shares.groupby(level=0).idxmax()
    return {str(group): f"{label} ({100 * shares[group, label]:.0f} %)" for group, label in best}


# Cached reads of groups of features (FALCON, Algorithm 1); the rules are those of `reader.py`.


MIN_IMAGES = 10  # as the paper, where the step does not say


def min_images(study: Study) -> int:
    """A group with at most so many images is not explained."""
    return int(study.settings("concepts").get("min_images", MIN_IMAGES))


def gamma(study: Study) -> float:
    """The cosine above which a group is interpretable."""
    return study.facts(ConceptsFacts).gamma


def groups(study: Study) -> pd.DataFrame:
    """Table `groups`, the largest first, with `large`: whether it has enough images to be explained."""
    table = reads.table(study, "groups")
    return table.assign(large=table["n_images"].to_numpy() > min_images(study))


@cached_read(max_entries=8)
def joint(study: Study) -> pd.DataFrame:
    """One row a group of several features: group, name (its features' numbers), n_features, n_images, words
    (of the group itself, empty where it was not explained), members (the best word of each feature),
    clip_cosine, clip_cosine_with_diagonal, interpretable, explained. The explained ones come first, then
    those with most images, then with fewest features.
    """
    table = groups(study)
    table = table.loc[table["n_features"].to_numpy() > 1].reset_index(drop=True)
    explained = study.table("explained", ["group", "words", "clip_cosine", "clip_cosine_with_diagonal"])
    explained = explained.set_index("group")
    concepts = study.table("concepts", ["group", "rank", "word", "kept"])
    first = concepts.loc[concepts["kept"].to_numpy(bool)].reset_index(drop=True).drop_duplicates("group")
    best = dict(zip(first["group"], first["word"], strict=True))
    names = [str(group) for group in table["group"]]
    own_words = words(explained.reindex(names), "words")
    member_words = [
        [best.get(str(feature), f"#{feature}") for feature in group_features(group)] for group in names
    ]
    joined = table.assign(
        name=[plain_name(group) for group in names],
        words=[text.replace("; ", " · ") for text in own_words],
        members=[" | ".join(word) for word in member_words],
        explained=np.isin(names, explained.index.to_numpy(object)),
    )
    sizes = joined["n_features"].to_numpy(), -joined["n_images"].to_numpy()
    order = np.lexsort((*sizes, ~joined["explained"].to_numpy(bool)))
    return joined.take(order).reset_index(drop=True)


def single(study: Study) -> pd.DataFrame:
    """The rows of table `explained` that are single features, with `name` and `words` to show."""
    table = reads.table(study, "explained")
    table = table.loc[table["n_features"].to_numpy() == 1].reset_index(drop=True)
    return table.assign(words=[text.replace("; ", " · ") for text in words(table, "words")])


@cached_read(max_entries=256)
def images_of_group(study: Study, group: str) -> np.ndarray:
    """Rows of the probe images that activate exactly these features highly, by falling activation."""
    features = list(group_features(group))
    alpha = study.facts(ConceptsFacts).known_alpha
    representations = study.array("representations")
    # Equal sets: as many members above alpha as there are features, and all of these above it.
    parts, least = [], []
    for chunk in range(representations.n_chunks):
        h = np.asarray(representations.chunk(chunk), np.float64)
        h /= np.maximum(np.linalg.norm(h, axis=1, keepdims=True), 1e-12)
        exact = (h[:, features] > alpha).all(1) & ((h > alpha).sum(1) == len(features))
        rows = np.flatnonzero(exact)
        parts.append(rows + representations.chunk_start(chunk))
        least.append(h[rows][:, features].min(1))
    rows, values = np.concatenate(parts), np.concatenate(least)
    split = study.settings("concepts").get("split", "val")
    among = np.ones(len(rows), bool) if split == "all" else train_images(study)[rows] == (split == "train")
    rows, values = rows[among], values[among]
    return rows[np.argsort(-values, kind="stable")]


def short_group_name(study: Study, group: str) -> str:
    """What a feature or group is called in a chart: its name or two best words, or its numbers."""
    if not is_joint(group) and (name := reads.names_given(study).get(int(group))):
        return name
    words = best_words(study, group, 2)
    return ", ".join(words) if words else plain_name(group)


def kept_words(study: Study, group: str) -> list[str]:
    """The words of a feature or group that survived contrast, best first."""
    table = of_group(study, "concepts", group)
    return [str(word) for word in best_first(table.loc[table["kept"].to_numpy(bool)])["word"]]


def best_words(study: Study, group: str, limit: int) -> list[str]:
    """The words that a feature is called by, or the best kept ones of a group, none a part of another."""
    if not is_joint(group) and limit == MOST_WORDS:
        return reads.words_alone(study).get(int(group), [])
    words: list[str] = []
    for word in kept_words(study, group):
        if len(words) < limit and not any(word in other or other in word for other in words):
            words.append(word)
    return words
