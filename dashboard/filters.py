"""The image filter that views share: widgets bound to the URL on one side, a Slice on the other."""

from __future__ import annotations

import math

import numpy as np
import streamlit as st

from core.errors import SliceError
from core.figures.scores import score_label
from core.slices import Slice
from core.store import Study
from dashboard import explain, loaders, state

SPLITS = {"all": "Both splits", "val": "Evaluation", "train": "Train"}
VERDICTS = {"all": "Any", "correct": "Correct", "wrong": "Misclassified"}


def filter_bar(study: Study, *, key: str, score: str = "q_score") -> Slice:
    """The image filter: split, class, predicted, correct, range of a score, and free conditions in a
    slice's own text form. Lives in the URL under names starting with `key`; filters whose column the study
    lacks are not shown. Returns the slice.
    """
    images = loaders.images(study)
    judged = "correct" in images and bool(images["correct"].notna().any())
    scores = images[score].to_numpy(dtype=float) if score in images else np.empty(0)
    scored = bool(np.isfinite(scores).any())
    split = verdict = "all"
    labels, predicted, bounds = [], [], None
    with st.container(horizontal=True, gap="medium", key=f"{key}_bar"):
        if 0 < np.count_nonzero(study.is_val) < study.n_images:
            split = _choice("Split", SPLITS, key=f"{key}_split")
        if judged:
            verdict = _choice("Verdict of the probe", VERDICTS, key=f"{key}_verdict")
    fields = [name for name, there in _fields(study, judged, scored) if there]
    for name, column in zip(fields, st.columns(len(fields)), strict=True):
        with column:
            if name == "class":
                labels = _classes("Class", study, key=f"{key}_class")
            elif name == "predicted":
                predicted = _classes("Predicted as", study, key=f"{key}_predicted")
            elif name == "score":
                bounds = _score_range(scores, score, key=f"{key}_{score}")
            else:
                text = _conditions(key=f"{key}_where")
    chosen = Slice(
        split=None if split == "all" else split,
        labels=tuple(labels),
        predicted=tuple(predicted),
        correct=None if verdict == "all" else verdict == "correct",
        ranges={} if bounds is None else {score: bounds},
    )
    return _with_text(study, chosen, text)


def _fields(study: Study, judged: bool, scored: bool) -> list[tuple[str, bool]]:
    return [("class", study.labelled), ("predicted", judged), ("score", scored), ("text", True)]


def _conditions(*, key: str) -> str:
    text = st.text_input(
        "More conditions",
        key=key,
        bind="query-params",
        placeholder="fires=12 confidence=0.5..",
        help=HELP_WHERE,
    )
    return text or ""


HELP_WHERE = (
    "Conditions as `column=value`, all of which must hold, for instance `fires=12,40`, "
    "`confusion=dog>cat`, `confidence=0.5..0.9`, or any further column of the images, such as "
    "`background=sand`. A range may be open: `q_score=..0.1`."
)


def _choice(label: str, options: dict[str, str], *, key: str) -> str:
    state.drop_unknown(key, options.values())
    words = list(options.values())
    chosen = st.segmented_control(label, words, default=words[0], required=True, key=key, bind="query-params")
    return next((name for name, word in options.items() if word == chosen), "all")


def _classes(label: str, study: Study, *, key: str) -> list[str]:
    state.drop_unknown(key, study.class_names)
    return st.multiselect(label, study.class_names, key=key, bind="query-params", placeholder="Any class")


def _score_range(scores: np.ndarray, score: str, *, key: str) -> tuple[float, float] | None:
    """The chosen range, or None while it spans everything (images without a score then stay in)."""
    low, high = float(np.nanmin(scores)), float(np.nanmax(scores))
    if not low < high:
        return None
    step = 10.0 ** math.floor(math.log10((high - low) / 100))
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    digits = max(0, -round(math.log10(step)))
    low, high = round(low, digits), round(high, digits)
    chosen = st.slider(
        score_label(score),
        low,
        high,
        (low, high),
        step=step,
        format=f"%.{digits}f",
        key=key,
        bind="query-params",
        help=explain.help_text(score),
    )
    return None if tuple(chosen) == (low, high) else (float(chosen[0]), float(chosen[1]))


def _with_text(study: Study, chosen: Slice, text: str) -> Slice:
    """The slice of the widgets and the free text together; one that does not hold is named and left out."""
    if not text.strip():
        return chosen
    try:
        both = Slice.parse(f"{chosen} {text}".strip())
        loaders.mask(study, both)
    except SliceError as error:
        st.warning(explain.plain(error), icon=":material/filter_alt_off:")
        return chosen
    return both
