"""One confusion of the probe: its images, and the features behind the answer and behind the truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.charts import word_bars
from core.common.dataframes import columns, equals, where
from core.heatmaps.overlay_image import OverlayStyle
from core.slices.slice import Slice
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.cache import reads
from dashboard.cache.features import concept_reads
from dashboard.components import widgets
from dashboard.components.cards import Card, cards
from dashboard.components.chart import chart
from dashboard.components.page_link import link
from dashboard.components.stable_container import stable_container
from dashboard.panels import heatmap_grid
from dashboard.panels.errors.pictures import heat_pictures
from dashboard.state import session

TILES = 12
TOP_IMAGES = 4


@stable_container
def images(study: Study, population: Slice, rows: np.ndarray, true: str, predicted: str) -> None:
    """The images, most confident first, and the ways on."""
    n = len(rows)
    st.subheader(widgets.plain(f"{true} → {predicted}"), anchor=False)
    where = Slice.joined([population, Slice(confusion=(true, predicted))])
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f"**{n:,}** image{'s' * (n != 1)} of **{widgets.plain(true)}** {'was' if n == 1 else 'were'} "
            f"taken for **{widgets.plain(predicted)}**, most confident first",
            width="content",
        )
        link("images", "Open in Images", study, icon="photo_library", where=where)
    label = "images of this confusion"
    if study.has("heatmap_maps"):
        heatmap_grid.gallery(
            study, rows, OverlayStyle(), key="failure_images", kinds=("Original", "Overlay"), captions=_lines,
            page_size=TILES, label=label,
        )  # fmt: skip
        st.caption("Heatmaps of the discriminative features that fire.")
        return
    widgets.image_gallery(study, rows, key="failure_images", captions=_lines, page_size=TILES, label=label)


def _lines(fact: Mapping[str, Any]) -> tuple[str, ...]:
    """Truth first, then the answer and how sure it is."""
    sure = "" if widgets.undefined(fact.get("confidence")) else widgets.percent(fact["confidence"], digits=0)
    return (f"{fact['label']} → {fact['predicted']}{f', {sure}' if sure else ''}",)


@stable_container
def features_behind(study: Study, population: Slice, rows: np.ndarray, true: str, predicted: str) -> None:
    """The features that speak for the answer, and those that speak for the truth."""
    table = concept_reads.behind_confusion(study, population, true, predicted)
    if table.empty:
        widgets.needs(study, "representations" if not study.has("representations") else "probe_weights",
                      "What the features behind a confusion are found from")  # fmt: skip
        return
    sides = (("predicted", f"Behind the answer, {predicted}"), ("true", f"Behind the truth, {true}"))
    for column, (side, title) in zip(st.columns(2, gap="large"), sides, strict=True):
        with column:
            st.subheader(widgets.plain(title), help=widgets.help_text("contribution"), anchor=False)
            part = where(table, equals(table, "side", side))
            _side(study, part, side, (population, true, predicted), len(rows))
    _wordless(study, table)


def _side(study: Study, part: pd.DataFrame, side: str, of: tuple[Slice, str, str], n: int) -> None:
    chart(
        study,
        f"failure_behind_{side}",
        lambda theme: word_bars.contribution_bars(
            part, colour=theme.correct if side == "true" else theme.misclassified, theme=theme
        ),
        *of,
        alt=f"What each feature adds to the logit of the {side} class",
        data=columns(part, ["rank", "feature", "contribution", "n_top", "words"]),
    )
    name = served_studies.name_of(study)
    cards(
        [
            Card(
                str(row["feature"]),
                str(row["words"]).replace("; ", " · ") or f"Feature {row['feature']}",
                href=session.href("feature", name, feature=str(row["feature"])),
                note=f"#{row['feature']}" if row["words"] else reads.class_words(study, int(row["feature"])),
                subtitle=f"among the strongest on {int(row['n_top']):,} of {n:,}",
                pictures=heat_pictures(study, int(row["feature"]), TOP_IMAGES),
            )
            for row in part.to_dict("records")
        ],
        key=f"failure_features_{side}",
        label=f"Features behind the {'answer' if side == 'predicted' else 'truth'}",
        on_open=lambda chosen: session.go("feature", feature=chosen),
        width=210,
    )


def _wordless(study: Study, table: pd.DataFrame) -> None:
    """Which of the features have no words, and why, in one line."""
    without = sorted(
        {int(number) for number, words in zip(table["feature"], table["words"], strict=True) if not words}
    )
    if not without:
        return
    named = ", ".join(f"#{number}" for number in without)
    if not study.has("concepts"):
        missing = study.why_missing("concepts")
        st.caption(widgets.plain(f"No feature has words yet. {missing.sentence if missing else ''}".strip()))
        return
    few = ""
    if study.has("concept_features"):
        facts = reads.table(study, "concept_features")
        here = where(
            facts, np.isin(facts["feature"].to_numpy(), without) & ~facts["explainable"].to_numpy(bool)
        )
        few = ": too few images activate them highly" if len(here) == len(without) else ""
    st.caption(f"No words for {named}{few}.")
