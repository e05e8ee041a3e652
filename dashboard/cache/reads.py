"""Cached reads of tables, arrays, images and scores, and of the filter's images; rules as in `reader.py`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from core.analysis.caveats import notes_on_features
from core.analysis.trust_check import read_check
from core.bases.basis import about_latent
from core.common.captions import with_class_names
from core.common.dataframes import LazyTable, numbers, words
from core.common.score_names import available_scores
from core.common.step_facts import FeaturesFacts
from core.common.verdict_words import WEAK, Verdict
from core.common.wordnet import WORDNET
from core.errors import PeregrineError
from core.measures import feature_rates
from core.measures import headline as measured
from core.measures.evaluate import column_values, slice_columns
from core.measures.feature_names import feature_names as core_feature_names
from core.measures.label_issues import issues_of
from core.measures.overlap import ObjectPreference
from core.measures.overlap import object_preference as core_object_preference
from core.measures.slice import Slice
from core.measures.slice_comparison import population as core_population
from core.measures.slice_comparison import train_images
from core.measures.slice_features import feature_classes
from core.measures.slice_words import feature_words as core_feature_words
from core.measures.slice_words import name_verdicts, slice_words
from core.measures.slice_words import named_from as core_named_from
from core.store import Study
from core.study.label_decisions import DECISION, corrected_label, decision_on, with_decisions
from core.study.missing import nothing
from core.study.traces import BETWEEN, ImageTrace, Traces, read_traces
from dashboard.cache.reader import cached_read, named_after

# Cached reads of tables, arrays, images and scores; the rules are those of `reader.py`.


NONE_HELD_OUT = nothing("no_evaluation_images")
FACTS = ("image_id", "split", "label", "predicted", "confidence", "correct")
MOST_FACTS = 20_000  # images of a study whose facts are kept as dicts, about 10 MB


@cached_read(max_entries=64)
def table(study: Study, name: str, columns: tuple[str, ...] | None = None) -> pd.DataFrame:
    """One table of the study (`features`, `quality`, `quality_metrics` …), whole or some columns."""
    return study.table(name, columns=None if columns is None else list(columns))


narrowed = cached_read(max_entries=32)(Study.where)  # tables of a filter, measured once for all sessions


def slice_table(study: Study, where: Slice, name: str) -> pd.DataFrame:
    """A table of the images of a filter, by the name under which the study stores that of all."""
    return narrowed(study, where).table(name)


@cached_read(max_entries=32)
def _judged_labels(study: Study, where: Slice) -> pd.DataFrame:
    return issues_of(study, where).drop(columns=list(DECISION))


def label_issues(study: Study, where: Slice) -> pd.DataFrame:
    """See `core.measures.label_issues`; only what people decided is read each time, as they go on to."""
    return with_decisions(study, _judged_labels(study, where))


trust_check = cached_read(max_entries=32)(read_check)
feature_notes = cached_read(max_entries=32)(notes_on_features)


@cached_read(max_entries=64)
def vector(study: Study, name: str) -> np.ndarray:
    """One small whole array of the study, read-only."""
    return np.asarray(study.vector(name))


def discriminative(study: Study) -> np.ndarray:
    """(n_features,) bool: the discriminative features."""
    return table(study, "features", ("discriminative",))["discriminative"].to_numpy(bool)


@cached_read(max_entries=32)
def images(study: Study) -> LazyTable:
    """One row an image, in study order: image_id, path, split, label, and what the steps done so far add:
    q_score, n_firing, …, predicted, confidence, margin, energy, correct (pandas nullable boolean).
    The index is the row number that thumbnails, firing sets and neighbours use.
    """
    tables = slice_columns(study)  # a column of several tables is that by which filters are read
    present = filter(study.has, ("images", "probe", "quality"))
    names = dict.fromkeys(name for table in present for name in study.columns(table))

    @cache
    def verdicts() -> pd.Series:
        return study.column(tables["correct"], "correct").astype("boolean")

    return LazyTable(
        [*names],
        lambda name: verdicts() if name == "correct" else study.column(tables[name], name),
        lambda name: study.has_values(tables[name], name),
    )


@cached_read(max_entries=32)
def answer_has_seen(study: Study) -> np.ndarray:
    """(n_images,) bool: the images that the answer was fitted to, where it is optimistic."""
    return train_images(study) & (study.has("probe") and study.is_fitted)


def image_facts(study: Study, row: int) -> dict[str, Any]:
    """What captions say of the image in a row; missing values are None or NaN."""
    return facts_of(study, [row])[0]


def facts_of(study: Study, rows: Sequence[int]) -> list[dict[str, Any]]:
    """`image_facts` of several rows. Galleries ask for the same ones at every rerun."""
    cached = _known_facts(study)
    facts = {row: fact for row in rows if (fact := cached.get(row))}  # another session may empty it meanwhile
    new = [row for row in rows if row not in facts]
    if new:
        if len(cached) > MOST_FACTS:
            cached.clear()
        listing = images(study)
        frame = listing.frame([name for name in FACTS if name in listing])
        # Slices cost nothing; `iloc[new]` would copy each column of strings whole.
        records = pd.concat([frame.iloc[row : row + 1] for row in new]).to_dict("records")
        facts |= zip(new, records, strict=True)
        cached.update(facts)
    return [dict(facts[row]) for row in rows]


@cached_read(max_entries=64)
def scores(study: Study) -> tuple[str, ...]:
    """The score columns that hold at least one number, in the order of `core.common.score_names.SCORES`."""
    return tuple(available_scores(images(study)))


@cached_read(max_entries=64)
def mask(study: Study, where: Slice) -> np.ndarray:
    """(n_images,) bool, read-only: the images of a slice. Each of its conditions is looked up only once."""
    parts = where.parts()
    if len(parts) < 2:
        return where.mask(study)
    return np.logical_and.reduce([mask(study, part) for part in parts])


@cached_read(max_entries=32)
def object_preference(study: Study, where: Slice) -> ObjectPreference:
    """How far the heat of the images of a filter prefers the object."""
    return core_object_preference(study, mask(study, where))


@cached_read(max_entries=512, names_features=True)
def firing(study: Study, row: int) -> pd.DataFrame:
    """The features that fire on one image, strongest first: feature, name, excess (h - mu of the row),
    tail, discriminative, activation_rate.
    """
    ends = _firing_ends(study)
    span = slice(int(ends[row - 1]) if row else 0, int(ends[row]))
    frame = pd.DataFrame(
        {"feature": study.array("firing_features")[span], "excess": study.array("firing_excess")[span]}
    )
    facts = table(study, "features").set_index("feature")
    columns = ["tail", "discriminative", "activation_rate"]
    frame = frame.join(facts[columns], on="feature")
    frame.insert(1, "name", feature_names(study, frame["feature"]))
    return frame.sort_values("excess", ascending=False, ignore_index=True)


def top_rows(study: Study, feature: int, *, limit: int = 64) -> np.ndarray:
    """Rows of the images on which a feature is largest, best first (at most 64 are stored)."""
    rows = vector(study, "top_images")[feature]
    rows = rows[rows >= 0]
    return rows[:limit]


@cached_read(max_entries=512)
def neighbours(study: Study, row: int) -> pd.DataFrame:
    """Nearest train images of a val image: row, similarity (cosine). Empty for a train image."""
    if not study.has("neighbours") or train_images(study)[row]:
        return pd.DataFrame({"row": pd.Series(dtype="int64"), "similarity": pd.Series(dtype="float64")})
    at = int(np.count_nonzero(~train_images(study)[:row]))
    rows = study.array("neighbours")[at]
    near = pd.DataFrame({"row": rows, "similarity": study.array("neighbour_similarity")[at]})
    return near.loc[rows >= 0].reset_index(drop=True)


def feature_name(study: Study, feature: int) -> str:
    """What a feature is called wherever it is shown: "Feature 12 (brick wall, red)", without words "Feature
    12 (strong on bird)". Not safe in Markdown: a stranger's study may call any text a concept.
    """
    return feature_names(study, [feature])[0]


def feature_names(study: Study, features: Iterable[int]) -> list[str]:
    """`feature_name` of several features."""
    words, kind = feature_words(study), study.feature_kind
    return [
        f"{kind} {number} ({words[number]})" if number in words else f"{kind} {number}"
        for number in map(int, features)
    ]


def list_names(study: Study, features: Iterable[int]) -> list[str]:
    """`feature_names` in lists to choose from, where those without a name say on what they fire: "Feature 12
    (mostly bird, 5 of 9 images)".
    """
    asked = [int(number) for number in features]
    words = feature_words(study)
    return [
        f"{name} ({text})" if number not in words and (text := class_words(study, number)) else name
        for number, name in zip(asked, feature_names(study, asked), strict=True)
    ]


firing_classes = cached_read(max_entries=8)(feature_classes)


def class_words(study: Study, feature: int) -> str:
    """Which class the evaluation images belong to on which a feature fires, in words; empty without any."""
    firing = firing_classes(study).get(feature)
    return firing.words if firing else ""


def where_it_fires(study: Study, feature: int) -> str:
    """Where a feature fires as a clause, "fires mostly on bird, 5 of 9 images"; empty for a single class."""
    firing = firing_classes(study).get(feature)
    return firing.clause if firing and len(study.class_names) > 1 else ""


@cached_read(max_entries=32)
def firing_thresholds(study: Study) -> tuple[float, float]:
    """Between which activations 90 % of the train images start to fire (mu_i + epsilon sigma_i per row); of
    all images where there are none.
    """
    stats = table(study, "row_stats", ("mean", "std"))
    epsilon = study.facts(FeaturesFacts).known_epsilon
    thresholds = (stats["mean"] + epsilon * stats["std"]).to_numpy()
    in_train = train_images(study)
    ends = np.quantile(thresholds[in_train] if in_train.any() else thresholds, [0.05, 0.95])
    return float(ends[0]), float(ends[1])


@cached_read(max_entries=2048)
def percentile(study: Study, column: str, row: int) -> float:
    """Share of images of the same split, in percent, whose score is at most this image's (mid-rank)."""
    every = images(study)[column].to_numpy(dtype=float)
    value, scores = every[row], every[study.is_val == study.is_val[row]]
    scores = scores[~np.isnan(scores)]
    if not scores.size or np.isnan(value):
        return float("nan")
    return 100.0 * (np.count_nonzero(scores < value) + 0.5 * np.count_nonzero(scores == value)) / scores.size


