"""Charts of a single feature: its classes, its activations, the probe's weights, object and background."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from core.charts import one_feature as figures
from core.common.captions import ON_MASKS, shortened, split_images, with_class_names
from core.common.dataframes import numbers, words
from core.common.formatting import counted
from core.slices.features import firing_class, partly_labelled
from core.slices.inspection.populations import train_images
from core.slices.slice import Slice
from core.storage.missing import nothing
from core.store import Study
from dashboard.cache import inspection_reads, reads
from dashboard.cache.features import feature_reads
from dashboard.components import widgets
from dashboard.components.chart import chart
from dashboard.panels.features import one_feature
from dashboard.panels.features.feature_cards import population_name
from dashboard.panels.masks import none_yet


def has_classes(study: Study, feature: int, population: Slice) -> bool:
    """Whether a bar for each class tells something: it fires on several images of a class, or none can."""
    shares = one_feature.shares_by_class(study, feature, population)
    return shares is None or bool(numbers(shares, "fires").max(initial=0) > 1)


def classes(study: Study, feature: int, tail: str, population: Slice) -> None:
    """On which classes of the filter's images it fires; those that the filter names stand out."""
    shares = one_feature.shares_by_class(study, feature, population)
    st.header(_classes_title(study, shares, population), help=widgets.help_text("slice_rate"))
    if shares is None:
        widgets.empty_state("No classes", nothing("no_labels"))
        return
    images = split_images(population.split)

    bars = partial(figures.class_share_bars, shares, selected=population.labels, images=images)
    alt = f"Classes of the {images} on which {study.feature_kind} {feature} fires"
    file = one_feature.file_of(study, feature, "classes")
    with_images = shares.loc[numbers(shares, "images") > 0].reset_index(drop=True)
    chart(
        study,
        "feature_classes",
        lambda theme: bars(colour=theme.tail(tail), theme=theme),
        feature,
        population,
        alt=alt,
        data=with_images,
        file=file,
    )


def _classes_title(study: Study, shares: pd.DataFrame | None, population: Slice) -> str:
    """The finding: the class of most of its images, and how many are of the class of the filter."""
    fires = numbers(shares, "fires").astype(int) if shares is not None else np.zeros(0, int)
    if shares is None:
        return "Classes it fires on"
    firing = firing_class(fires, words(shares, "class"), partly=partly_labelled(study))
    if firing is None:
        return "Classes it fires on"
    title = replace(firing, name=_short(firing.name)).clause
    if len(population.labels) == 1 and population.labels[0] != firing.name:
        n = int(fires[shares["class"] == population.labels[0]].sum())
        title += f"; {n or 'none'} {'is' if n == 1 else 'are'} {_short(population.labels[0])}"
    return widgets.plain(f"{title[:1].upper()}{title[1:]}")


def _short(name: str) -> str:
    return shortened(with_class_names(name))


def activations(study: Study, feature: int, tail: str, population: Slice) -> None:
    """How active it is over the train images, and where the filter's firing images stand."""
    marked = feature_reads.activations(study, feature, population)[1]
    named = population_name(replace(population, labels=tuple(map(_short, population.labels))))
    name = f"images of {named}" if named else split_images(population.split)
    n_images = int(np.count_nonzero(inspection_reads.population(study, population)[0]))
    st.header(widgets.plain(figures.activation_finding(marked, n_images, name)))
    if not widgets.needs(study, "activation_histogram", "Its histogram"):
        return
    counts = reads.vector(study, "activation_histogram")[feature]
    edges = reads.vector(study, "histogram_edges")
    threshold = reads.firing_thresholds(study)
    judged_too = bool((train_images(study) & study.is_val).any())  # by an answer that was not fitted to them
    bars = "images" if judged_too else "train images"
    histogram = partial(
        figures.activation_histogram,
        counts,
        edges,
        threshold=threshold,
        marked=marked,
        marked_name=f"one of the {name} on which it fires",
        height=220,
    )
    data = pd.DataFrame({"left": edges[:-1], "right": edges[1:], "images": counts})
    alt = f"Activation of {study.feature_kind} {feature} over the {bars}"
    file = one_feature.file_of(study, feature, "histogram")
    chart(
        study,
        "feature_histogram",
        lambda theme: histogram(colour=theme.tail(tail), theme=theme),
        feature,
        population,
        alt=alt,
        data=data,
        file=file,
    )
    count = counted(len(marked), name.replace("images", "image", 1), name)
    ticks = f" Ticks: the {count} on which it fires." if len(marked) else ""
    st.caption(
        widgets.plain(
            f"Bars: {int(counts.sum()):,} {bars}.{ticks} Each image has its own firing threshold; "
            "the shaded band holds 90 % of them."
        )
    )


