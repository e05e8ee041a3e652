"""What a feature, or a group of features, means in words, and the evidence for it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.charts import word_bars
from core.common.command_line import command_line
from core.common.dataframes import columns
from core.common.formatting import counted, with_interval
from core.common.group_names import group_features
from core.common.step_facts import ConceptsFacts
from core.concepts.clip.photograph_clips import FETCH_CLIP
from core.heatmaps.overlay_image import OverlayStyle
from core.slices.inspection.words import MOST_WORDS, best_first
from core.slices.slice import Slice
from core.storage.missing import nothing
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.addresses.overlay_images import overlay_urls
from dashboard.cache import heatmap_reads, reads
from dashboard.cache.features import concept_reads, group_reads
from dashboard.components import widgets
from dashboard.components.chart import chart
from dashboard.components.choose_one import choose_one
from dashboard.components.page_link import link
from dashboard.components.verdict import verdict

CLASSES = 5
DETECTED = 3  # words whose AUC is written out
TABLES = ("concepts", "highly_activating", "captions", "counterfactuals")
CROPS, CONTRAST, CAPTIONS = PARTS = ("Described crops", "Counterfactual images", "Captions")
TILES = 8
BESIDE = (2, 3)  # widths of the words and of their evidence
PLAIN, HEAT = "Image and crop", "Heatmap and crop"
BY = "; "  # between image ids in `discarded_by`


def ready(study: Study, what: str = "") -> bool:
    """True when the study holds words and the evidence for them; else says why not and what to do.

    what: what is missing, where the step left the words out; "": the items that are not there.
    """
    if not captioned(study):
        return False
    if what and (skipped := study.why_skipped("concepts")):
        command = command_line("concepts", study.path, captions="FILE", clip="MODEL@WEIGHTS")
        widgets.empty_state(what, nothing("left_out", why=skipped), command)
        return False
    return all(widgets.needs(study, item, "The words of the features") for item in TABLES)


def captioned(study: Study) -> bool:
    """False, with the way to choose them, when words were left out because the study has no captions."""
    skipped = study.why_skipped("concepts")
    given = study.settings("concepts").get("captions", "")
    brings_its_own = str(study.settings("embed").get("images") or "").startswith("glyphworld")
    if skipped and given is None and not (brings_its_own or study.facts(ConceptsFacts).captions):
        commands = (FETCH_CLIP, command_line("concepts", study.path))
        widgets.empty_state("No words yet", nothing("no_captions"), "\n".join(commands))
        link("new_study", "Choose the captions", study, icon="arrow_forward")
        return False
    return True


def word_evidence(study: Study, group: str, population: Slice) -> None:
    """Draw words with scores, and beside them the evidence: described crops, counterfactual images, captions.

    group: a feature as "12", or a group as "3+98". population: the filter, whose images the crops are of.
    """
    left, right = st.columns(BESIDE, gap="large")
    with left:
        scored_words(study, group)
    with right:
        evidence(study, group, population)


def evidence(study: Study, group: str, population: Slice) -> None:
    """Draw what the words come from: described crops, counterfactual images or captions."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.header("Evidence", width="content")
        part = choose_one("Evidence", PARTS, key="concept_evidence", default=CROPS)
    if part == CROPS:
        images(study, group, population)
    elif part == CONTRAST:
        contrast(study, concept_reads.of_group(study, "concepts", group), group)
        counterfactuals(study, group)
    else:
        _captions(study, group)


def classes(study: Study, group: str) -> None:
    """Draw how many of its highly activating images each class has."""
    if not study.labelled:
        return
    counts = concept_reads.class_counts(study, group)
    st.header(_classes_title(counts), help=widgets.help_text("highly_activating"))
    alt = f"Classes of the images that activate {concept_reads.unit_name(study, group)} highly"
    chart(
        study,
        "concept_classes",
        lambda theme: word_bars.class_bars(counts, most=CLASSES, theme=theme),
        group,
        alt=alt,
        data=counts,
        file=f"concept_classes_{group}",
    )