@cached_read(max_entries=8)
def _known_facts(study: Study) -> dict[int, dict[str, Any]]:
    """Filled by `facts_of`, for all sessions."""
    return {}


@cached_read(max_entries=8, names_features=True)
def feature_words(study: Study, between: str = ", ") -> dict[int, str]:
    """See `core.measures.feature_names`; without what cannot be read, such as the names that people gave."""
    try:
        return core_feature_names(study, between=between)
    except PeregrineError:  # a page says so where it shows that itself
        return core_feature_names(study, named=False, between=between)


@cached_read(max_entries=8, names_features=True)
def traces(study: Study) -> Traces:
    """The notes, tags, doubts and names that people left. Raises DamagedTraces, StudyError."""
    return read_traces(study.path)


def traces_shown(study: Study) -> Mapping[str, ImageTrace]:
    """What people left on images, by image id; nothing where it cannot be read."""
    try:
        return traces(study).images
    except PeregrineError:
        return {}


def with_traces(study: Study, rows: Sequence[int] | np.ndarray, further: Iterable[str] = ()) -> pd.DataFrame:
    """Some rows of `images`, the names of classes that are WordNet ids (label_name, predicted_name), and what
    people left: tags, wrong_label, right_label, note, and corrected_label, as in
        `core.study.label_decisions`.

    further: columns by which a filter can decide, added with the values by which it does.
    """
    table = images(study).frame().iloc[np.asarray(rows, np.int64)]
    left = traces_shown(study)
    of = [left.get(str(name), ImageTrace()) for name in table["image_id"]]
    columns: dict[str, list[str] | np.ndarray] = {
        "tags": [BETWEEN.join(one.tags) for one in of],
        "wrong_label": [one.wrong_label for one in of],
        "right_label": [one.right_label for one in of],
        "corrected_label": [
            corrected_label(one, label) if decision_on(one, label) else ""
            for one, label in zip(of, words(table, "label"), strict=True)
        ],
        "note": [one.note for one in of],
    }
    for column in ("label", "predicted"):
        texts = words(table, column)
        if any(map(WORDNET.fullmatch, texts)):
            columns[f"{column}_name"] = list(map(with_class_names, texts))
    for column in further:
        if column not in table:
            columns[column] = column_values(study, column).to_numpy()[table.index]
    return table.assign(**{name: values for name, values in columns.items() if name not in table})


