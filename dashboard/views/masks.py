"""Interpretability: do the heatmaps lie on the object, or on what merely comes with it?"""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core.common.command_line import command_line
from core.common.dataframes import columns, equals, numbers, where
from core.common.score_names import score_label
from core.figures import interpretability as figures
from core.figures.options import FigureOptions
from core.figures.score_overlap import q_against_miou
from core.heatmaps.overlay_image import OverlayStyle
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.cache import heatmap_reads, reads
from dashboard.components import widgets
from dashboard.components.chart import catalogue_chart, chart
from dashboard.components.stable_container import own_place
from dashboard.panels import heatmap_grid, overlap
from dashboard.panels.filter_bar import filter_bar
from dashboard.state import image_filter, session

IMAGES = {"With both masks": "both masks", "With any mask": "any mask"}
SPLITS = {"Both splits": "all", "Evaluation": "val", "Train": "train"}
MASKS = {"Core": "core", "Spurious": "spurious"}
SHOWN = {"All": None, "Correct": 1.0, "Misclassified": 0.0}
SWEPT = ("paper", "binary")
TILES = 12


def page(study: Study) -> None:
    widgets.page_header(
        "Interpretability", "Do the heatmaps lie on the object itself, or on what merely comes with it?"
    )
    if not _ready(study):
        return
    filter_bar(study, says="The filter narrows the scatter and the images; the means are of all.")
    overlap.headline(study)
    variant = _variant()
    _bars(study, variant)
    overlap.controls(study, variant)
    _scatter(study, variant)
    _sweep(study, variant)
    _classes(study, variant)
    overlap.features(study)
    _extremes(study)


def _ready(study: Study) -> bool:
    summary = reads.summary(study, "overlap")
    if skipped := summary.get("skipped"):
        command = command_line("overlap", study.path, masks="DIR")
        widgets.empty_state("Heatmaps were not compared with masks", str(skipped), command)
        return False
    return widgets.needs(study, "overlap_summary", "The overlap of heatmaps with masks")


def _variant() -> str:
    titles = {title: name for name, title in figures.VARIANTS.items()}
    session.drop_unknown("overlap_variant", titles)
    chosen = st.selectbox(
        "Measured by",
        list(titles),
        key="overlap_variant",
        bind="query-params",
        width=420,
        help=widgets.help_text("miou"),
    )
    return titles[chosen]


@own_place
def _bars(study: Study, variant: str) -> None:
    st.subheader("Overlap of correct and of misclassified images")
    summary = reads.table(study, "overlap_summary")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        images = _picked("Images", IMAGES, key="overlap_images")
        split = _split(summary)
        others = _compared(study)
    named = {served_studies.name_of(study): study} | others
    tables = [reads.table(one, "overlap_summary").assign(study=name) for name, one in named.items()]
    catalogue_chart(
        study,
        "miou",
        FigureOptions(variant=variant, masked=images, split=split),
        name="overlap_bars",
        alt="Mean overlap with core and spurious masks for correct and misclassified images",
        data=pd.concat(tables, ignore_index=True),
        others=list(others.values()),
    )
    line = "Bars: means over images, with 95 % bootstrap intervals."
    if study.has("overlap_controls") and not others:
        line += " The uniform heatmap is one without any preference: what lies above its mark is more."
    st.caption(line)
    if split != "val" and not study.is_val.all():
        st.caption("On train images the verdict is that of a probe trained on them, and so optimistic.")


def _picked(label: str, options: dict[str, str], *, key: str) -> str:
    session.drop_unknown(key, options)
    words = list(options)
    chosen = st.segmented_control(label, words, default=words[0], required=True, key=key, bind="query-params")
    return options[chosen or words[0]]


def _split(summary: pd.DataFrame) -> str:
    """The split, where masked images stand in both."""
    there = {
        split: float(np.nansum(numbers(where(summary, equals(summary, "split", split)), "n"))) > 0
        for split in ("train", "val")
    }
    return _picked("Split", SPLITS, key="overlap_split") if all(there.values()) else "all"


def _compared(study: Study) -> dict[str, Study]:
    own = served_studies.name_of(study)
    others = {name: other for name, other in heatmap_reads.studies_with_overlap().items() if name != own}
    if not others:
        return {}
    session.drop_unknown("overlap_with", others)
    chosen = st.multiselect(
        "Compare with",
        list(others),
        key="overlap_with",
        bind="query-params",
        max_selections=4,
        placeholder="Other studies",
        width=360,
    )
    return {name: others[name] for name in chosen}


