"""Concepts: search a word and see which features mean it; what one feature means, and the evidence."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import streamlit as st

from core.common.command_line import command_line
from core.common.dataframes import columns, where
from core.figures import concepts as figures
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.cache import concept_reads, reads
from dashboard.components import widgets
from dashboard.components.chart import chart, download
from dashboard.components.stable_container import own_place
from dashboard.panels.concepts import feature_panel
from dashboard.panels.filter_bar import filter_bar
from dashboard.state import session

WORD, UNIT = "concept_word", "concept"  # widget keys and parts of the URL
SUGGESTED = 10
TILES = 12
CLASSES = 5


def page(study: Study) -> None:
    widgets.page_header("Concepts", "Which features mean a word, and what a feature means in words.")
    if not _ready(study):
        return
    filter_bar(
        study, says="The filter narrows the described images that activate a feature; words are of all."
    )
    explained = concept_reads.explained(study)
    _facts(study, len(explained))
    found = _search(study, explained)
    table = st.container()
    group = _choose(explained, found)
    with table:
        _table(explained, found)
        _described(study)
    _detail(study, explained, group)


def _ready(study: Study) -> bool:
    if skipped := reads.summary(study, "concepts").get("skipped"):
        command = command_line("concepts", study.path, captions="FILE", clip="MODEL@WEIGHTS")
        widgets.empty_state("No feature was put into words", str(skipped), command)
        return False
    return widgets.needs(study, "concepts", "The words of the features")


def _facts(study: Study, n_explained: int) -> None:
    facts = reads.summary(study, "concepts")
    line = f"**{n_explained:,}** features and groups of features are explained"
    if {"n_bank", "clip"} <= set(facts):
        clip = widgets.plain(facts["clip"])
        line += f", in words from {facts['n_bank']:,} captions that the CLIP model {clip} compared with them"
    line += "."
    if {"k", "alpha", "n_images"} <= set(facts):
        line += f" An image activates a feature highly above {facts['alpha']:.3f}, which is {facts['k']:g} "
        line += f"standard deviations over the mean; {facts['n_images']:,} images were looked through."
    st.markdown(line)
    if notes := [str(note) for note in facts.get("notes") or []]:
        with st.expander(f"{len(notes)} note{'s' * (len(notes) != 1)} of the step"):
            for note in notes:
                st.caption(widgets.plain(note))


@own_place
def _search(study: Study, explained: pd.DataFrame) -> dict[str, float]:
    """The groups whose words hold the text asked for, with their scores; all groups without a text."""
    text = st.text_input(
        "Search a word",
        key=WORD,
        bind="query-params",
        type="search",
        max_chars=60,
        placeholder="For example " + ", ".join(word for word, _ in concept_reads.common_words(study, 3)),
        icon=":material/search:",
        width=460,
        on_change=lambda: _choose_best(study, str(session.value(WORD) or "")),
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption("Most common words:", width="content")
        for word, count in concept_reads.common_words(study, SUGGESTED):
            st.button(
                f"{widgets.plain(word)} ({count})",
                key=f"concept_suggest_{word}",
                type="tertiary",
                on_click=_ask,
                args=(study, word),
            )
    if not (text or "").strip():
        return dict(zip(explained["group"], explained["score"], strict=True))
    return concept_reads.groups_with(study, str(text))


def _ask(study: Study, word: str) -> None:
    session.choose(WORD, word)
    _choose_best(study, word)


def _choose_best(study: Study, text: str) -> None:
    if text.strip() and (found := concept_reads.groups_with(study, text)):
        session.choose(UNIT, next(iter(found)))


def _choose(explained: pd.DataFrame, found: Mapping[str, float]) -> str:
    """The feature or group whose detail is shown: from the URL, a row of the table, or the best match."""
    options = [str(group) for group in explained["group"]]
    session.drop_unknown(UNIT, options)
    st.subheader("One feature")
    best = next(iter(found), options[0])
    chosen = st.selectbox(
        "Number of a feature, or of a group such as 3_98",
        options,
        index=options.index(best),
        key=UNIT,
        bind="query-params",
        width=320,
    )
    return chosen or best


def _table(explained: pd.DataFrame, found: Mapping[str, float]) -> None:
    if not found:
        st.info("No feature has a word that begins so. Words are in lower case and in the singular.")
        return
    shown = where(explained, explained["group"].isin(list(found)).to_numpy(bool))
    shown = shown.assign(score=[found[group] for group in shown["group"]])
    shown = shown.sort_values("score", ascending=False, kind="stable", ignore_index=True)
    st.caption(f"{len(shown):,} of {len(explained):,}; pick a row to see that feature below.")

    def picked() -> None:
        if rows := session.selected_rows("concept_table"):
            session.choose(UNIT, str(shown["group"].iat[rows[0]]))

    parts = ["name", "words", "score", "top_class", "n_images"]
    st.dataframe(
        columns(shown, parts),
        key="concept_table",
        hide_index=True,
        height=min(38 + 35 * len(shown), 388),
        on_select=picked,
        selection_mode="single-row",
        alt="Features whose words fit; select a row to see that feature below",
        column_config={
            "name": st.column_config.TextColumn("Feature", width=70),
            "words": st.column_config.TextColumn("Words, the best first", width=430),
            "score": st.column_config.NumberColumn(
                "Best", format="%.2f", width=55, help=widgets.help_text("word_score")
            ),
            "top_class": st.column_config.TextColumn("Most common class", width=125),
            "n_images": st.column_config.NumberColumn("Images", width=60),
        },
    )
    download(shown.drop(columns="name"), name="concepts")


def _described(study: Study) -> None:
    """The images whose crops were described with the text asked for."""
    text = str(session.recall(WORD) or "").strip()
    if not text:
        return
    found = concept_reads.described_with(study, text)
    n = len(found)
    with st.expander(
        f"{n:,} image{'s' * (n != 1)} described with {widgets.plain(repr(text))}", expanded=True
    ):
        if not n:
            st.caption("No caption that was found for an image holds it.")
            return
        rows = found["row"].to_numpy(np.int64)
        said = dict(zip(rows.tolist(), found["caption"], strict=True))
        st.caption("The best fitting caption first; the number is its cosine.")
        widgets.image_gallery(
            study,
            rows,
            key="concept_described",
            captions={row: (caption,) for row, caption in said.items()},
            badges=dict(zip(rows.tolist(), [f"{cosine:.2f}" for cosine in found["cosine"]], strict=True)),
            page_size=TILES,
            tile=150,
            label="images described with it",
        )


def _detail(study: Study, explained: pd.DataFrame, group: str) -> None:
    row = where(explained, explained["group"].to_numpy(object) == group).iloc[0]
    line = f"**{widgets.plain(concept_reads.unit_name(study, group))}** is highly activated by "
    line += f"{int(row['n_images']):,} image{'s' * (int(row['n_images']) != 1)}"
    if not widgets.undefined(row["top_class"]):
        line += f", most often of {widgets.plain(row['top_class'])}"
    st.markdown(line + ".")
    _links(study, group)
    concepts = concept_reads.of_group(study, "concepts", group)
    left, right = st.columns(2, gap="large")
    with left:
        _words(study, concepts, group)
    with right:
        _classes(study, group)
    left, right = st.columns(2, gap="large")
    with left:
        feature_panel.contrast(study, concepts, group)
    with right:
        _captions(study, group)
    feature_panel.images(study, group)
    feature_panel.counterfactuals(study, group)


@own_place
def _links(study: Study, group: str) -> None:
    feature = concept_reads.features_of(group)
    if len(feature) != 1:
        return
    query = {session.STUDY: served_studies.name_of(study), "feature": str(feature[0])}
    with st.container(horizontal=True, gap="medium"):
        st.page_link(
            "views/features.py",
            label=f"Feature {feature[0]} among all features",
            icon=":material/bar_chart:",
            query_params=query,
        )
        st.page_link(
            "views/heatmaps.py",
            label=f"All heatmaps of feature {feature[0]}",
            icon=":material/local_fire_department:",
            query_params=query | {"heat_of": "One feature"},
        )


def _words(study: Study, concepts: pd.DataFrame, group: str) -> None:
    kept = where(concepts, concepts["kept"].to_numpy(bool))
    st.subheader("What it means", help=widgets.help_text("word_score"))
    if kept.empty:
        widgets.empty_state("No words", "No word of its captions scored high enough and survived contrast.")
        return
    chart(
        study,
        "concept_words",
        lambda theme: figures.word_bars(kept, theme=theme),
        group,
        alt=f"Scores of the words of {concept_reads.unit_name(study, group)}",
        data=kept.drop(columns="discarded_by"),
    )


def _classes(study: Study, group: str) -> None:
    """Of which classes its highly activating images are."""
    if not study.labelled:
        return
    st.subheader("On which classes", help=widgets.help_text("highly_activating"))
    counts = concept_reads.class_counts(study, group)
    chart(
        study,
        "concept_classes",
        lambda theme: figures.class_bars(counts, most=CLASSES, theme=theme),
        group,
        alt=f"Classes of the images that activate {concept_reads.unit_name(study, group)} highly",
        data=counts,
    )


def _captions(study: Study, group: str) -> None:
    captions = concept_reads.of_group(study, "captions", group)
    st.subheader("What was said of its crops")
    with st.expander(f"The {len(captions):,} captions behind these words"):
        st.dataframe(
            columns(captions, ["image_id", "rank", "caption", "cosine"]),
            hide_index=True,
            height=320,
            alt="Captions nearest to each of its crops",
            column_config={
                "image_id": st.column_config.TextColumn("Image", width=110),
                "rank": st.column_config.NumberColumn("Rank", width=60),
                "caption": st.column_config.TextColumn("Caption", width="medium"),
                "cosine": st.column_config.NumberColumn("Cosine", format="%.3f", width=70),
            },
        )


page(session.current_study())