def push(study: Study, feature: int, population: Slice) -> None:
    """Which classes the probe takes it for."""
    if study.labelled and not study.has("top_images"):
        widgets.needs(study, "top_images", "What it pushes towards")
        return
    weights = feature_reads.push(study, feature)
    finite = weights.loc[np.isfinite(numbers(weights, "push"))].reset_index(drop=True)
    title = "Which classes it pushes towards"
    if len(finite):
        outputs = study.answer.facts.get("n_outputs", 0) if study.answer else 0
        among = ", of the classes here" * (outputs > len(study.class_names))  # its name is of all outputs
        title = f"Pushes towards {_short(words(finite, 'label')[0])}{among}"
    st.header(widgets.plain(title), help=widgets.help_text("class_push"))
    if not study.labelled:
        widgets.empty_state("No probe", nothing("no_labels"))
        return
    if not widgets.needs(study, "probe_weights", "The weights of the classifier"):
        return
    labels = population.labels
    alt = f"What {study.feature_kind} {feature} adds to the logit of each class, against the average class"
    file = one_feature.file_of(study, feature, "push")
    chart(
        study,
        "feature_push",
        lambda theme: figures.push_bars(weights, selected=labels, theme=theme),
        feature,
        labels,
        alt=alt,
        data=weights,
        file=file,
    )
    if len(finite):
        st.caption(
            "Its weight for each class against the average class: it can fire on one and push to another."
        )


def heat(study: Study, feature: int) -> None:
    """Whether it looks at the object or at the background."""
    there = study.has("overlap_by_feature")
    table = reads.table(study, "overlap_by_feature") if there else pd.DataFrame(columns=["feature", "mask"])
    rows = table.loc[table["feature"].to_numpy() == feature].reset_index(drop=True)
    st.header(figures.heat_finding(rows), help=widgets.help_text("feature_heat"))
    if none_yet.briefly_explained(study) or not widgets.needs(
        study, "overlap_by_feature", "The overlap of single features"
    ):
        return
    if rows.empty:
        st.caption("It fires on no image that has a mask and a stored heatmap.")
        return
    alt = f"Heat of {study.feature_kind} {feature} on both masks, against a uniform heatmap"
    file = one_feature.file_of(study, feature, "heat")
    chart(
        study,
        "feature_heat",
        lambda theme: figures.heat_lifts(rows, theme=theme),
        feature,
        alt=alt,
        data=rows,
        file=file,
    )
    parts = [_heat_on_mask(row) for row in rows.to_dict("records") if row["mask"] in ON_MASKS]
    st.caption(f"{'; '.join(parts)}; over all images with such masks.")
    if keywords := "; ".join(dict.fromkeys(filter(None, words(rows, "keywords")))):
        st.caption(widgets.plain(f"What people call it: {keywords}"))


def _heat_on_mask(row: dict) -> str:
    """State how much of a feature's heat lies on a mask, beside what a uniform heatmap has there."""
    share, images = widgets.percent(row["energy"], digits=0), counted(row["n"], "image")
    times = _times_uniform(row["lift"])
    return f"{share} of its heat lies on the {ON_MASKS[row['mask']]}{times} ({images})"


def _times_uniform(lift: float) -> str:
    return "" if widgets.undefined(lift) else f", {lift:.1f} times that of a uniform heatmap"
