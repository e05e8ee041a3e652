"""Parts of the page of one feature: its images, what contrast took away, its counterfactual images."""

import numpy as np
import pandas as pd
import streamlit as st

from core.common.dataframes import columns
from core.common.formatting import counted
from core.heatmaps.overlay_image import OverlayStyle
from core.slices.slice import Slice
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.addresses.overlay_images import overlay_urls
from dashboard.cache import heatmap_reads, reads
from dashboard.cache.features import concept_reads
from dashboard.components import widgets
from dashboard.components.choose_one import choose_one

TILES = 9
PLAIN, HEAT = "Image and crop", "Heatmap and crop"
BY = "; "  # between image ids in `discarded_by`


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
    looks = _heatmaps(study, rows, concept_reads.features_of(group)) if over else {}

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
    widgets.image_gallery(
        study,
        rows,
        key="concept_images",
        badges={row: f"{value:.2f}" for row, value in values.items()},
        page_size=TILES,
        tile=180,
        label="images that activate it highly",
        pictures=pictures,
        names=("Heatmap" if over else "Image", "Crop that was described"),
    )


def _heatmaps(study: Study, rows: np.ndarray, features: tuple[int, ...]) -> dict[int, str]:
    """Addresses of the overlays, of the images for which the maps of all the features are stored."""
    held = [row for row in rows.tolist() if set(features) <= heatmap_reads.features_of(study, row)]
    style = OverlayStyle(features=features, combine="mean")
    return dict(zip(held, overlay_urls(study, held, [style] * len(held)), strict=True))


def contrast(study: Study, concepts: pd.DataFrame, group: str) -> None:
    """The words that were discarded, or that there are no images for FALCON's contrast."""
    by_falcon = study.summary("concepts").get("naming", "falcon") == "falcon"
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
    widgets.image_gallery(
        study,
        rows,
        key="concept_counterfactuals",
        captions=lambda fact: (*widgets.caption_lines(fact), *took.get(str(fact["image_id"]), ())),
        badges=dict(zip(rows.tolist(), [f"{score:.2f}" for score in images["score"]], strict=True)),
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
    st.dataframe(
        columns(table, ["word", "score", "n_images"]),
        hide_index=True,
        height=min(38 + 35 * len(table), 388),
        alt="Discarded words, and of how many counterfactual images each is true",
        column_config={
            "word": st.column_config.TextColumn("Word", width=100),
            "score": st.column_config.NumberColumn("Score", format="%.2f", width=55),
            "n_images": st.column_config.NumberColumn("Also true of", format="%d images", width=110),
        },
    )
