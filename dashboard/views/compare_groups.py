"""Correct vs misclassified: how the representations of images differ that the probe gets right and wrong."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import streamlit as st

from core.figures import groups as figures
from core.figures.options import FigureOptions
from core.slices.slice import Slice
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.cache import heatmap_reads, reads
from dashboard.components import widgets
from dashboard.components.chart import catalogue_chart
from dashboard.panels import heatmap_grid
from dashboard.panels.filter_bar import filter_bar
from dashboard.state import image_filter, session

PANELS = {"Correct": "correct", "Misclassified": "misclassified", "Difference": "difference"}
GROUPS = ("Correct", "Misclassified")
MOST_CLASSES = 24
TILES = 12


@dataclass(frozen=True)
class Means:
    """What the step `quality` stored of the two groups, over the evaluation images."""

    study: Study

    @cached_property
    def correct(self) -> np.ndarray:
        return reads.vector(self.study, "class_means_correct")

    @cached_property
    def misclassified(self) -> np.ndarray:
        return reads.vector(self.study, "class_means_misclassified")

    @cached_property
    def counts(self) -> np.ndarray:
        """(2, n_classes) images: correct, misclassified."""
        return reads.vector(self.study, "group_counts")


def page(study: Study) -> None:
    widgets.page_header(
        "Correct vs misclassified",
        "Do the features that fire on correctly classified images fire as strongly on misclassified ones?",
    )
    if not study.labelled:
        widgets.empty_state(
            "No groups to compare",
            "These images carry no labels, so none is classified correctly or wrongly.",
        )
        return
    if not widgets.needs(study, "class_means_correct", "The comparison of the two groups"):
        return
    filter_bar(study, says="The filter narrows the evaluation images behind a cell; the means are of all.")
    means = Means(study)
    _sentence(means.counts)
    classes, features, panels = _choose(study, means)
    _representations(study, means, classes, features, panels)
    _one(study, means)
    _sparsity(study)


def _sentence(counts: np.ndarray) -> None:
    right, wrong = (int(n) for n in counts.sum(1))
    st.markdown(
        f"The probe classifies **{right:,}** evaluation images correctly and **{wrong:,}** wrongly. Each "
        "cell is the mean activation of a feature over the images of a class; representations have length 1."
    )


def _choose(study: Study, means: Means) -> tuple[np.ndarray, np.ndarray, list[str]]:
    names = study.class_names
    usual = [names[number] for number in figures.choose_classes(means.counts)]
    session.drop_unknown("groups_classes", names)
    chosen = st.multiselect(
        "Classes",
        names,
        default=usual,
        key="groups_classes",
        bind="query-params",
        max_selections=MOST_CLASSES,
    )
    session.drop_unknown("groups_panels", PANELS)
    panels = st.pills(
        "Panels",
        list(PANELS),
        selection_mode="multi",
        default=list(PANELS),
        key="groups_panels",
        bind="query-params",
        label_visibility="collapsed",
    )
    classes = np.array([names.index(name) for name in chosen or usual], np.int64)
    features = figures.choose_features(
        reads.vector(study, "class_means"), _discriminative(study), np.sort(classes)
    )
    return np.sort(classes), features, [PANELS[name] for name in PANELS if name in panels] or ["difference"]


def _discriminative(study: Study) -> np.ndarray:
    """(n_features,) bool by feature number."""
    table = reads.table(study, "features", ("feature", "discriminative"))
    found = np.zeros(len(table), bool)
    found[table["feature"].to_numpy()] = table["discriminative"].to_numpy(bool)
    return found


def _representations(
    study: Study, means: Means, classes: np.ndarray, features: np.ndarray, panels: list[str]
) -> None:
    st.caption(
        "Columns: the discriminative features that are strongest in these classes on the train images. "
        "Click a cell to see the images of that class below, by that feature."
    )
    catalogue_chart(
        study,
        "class_representations",
        FigureOptions(
            classes=tuple(study.class_names[number] for number in classes),
            features=tuple(features.tolist()),
            panels=tuple(panels),
            selectable=True,
        ),
        name="groups_chart",
        alt="Mean activation of features by class, for correct and for misclassified images",
        data=_cells(study, means, classes, features),
        on_select=_clicked,
    )


def _clicked(points: list[dict]) -> None:
    number, feature = points[-1]["customdata"][:2]
    names = session.current_study().class_names
    session.choose("groups_class", names[int(number)])
    session.choose("groups_feature", int(feature))


def _cells(study: Study, means: Means, classes: np.ndarray, features: np.ndarray) -> pd.DataFrame:
    row, column = (part.ravel() for part in np.meshgrid(classes, features, indexing="ij"))
    right, wrong = means.correct[row, column], means.misclassified[row, column]
    return pd.DataFrame(
        {
            "class": [study.class_names[number] for number in row],
            "feature": column,
            "correct": right,
            "misclassified": wrong,
            "difference": right - wrong,
        }
    )


def _sparsity(study: Study) -> None:
    st.subheader("Sparsity")
    st.caption(
        "The activations of each image sorted, then averaged: a curve that starts higher and falls faster "
        "belongs to sparser representations."
    )
    ranks, curves = reads.vector(study, "sparsity_ranks"), reads.vector(study, "sparsity_curves")
    catalogue_chart(
        study,
        "sparsity",
        name="groups_sparsity",
        alt="Mean sorted activations of correct and of misclassified images",
        data=pd.DataFrame({"rank": ranks, "correct": curves[0], "misclassified": curves[1]}),
    )


def _one(study: Study, means: Means) -> None:
    """The images behind one cell: a class, correct left and misclassified right, ordered by one feature."""
    st.subheader("The images behind a cell")
    names, n_features = study.class_names, means.correct.shape[1]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        session.drop_unknown("groups_class", names)
        usual = int(np.argmax(means.counts.min(0)))
        label = st.selectbox("Class", names, index=usual, key="groups_class", bind="query-params", width=200)
        number = names.index(label)
        session.url_int("groups_feature", below=n_features, what="feature")
        feature = st.number_input(
            "Feature number",
            0,
            n_features - 1,
            _strongest(study, number),
            step=1,
            key="groups_feature",
            bind="query-params",
            width=170,
        )
        if study.has("heatmap_maps"):
            st.page_link(
                "views/heatmaps.py",
                label=f"Heatmaps of {reads.feature_name(study, int(feature))} on {widgets.plain(label)}",
                icon=":material/local_fire_department:",
                query_params={
                    **image_filter.link(served_studies.name_of(study), Slice(labels=(label,))),
                    "heat_of": "One feature",
                    "feature": str(int(feature)),
                },
            )
    for column, group in zip(st.columns(2, gap="large"), GROUPS, strict=True):
        mean = float((means.correct if group == "Correct" else means.misclassified)[number, int(feature)])
        with column:
            st.markdown(f"**{group}**: mean activation {widgets.number(mean, digits=4)}")
            _images(study, label, int(feature), group)


def _strongest(study: Study, number: int) -> int:
    """The discriminative feature that is strongest on the train images of a class."""
    means = reads.vector(study, "class_means")[:, number]
    return int(np.argmax(np.where(_discriminative(study), np.nan_to_num(means), -1.0)))


def _images(study: Study, label: str, feature: int, group: str) -> None:
    group_of_class = Slice(labels=(label,), correct=group == "Correct")
    fits = reads.mask(study, image_filter.current(study)) & reads.mask(study, group_of_class)
    rows = np.flatnonzero(fits & study.is_val)
    strength = heatmap_reads.activations(study, feature, rows)
    order = np.argsort(-strength, kind="stable")
    said = {int(rows[at]): f"{strength[at]:.3f}" for at in order}
    widgets.image_gallery(
        study,
        rows[order],
        key=f"groups_{group.lower()}",
        captions=heatmap_grid.lines,
        badges=said,
        page_size=TILES,
        label=f"{group.lower()} images of {label}",
    )


page(session.current_study())
