"""What a feature, or a group of features, means in words, and the evidence for it."""

import numpy as np
import pandas as pd
import streamlit as st

from core.charts import word_bars
from core.common.command_line import command_line
from core.common.dataframes import columns
from core.common.formatting import with_interval
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache.features import concept_reads
from dashboard.components import widgets
from dashboard.components.chart import chart
from dashboard.components.choose_one import choose_one
from dashboard.components.page_link import link
from dashboard.panels.concepts import feature_panel

CLASSES = 5
DETECTED = 3  # words whose AUC is written out
TABLES = ("concepts", "highly_activating", "captions", "counterfactuals")
CROPS, CONTRAST, CAPTIONS = PARTS = ("Described crops", "Counterfactual images", "Captions")


def ready(study: Study, what: str = "") -> bool:
    """True when the study holds words and the evidence for them; else says why not and what to do.

    what: what is missing, where the step left the words out; "": the items that are not there.
    """
    if not captioned(study):
        return False
    if what and (skipped := study.summary("concepts").get("skipped")):
        command = command_line("concepts", study.path, captions="FILE", clip="MODEL@WEIGHTS")
        widgets.empty_state(what, str(skipped), command)
        return False
    return all(widgets.needs(study, item, "The words of the features") for item in TABLES)


def captioned(study: Study) -> bool:
    """False, with the way to choose them, when words were left out because the study has no captions."""
    skipped = study.summary("concepts").get("skipped")
    given = study.settings("concepts").get("captions", "")
    brings_its_own = str(study.settings("embed").get("images") or "").startswith("glyphworld")
    if skipped and given is None and not brings_its_own:
        widgets.empty_state(
            "No words yet",
            "Words come from captions, which CLIP compares with the images. Choose a file of captions under "
            "New study, Further steps.",
        )
        link("new_study", "Choose the captions", study, icon="arrow_forward")
        return False
    return True


def word_evidence(study: Study, group: str, population: Slice) -> None:
    """Draw words with scores, and beside them the evidence: described crops, counterfactual images, captions.

    group: a feature as "12", or a group as "3_98". population: the filter, whose images the crops are of.
    """
    concepts = concept_reads.of_group(study, "concepts", group)
    left, right = st.columns([2, 3], gap="large")
    with left:
        _words(study, concepts, group)
    with right:
        with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
            st.subheader("Evidence", width="content")
            part = choose_one("Evidence", PARTS, key="concept_evidence", default=CROPS)
        if part == CROPS:
            feature_panel.images(study, group, population)
        elif part == CONTRAST:
            feature_panel.contrast(study, concepts, group)
            feature_panel.counterfactuals(study, group)
        else:
            _captions(study, group)


def classes(study: Study, group: str) -> None:
    """Of which classes its highly activating images are."""
    if not study.labelled:
        return
    counts = concept_reads.class_counts(study, group)
    st.subheader(_classes_title(counts), help=widgets.help_text("highly_activating"))
    chart(
        study,
        "concept_classes",
        lambda theme: word_bars.class_bars(counts, most=CLASSES, theme=theme),
        group,
        alt=f"Classes of the images that activate {concept_reads.unit_name(study, group)} highly",
        data=counts,
    )


def _classes_title(counts: pd.DataFrame) -> str:
    if counts.empty:
        return "On which classes"
    n_images = counts["n_images"].to_numpy(np.int64)
    label = counts["label"].iat[0]
    return widgets.plain(f"Mostly {label}: {n_images[0]:,} of {n_images.sum():,} images")


def _words(study: Study, concepts: pd.DataFrame, group: str) -> None:
    kept_words = concepts.loc[concepts["kept"].to_numpy(bool)].reset_index(drop=True)
    best = kept_words.head(2)["word"].tolist()
    title = f"It means {' or '.join(map(str, best))}" if best else "What it means"
    st.subheader(widgets.plain(title), help=widgets.help_text("word_score"))
    if kept_words.empty:
        widgets.empty_state("No words", "No word holds for most of its images and for fewer of the others.")
        return
    chart(
        study,
        "concept_words",
        lambda theme: word_bars.word_bars(kept_words, theme=theme),
        group,
        alt=f"Scores of the words of {concept_reads.unit_name(study, group)}",
        data=kept_words.drop(columns="discarded_by"),
    )
    if line := detection_line(kept_words):
        st.caption(widgets.plain(line), help=widgets.help_text("word_auc"))


def detection_line(kept_words: pd.DataFrame) -> str:
    """How well the feature detects the scenes that show its words; empty where their truth is not known."""
    if "auc" not in kept_words:  # made by an older version
        return ""
    tested = kept_words.loc[kept_words["auc"].notna().to_numpy(bool)].reset_index(drop=True).head(DETECTED)
    parts = [
        f"{word} {with_interval(auc, low, high, 2)}"
        for word, auc, low, high in tested[["word", "auc", "auc_low", "auc_high"]].itertuples(index=False)
    ]
    return f"AUC as a detector of scenes with the word: {', '.join(parts)}." if parts else ""


def _captions(study: Study, group: str) -> None:
    captions = concept_reads.of_group(study, "captions", group)
    st.caption(f"The {len(captions):,} captions nearest to its crops, behind these words.")
    st.dataframe(
        columns(captions, ["caption", "cosine", "rank", "image_id"]),
        hide_index=True,
        height=380,
        alt="Captions nearest to each of its crops",
        column_config={
            "caption": st.column_config.TextColumn("Caption", width="medium"),
            "cosine": st.column_config.NumberColumn("Cosine", format="%.3f", width=70),
            "rank": st.column_config.NumberColumn("Rank", width=60),
            "image_id": st.column_config.TextColumn("Image", width=110),
        },
    )
