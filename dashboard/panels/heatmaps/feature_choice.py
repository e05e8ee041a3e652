"""Choosing one feature by its words or number, first those that are strongest in the images of the page."""

import numpy as np
import streamlit as st

from core.charts.feature_points import telling_features
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import heatmap_reads, inspection_reads, reads
from dashboard.components.choose_one import pick_one
from dashboard.components.tooltips import plain
from dashboard.state import session

FEATURE = "feature"  # part of the URL: the number of the feature
OF, ONE = "heat_of", "One feature"  # part of the URL: some feature, whichever says most here
WIDGET = "heat_feature"
ALL = "All features that fire"


def choose_feature(study: Study, population: Slice) -> int | None:
    """Draw the choice and a link to the feature's page; None stands for all features that fire on an image.

    A link that asks for one feature without naming it gets the strongest one on the images of the page.
    """
    n_features = len(reads.table(study, "features", ("feature",)))
    feature = session.url_int(FEATURE, below=n_features, what="feature")
    some = session.url_text(OF) == ONE
    options = ranked(study, population)
    if feature is None and some:
        feature = options[0]
    if feature is not None and feature not in options:
        options.append(feature)
    names = dict(zip(reads.list_names(study, options), options, strict=True))
    name = next((name for name, number in names.items() if number == feature), ALL)

    def picked(label: str) -> None:
        session.set_url(FEATURE, names.get(label))
        session.set_url(OF, None)

    here = f"in {plain(population.labels[0])}" if len(population.labels) == 1 else "in these images"
    pick_one(
        "Feature",
        [ALL, *names],
        name,
        key=WIDGET,
        on_pick=picked,
        width=220,
        filter_mode="contains",
        help=f"By word or number; first those that are strongest {here}",
    )
    if feature is not None:
        st.button(
            "About",
            key="heat_about",
            icon=":material/arrow_outward:",
            help=f"All about {plain(name)}",
            on_click=session.go,
            args=("feature",),
            kwargs={FEATURE: str(feature)},
        )
    return feature


def ranked(study: Study, population: Slice) -> list[int]:
    """The features with a stored heatmap: first those with one on the page's images, strongest first."""
    features = reads.table(study, "features")
    order = np.array(telling_features(features, _strength(study, population)), np.int64)
    rest = np.setdiff1d(features["feature"].to_numpy(np.int64), order)
    order = np.concatenate([order, rest])
    here, anywhere = heatmap_reads.map_counts(study, population), heatmap_reads.map_counts(study, Slice())
    on_these = here[order] > 0
    elsewhere = ~on_these & (anywhere[order] > 0)
    first, second = order[on_these], order[elsewhere]
    return [*first.tolist(), *second.tolist()] or order.tolist()


def _strength(study: Study, population: Slice) -> np.ndarray | None:
    """(n_features,): mean activation in the filter's class, or how much more often it fires, or None."""
    if len(population.labels) == 1 and study.has("class_means"):
        return reads.vector(study, "class_means")[:, study.class_names.index(population.labels[0])]
    if any(part.split is None for part in population.parts()):
        table = inspection_reads.feature_differences(study, population)
        return table.sort_values("feature")["difference"].to_numpy(float)
    return None
