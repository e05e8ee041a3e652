"""Cached reads of groups of features (FALCON, Algorithm 1); the rules are those of `reader.py`."""

import numpy as np
import pandas as pd

from core.common.dataframes import words
from core.common.group_names import group_features, is_joint
from core.common.step_facts import ConceptsFacts
from core.slices.inspection.populations import train_images
from core.slices.inspection.words import MOST_WORDS, best_first
from core.store import Study
from dashboard.cache import reads
from dashboard.cache.features import concept_reads
from dashboard.cache.reader import cached_read

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
        name=[concept_reads.plain_name(group) for group in names],
        words=[text.replace("; ", " · ") for text in own_words],
        members=[" | ".join(one) for one in member_words],
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
def images_of(study: Study, group: str) -> np.ndarray:
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


def short_name(study: Study, group: str) -> str:
    """What a feature or group is called in a chart: its name or two best words, or its numbers."""
    if not is_joint(group) and (name := reads.names_given(study).get(int(group))):
        return name
    words = best_words(study, group, 2)
    return ", ".join(words) if words else concept_reads.plain_name(group)


def kept_words(study: Study, group: str) -> list[str]:
    """The words of a feature or group that survived contrast, best first."""
    table = concept_reads.of_group(study, "concepts", group)
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
