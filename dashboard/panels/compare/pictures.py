"""The pictures of the view Compare: images that changed sides, and the paper's figures side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.charts import class_representations
from core.charts.options import FigureOptions
from core.comparison.compare import Comparison
from core.comparison.sides import GAINED, LOST, RIGHT, WRONG
from core.figures.cells import CellRequest
from core.heatmaps.overlay_image import OverlayStyle
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.addresses.overlay_images import overlay_urls
from dashboard.cache import comparison_reads, heatmap_reads, reads
from dashboard.components import widgets
from dashboard.components.chart import catalogue_chart, cell_beside, with_menu
from dashboard.components.choose_one import choose_one
from dashboard.components.stable_container import own_place
from dashboard.panels import heatmap_grid
from dashboard.state import session

SIDES = {"Wrong to right": GAINED, "Right to wrong": LOST, "Wrong in both": WRONG}
TILES = 4
LARGER = 1.25  # than elsewhere, so that two stand in a row at 1280 and 1440 pixels, and four at 1920
TOP = 6
SHEET_IMAGES = 6  # of a side, in a row of the sheet
PARTS_OF_LINK = ("compare_figure", "compare_feature")
FIGURES = ("Overlap with masks", "Mean representations", "One feature")


@own_place
def changed_sides(found: Comparison, other: str) -> None:
    """Images that one study gets right and the other wrong, with the heatmaps of both."""
    first, n = found.names[0], found.side_counts(other)
    if not sum(n.values()):
        st.caption("No image has a verdict in both studies.")
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="compare_controls"):
        title = f"{n[GAINED]:,} images became right, {n[LOST]:,} became wrong"
        st.subheader(title, anchor=False, width="content")
        chosen = choose_one("Which images", SIDES, key="compare_side", default=next(iter(SIDES)))
    moved = found.changed(other, SIDES[chosen])
    if len(moved):
        cell = _changed_cell(found, other, SIDES[chosen])
        with with_menu("compare_changed", alt=f"images {SIDES[chosen]}", cell=cell):
            _gallery(found, other, moved)
    else:
        st.caption("There is no such image.")
    st.caption(
        f"From {widgets.plain(first)} to {widgets.plain(other)}; {n[RIGHT]:,} images are right in both, "
        f"{n[WRONG]:,} wrong in both.{_heats_said(found, other, moved)}"
    )


def _gallery(found: Comparison, other: str, moved: pd.DataFrame) -> None:
    study = found.shared.studies[0]
    with_heat = _with_heat(found, other)
    names = ("Image", *(f"Heatmap in {found.names[at]}" for at in with_heat))
    lines = {int(row["row"]): _lines(row) for row in moved.to_dict("records")}

    def addresses(rows: list[int]) -> list[tuple[str, ...]]:
        sources = [served_studies.picture_urls(study, rows)]
        for at in with_heat:
            sources.append(_overlays(found.shared.studies[at], comparison_reads.rows_in(found, at, rows)))
        return list(zip(*sources, strict=True))

    widgets.image_gallery(
        study,
        moved["row"].to_numpy(np.int64),
        key="compare_gallery",
        captions=lines,
        badges=lambda row: "",
        page_size=TILES,
        tile=round(LARGER * heatmap_grid.WIDTHS[len(names)]),
        label="images",
        pictures=addresses,
        names=names,
        marked=False,
    )


def _changed_cell(found: Comparison, other: str, side: str) -> CellRequest | None:
    """What the gallery is on the figure sheet; None where a study has no heatmaps."""
    first, beside = found.shared.studies[0], found.shared.studies[found.names.index(other)]
    if len(_with_heat(found, other)) < 2:
        return None
    options = FigureOptions(panels=(side,), images=SHEET_IMAGES, colours=OverlayStyle.colour_map)
    return cell_beside(CellRequest("changed_heatmaps", options, str(found.among)), first, [beside])


def _with_heat(found: Comparison, other: str) -> list[int]:
    """Which of the two studies hold heatmaps, by their number."""
    heats = comparison_reads.heats_of(found)
    return [at for at in (0, found.names.index(other)) if heats[at]]


def _heats_said(found: Comparison, other: str, moved: pd.DataFrame) -> str:
    names = [widgets.plain(found.names[at]) for at in _with_heat(found, other)]
    if not names:
        return ""
    what = "The heatmaps show where the discriminative features that fire on an image look"
    line = f" {what}: in {' and in '.join(names)}."
    if (moved[["q_before", "q_after"]].to_numpy(float) == 0).any():
        line += (
            " Where Q is 0 none of them fires, and the heatmap is that of the strongest one; it may be dark."
        )
    return line


def _overlays(study: Study, rows: list[int]) -> list[str]:
    """Addresses of overlays; empty where the study does not hold the map."""
    urls = overlay_urls(study, rows, [OverlayStyle()] * len(rows))
    return [
        url if comparison_reads.is_stored(study, row) else "" for url, row in zip(urls, rows, strict=True)
    ]


def _lines(row: Mapping[str, Any]) -> tuple[str, str]:
    """What each study says of the image; then Q and confidence, before and after."""
    label = "" if widgets.undefined(row["label"]) else f"{row['label']}: "
    said = f"{label}{row['predicted_before']} → {row['predicted_after']}"
    parts = []
    if not widgets.undefined(row["confidence_before"]):
        parts.append(
            f"confidence {100 * row['confidence_before']:.0f} → {100 * row['confidence_after']:.0f} %"
        )
    if not widgets.undefined(row["q_before"]):
        parts.append(f"Q {row['q_before']:.3f} → {row['q_after']:.3f}")
    return said, " · ".join(parts)


@own_place
def paper_figures(found: Comparison) -> None:
    """Figures that the paper draws before and after: 7, 3 and A.10."""
    chosen = choose_one("Figure", FIGURES, key="compare_figure")
    if chosen == FIGURES[1]:
        _representations(found)
    elif chosen == FIGURES[2]:
        _one_feature(found)
    else:
        _overlap(found)


def _overlap(found: Comparison) -> None:
    held = {
        name: study
        for name, study in zip(found.names, found.shared.studies, strict=True)
        if study.has("overlap_summary")
    }
    if not held:
        widgets.needs(found.shared.studies[0], "overlap_summary", "The overlap with masks")
        return
    tables = [reads.table(study, "overlap_summary").assign(study=name) for name, study in held.items()]
    first, *others = held.values()
    catalogue_chart(
        first,
        "miou",
        name="compare_miou",
        alt="Overlap of heatmaps with masks by verdict in each study",
        data=pd.concat(tables, ignore_index=True),
        others=others,
    )


def _representations(found: Comparison) -> None:
    """[Q] Fig. 3 of each study: its own strongest discriminative features, on the same classes."""
    held = [study for study in found.shared.studies if study.has("class_means_correct")]
    if not held:
        widgets.needs(found.shared.studies[0], "class_means_correct", "The comparison of the two groups")
        return
    names = held[0].class_names
    chosen = {
        names[number]
        for number in class_representations.choose_classes(reads.vector(held[0], "group_counts"), most=8)
    }
    st.caption(
        "Mean activation of features on correct and on misclassified images of the same classes. Each study "
        "is shown by its own strongest discriminative features: those of different encoders are not related."
    )
    for column, study in zip(st.columns(len(held), gap="large"), held, strict=True):
        numbers_of = np.array([at for at, name in enumerate(study.class_names) if name in chosen], np.int64)
        inside = reads.table(study, "features", ("feature", "discriminative")).sort_values("feature")
        features = class_representations.choose_features(
            reads.vector(study, "class_means"),
            inside["discriminative"].to_numpy(bool),
            numbers_of,
            fewest=12,
        )
        right = reads.vector(study, "class_means_correct")
        cells = pd.DataFrame(
            right[np.ix_(numbers_of, features)], index=[study.class_names[at] for at in numbers_of]
        )
        data = cells.set_axis(features, axis=1).reset_index(names="class")
        name = found.names[found.shared.studies.index(study)]
        with column:
            st.markdown(f"**{widgets.plain(name)}**")
            catalogue_chart(
                study,
                "class_representations",
                FigureOptions(
                    classes=tuple(study.class_names[at] for at in numbers_of),
                    features=tuple(int(feature) for feature in features),
                ),
                name=f"compare_fig3_{found.names.index(name)}",
                alt=f"Mean activations by class and verdict in {name}",
                data=data,
            )


def _one_feature(found: Comparison) -> None:
    """[Q] A.10: the top images of one feature number, with its heatmap, in each study."""
    held = [(name, study) for name, study in zip(found.names, found.shared.studies, strict=True)
            if study.has("top_images")]  # fmt: skip
    if not held:
        widgets.needs(found.shared.studies[0], "top_images", "The collection of features")
        return
    n = min(len(reads.table(study, "features", ("feature",))) for _, study in held)
    session.url_int("compare_feature", below=n, what="feature")
    feature = int(
        st.number_input(
            "Feature number", 0, n - 1, 0, step=1, key="compare_feature", bind="query-params", width=170
        )
    )
    st.caption(
        "The images on which the feature is largest. A number means the same feature only where one encoder "
        "was trained on from the other."
    )
    for column, (name, study) in zip(st.columns(len(held), gap="large"), held, strict=True):
        with column:
            st.markdown(f"**{widgets.plain(name)}**: {widgets.plain(reads.feature_name(study, feature))}")
            _feature_gallery(found, found.names.index(name), study, feature)


def _feature_gallery(found: Comparison, number: int, study: Study, feature: int) -> None:
    """The images on which a feature of one study is largest; a click opens the image in the first study."""
    first = found.shared.studies[0]
    rows = reads.top_rows(study, feature, limit=TOP)
    with_heat = study.has("heatmap_maps")

    def addresses(some: list[int]) -> list[tuple[str, ...]]:
        pictures = [served_studies.picture_urls(study, some)]
        if with_heat:
            there = [feature in heatmap_reads.features_of(study, row) for row in some]
            urls = overlay_urls(study, some, [OverlayStyle(features=(feature,))] * len(some))
            pictures.append([url if stored else "" for url, stored in zip(urls, there, strict=True)])
        return list(zip(*pictures, strict=True))

    def opened(row: int) -> None:
        session.open_image(first, first.row_of(study.images["image_id"].iat[row]))

    label = f"images of feature {feature} in {found.names[number]}"
    options = FigureOptions(features=(feature,), colours=OverlayStyle.colour_map)
    cell = cell_beside(CellRequest("feature_heatmaps", options), study) if with_heat else None
    with with_menu(f"compare_top_{number}", alt=label, cell=cell):
        widgets.image_gallery(
            study,
            rows[np.isin(rows, found.shared.rows[number])],
            key=f"compare_feature_{number}",
            captions=heatmap_grid.lines,
            badges=lambda row: "",
            tile=heatmap_grid.WIDTHS[1 + with_heat],
            label=label,
            on_open=opened,
            pictures=addresses,
            names=("Image", "Heatmap")[: 1 + with_heat],
        )
