"""Parts of the Interpretability view: the headline, what the measure says of known heatmaps, the features."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core.common.dataframes import equals, numbers, where, words
from core.heatmaps.overlay_image import OverlayStyle
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.cache import heatmap_reads, reads
from dashboard.components import widgets
from dashboard.components.chart import download
from dashboard.components.stable_container import own_place
from dashboard.components.tooltips import TEXTS
from dashboard.panels import heatmap_grid
from dashboard.state import image_filter, session

MASKS = ("core", "spurious")
CONTROLS = {
    "perfect core": "Exactly the core mask",
    "perfect spurious": "Exactly the spurious mask",
    "core at map resolution": "The core mask, as coarse as the encoder's maps",
    "spurious at map resolution": "The spurious mask, as coarse as the encoder's maps",
    "uniform": "The same everywhere",
    "random": "Random noise",
    "centre": "A blob in the centre",
}
VERDICTS = ("core", "spurious", "undecided")
TILES = 8


@own_place
def headline(study: Study) -> None:
    """mIoU core and spurious as cards, each with its interval and its two groups; and what was compared."""
    summary = reads.summary(study, "overlap")
    table = reads.table(study, "overlap_summary")
    with st.container(horizontal=True, gap="small", key="overlap_headline"):
        for mask in MASKS:
            mean, low, high, n = _mean(table, mask, "all")
            widgets.metric(
                f"mIoU, {mask} masks",
                widgets.number(mean),
                explain="miou",
                detail=f"{low:.3f} to {high:.3f}, {n:,} images" if np.isfinite(low) else None,
            )
            right, wrong = (_mean(table, mask, group)[0] for group in ("correct", "misclassified"))
            if np.isfinite(right) or np.isfinite(wrong):
                widgets.metric(
                    f"Correct images, {mask}",
                    widgets.number(right),
                    explain="miou",
                    detail=f"misclassified: {widgets.number(wrong)}",
                )
    for line in _remarks(summary):
        st.caption(widgets.plain(line))


def _remarks(summary: dict) -> list[str]:
    notes = (summary.get("mask_report") or {}).get("notes") or []
    line = "Headline: images with both masks, all splits, heatmap of the firing discriminative features, "
    line += f"t = {summary.get('threshold', 0.5):g}."
    if undefined := summary.get("n_undefined"):
        line += f" {undefined:,} images have no heat or an empty mask and are left out."
    return [line, *[str(note) for note in notes]]


def _mean(table: pd.DataFrame, mask: str, group: str) -> tuple[float, float, float, int]:
    keep = equals(table, "mask", mask) & equals(table, "group", group) & equals(table, "variant", "paper")
    row = where(table, keep & equals(table, "images", "both masks") & equals(table, "split", "all"))
    if row.empty:
        return np.nan, np.nan, np.nan, 0
    mean, low, high, n = (float(numbers(row, column)[0]) for column in ("mean", "low", "high", "n"))
    return mean, low, high, int(n)


@own_place
def controls(study: Study, variant: str) -> None:
    """What the chosen measure says of heatmaps whose truth is known."""
    if not study.has("overlap_controls"):
        return
    table = reads.table(study, "overlap_controls")
    table = where(table, equals(table, "variant", variant))
    if table.empty:
        return
    with st.expander("What this measure says of heatmaps whose truth is known", icon=":material/straighten:"):
        st.caption(
            "The same images and masks, with made-up heatmaps instead of the encoder's. A measure can be "
            "trusted as far as these come out as they should."
        )
        shown = pd.DataFrame({"Heatmap": list(dict.fromkeys(table["control"]))})
        for mask in MASKS:
            part = where(table, equals(table, "mask", mask)).to_dict("records")
            said = {row["control"]: widgets.interval(row["mean"], row["low"], row["high"]) for row in part}
            shown[f"On the {mask} mask"] = [said.get(name, "") for name in shown["Heatmap"]]
        shown["Heatmap"] = [CONTROLS.get(name, name) for name in shown["Heatmap"]]
        st.dataframe(shown, hide_index=True, alt="Overlap of made-up heatmaps with the masks")


def class_table(table: pd.DataFrame) -> None:
    """Classes by the columns of mask and group."""
    shown = table.pivot_table(index="label", columns=["mask", "group"], values="mean", sort=False)
    shown.columns = [f"{mask}, {group}" for mask, group in shown.columns]
    shown = shown.rename_axis("Class").reset_index()
    st.dataframe(shown, hide_index=True, alt="Overlap by class, mask and group", height=420)
    download(shown, name="overlap_classes_table", label="Table as CSV")


@own_place
def features(study: Study) -> None:
    """Which features look at the core, which at the spurious part; a selected one with its images."""
    st.subheader("Features: core or spurious?")
    if not widgets.needs(study, "overlap_by_feature", "The overlap of single features"):
        return
    wide = heatmap_reads.feature_overlaps(study)
    if wide.empty:
        st.caption("No feature fires on enough images that have masks.")
        return
    verdicts = words(wide, "verdict")
    st.markdown(
        ", ".join(f"**{verdicts.count(name):,}** {name}" for name in VERDICTS)
        + " of the features that fire on images with masks."
    )
    st.caption(widgets.plain(TEXTS["feature_verdict"].what))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        options = ["All", *[name.capitalize() for name in VERDICTS]]
        session.drop_unknown("overlap_verdict", options)
        chosen = st.segmented_control(
            "Verdict", options, default="All", required=True, key="overlap_verdict", bind="query-params"
        )
    if chosen != "All":
        wide = where(wide, equals(wide, "verdict", str(chosen).lower()))
    _table(wide)
    _one(study, wide)


def _table(wide: pd.DataFrame) -> None:
    def picked() -> None:
        rows = session.selected_rows("overlap_features")
        if rows:
            session.choose("overlap_feature", int(wide["feature"].iat[rows[0]]))

    number = st.column_config.NumberColumn
    st.dataframe(
        wide,
        key="overlap_features",
        hide_index=True,
        height=330,
        on_select=picked,
        selection_mode="single-row",
        alt="Overlap of each feature's own heatmaps with the masks; select a row to see its images",
        column_config={
            "feature": number("Feature", format="%d"),
            "verdict": st.column_config.TextColumn("Verdict"),
            "top_class": st.column_config.TextColumn("Most common class"),
            **{
                f"{mask}_{what}": number(title.format(mask), format=form)
                for mask in MASKS
                for what, title, form in (
                    ("energy", "Heat on {}", "%.2f"),
                    ("lift", "Times uniform, {}", "%.2f"),
                    ("n", "Images, {}", "%d"),
                )
            },
            "keywords": st.column_config.TextColumn("What people call it"),
        },
    )
    download(wide, name="overlap_features", label="Data as CSV")


@own_place
def _one(study: Study, wide: pd.DataFrame) -> None:
    """One feature's own heatmaps, those of its strongest images."""
    if wide.empty:
        return
    n_features = len(reads.table(study, "features", ("feature",)))
    session.url_int("overlap_feature", below=n_features, what="feature")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        feature = st.number_input(
            "Feature number",
            0,
            n_features - 1,
            int(wide["feature"].iat[0]),
            step=1,
            key="overlap_feature",
            bind="query-params",
            width=170,
        )
        st.page_link(
            "views/heatmaps.py",
            label=f"All heatmaps of {reads.feature_name(study, feature)}",
            icon=":material/local_fire_department:",
            query_params={
                session.STUDY: served_studies.name_of(study),
                "heat_of": "One feature",
                "feature": str(int(feature)),
            },
        )
    rows = image_filter.shown(study, heatmap_reads.rows_with(study, int(feature)))
    strength = heatmap_reads.activations(study, int(feature), rows)
    rows = rows[np.argsort(-strength, kind="stable")][:TILES]
    heatmap_grid.gallery(
        study,
        rows,
        OverlayStyle(features=(int(feature),), masks=MASKS),
        key="overlap_feature_gallery",
        shown=("Overlay",),
        captions=heatmap_grid.lines,
        page_size=TILES,
        label=f"images with the heatmap of {reads.feature_name(study, feature)}",
    )