def _classes_title(counts: pd.DataFrame) -> str:
    if counts.empty:
        return "On which classes"
    n_images = counts["n_images"].to_numpy(np.int64)
    label = counts["label"].iat[0]
    return widgets.plain(f"Mostly {label}: {n_images[0]:,} of {n_images.sum():,} images")


def scored_words(study: Study, group: str) -> None:
    """Draw the words of a feature or group with their scores, the best first."""
    concepts = concept_reads.of_group(study, "concepts", group)
    kept_words = best_first(concepts.loc[concepts["kept"].to_numpy(bool)]).reset_index(drop=True)
    st.header(widgets.plain(meaning(group_reads.best_words(study, group, MOST_WORDS))))
    if group.isdecimal() and (judged := reads.name_verdict(study, int(group))):
        verdict(judged)
    if kept_words.empty:
        widgets.empty_state("No words", nothing("no_word_holds"))
        return
    name = concept_reads.unit_name(study, group)
    data = kept_words.drop(columns="discarded_by")
    chart(
        study,
        "concept_words",
        lambda theme: word_bars.word_bars(kept_words, theme=theme),
        group,
        alt=f"Scores of the words of {name}",
        data=data,
        file=f"concept_words_{group}",
    )
    if line := detection_line(kept_words):
        st.caption(widgets.plain(line), help=widgets.help_text("word_auc"))


def meaning(words: Sequence[str]) -> str:
    """Say what a feature may mean by its best words.

    >>> meaning(["sky", "blue"]), meaning([])
    ('It may mean sky or blue', 'What it means')
    """
    return f"It may mean {' or '.join(words)}" if words else "What it means"


def detection_line(kept_words: pd.DataFrame) -> str:
    """How well the feature detects the scenes that show its words; empty where their truth is not known."""
    if "auc" not in kept_words:  # made by an older version
        return ""
    tested = kept_words.loc[kept_words["auc"].notna().to_numpy(bool)].reset_index(drop=True).head(DETECTED)
    parts = []
    for word, auc, low, high in tested[["word", "auc", "auc_low", "auc_high"]].itertuples(index=False):
        parts.append(f"{word} {with_interval(auc, low, high, 2)}")
    return f"AUC as a detector of scenes with the word: {', '.join(parts)}." if parts else ""


def _captions(study: Study, group: str) -> None:
    captions = concept_reads.of_group(study, "captions", group)
    st.caption(f"The {len(captions):,} captions nearest to its crops, behind these words.")
    text, number = st.column_config.TextColumn, st.column_config.NumberColumn
    described = {
        "caption": text("Caption", width="medium"),
        "cosine": number("Cosine", format="%.3f", width=70),
        "rank": number("Rank", width=60),
        "image_id": text("Image", width=110),
    }
    st.dataframe(
        columns(captions, list(described)),
        hide_index=True,
        height=380,
        alt="Captions nearest to each of its crops",
        column_config=described,
    )


def images(study: Study, group: str, population: Slice) -> None:
    """Draw the images of a filter that activate a group highly, the strongest first: each image or its
    heatmap, and the crop that was described.
    """
    high = concept_reads.of_group(study, "highly_activating", group)
    rows = concept_reads.rows_of(study, high)
    fits = reads.mask(study, population)[rows]
    high, rows = high.loc[fits].reset_index(drop=True), rows[fits]
    boxes = concept_reads.boxes_of(high, rows)
    values = dict(zip(rows.tolist(), high["activation"].tolist(), strict=True))
    sides = (PLAIN, HEAT) if study.has("heatmap_maps") else ()
    over = bool(sides) and choose_one("Beside the crop", sides, key="concept_beside") == HEAT
    looks = _heatmaps(study, rows, group_features(group)) if over else {}

    def pictures(some: list[int]) -> list[tuple[str, ...]]:
        thumbs = served_studies.picture_urls(study, some)
        crops = [concept_reads.crop_url(study, row, boxes[row]) for row in some]
        seconds = [looks.get(row, thumb) for row, thumb in zip(some, thumbs, strict=True)]
        return [(one, crop or thumb) for one, crop, thumb in zip(seconds, crops, thumbs, strict=True)]

    line = "Images that activate it highly, and the crop of each that was described. The number is the "
    line += "activation."
    if over:
        line += f" Heatmaps of this feature are stored for {len(looks):,} of these {len(rows):,} images; the "
        line += "others are shown as they are."
    st.caption(line, help=widgets.help_text("highly_activating"))
    badges = {row: f"{value:.2f}" for row, value in values.items()}
    first_name = "Heatmap" if over else "Image"
    widgets.image_gallery(
        study,
        rows,
        key="concept_images",
        badges=badges,
        page_size=TILES,
        tile=180,
        label="images that activate it highly",
        why_none="None of these images activates it highly.",
        pictures=pictures,
        names=(first_name, "Crop that was described"),
    )


