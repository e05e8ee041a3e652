"""Failures: which classes the probe confuses, and the features behind its answer and behind the truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.common.dataframes import columns, equals, numbers, where
from core.figures import concepts as figures
from core.heatmaps.overlay_image import OverlayStyle
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.cache import concept_reads, reads
from dashboard.components import widgets
from dashboard.components.chart import chart
from dashboard.components.run_button import step_command
from dashboard.panels import heatmap_grid
from dashboard.panels.filter_bar import filter_bar
from dashboard.state import image_filter, session

TRUE, PREDICTED = "failure_true", "failure_predicted"  # widget keys and parts of the URL
SUGGESTED = 6
TILES = 12
TOP_IMAGES = 4


def page(study: Study) -> None:
    widgets.page_header("Failures", "Which classes the probe confuses, and which features led it there.")
    if not _ready(study):
        return
    filter_bar(study, says="The filter narrows the evaluation images of a confusion; the counts are of all.")
    pairs = concept_reads.confusions(study)
    _facts(study, pairs)
    matrix = st.container()
    true, predicted = _choose(study, pairs)
    with matrix:
        _matrix(study, pairs, (true, predicted))
    _pair(study, pairs, true, predicted)


def _ready(study: Study) -> bool:
    if skipped := reads.summary(study, "failures").get("skipped"):
        widgets.empty_state("There are no failures to explain", str(skipped))
        return False
    return widgets.needs(study, "failure_pairs", "The explanation of failures")


def _facts(study: Study, pairs: pd.DataFrame) -> None:
    facts = reads.summary(study, "failures")
    split = {"val": "evaluation ", "train": "train "}.get(str(facts.get("split")), "")
    n = int(numbers(pairs, "n_images").sum())
    st.markdown(f"The probe misclassifies **{n:,}** {split}images, in {len(pairs):,} pairs of classes.")
    note = str(facts.get("note") or "")
    if note and not study.has("concepts"):
        widgets.empty_state("No words yet", note, step_command(study, "concepts"))
    elif note:
        st.caption(widgets.plain(note.replace("`", "")))


def _choose(study: Study, pairs: pd.DataFrame) -> tuple[str, str]:
    """The pair that is shown: from the URL, a click on the matrix, the boxes, or the most common one."""
    first = pairs.iloc[0]
    st.subheader("One confusion")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        true = _class(study, pairs, "true", "Truth", TRUE, str(first["true"]))
        predicted = _class(
            study, pairs, "predicted", "The probe's answer", PREDICTED, str(first["predicted"])
        )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption("Most common:", width="content")
        for at in range(min(SUGGESTED, len(pairs))):
            names = str(pairs["true"].iat[at]), str(pairs["predicted"].iat[at])
            st.button(
                f"{widgets.plain(names[0])} as {widgets.plain(names[1])} ({int(pairs['n_images'].iat[at])})",
                key=f"failure_suggest_{at}",
                type="tertiary",
                on_click=_show,
                args=names,
            )
    return true, predicted


def _class(study: Study, pairs: pd.DataFrame, side: str, label: str, key: str, first: str) -> str:
    there = set(pairs[side])
    options = [name for name in study.class_names if name in there]
    session.drop_unknown(key, options)
    chosen = st.selectbox(label, options, index=options.index(first), key=key, bind="query-params", width=220)
    return chosen or first


def _show(true: str, predicted: str) -> None:
    session.choose(TRUE, true)
    session.choose(PREDICTED, predicted)


def _matrix(study: Study, pairs: pd.DataFrame, selected: tuple[str, str]) -> None:
    classes = figures.confused_classes(pairs, study.class_names)
    chart(
        study,
        "failure_matrix",
        lambda theme: figures.confusion_matrix(pairs, classes, selected=selected, theme=theme),
        selected,
        alt="Number of misclassified images of each true class, by the probe's answer",
        data=pairs,
        on_select=_clicked,
    )
    line = "Click a cell to see its images below. The diagonal, correct images, is left out."
    if len(classes) < len(study.class_names):
        line = f"The {len(classes)} of {len(study.class_names)} classes that are confused most. {line}"
    st.caption(line)


def _clicked(points: list[dict]) -> None:
    true, predicted = points[-1]["customdata"]
    _show(str(true), str(predicted))


def _pair(study: Study, pairs: pd.DataFrame, true: str, predicted: str) -> None:
    here = where(pairs, equals(pairs, "true", true) & equals(pairs, "predicted", predicted))
    names = f"**{widgets.plain(true)}**", f"**{widgets.plain(predicted)}**"
    if here.empty:
        others = where(pairs, equals(pairs, "true", true))
        said = ", ".join(
            f"{name} ({n})" for name, n in zip(others["predicted"], others["n_images"], strict=True)
        )
        st.markdown(f"No image of {names[0]} was taken for {names[1]}.")
        st.caption(widgets.plain(f"Images of {true} were taken for: {said}."))
        return
    n = int(here["n_images"].iat[0])
    st.markdown(
        f"**{n:,}** image{'s' * (n != 1)} of {names[0]} {'was' if n == 1 else 'were'} taken for {names[1]}."
    )
    _images(study, true, predicted)
    table = reads.table(study, "failure_pairs")
    table = where(table, equals(table, "true", true) & equals(table, "predicted", predicted))
    sides = (("predicted", f"Behind the answer, {predicted}"), ("true", f"Behind the truth, {true}"))
    for column, (side, title) in zip(st.columns(2, gap="large"), sides, strict=True):
        with column:
            st.subheader(widgets.plain(title), help=widgets.help_text("contribution"))
            _side(study, where(table, equals(table, "side", side)), side, (true, predicted), n)


def _images(study: Study, true: str, predicted: str) -> None:
    failures = reads.table(study, "failures", ("image_id", "true", "predicted"))
    chosen = where(failures, equals(failures, "true", true) & equals(failures, "predicted", predicted))
    rows = concept_reads.rows_of(study, chosen.drop_duplicates())
    rows = image_filter.narrowed(study, rows)
    confidence = reads.images(study)["confidence"].to_numpy(float)[rows]
    rows = rows[np.argsort(-confidence, kind="stable")]
    label = "images of this confusion"
    if study.has("heatmap_maps"):
        st.caption("Most confident first, each with the heatmap of its firing discriminative features.")
        heatmap_grid.gallery(
            study, rows, OverlayStyle(), key="failure_images", shown=("Original", "Overlay"), captions=_lines,
            page_size=TILES, label=label,
        )  # fmt: skip
        return
    st.caption("Most confident first.")
    widgets.image_gallery(study, rows, key="failure_images", captions=_lines, page_size=TILES, label=label)


def _lines(fact: Mapping[str, Any]) -> tuple[str, ...]:
    return heatmap_grid.lines(fact)[:1]


def _side(study: Study, features: pd.DataFrame, side: str, pair: tuple[str, str], n: int) -> None:
    """The features that speak for one answer: bars of what they add, then each with words and images."""
    chart(
        study,
        f"failure_behind_{side}",
        lambda theme: figures.contribution_bars(
            features, colour=theme.correct if side == "true" else theme.misclassified, theme=theme
        ),
        *pair,
        alt=f"What each feature adds to the logit of the {side} class",
        data=columns(features, ["rank", "feature", "contribution", "n_top", "words"]),
    )
    for number, words, n_top in zip(features["feature"], features["words"], features["n_top"], strict=True):
        _feature(study, int(number), str(words or ""), int(n_top), n, side)


def _feature(study: Study, number: int, words: str, n_top: int, n: int, side: str) -> None:
    with st.container(border=True, gap="small"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            _link(study, number, bool(words))
            st.caption(f"among the strongest on {n_top:,} of {n:,}", width="content")
        if words:
            st.markdown(widgets.plain(words.replace("; ", " · ")))
        else:
            st.caption(_why_wordless(study, number))
        if study.has("top_images"):
            rows = reads.top_rows(study, number, limit=TOP_IMAGES)
            widgets.image_gallery(
                study,
                rows,
                key=f"failure_{side}_{number}",
                captions={int(row): () for row in rows},
                badges=lambda row: "",
                tile=72,
                label=f"images on which feature {number} is largest",
            )


def _why_wordless(study: Study, number: int) -> str:
    if not study.has("concept_features"):
        return "No words."
    facts = reads.table(study, "concept_features")
    found = where(facts, facts["feature"].to_numpy() == number)
    if found.empty or bool(found["explainable"].iat[0]):
        return "No words."
    n = int(found["n_images"].iat[0])
    activate = "image activates" if n == 1 else "images activate"
    return f"No words: {n or 'no'} {activate} it highly, too few to explain it."


def _link(study: Study, number: int, has_words: bool) -> None:
    """To the concepts of the feature; of one without words, to its own page."""
    query = {session.STUDY: served_studies.name_of(study)}
    st.page_link(
        "views/concepts.py" if has_words else "views/features.py",
        label=f"Feature {number}",
        icon=":material/lightbulb:" if has_words else ":material/bar_chart:",
        query_params=query | {"concept" if has_words else "feature": str(number)},
    )


page(session.current_study())
