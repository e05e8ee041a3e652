"""What a feature, or a group of features, means in words, and the evidence for it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.common.dataframes import columns, where
from core.figures import concepts as figures
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import concept_reads
from dashboard.components import widgets
from dashboard.components.chart import chart
from dashboard.panels.concepts import feature_panel

CLASSES = 5


def show(study: Study, group: str, chosen: Slice) -> None:
    """Draw words with scores, what contrast took away, captions, described crops, counterfactual images.

    group: a feature as "12", or a group as "3_98". chosen: the filter, whose images the crops are of.
    """
    concepts = concept_reads.of_group(study, "concepts", group)
    left, right = st.columns(2, gap="large")
    with left:
        _words(study, concepts, group)
    with right:
        feature_panel.contrast(study, concepts, group)
        _captions(study, group)
    feature_panel.images(study, group, chosen)
    feature_panel.counterfactuals(study, group)


def classes(study: Study, group: str) -> None:
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


def _captions(study: Study, group: str) -> None:
    captions = concept_reads.of_group(study, "captions", group)
    st.subheader("Captions of its crops")
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