def _heatmaps(study: Study, rows: np.ndarray, features: tuple[int, ...]) -> dict[int, str]:
    """Addresses of the overlays, of the images for which the maps of all the features are stored."""
    held = [row for row in rows.tolist() if set(features) <= heatmap_reads.features_of(study, row)]
    style = OverlayStyle(features=features, combine="mean")
    return dict(zip(held, overlay_urls(study, held, [style] * len(held)), strict=True))


def contrast(study: Study, concepts: pd.DataFrame, group: str) -> None:
    """The words that were discarded, or that there are no images for FALCON's contrast."""
    by_falcon = study.facts(ConceptsFacts).naming == "falcon"
    if by_falcon and concept_reads.of_group(study, "counterfactuals", group).empty:
        st.caption(
            "No image is like these in everything but this feature, so its words stand without contrast: "
            "some of them may be true of any image of the kind."
        )
        return
    _discarded(concepts.loc[~concepts["kept"].to_numpy(bool)].reset_index(drop=True))


def counterfactuals(study: Study, group: str) -> None:
    """Images like its own but for this feature."""
    images = concept_reads.of_group(study, "counterfactuals", group)
    if images.empty:
        return
    rows = concept_reads.rows_of(study, images)
    took = _took_away(concept_reads.of_group(study, "concepts", group))
    st.caption(
        f"{counted(len(rows), 'image')} like its own in everything but this feature, the most "
        "similar first, with the discarded words that each shows. The number: similarity without it.",
        help=widgets.help_text("counterfactual"),
    )
    scores = [f"{score:.2f}" for score in images["score"]]

    def caption(fact: Mapping[str, Any]) -> tuple[str, ...]:
        return (*widgets.caption_lines(fact), *took.get(str(fact["image_id"]), ()))

    widgets.image_gallery(
        study,
        rows,
        key="concept_counterfactuals",
        captions=caption,
        badges=dict(zip(rows.tolist(), scores, strict=True)),
        page_size=20,
        tile=110,
        label="counterfactual images",
    )


def _took_away(concepts: pd.DataFrame) -> dict[str, tuple[str]]:
    """By image id the words that it discarded."""
    groups: dict[str, list[str]] = {}
    for word, by in zip(concepts["word"], concepts["discarded_by"], strict=True):
        for image_id in str(by).split(BY) if by else []:
            groups.setdefault(image_id, []).append(str(word))
    return {image_id: ("not " + ", ".join(words),) for image_id, words in groups.items()}


def _discarded(words: pd.DataFrame) -> None:
    if words.empty:
        st.caption("None of its words is also true of other images, so none was discarded.")
        return
    n_images = np.array([len(by.split(BY)) if by else 0 for by in words["discarded_by"]])
    table = words.assign(n_images=n_images)
    st.caption("Discarded, because they are true of other images as well:")
    number = st.column_config.NumberColumn
    described = {
        "word": st.column_config.TextColumn("Word", width=100),
        "score": number("Score", format="%.2f", width=55),
        "n_images": number("Also true of", format="%d images", width=110),
    }
    st.dataframe(
        columns(table, list(described)),
        hide_index=True,
        height=min(38 + 35 * len(table), 388),
        alt="Discarded words, and of how many counterfactual images each is true",
        column_config=described,
    )