@cached_read(max_entries=8)
def words_alone(study: Study) -> dict[int, list[str]]:
    """The best concepts of each single feature, whatever people call it."""
    return core_feature_words(study, named=False)


@cached_read(max_entries=8, names_features=True)
def named_from(study: Study) -> dict[int, str]:
    """See `core.measures.slice_words.named_from`; without the features that people named."""
    given = names_given(study)
    return {feature: source for feature, source in core_named_from(study).items() if feature not in given}


@cached_read(max_entries=8)
def _latents(study: Study) -> pd.DataFrame | None:
    return study.latents


def latent_sentence(study: Study, feature: int) -> str:
    """What a feature is where it is a latent, and whether to trust it; "" for a unit of the encoder."""
    basis, latents = study.basis, _latents(study)
    return "" if basis is None or latents is None else about_latent(basis, latents.iloc[feature].to_dict())


def stability(study: Study, latent: int) -> float | None:
    """How nearly another fit found a latent; None for a unit, and where there was one fit."""
    stable = stabilities(study)
    return None if stable is None or np.isnan(stable[latent]) else float(stable[latent])


def stabilities(study: Study) -> np.ndarray | None:
    """(n_latents,) float64: `stability` of each latent; None of units, and where there was one fit."""
    latents = _latents(study)
    stable = np.empty(0) if latents is None else numbers(latents, "stability")
    return stable if np.isfinite(stable).any() else None


