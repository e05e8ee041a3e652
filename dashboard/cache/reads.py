"""Every cached read. Keys are `study.key` (path, manifest digest): a rewritten study is never served stale.

Cached frames and arrays are shared by all sessions. A frame is handed out as a copy-on-write view and an
array read-only, so a view can neither change nor slow down what another one sees.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.analysis.features.notes import notes_on_features
from core.common.score_names import available_scores
from core.slices import saved_slices
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache.rendered_figures import Drawn

MOST_FACTS = 20_000  # images of a study whose facts are kept as dicts, about 20 MB

if int(pd.__version__.partition(".")[0]) < 3:  # from 3 on it is always so
    pd.options.mode.copy_on_write = True


def table(study: Study, name: str, columns: tuple[str, ...] | None = None) -> pd.DataFrame:
    """One table of the study (`features`, `quality`, `quality_metrics` …), whole or some columns."""
    return _table(study.key, name, columns, _study=study).copy(deep=False)


def summary(study: Study, step: str) -> dict[str, Any]:
    """The headline numbers a step left; empty when it has not run."""
    return study.summary(step)


def feature_notes(study: Study) -> list[str]:
    """What a reader of the study's discriminative features should know, in sentences."""
    return _feature_notes(study.key, _study=study)


def vector(study: Study, name: str) -> np.ndarray:
    """One small whole array of the study, read-only."""
    return _vector(study.key, name, _study=study)


def images(study: Study) -> pd.DataFrame:
    """One row an image, in study order: image_id, path, split, label, and what the steps done so far add:
    q_score, n_firing, …, predicted, confidence, margin, energy, correct (pandas nullable boolean).
    The index is the row number that thumbnails, firing sets and neighbours use.
    """
    return _images(study.key, _study=study).copy(deep=False)


def image_facts(study: Study, row: int) -> dict[str, Any]:
    """The row of `images` as a dict; missing values are None or NaN."""
    return facts_of(study, [row])[0]


def facts_of(study: Study, rows: Sequence[int]) -> list[dict[str, Any]]:
    """`image_facts` of several rows. Galleries ask for the same ones at every rerun."""
    known = _known_facts(study.key)
    facts = {row: fact for row in rows if (fact := known.get(row))}  # another session may empty it meanwhile
    new = [row for row in rows if row not in facts]
    if new:
        if len(known) > MOST_FACTS:
            known.clear()
        images = _images(study.key, _study=study)
        # Slices cost nothing; `iloc[new]` would copy each column of strings whole.
        found = pd.concat([images.iloc[row : row + 1] for row in new]).to_dict("records")
        facts |= zip(new, found, strict=True)
        known.update(facts)
    return [dict(facts[row]) for row in rows]


def scores(study: Study) -> list[str]:
    """The score columns that hold at least one number, in the order of `core.common.score_names.SCORES`."""
    return list(_scores(study.key, _study=study))


def mask(study: Study, where: Slice) -> np.ndarray:
    """(n_images,) bool, read-only: the images of a slice. Each of its conditions is looked up only once."""
    return _mask(study.key, where.to_json(), saved_stamp(study, where), _study=study)


def saved_stamp(study: Study, where: Slice) -> tuple[int, int]:
    """Changes whenever a slice that names saved ones may hold other images; part of the key of a cache."""
    return saved_slices.stamp(study.path) if where.saved else (0, 0)


def row_of(study: Study, image_id: str) -> int:
    """Row of an image id; raises StudyError for an unknown one."""
    return int(study.row_of(image_id))


def firing(study: Study, row: int) -> pd.DataFrame:
    """The features that fire on one image, strongest first: feature, name, excess (h - mu of the row),
    tail, discriminative, activation_rate, top_class.
    """
    return _firing(study.key, row, _study=study).copy(deep=False)


def top_rows(study: Study, feature: int, *, split: str | None = None, limit: int = 64) -> np.ndarray:
    """Rows of the images on which a feature is largest, best first (at most 64 are stored)."""
    rows = vector(study, "top_images")[feature]
    rows = rows[rows >= 0]
    if split is not None:
        rows = rows[table(study, "images", ("split",))["split"].to_numpy()[rows] == split]
    return rows[:limit]