@own_place
def _scatter(study: Study, variant: str) -> None:
    st.subheader("Score against overlap")
    images = reads.images(study)
    labels = {score_label(name): name for name in reads.scores(study)}
    if not labels:
        widgets.needs(study, "quality", "The table of quality scores")
        return
    session.drop_unknown("overlap_score", labels)
    chosen = st.selectbox("Score", list(labels), key="overlap_score", bind="query-params", width=340)
    score = labels[chosen]
    table = heatmap_reads.overlap_rows(study)
    table = where(table, _fits(study, table))
    rows = table["row"].to_numpy()
    table[score] = images[score].to_numpy(float)[rows]
    st.caption("One point an image; a click opens it.")
    chart(
        study,
        "overlap_scatter",
        lambda theme: q_against_miou(table, score=score, variant=variant, theme=theme),
        *(score, variant, image_filter.current(study)),
        alt=f"{chosen} of each image against the overlap of its heatmap with its masks",
        data=columns(table, ["image_id", "mask", score, variant, "correct"]),
        on_select=lambda points: session.open_image(study, int(points[-1]["customdata"][0])),
    )


def _fits(study: Study, table: pd.DataFrame) -> np.ndarray:
    """(n_rows,) bool: rows whose image the filter lets through."""
    return reads.mask(study, image_filter.current(study))[table["row"].to_numpy()]


@own_place
def _sweep(study: Study, variant: str) -> None:
    st.subheader("Threshold")
    if not widgets.needs(study, "overlap_sweep", "The sweep of the threshold"):
        return
    swept = variant if variant in SWEPT else "paper"
    table = reads.table(study, "overlap_sweep")
    if swept != variant:
        st.caption("The measure chosen above has no threshold; this is the paper's.")
    catalogue_chart(
        study,
        "threshold_sweep",
        FigureOptions(variant=swept),
        name="overlap_sweep",
        alt="Mean overlap against the threshold from which heat counts",
        data=where(table, equals(table, "variant", swept)),
    )


@own_place
def _classes(study: Study, variant: str) -> None:
    table = reads.table(study, "overlap_by_class") if study.has("overlap_by_class") else pd.DataFrame()
    if table.empty:
        return
    st.subheader("By class")
    mask = _picked("Mask", MASKS, key="overlap_class_mask")
    catalogue_chart(
        study,
        "miou_by_class",
        FigureOptions(mask=mask, variant=variant),
        name="overlap_classes",
        alt=f"Mean overlap with the {mask} mask by class",
        data=where(table, equals(table, "mask", mask) & equals(table, "variant", variant)),
    )
    with st.expander("All classes as a table", icon=":material/table:"):
        overlap.class_table(where(table, equals(table, "variant", variant)))


def _extremes(study: Study) -> None:
    """The images whose heat lies most on one of the masks."""
    st.subheader("Images whose heatmap sits on a mask")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        mask = _picked("Mask", {"Spurious": "spurious", "Core": "core"}, key="overlap_extreme_mask")
        session.drop_unknown("overlap_shown", SHOWN)
        group = st.segmented_control(
            "Among", list(SHOWN), default="All", required=True, key="overlap_shown", bind="query-params"
        )
        style = heatmap_grid.controls(
            study, key="overlap_look", several=True, plain=OverlayStyle(masks=(mask,))
        )
        shown = heatmap_grid.pictures(study, key="overlap_pictures")
    table = heatmap_reads.overlap_rows(study)
    known = np.isfinite(numbers(table, "energy"))
    table = where(table, _fits(study, table) & equals(table, "mask", mask) & known)
    if SHOWN[group or "All"] is not None:
        table = where(table, numbers(table, "correct") == SHOWN[group])
    table = table.sort_values("energy", ascending=False, kind="stable")
    share = dict(zip(table["row"].tolist(), table["energy"].tolist(), strict=True))
    st.caption(f"Most heat on the {mask} mask first; the number on each picture is that share.")
    heatmap_grid.legend(
        [kind for kind in heatmap_reads.mask_kinds(study) if "Masks" in shown or kind in style.masks]
    )
    heatmap_grid.gallery(
        study,
        table["row"].to_numpy(),
        style,
        key="overlap_gallery",
        shown=shown,
        captions=heatmap_grid.lines,
        badges=lambda row: widgets.percent(share[row], digits=0),
        page_size=TILES,
        label=f"images by the share of their heat on the {mask} mask",
    )


page(session.current_study())
