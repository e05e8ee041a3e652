"""The image filter that views share: widgets bound to the URL on one side, a Slice on the other."""

from __future__ import annotations

import math

import pandas as pd
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
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key=f"{key}_bar"):
        split = _choice("Split", SPLITS, key=f"{key}_split") if images["split"].nunique() > 1 else "all"
        labels = _classes("Class", study, key=f"{key}_class") if study.labelled else []
        predicted = _classes("Predicted as", study, key=f"{key}_predicted") if judged else []
        verdict = _choice("Probe's verdict", VERDICTS, key=f"{key}_verdict") if judged else "all"
        bounds = _score_range(images, score, key=f"{key}_{score}")
        text = st.text_input(
            "More conditions",
            key=f"{key}_where",
            bind="query-params",
            placeholder="fires=12 confidence=0.5..",
            help=HELP_WHERE,
            width=230,
        )
    chosen = Slice(
        split=None if split == "all" else split,
        labels=tuple(labels),
        predicted=tuple(predicted),
        correct=None if verdict == "all" else verdict == "correct",
        ranges={} if bounds is None else {score: bounds},
    )
    return _with_text(study, chosen, text or "")


HELP_WHERE = (
    "Conditions as `column=value`, all of which must hold, for instance `fires=12,40`, "
    "`confusion=dog>cat`, `confidence=0.5..0.9`, or any further column of the images, such as "
    "`background=sand`. A range may be open: `q_score=..0.1`."
)


def _choice(label: str, options: dict[str, str], *, key: str) -> str:
    state.drop_unknown(key, options.values())
    words = list(options.values())
    chosen = st.segmented_control(
        label, words, default=words[0], required=True, key=key, bind="query-params"
    )
    return next((name for name, word in options.items() if word == chosen), "all")


def _classes(label: str, study: Study, *, key: str) -> list[str]:
    state.drop_unknown(key, study.class_names)
    return st.multiselect(
        label, study.class_names, key=key, bind="query-params", placeholder="Any class", width=210
    )


def _score_range(images: pd.DataFrame, score: str, *, key: str) -> tuple[float, float] | None:
    """The chosen range, or None while it spans everything (images without a score then stay in)."""
    if score not in images or not images[score].notna().any():
        return None
    low, high = float(images[score].min()), float(images[score].max())
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
        width=220,
    )
    return None if tuple(chosen) == (low, high) else (float(chosen[0]), float(chosen[1]))


def _with_text(study: Study, chosen: Slice, text: str) -> Slice:
    """The slice of the widgets and of the free text together; a text that does not hold is named and left out."""
    if not text.strip():
        return chosen
    try:
        both = Slice.parse(f"{chosen} {text}".strip())
        loaders.mask(study, both)
    except SliceError as error:
        st.warning(f"{error}", icon=":material/filter_alt_off:")
        return chosen
    return both
