"""Words of the images of a slice, and what the word of a feature is worth (docs/method.md 2.10)."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.common.dataframes import numbers
from core.common.group_names import JOINED_BY
from core.common.records import Templates
from core.common.verdict_words import (
    CLEAR_WORD,
    FEWEST_SHOWN,
    MOST_SHOW,
    NEARLY_ALL_SHOW,
    RELIABLE,
    SELDOM_ELSEWHERE,
    USEFUL,
    USELESS,
    WEAK,
    Verdict,
)
from core.measures import finder
from core.measures.chance import CHANCE
from core.measures.evaluate import made_once
from core.measures.intervals import wilson
from core.measures.slice import Slice
from core.measures.slice_comparison import trait_differences
from core.measures.traits import CONCEPT, tokens_of
from core.study.reader import StudyReader
from core.study.traces import read_traces

# What the word that a feature is called by is worth, in one of four words (docs/method.md 2.10).


_say = Templates.beside(__file__)
WORD_OF = {"as_elsewhere": USELESS, "not_true": USELESS, "weak": WEAK, "useful": USEFUL, "reliable": RELIABLE}


@dataclass(frozen=True)
class NameEvidence:
    """What is known of the first word of a feature; NaN where unknown.

    Attributes:
        n, share: images of the feature, and the share of them that show the word. elsewhere: share of all
            other images that show it. auc_low, auc_high: interval of the AUC of the feature as a detector of
            the images of which the word is true, where the truth is known.
    """

    word: str
    n: int = 0
    share: float = math.nan
    elsewhere: float = math.nan
    auc_low: float = math.nan
    auc_high: float = math.nan


def judge_name(evidence: NameEvidence) -> Verdict:
    """Return what the word that names a feature is worth, by the rule of docs/method.md 2.10."""
    if math.isnan(evidence.share) or math.isnan(evidence.elsewhere):
        return Verdict("", _say("unknown", what=evidence.word))
    if evidence.n < FEWEST_SHOWN:
        return Verdict("", _say("too_few", what=evidence.word, n=evidence.n))
    n_shown = round(evidence.share * evidence.n)
    low, high = (float(end) for end in wilson(n_shown, evidence.n))
    interval = low, high
    kind = _kind(evidence, low)
    sentence = _say(
        kind, what=evidence.word, n=n_shown, of=evidence.n, interval=interval, value=evidence.elsewhere
    )
    return Verdict(WORD_OF[kind], sentence)


def _kind(evidence: NameEvidence, low: float) -> str:
    """The kind of the sentence; `low`: the share of its images that surely show the word."""
    if low <= evidence.elsewhere:
        return "as_elsewhere"
    if evidence.auc_low <= CHANCE:
        return "not_true"
    if low < MOST_SHOW or evidence.auc_low < CLEAR_WORD:
        return "weak"
    return "reliable" if low >= NEARLY_ALL_SHOW and evidence.elsewhere <= SELDOM_ELSEWHERE else "useful"


# Words of the images of a slice, names of features, and the parts of a slice with the most errors.


MOST_WORDS = 2  # of a feature, where it is named
MOST_APART = 6  # words of a feature among which one is looked for that others of its name do not have
UNDER, SCENE = "under the heat", "scene"
KEYS = ["group", "word", "under_heat"]
UNDER_HEAT = 0.45  # share of the crops: what `naming.majority.LEAST_SHARE` is of the images
COLUMNS = ["word", "n", "n_against", "rate", "rate_against", "difference", "low", "high", "p", "q"]


def slice_words(study: StudyReader, mask: np.ndarray, against: np.ndarray) -> pd.DataFrame:
    """Words that are more common in a slice than elsewhere, largest difference first, ties by word.

    An image has a word if it highly activates a feature or group that kept the word. Interval and tests are
    those of `core.measures.slice_comparison.trait_differences`; q is corrected over all words of the images.

    Args:
        mask, against: (n_images,) bool, without common images (see `population`).
    Returns:
        word, n, n_against (images with the word), rate, rate_against, difference, low, high, p, q. Empty
        without concepts, or where one side has no images.
    """
    tokens = tokens_of(study, mask | against, (CONCEPT,))
    sides = [np.bincount(tokens.of(side).ids, minlength=len(tokens)) for side in (mask, against)]
    sizes = int(np.count_nonzero(mask)), int(np.count_nonzero(against))
    table = trait_differences(tokens, np.stack(sides), sizes)
    table = table.loc[table["difference"] > 0].rename(
        columns={"name": "word", "k_a": "n", "k_b": "n_against", "rate_a": "rate", "rate_b": "rate_against"}
    )
    table = table.sort_values(["difference", "word"], ascending=[False, True], ignore_index=True)
    return table[COLUMNS]


def best_words(
    concepts: pd.DataFrame,
    *,
    most: int = MOST_WORDS,
    on_object: Collection[int] = (),
    doubtful: Collection[tuple[str, str]] = (),
    useless: Collection[tuple[str, str]] = (),
) -> dict[int, list[str]]:
    """Name each single feature from table `concepts` by its best words (`best_first`), none part of another.

    Args:
        concepts: group, rank, word, kept and, where it is known, under_heat of the table `concepts`. most:
            words per feature. on_object: features whose heat lies on the object: of these the words that are
            seen under the heat, where there is one. doubtful: pairs of a group and a word of it that does not
            stand behind another word. useless: those that stand nowhere.
    """
    is_joint = concepts["group"].str.contains(JOINED_BY, regex=False).to_numpy(bool)
    rows: Any = concepts[concepts["kept"].to_numpy(bool) & ~is_joint]
    rows = best_first(rows)
    if len(on_object) and "under_heat" in rows:
        seen = rows["under_heat"].to_numpy() >= UNDER_HEAT
        better = rows["group"].astype(int).isin(on_object) & rows["group"].isin(rows.loc[seen, "group"])
        rows = rows[seen | ~better.to_numpy(bool)]
    words_of: dict[int, list[str]] = {}
    for group, word in zip(rows["group"], rows["word"], strict=True):
        mine = words_of.get(int(group), [])
        if (group, word) in useless or (mine and (group, word) in doubtful):
            continue
        words_of[int(group)] = mine
        if len(mine) < most and not any(word in other or other in word for other in mine):
            mine.append(word)
    return words_of


def best_first(concepts: pd.DataFrame) -> pd.DataFrame:
    """Return the words of features in the order in which features are called by them.

    By a_w - b_w (`score` less `elsewhere`), largest first: Youden's J of the word as a sign of the images of
    the feature, which puts "snow" before "white". By `rank` where it is equal, or b_w is not known.
    """
    by_rank = concepts.sort_values("rank", kind="stable")
    if "elsewhere" not in by_rank:
        return by_rank
    youden = numbers(by_rank, "score") - numbers(by_rank, "elsewhere")
    return by_rank.iloc[np.argsort(-youden, kind="stable")]


def different_words(words: Iterable[str]) -> list[str]:
    """Choose, of words that name firing features, those with no word in common with one before.

    >>> different_words(["brick", "red brick wall", "wall", "sky"])
    ['brick', 'wall', 'sky']
    """
    listed: list[str] = []
    for word in words:
        if not any(set(word.split()) & set(other.split()) for other in listed):
            listed.append(word)
    return listed


def feature_words(study: StudyReader, *, most: int = MOST_WORDS, named: bool = True) -> dict[int, list[str]]:
    """Return what each single feature is called: the name that people gave it, else its `best_words`.

    Features without any of these are missing. named: False for the words alone.

    Raises:
        DamagedTraces: the names cannot be read.
    """
    words = {}
    if study.has("concepts"):
        words = made_once(study, f"{most} words", lambda: _best_words(study, most))
    names = read_traces(study.path).feature_names if named else {}
    return words | {feature: [name] for feature, name in names.items()}


def _best_words(study: StudyReader, most: int) -> dict[int, list[str]]:
    judged = {key: judge_name(one).word for key, one in _evidence_of_words(study).items()}
    weak, useless = ({key for key, word in judged.items() if word == worth} for worth in (WEAK, USELESS))
    on_object = features_on_object(study)
    return best_words(_concepts(study), most=most, on_object=on_object, doubtful=weak, useless=useless)


def words_apart(study: StudyReader, names: Mapping[int, str]) -> dict[int, str]:
    """Return the first further word of a feature that no other feature of the same name has, if there is one.

    Args:
        names: what features are called; those that are called alike are told apart.
    """
    features_of: dict[str, list[int]] = {}
    if len(set(names.values())) == len(names):
        return {}
    for feature, name in names.items():
        features_of.setdefault(name, []).append(feature)
    words = feature_words(study, most=MOST_APART, named=False)
    apart = {}
    for name, features in features_of.items():
        n_with = Counter(word for feature in features for word in words.get(feature, []))
        for feature in features if len(features) > 1 else []:
            of_its_own = (word for word in words.get(feature, []) if n_with[word] == 1 and word not in name)
            apart |= {feature: word} if (word := next(of_its_own, "")) else {}
    return apart


def name_verdicts(study: StudyReader) -> dict[int, Verdict]:
    """Return what the first word of each single feature is worth; empty without words chosen by majority.

    How many of a feature's images show a word is known of names by majority alone (docs/method.md 6.12).
    """
    return made_once(study, "verdicts on names", lambda: _name_verdicts(study))


def _name_verdicts(study: StudyReader) -> dict[int, Verdict]:
    evidence, words = _evidence_of_words(study), feature_words(study, named=False)
    return (
        {one: judge_name(evidence[str(one), first]) for one, (first, *_) in words.items()} if evidence else {}
    )


def _evidence_of_words(study: StudyReader) -> dict[tuple[str, str], NameEvidence]:
    """What is known of the kept words of single features, by feature and word; empty without such words."""
    if not (study.has("concepts") and {"elsewhere", "score"} <= set(study.columns("concepts"))):
        return {}
    shares = ["score", "elsewhere", "auc_low", "auc_high"]
    names = [name for name in shares if name in study.columns("concepts")]
    table = study.table("concepts", ["group", "word", "kept", *names])
    table = table.loc[table["kept"].to_numpy(bool)].reindex(columns=["group", "word", *shares])
    n_of = Counter(study.column("highly_activating", "group").astype(str))
    rows = table.itertuples(index=False)
    return {(group, word): NameEvidence(word, n_of[group], *values) for group, word, *values in rows}


def features_on_object(study: StudyReader) -> list[int]:
    """Return the features whose heat lies on the object (verdict 'core'); none without masks."""
    return _features_on(study, "core")


def _features_on(study: StudyReader, mask: str) -> list[int]:
    """The features whose heat lies on these masks, core or spurious."""
    if not study.has("overlap_by_feature"):
        return []
    table = study.table("overlap_by_feature", ["feature", "mask", "verdict"])
    mine = (table["mask"] == mask) & (table["verdict"] == mask)
    return table.loc[mine.to_numpy(bool), "feature"].astype(int).tolist()


def disputed_heat(study: StudyReader) -> dict[int, tuple[str, list[int]]]:
    """Return features whose heat disputes their name: on the object, where a word says background.

    A word does so where its last part ("sky" of "night sky") also ends the first word of features whose heat
    lies on the background, and that word is useful or reliable, unless it names a class (docs/method.md 5.2).

    Returns:
        feature -> the word, and those other features, ascending. Empty without masks or words.
    """
    elsewhere: dict[str, list[int]] = {}
    judged, words = name_verdicts(study), feature_words(study, named=False)
    for feature in sorted(set(_features_on(study, "spurious")) & judged.keys()):
        last = words[feature][0].split()[-1]
        if judged[feature].word in (USEFUL, RELIABLE) and last not in study.class_names:
            elsewhere.setdefault(last, []).append(feature)
    disputed = {}
    for feature in features_on_object(study):
        of_background = (word for word in words.get(feature, ()) if word.split()[-1] in elsewhere)
        if word := next(of_background, ""):
            disputed[feature] = word, elsewhere[word.split()[-1]]
    return disputed


def named_from(study: StudyReader) -> dict[int, str]:
    """Return where the words were seen by which each feature is named: under its heat, or in the scene.

    UNDER, or SCENE if any of them was seen only in whole images. Empty where it is not known.
    """
    if not (study.has("concepts") and "under_heat" in study.columns("concepts")):
        return {}
    return made_once(study, "places of words", lambda: _places_of_words(study))


def _places_of_words(study: StudyReader) -> dict[int, str]:
    concepts = _concepts(study)
    shares = {(str(group), word): share for group, word, share in concepts[KEYS].to_numpy(object)}
    names = feature_words(study, named=False)
    places = {}
    for feature, words in names.items():
        under_heat = all(shares[str(feature), word] >= UNDER_HEAT for word in words)
        places[feature] = UNDER if under_heat else SCENE
    return places


def _concepts(study: StudyReader) -> pd.DataFrame:
    columns = ["group", "rank", "word", "kept", "under_heat", "score", "elsewhere"]
    return study.table("concepts", [name for name in columns if name in study.columns("concepts")])


def worst_within(
    study: StudyReader,
    mask: np.ndarray,
    *,
    within: Slice | None = None,
    min_images: int = finder.MIN_IMAGES,
    against: str = finder.ALL,
    limit: int = finder.MOST_ROWS,
) -> pd.DataFrame:
    """Find the parts of a slice with too many misclassified images, most significant first.

    Args:
        mask: (n_images,) bool: the slice. A part is compared with the rest of the slice.
        within: the slice in text form, which the column `where` then begins with.
        min_images, against, limit: as for `core.measures.finder.worst_slices`, which finds them.
    Returns:
        the columns of `worst_slices`.
    """
    table = finder.worst_slices(study, min_images=min_images, against=against, limit=limit, among=mask)
    if within is None:
        return table
    joined = [str(Slice.joined([within, Slice.parse(text)])) for text in table["where"]]
    return table.assign(where=joined)
