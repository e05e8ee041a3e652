"""Heatmaps: where the encoder looks, on images that the probe gets right and on those it gets wrong."""

from dataclasses import dataclass, replace

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.common.dataframes import numbers, one_of_each_first
from core.measures.slice import Slice
from core.store import Study
from core.study.missing import nothing
from dashboard.cache import feature_reads, heatmap_reads, image_filter, reads
from dashboard.components import widgets
from dashboard.components.chart import with_menu
from dashboard.components.choose_one import choose_one, select_one
from dashboard.panels import heatmaps, masks, mean_representations
from dashboard.panels.filter_bar import filter_bar
from dashboard.panels.heatmaps import Display
from dashboard.state import session
from dashboard.state.pages import PAGES

PICTURES, MEANS = PARTS = ("Pictures", "Mean representations")
TILES = 12
LOOK = "Where do the features look?"  # what is asked of images without labels
VARIED = "varied"  # order: the most confident image of each class, then the second ones …
STRONGEST = "strongest one"  # on pictures of the strongest feature, where none fires


@dataclass(frozen=True)
class Choice:
    """What the page is about: its images, and a feature or all that fire on an image."""

    population: Slice
    feature: int | None


def heatmaps_page(study: Study, population: Slice) -> None:
    answer = widgets.page_header(
        PAGES["heatmaps"].title, PAGES["heatmaps"].question if study.labelled else LOOK
    )
    if coarse := heatmap_reads.coarse(study):
        answer.caption(coarse)
    filter_bar(study, population)
    with st.container(horizontal=True, vertical_alignment="top", gap="small", key="heat_controls"):
        part = choose_one("Show", PARTS, key="heat_part", default=PICTURES)
        controls = st.container(horizontal=True, vertical_alignment="center", gap="small")
    if part == MEANS:
        mean_representations.mean_representations(study, population, controls)
    else:
        _pictures(study, population, controls)


@widgets.stable_container
def _pictures(study: Study, population: Slice, controls: DeltaGenerator) -> None:
    if not (heatmaps.ready(study) and widgets.needs(study, "features", "The collection of features")):
        return
    with controls:
        choice, order, display = _choose(study, population)
    stored = heatmap_reads.stored_rows(study)
    if choice.feature is not None:
        stored = heatmap_reads.rows_with(study, choice.feature)
    rows, texts = _ordered(study, choice, stored[reads.mask(study, population)[stored]], *order)
    if not rows.size:
        _nothing(choice)
        return
    with with_menu(study, "heat", population, alt="Heatmaps of correct and of misclassified images"):
        line = st.container(horizontal=True, vertical_alignment="center", gap="small", key="heat_beside_menu")
        with line:
            kinds = [kind for kind in heatmap_reads.mask_kinds(study) if kind in display.kinds]
            with st.container(width="content"):
                heatmaps.legend(kinds, display.style.colour_map)
            _stored(study, choice, rows)
        _sides(study, choice, display, rows, texts)
    _sentence(study, choice)


def _choose(study: Study, population: Slice) -> tuple[Choice, tuple[str, bool], Display]:
    """Which heatmap is shown, what the images are ordered by, and how they are shown."""
    with st.container(
        horizontal=True, width="content", gap="small"
    ):  # keeps its place, as in `stable_container`
        feature = heatmaps.choose_feature(study, population)
    choice = Choice(population, feature)
    orders = _orders(study, choice)
    order = select_one("Order", orders, key="heat_sort", width=200)
    display = heatmaps.display(study, key="heat", several=feature is None)
    style = replace(display.style, features=() if feature is None else (feature,))
    return choice, orders[order], replace(display, style=style)


def _ordered(
    study: Study, choice: Choice, rows: np.ndarray, kind: str, ascending: bool
) -> tuple[np.ndarray, dict[int, str]]:
    """The rows in the order asked for, and what is written on each picture."""
    if kind == "activation":
        values = np.zeros(len(rows))
        if choice.feature is not None:
            values = heatmap_reads.activations(study, choice.feature, rows)
    else:
        values = _values(study, kind)[rows]
    texts = _badges(study, choice, rows, kind, values)
    rows = rows[np.argsort(values if ascending else -values, kind="stable")]
    return (one_of_each_first(rows, _kinds_of(study, rows)) if kind == VARIED else rows), texts


def _kinds_of(study: Study, rows: np.ndarray) -> np.ndarray:
    """What an image is of: its class and whether it is correct; among images of one class, the answer."""
    images = reads.images(study)
    labels = images["label"].iloc[rows]
    of = labels if labels.nunique() > 1 or "predicted" not in images else images["predicted"].iloc[rows]
    codes = of.factorize()[0]
    if "correct" not in images:
        return codes
    return 2 * codes + images["correct"].iloc[rows].fillna(False).to_numpy(bool)