def neighbours(study: Study, row: int) -> pd.DataFrame:
    """Nearest train images of a val image: row, similarity (cosine). Empty for a train image."""
    return _neighbours(study.key, row, _study=study).copy(deep=False)


def feature_name(study: Study, feature: int) -> str:
    """What a feature is called wherever it is shown: "Feature 12 (brick wall, red)", or "Feature 12" without
    concepts. Concepts are lemmas of letters, so they are safe in Markdown.
    """
    return feature_names(study, [feature])[0]


def feature_names(study: Study, features: Iterable[int]) -> list[str]:
    """`feature_name` of several features."""
    words = _feature_words(study.key, _study=study)
    return [
        f"Feature {number} ({words[number]})" if number in words else f"Feature {number}"
        for number in map(int, features)
    ]


def evaluation(study: Study, score: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The evaluation images: their rows, the score of each, and 1 correct, 0 misclassified or NaN unknown.

    A study without an evaluation split gives all its images.
    """
    return _evaluation(study.key, score, _study=study)


def firing_thresholds(study: Study) -> tuple[float, float]:
    """Between which activations 90 % of the train images start to fire (mu_i + epsilon sigma_i per row)."""
    return _firing_thresholds(study.key, _study=study)


def figure(study: Study, of: tuple[Hashable, ...], draw: Callable[[], go.Figure]) -> Drawn:
    """The figure that `draw` makes, ready for the page; `of` names it and all that it depends on besides the
    study: what was drawn for the same is not drawn again.
    """
    return _figure(study.key, of, _draw=draw)


def percentile(study: Study, column: str, row: int) -> float:
    """Share of images of the same split, in percent, whose score is at most this image's (mid-rank)."""
    return _percentile(study.key, column, row, _study=study)


@st.cache_data(max_entries=32, show_spinner=False)
def _feature_notes(key: str, *, _study: Study) -> list[str]:
    return notes_on_features(_study)


@st.cache_resource(max_entries=64, show_spinner=False)
def _table(key: str, name: str, columns: tuple[str, ...] | None, *, _study: Study) -> pd.DataFrame:
    return _study.table(name, columns=None if columns is None else list(columns))


@st.cache_resource(max_entries=64, show_spinner=False)
def _vector(key: str, name: str, *, _study: Study) -> np.ndarray:
    values = np.asarray(_study.vector(name))
    values.setflags(write=False)
    return values


@st.cache_resource(max_entries=256, show_spinner=False)
def _figure(key: str, of: tuple[Hashable, ...], *, _draw: Callable[[], go.Figure]) -> Drawn:
    return Drawn(_draw())


@st.cache_resource(max_entries=8, show_spinner=False)
def _images(key: str, *, _study: Study) -> pd.DataFrame:
    frame = _study.images.reset_index(drop=True)
    for name in ("probe", "quality"):
        if _study.has(name):
            new = [column for column in _study.columns(name) if column not in frame.columns]
            frame = _beside(frame, _study.table(name, columns=["image_id", *new]))
    if "correct" in frame:
        frame["correct"] = frame["correct"].astype("boolean")
    return frame


def _beside(frame: pd.DataFrame, extra: pd.DataFrame) -> pd.DataFrame:
    """The frame with the further columns of another table of images. Steps list images in the study's order,
    so there is nothing to look up, which would take seconds for a million names.
    """
    if frame["image_id"].equals(extra["image_id"]):
        return pd.concat([frame, extra.drop(columns="image_id")], axis=1)
    return frame.merge(extra, on="image_id", how="left", validate="1:1")


@st.cache_resource(max_entries=8, show_spinner=False)
def _scores(key: str, *, _study: Study) -> tuple[str, ...]:
    return tuple(available_scores(_images(key, _study=_study)))


@st.cache_resource(max_entries=8, show_spinner=False)
def _known_facts(key: str) -> dict[int, dict[str, Any]]:
    """Filled by `facts_of`, for all sessions."""
    return {}


@st.cache_resource(max_entries=64, show_spinner=False)
def _mask(key: str, where: str, stamp: tuple[int, int], *, _study: Study) -> np.ndarray:
    chosen = Slice.from_json(where)
    parts = chosen.parts()
    if len(parts) < 2:
        values = chosen.mask(_study)
    else:
        values = np.logical_and.reduce([mask(_study, part) for part in parts])
    values.setflags(write=False)
    return values


@st.cache_resource(max_entries=8, show_spinner=False)
def _feature_words(key: str, *, _study: Study) -> dict[int, str]:
    """The two best concepts of each single feature, neither a part of the other."""
    if not _study.has("concepts"):
        return {}
    kept = _table(key, "concepts", ("group", "rank", "word", "kept"), _study=_study)
    single: Any = kept[kept["kept"] & ~kept["group"].str.contains("_")]
    single = single.sort_values("rank")
    found: dict[int, list[str]] = {}
    for group, word in zip(single["group"], single["word"], strict=True):
        words = found.setdefault(int(group), [])
        if len(words) < 2 and not any(word in other or other in word for other in words):
            words.append(word)
    return {group: ", ".join(words) for group, words in found.items()}


@st.cache_resource(max_entries=4, show_spinner=False)
def _firing_ends(key: str, *, _study: Study) -> np.ndarray:
    """(n_images,) int64: where each image's part of the flat firing arrays ends."""
    return np.cumsum(_study.vector("firing_count"), dtype=np.int64)


@st.cache_resource(max_entries=512, show_spinner=False)
def _firing(key: str, row: int, *, _study: Study) -> pd.DataFrame:
    ends = _firing_ends(key, _study=_study)
    span = slice(int(ends[row - 1]) if row else 0, int(ends[row]))
    frame = pd.DataFrame(
        {
            "feature": _study.array("firing_features")[span],
            "excess": _study.array("firing_excess")[span],
        }
    )
    facts = _table(key, "features", None, _study=_study).set_index("feature")
    columns = ["tail", "discriminative", "activation_rate", "top_class", "purity"]
    frame = frame.join(facts[columns], on="feature")
    frame.insert(1, "name", feature_names(_study, frame["feature"]))
    return frame.sort_values("excess", ascending=False, ignore_index=True)


@st.cache_resource(max_entries=512, show_spinner=False)
def _neighbours(key: str, row: int, *, _study: Study) -> pd.DataFrame:
    if not _study.has("neighbours") or not _study.is_val[row]:
        return pd.DataFrame({"row": pd.Series(dtype="int64"), "similarity": pd.Series(dtype="float64")})
    at = int(np.count_nonzero(_study.is_val[:row]))
    rows = _study.array("neighbours")[at]
    near = pd.DataFrame({"row": rows, "similarity": _study.array("neighbour_similarity")[at]})
    return near.loc[rows >= 0].reset_index(drop=True)


@st.cache_resource(max_entries=32, show_spinner=False)
def _evaluation(key: str, score: str, *, _study: Study) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    frame = _images(key, _study=_study)
    chosen = _study.is_val if _study.is_val.any() else np.ones(len(frame), bool)
    rows = np.flatnonzero(chosen)
    correct = np.full(len(rows), np.nan)
    if "correct" in frame:
        correct = frame["correct"].to_numpy(dtype=float, na_value=np.nan)[rows]
    parts = rows, frame[score].to_numpy(dtype=float)[rows], correct
    for part in parts:
        part.setflags(write=False)
    return parts


@st.cache_resource(max_entries=32, show_spinner=False)
def _firing_thresholds(key: str, *, _study: Study) -> tuple[float, float]:
    stats = _table(key, "row_stats", ("mean", "std"), _study=_study)
    epsilon = float(_study.summary("features")["epsilon"])
    ends = np.quantile((stats["mean"] + epsilon * stats["std"]).to_numpy()[~_study.is_val], [0.05, 0.95])
    return float(ends[0]), float(ends[1])


@st.cache_resource(max_entries=2048, show_spinner=False)
def _percentile(key: str, column: str, row: int, *, _study: Study) -> float:
    frame = _images(key, _study=_study)
    scores = frame.loc[frame["split"] == frame["split"].iat[row], column].to_numpy(dtype=float)
    own = float(frame[column].iat[row])
    scores = scores[~np.isnan(scores)]
    if not scores.size or np.isnan(own):
        return float("nan")
    return 100.0 * (np.count_nonzero(scores < own) + 0.5 * np.count_nonzero(scores == own)) / scores.size
