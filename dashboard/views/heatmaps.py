"""Heatmaps: where the encoder looks, on images that the probe gets right and on those it gets wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import streamlit as st

from core.common.dataframes import numbers
from core.figures import features as figures
from core.heatmaps.overlay_image import OverlayStyle
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import heatmap_reads, reads
from dashboard.components import widgets
from dashboard.components.stable_container import own_place
from dashboard.panels import heatmap_grid
from dashboard.panels.filter_bar import filter_bar
from dashboard.state import image_filter, session

FIRING, ONE = OF = ("All that fire", "One feature")
FEATURE = "feature"
TRAINED = "The probe has learnt the train images, so they are shown only where the filter says Train."
TILES = 12
SUGGESTED = 6


@dataclass(frozen=True)
class Choice:
    """What the page is about: the images of the filter, and a feature or all that fire on an image. The
    probe was trained on the train images, so those are shown only where the filter asks for them.
    """

    chosen: Slice
    feature: int | None

    @property
    def label(self) -> str | None:
        """The class, where the filter names a single one."""
        return self.chosen.labels[0] if len(self.chosen.labels) == 1 else None


def page(study: Study) -> None:
    widgets.page_header(
        "Heatmaps", "Where the features look, on images that the probe gets right and on those it gets wrong."
    )
    if not (heatmap_grid.ready(study) and widgets.needs(study, "features", "The collection of features")):
        return
    choice, shown, order = _choose(study, filter_bar(study, says=TRAINED))
    style = _style(study, choice)
    rows, said = _ordered(study, choice, _rows(study, choice), *order)
    _sentence(study, choice, rows)
    heatmap_grid.legend(
        [kind for kind in heatmap_reads.mask_kinds(study) if "Masks" in shown or kind in style.masks]
    )
    if not rows.size:
        _nothing(choice)
        return
    _sides(study, choice, style, shown, rows, said)


def _choose(study: Study, chosen: Slice) -> tuple[Choice, list[str], tuple[str, bool]]:
    """What is shown, which pictures stand side by side, and what the images are ordered by."""
    features = reads.table(study, "features")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        session.drop_unknown("heat_of", OF)
        of = st.segmented_control(
            "Features", OF, default=FIRING, required=True, key="heat_of", bind="query-params"
        )
        with st.container(width="content"):  # keeps its place, as in `own_place`
            feature = _feature(features) if of == ONE else None
        choice = Choice(chosen, feature)
        shown = heatmap_grid.pictures(study, key="heat_shown")
        orders = _orders(study, choice)
        session.drop_unknown("heat_sort", orders)
        order = st.selectbox("Order", list(orders), key="heat_sort", bind="query-params", width=290)
    _suggest(study, features, choice)
    return choice, shown, orders[order]


def _feature(features: pd.DataFrame) -> int:
    session.url_int(FEATURE, below=len(features), what="feature")
    chosen = st.number_input(
        "Feature number",
        min_value=0,
        max_value=len(features) - 1,
        value=figures.telling_features(features)[0],
        step=1,
        key=FEATURE,
        bind="query-params",
        width=150,
    )
    return int(chosen)


@own_place
def _suggest(study: Study, features: pd.DataFrame, choice: Choice) -> None:
    """Buttons for the discriminative features that are strongest in the class, or that tell classes apart."""
    if choice.feature is None:
        return
    means, label = None, choice.label
    if label is not None and study.has("class_means"):
        means = reads.vector(study, "class_means")[:, study.class_names.index(label)]
    of = f"Strongest in {label}" if label else "Telling features"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(f"{widgets.plain(of)}:", width="content")
        for number in figures.telling_features(features, means)[:SUGGESTED]:
            st.button(
                reads.feature_name(study, number),
                key=f"heat_suggest_{number}",
                type="tertiary",
                on_click=session.choose,
                args=(FEATURE, number),
            )


def _style(study: Study, choice: Choice) -> OverlayStyle:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        style = heatmap_grid.controls(study, key="heat", several=choice.feature is None)
    return replace(style, features=() if choice.feature is None else (choice.feature,))


def _rows(study: Study, choice: Choice) -> np.ndarray:
    """Rows of the images that fit and whose heatmap is stored, in study order."""
    if choice.feature is None:
        rows = heatmap_reads.stored_rows(study)
    else:
        rows = heatmap_reads.rows_with(study, choice.feature)
    return image_filter.shown(study, rows)


def _ordered(
    study: Study, choice: Choice, rows: np.ndarray, kind: str, ascending: bool
) -> tuple[np.ndarray, dict[int, str]]:
    """The rows in the order asked for, and what is written on each picture."""
    if choice.feature is not None:
        strength = heatmap_reads.activations(study, choice.feature, rows)
        said = {int(row): f"{value:.2f}" for row, value in zip(rows, strength, strict=True)}
    else:
        strength = np.zeros(len(rows))
        silent = heatmap_reads.nothing_fires(study)
        said = {int(row): "strongest only" for row in rows[silent[rows]]}
    values = strength if kind == "activation" else _values(study, kind)[rows]
    return rows[np.argsort(values if ascending else -values, kind="stable")], said


def _orders(study: Study, choice: Choice) -> dict[str, tuple[str, bool]]:
    orders: dict[str, tuple[str, bool]] = {}
    if choice.feature is not None:
        orders["Strongest activation first"] = ("activation", False)
    images = reads.images(study)
    for column, words in (
        ("confidence", ("Most confident", "Least confident")),
        ("q_score", ("Highest Q", "Lowest Q")),
    ):
        if column in images:
            orders[f"{words[0]} first"] = (column, False)
            orders[f"{words[1]} first"] = (column, True)
    if choice.feature is None:
        known = heatmap_reads.overlaps(study).columns
        for kind in ("spurious", "core"):
            if f"{kind}_energy" in known:
                orders[f"Most heat on the {kind} mask first"] = (f"{kind}_energy", False)
    return orders or {"Order of the study": ("activation", False)}


def _values(study: Study, column: str) -> np.ndarray:
    """(n_images,) float64 of a score or an overlap; NaN comes last in every order."""
    images = reads.images(study)
    return numbers(images if column in images else heatmap_reads.overlaps(study), column)


@own_place
def _sentence(study: Study, choice: Choice, rows: np.ndarray) -> None:
    what = f" of {widgets.plain(choice.label)}" if choice.label else ""
    held_out = study.is_val[rows]
    split = "evaluation " if held_out.all() else "" if held_out.any() else "train "
    line = f"**{len(rows):,}** {split}images{what}"
    if choice.feature is not None:
        name = widgets.plain(reads.feature_name(study, choice.feature))
        line += f" with a stored heatmap of **{name}**: those on which it fires, and its top images. "
        line += "The number on each picture is its activation there."
    else:
        silent = int(np.count_nonzero(heatmap_reads.nothing_fires(study)[rows]))
        line += " with the heatmap of the discriminative features that fire on each."
        if silent:
            line += f" On {silent:,} of them none fires: theirs is that of their strongest discriminative "
            line += "feature, marked *strongest only*."
    st.markdown(line)


def _nothing(choice: Choice) -> None:
    if choice.feature is None:
        widgets.empty_state("No images", "No image of this filter has a stored heatmap.")
        return
    widgets.empty_state(
        "No stored heatmap",
        "This feature fires on no such image, and none is among its top images. Choose another filter "
        "or feature, or open an image and have the map computed there.",
    )


def _sides(
    study: Study,
    choice: Choice,
    style: OverlayStyle,
    shown: list[str],
    rows: np.ndarray,
    said: dict[int, str],
) -> None:
    """Correct left, misclassified right; one gallery where nobody has judged the images."""
    images = reads.images(study)
    judged = images["correct"].notna().to_numpy()[rows] if "correct" in images else np.zeros(len(rows), bool)
    parts = {"Heatmaps": rows}
    if judged.any():
        right = images["correct"].fillna(False).to_numpy(bool)[rows]
        parts = {"Correct": rows[judged & right], "Misclassified": rows[judged & ~right]}
        if choice.chosen.correct is not None:  # the filter leaves only one side
            parts = {name: some for name, some in parts.items() if some.size} or parts
    for column, (name, some) in zip(st.columns(len(parts), gap="large"), parts.items(), strict=True):
        with column:
            st.subheader(f"{name} ({len(some):,})")
            if not len(some):
                st.caption("None of these images.")
                continue
            heatmap_grid.gallery(
                study,
                some,
                style,
                key=f"heat_{name.lower()}",
                shown=shown,
                captions=heatmap_grid.lines,
                badges=lambda row: said.get(row, ""),
                page_size=TILES,
                label=f"{name.lower()} images with their heatmaps",
            )


page(session.current_study())