def number_and_place(study: Study, feature: int) -> str:
    """What stands in grey behind the words of a feature on a card: "#482 · scene", "#43 · heat · weak"."""
    source, judged = named_from(study).get(feature), name_verdict(study, feature)
    source_text = f"#{feature} · {source.split()[-1]}" if source else f"#{feature}"
    return f"{source_text} · {judged.word}" if judged and judged.word == WEAK else source_text


def name_verdict(study: Study, feature: int) -> Verdict | None:
    """What the word that a feature is called by is worth; None without one, and where people named it."""
    return None if feature in names_given(study) else _name_verdicts(study).get(feature)


_name_verdicts = cached_read(max_entries=8)(name_verdicts)


def names_given(study: Study) -> dict[int, str]:
    """The names that people gave to features; none where they cannot be read."""
    try:
        return traces(study).feature_names
    except PeregrineError:
        return {}


@cached_read(max_entries=4)
def _firing_ends(study: Study) -> np.ndarray:
    """(n_images,) int64: where each image's part of the flat firing arrays ends."""
    return np.cumsum(study.vector("firing_count"), dtype=np.int64)


# Cached reads of everything about a slice; the rules are those of `reader.py`.
#
# Every function takes the filter of a page and returns what holds of its images. Tables of these are read
# by `reads.slice_table`.


T = TypeVar("T")
population = cached_read(max_entries=64)(core_population)


def inside(study: Study, where: Slice) -> tuple[np.ndarray]:
    """The images of a filter, (n_images,) bool."""
    return (population(study, where)[0],)


def of_filter(
    measure: Callable[..., T], images: Callable[[Study, Slice], tuple] = inside
) -> Callable[..., T]:
    """Let a measure whose last arguments are images take the filter that `images` reads them from."""

    @named_after(measure)
    def of_its_images(study: Study, *arguments: Any) -> T:
        *others, where = arguments
        return measure(study, *others, *images(study, where))

    return of_its_images


headline = cached_read(max_entries=64)(of_filter(measured.headline))
feature_differences = cached_read(max_entries=64)(of_filter(feature_rates.feature_differences, population))
word_differences = cached_read(max_entries=64)(of_filter(slice_words, population))