def _badges(study: Study, choice: Choice, rows: np.ndarray, kind: str, values: np.ndarray) -> dict[int, str]:
    """What the images are ordered by, unless their caption says it; and where nothing fires."""
    in_captions = kind in (VARIED, "confidence", "activation")  # the last: the order says nothing of them
    if choice.feature is None and in_captions:
        silent = heatmap_reads.nothing_fires(study)
        return {int(row): STRONGEST for row in rows[silent[rows]]}
    if choice.feature is not None:
        values = heatmap_reads.activations(study, choice.feature, rows)
        return {int(row): f"{value:.2f}" for row, value in zip(rows, values, strict=True)}
    form = "Q {:.3f}" if kind == "q_score" else "{:.0%}"
    finite = [(int(row), value) for row, value in zip(rows, values, strict=True) if np.isfinite(value)]
    return {row: form.format(value).replace("%", " %") for row, value in finite}


def _orders(study: Study, choice: Choice) -> dict[str, tuple[str, bool]]:
    orders: dict[str, tuple[str, bool]] = {}
    if choice.feature is not None:
        orders["Strongest activation first"] = ("activation", False)
    images = reads.images(study)
    if choice.feature is None and study.labelled and "confidence" in images:
        orders["One of each class first"] = (VARIED, False)
    for column, words in (
        ("confidence", ("Most confident", "Least confident")),
        ("q_score", ("Highest Q", "Lowest Q")),
    ):
        if column in images and np.isfinite(numbers(images, column)).any():
            orders[f"{words[0]} first"] = (column, False)
            orders[f"{words[1]} first"] = (column, True)
    if choice.feature is None:
        overlap_columns = heatmap_reads.overlaps(study).columns
        for kind in ("spurious", "core"):
            if f"{kind}_energy" in overlap_columns:
                orders[f"Most heat on the {kind} mask first"] = (f"{kind}_energy", False)
    return orders or {"Order of the study": ("activation", False)}


def _values(study: Study, column: str) -> np.ndarray:
    """(n_images,) float64 of a score or an overlap; NaN comes last in every order."""
    images, column = reads.images(study), "confidence" if column == VARIED else column
    return numbers(images if column in images else heatmap_reads.overlaps(study), column)


def _nothing(choice: Choice) -> None:
    if choice.feature is None:
        widgets.empty_state("No images", nothing("no_stored_heatmap"))
        return
    widgets.empty_state("No stored heatmap", nothing("feature_not_drawn"))


@widgets.stable_container
def _stored(study: Study, choice: Choice, rows: np.ndarray) -> None:
    """On how many images none fires, or one feature does without a stored heatmap on each."""
    if choice.feature is None:
        if silent := int(np.count_nonzero(heatmap_reads.nothing_fires(study)[rows])):
            line = f"On {silent:,} of {len(rows):,} images no discriminative feature fires"
            st.caption(f"{line}, so the {STRONGEST} is shown.")
        return
    fires, _ = feature_reads.activations(study, choice.feature, choice.population)
    n, n_stored = len(fires), int(np.isin(fires, rows).sum())
    if n_stored == n:
        return
    have = "has" if n_stored == 1 else "have"
    line = f"It fires on **{n:,}** of these images; **{n_stored:,}** {have} a stored heatmap."
    if not reads.discriminative(study)[choice.feature]:
        line += " Of features that are not discriminative only the strongest images of each class are stored."
    st.caption(f"{line} An opened image can compute one.")


@widgets.stable_container
def _sides(study: Study, choice: Choice, display: Display, rows: np.ndarray, texts: dict[int, str]) -> None:
    """Correct left, misclassified right; one gallery where nobody has judged the images."""
    images = reads.images(study)
    judged = images["correct"].notna().to_numpy()[rows] if "correct" in images else np.zeros(len(rows), bool)
    parts = {"Heatmaps": rows}
    if judged.any():
        right = images["correct"].fillna(False).to_numpy(bool)[rows]
        parts = {"Correct": rows[judged & right], "Misclassified": rows[judged & ~right]}
        if choice.population.correct is not None:  # the filter leaves only one side
            parts = {name: some for name, some in parts.items() if some.size} or parts
    for column, (name, some) in zip(st.columns(len(parts), gap="medium"), parts.items(), strict=True):
        with column, st.container(gap="xxsmall"):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.header(f"{name} ({len(some):,})", width="content")
                _prefers(study, choice, name)
            if not len(some):
                st.caption("None of these images.")
                continue
            heatmaps.heatmap_gallery(
                study,
                some,
                display.style,
                key=f"heat_{name.lower()}",
                kinds=display.shown,
                badges=lambda row: texts.get(row, ""),
                page_size=TILES * (3 - len(parts)),
                label=f"{name.lower()} images with their heatmaps",
            )


def _prefers(study: Study, choice: Choice, side: str) -> None:
    """How far the heat of this side prefers the object, where there are masks."""
    correct = {"Correct": True, "Misclassified": False}.get(side, choice.population.correct)
    of_side = replace(choice.population, correct=correct)
    if choice.feature is None and (line := masks.preference(study, of_side)):
        st.caption(line, help=widgets.help_text("object_preference"), width="content")


@widgets.stable_container
def _sentence(study: Study, choice: Choice) -> None:
    """What these heatmaps are of."""
    if choice.feature is not None:
        name = widgets.plain(reads.feature_name(study, choice.feature))
        st.caption(f"Heatmaps of **{name}**. The number on each picture is its activation there.")
        return
    st.caption("Each heatmap is that of the discriminative features that fire on the image.")


heatmaps_page(session.current_study(), image_filter.population())
