"""Mean representations of the correct and of the misclassified images, by class and by feature."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.charts import class_representations
from core.charts.shown_names import shortened
from core.charts.sparsity import SPARSITY
from core.measures.slice import Slice
from core.store import Study
from core.study.missing import nothing
from dashboard.cache import heatmap_reads, reads
from dashboard.components import widgets
from dashboard.components.chart import chart, show_chart
from dashboard.components.choose_one import feature_number, select_class, select_classes
from dashboard.components.page_link import link
from dashboard.state import session

PANELS = ("difference",)  # of the chart; the table has the means of both groups
GROUPS = ("Correct", "Misclassified")
NONE_OF_GROUP = "None of the images of {label} here is {group}."
MOST_CLASSES = 24
TILES = 12
Means = Mapping[str, np.ndarray]


@widgets.stable_container
def mean_representations(study: Study, population: Slice, controls: DeltaGenerator) -> None:
    """The two groups of the images of the page; `controls` is the row above them."""
    if not study.labelled:
        widgets.empty_state("No groups to compare", nothing("no_labels"))
        return
    if not widgets.needs(study, "class_means_correct", "The comparison of the two groups"):
        return
    means = heatmap_reads.group_means(study, population)
    with controls:
        classes, features = _choose(study, means)
    _representations(study, population, means, classes, features)
    _one(study, population, means)
    show_chart(study, SPARSITY, among=population, name="groups_sparsity", title=st.header)
    st.caption(
        "The activations of each image sorted, then averaged: a curve that starts higher and falls faster "
        "belongs to sparser representations."
    )


def _choose(study: Study, means: Means) -> tuple[np.ndarray, np.ndarray]:
    """(n_chosen,) numbers of the classes that are drawn, and of the features."""
    names = study.class_names
    usual = [names[number] for number in class_representations.choose_classes(means["counts"])]
    with st.popover("Classes", icon=":material/label:", key="groups_classes_popover"):
        labels = select_classes(
            "Classes", names, key="groups_classes", default=usual, most=MOST_CLASSES,
            help="First those with the most correct and misclassified images",
        )  # fmt: skip
    classes = np.sort(np.array([names.index(name) for name in labels], np.int64))
    features = class_representations.choose_features(
        reads.vector(study, "class_means"), reads.discriminative(study), classes
    )
    return classes, features


def _representations(
    study: Study, population: Slice, means: Means, classes: np.ndarray, features: np.ndarray
) -> None:
    cells = class_representations.MeanCells(
        means["correct"], means["misclassified"], study.class_names, classes, features, means["counts"]
    )
    right, wrong = (int(n) for n in means["counts"].sum(1))
    st.markdown(
        f"**{right:,}** of these images are classified correctly and **{wrong:,}** wrongly. "
        + _finding(study, cells.frame)
    )
    names = reads.feature_names(study, features)
    words = {
        int(number): name.partition(" (")[2].removesuffix(")")
        for number, name in zip(features, names, strict=True)
    }
    frame = cells.frame
    shown_words = words if any(words.values()) else None
    drawn_from = (population, tuple(classes.tolist()), tuple(features.tolist()))
    chart(
        study,
        "groups_chart",
        lambda theme: class_representations.class_representations(
            cells, panels=PANELS, words=shown_words, selectable=True, theme=theme
        ),
        *drawn_from,
        alt="Mean activation of features by class: difference, correct and misclassified images",
        data=frame,
        on_select=_clicked,
    )
    st.caption(
        "Columns: the discriminative features that are strongest in these classes on the train images. "
        "Click a cell to see its images below. Representations have length 1."
    )


def _finding(study: Study, cells: pd.DataFrame) -> str:
    """The cell with the largest difference, in words."""
    cells = cells.dropna(subset="difference")
    if cells.empty:
        return ""
    most = cells.loc[cells["difference"].abs().idxmax()]
    name = widgets.plain(reads.feature_name(study, int(most["feature"])))
    side, other = GROUPS if most["difference"] > 0 else GROUPS[::-1]
    label = widgets.plain(shortened(str(most["class"])))
    side_name, other_name = side.lower(), other.lower()
    on_side, on_other = f"{most[side_name]:.2f}", f"{most[other_name]:.2f}"
    return (
        f"Largest difference: **{name}** on {label}, {on_side} on {side_name} images, {on_other} on "
        f"{other_name} ones."
    )


def _clicked(points: list[dict]) -> None:
    number, feature = points[-1]["customdata"][:2]
    names = session.current_study().class_names
    session.set_url("groups_class", names[int(number)])
    session.set_url("groups_feature", int(feature))


def _one(study: Study, population: Slice, means: Means) -> None:
    """The images behind one cell: a class, correct left and misclassified right, ordered by one feature."""
    st.header("The images behind a cell")
    names, n_features = study.class_names, means["correct"].shape[1]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        usual = int(np.argmax(means["counts"].min(0)))
        label = select_class(
            "Class", names, key="groups_class", default=names[usual], width=200, shows_label=True
        )
        assert label is not None  # there is a default
        number = names.index(label)
        usual = _strongest(study, number)
        feature = feature_number("Feature number", n_features, key="groups_feature", width=170, default=usual)
        if study.has("heatmap_maps"):
            name = widgets.plain(reads.feature_name(study, feature))
            of_class = replace(population, labels=(label,))
            title = f"Heatmaps of {name} on {widgets.plain(label)}"
            link(
                "heatmaps",
                title,
                study,
                icon="local_fire_department",
                where=of_class,
                heat_of="One feature",
                feature=str(feature),
            )
    for column, group in zip(st.columns(2, gap="large"), GROUPS, strict=True):
        mean = float(means[group.lower()][number, feature])
        with column:
            st.markdown(f"**{group}**: mean activation {widgets.number(mean, digits=4)}")
            _images(study, population, label, feature, group)


def _strongest(study: Study, number: int) -> int:
    """The discriminative feature that is strongest on the train images of a class."""
    means = reads.vector(study, "class_means")[:, number]
    return int(np.argmax(np.where(reads.discriminative(study), np.nan_to_num(means), -1.0)))


def _images(study: Study, population: Slice, label: str, feature: int, group: str) -> None:
    group_of_class = Slice(labels=(label,), correct=group == "Correct")
    rows = np.flatnonzero(reads.mask(study, population) & reads.mask(study, group_of_class))
    strength = heatmap_reads.activations(study, feature, rows)
    order = np.argsort(-strength, kind="stable")
    texts = {int(rows[at]): f"{strength[at]:.3f}" for at in order}
    name = group.lower()
    why_none = NONE_OF_GROUP.format(label=label, group=name)
    widgets.image_gallery(
        study,
        rows[order],
        key=f"groups_{name}",
        badges=texts,
        page_size=TILES,
        label=f"{name} images of {label}",
        why_none=why_none,
    )
