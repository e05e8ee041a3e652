"""One confusion: its images under the feature that pushes them, the answer without it, and correct images
under it; and all features that push towards the answer or the truth.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.charts import word_bars
from core.common.captions import with_class_names
from core.common.formatting import counted
from core.concepts.confused import Without
from core.errors import PeregrineError
from core.heatmaps.overlay_image import OverlayStyle
from core.slices.features.class_logits import LOCAL, can_switch_off, has_gradients
from core.slices.inspection.populations import is_filtered
from core.slices.slice import Slice
from core.storage.chunked_array import CHUNK_ROWS
from core.store import Study
from dashboard.cache import heatmap_reads, reads
from dashboard.cache.features import concept_reads, feature_reads
from dashboard.cache.pictures import tried_reads
from dashboard.components import widgets
from dashboard.components.cards import Card, cards
from dashboard.components.chart import chart
from dashboard.components.choose_one import pick_one
from dashboard.components.job_follower import follow_model
from dashboard.components.page_link import link
from dashboard.jobs import encoder_process
from dashboard.panels import heatmap_grid
from dashboard.panels.features.feature_cards import heat_pictures
from dashboard.panels.image.heatmap import compute_missing
from dashboard.state import session

TILES = 12
CORRECT = 6  # correct images of each class
TOP_IMAGES = 4
MOST = 5  # features that are offered
UNDER = "under"  # part of the URL: the feature under which the images are shown


@widgets.stable_container
def images(study: Study, population: Slice, rows: np.ndarray, true: str, predicted: str) -> int | None:
    """The images under the feature that pushes them, most confident first, what the answer is without it, and
    the ways on; returns that feature.
    """
    n = len(rows)
    st.header(widgets.plain(f"{true} → {predicted}"), anchor=False)
    where = Slice.joined([population, Slice(confusion=(true, predicted))])
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f"**{n:,}** image{'s' * (n != 1)} of **{widgets.plain(true)}** {'was' if n == 1 else 'were'} "
            f"taken for **{widgets.plain(predicted)}**{', most confident first' if n > 1 else ''}",
            width="content",
        )
        link("images", "Open in Images", study, icon="photo_library", where=where)
    feature = _choose_feature(study, population, true, predicted)
    if feature is None:
        _pictures(study, rows, feature, _lines, "failure_images", TILES)
        return None
    asked, answers, changed = rows[:CHUNK_ROWS], {}, ""
    if can_switch_off(study):
        without = concept_reads.without_feature(study, asked, feature, true, predicted)
        st.markdown(_told(study, without, feature, true, predicted), help=widgets.help_text("push"))
        names = study.column("images", "image_id").iloc[asked]
        answers = dict(zip(names, without.answers, strict=True))
        changed = _changed(without)

    def lines(fact: Mapping[str, Any]) -> tuple[str, ...]:
        answer = answers.get(fact["image_id"])
        return (*_lines(fact), *(() if answer is None else (f"{changed}: {answer}",)))

    _await_maps(study, population, rows, feature, (true, predicted))
    _pictures(study, rows, feature, lines, "failure_images", TILES)
    return feature


def _choose_feature(study: Study, population: Slice, true: str, predicted: str) -> int | None:
    """The feature under which the images are shown: the one of the address, else the one that pushes most."""
    options = concept_reads.pushers(study, population, true, predicted, MOST)
    if not options:
        missing = study.why_missing("probe_weights") or study.why_missing("representations")
        if missing is not None:
            st.caption(widgets.plain(f"Which features push is not known: {missing.sentence}"))
        return None
    n_features = study.array("representations").shape[1]
    asked = session.url_int(UNDER, below=n_features, what="feature")
    options += [] if asked is None or asked in options else [asked]
    feature = options[0] if asked is None else asked
    names = dict(zip(reads.list_names(study, options), options, strict=True))
    shown = next(name for name, number in names.items() if number == feature)
    pick_one(
        "Under the feature",
        list(names),
        shown,
        key=f"_{UNDER}",
        on_pick=lambda name: session.set_url(UNDER, names[name]),
        shows_label=True,
        help="First those that push most towards the answer",
    )
    return feature


def _changed(without: Without) -> str:
    """What setting the feature to its mean is: it goes, or comes back where there is too little of it."""
    return "with as much of it as usual" if without.too_little else "without it"


def _told(study: Study, without: Without, feature: int, true: str, predicted: str) -> str:
    """How much of the lead the feature is, and what the answers are without it."""
    answer, truth, n = widgets.plain(predicted), widgets.plain(true), len(without.answers)
    share = f" ({widgets.percent(without.push / without.lead, digits=0)})" if without.lead > 0 else ""
    other = without.changed - without.to_true
    others = f" and {other:,} another class" if other else ""
    name = widgets.plain(reads.feature_name(study, feature))
    line = (
        f"{'Too little of ' if without.too_little else ''}**{name}** is {without.push:.2f} of the "
        f"{without.lead:.2f} logits{share} by which {answer} leads {truth}. "
        f"{_changed(without).capitalize()}, **{without.to_true:,} of {n:,}** become {truth}{others}"
    )
    if not without.n_alike:
        return f"{line}."
    return (
        f"{line}; the same done to one of {without.n_alike} features that fire as often changes "
        f"{without.changed_alike:.1f} of {n:,}."
    )


def _await_maps(
    study: Study, population: Slice, rows: np.ndarray, feature: int, classes: tuple[str, str]
) -> None:
    """Say what the heatmaps that are not stored wait for: those of a basis for a click."""
    if not study.has("heatmap_maps"):
        return
    correct = [_correct(study, population, feature, of)[0][:CORRECT] for of in classes]
    shown = np.concatenate([rows[:TILES], *correct]).tolist()
    missing = [row for row in shown if feature not in heatmap_reads.features_of(study, row)]
    if missing and study.below is not None:
        compute_missing(study, missing, [feature])
    elif missing:
        state = encoder_process.prepare(study)
        if state.name == "loading":
            follow_model(
                lambda: encoder_process.prepare(study),
                lambda seconds: f"Loading the encoder for the heatmaps: {seconds:.0f} s so far.",
            )
        elif state.name != "ready":
            st.caption(widgets.plain(f"No heatmaps of this feature: {state.why}"))


def load_encoder(study: Study) -> None:
    """Begin to load what computes the heatmaps that are not stored; does not wait."""
    if study.has("heatmap_maps") and study.below is None:
        encoder_process.prepare(study)


def _unstored(study: Study, row: int, feature: int) -> str:
    """The address of a heatmap that is not stored, from the loaded encoder; empty until it is loaded."""
    if study.below is not None or encoder_process.prepare(study).name != "ready":
        return ""
    try:
        return tried_reads.heat(study, row, feature)
    except PeregrineError:
        return ""


def _correct(study: Study, population: Slice, feature: int, of: str) -> tuple[np.ndarray, np.ndarray]:
    """The correct images of a class and the feature's activation on them, the strongest first."""
    rows = np.empty(0, np.int64)
    if of in study.class_names:  # a head may answer what no image has as label
        rows = np.flatnonzero(reads.mask(study, Slice(split=population.split, labels=(of,), correct=True)))
    values = heatmap_reads.activations(study, feature, rows)
    order = np.argsort(-values, kind="stable")
    return rows[order], values[order]


def _pictures(
    study: Study, rows: np.ndarray, feature: int | None, captions: widgets.Captions | None, key: str, n: int
) -> None:
    """The images and their heatmaps of one feature, with its activation; the images alone without any."""
    if feature is None:
        return widgets.image_gallery(study, rows, key=key, captions=captions, page_size=n)
    values = heatmap_reads.activations(study, feature, rows)
    badges = {int(row): f"{value:.2f}" for row, value in zip(rows, values, strict=True)}
    unstored = partial(_unstored, study, feature=feature)
    if study.has("heatmap_maps") and any(
        feature in heatmap_reads.features_of(study, row) or unstored(row) for row in rows[:n].tolist()
    ):
        heatmap_grid.gallery(
            study, rows, OverlayStyle(features=(feature,)), key=key, kinds=("Original", "Overlay"),
            captions=captions, badges=badges, page_size=n, label="images of this confusion",
            unstored=unstored,
        )  # fmt: skip
        return None
    return widgets.image_gallery(study, rows, key=key, captions=captions, badges=badges, page_size=n)


@widgets.stable_container
def correct_under(study: Study, population: Slice, feature: int | None, true: str, predicted: str) -> None:
    """Correct images of both classes under the same feature: where it is strongest, and how strong it is."""
    if feature is None:
        return
    confused = concept_reads.confused_rows(study, population, true, predicted)
    here = heatmap_reads.activations(study, feature, confused).mean()
    name = widgets.plain(reads.feature_name(study, feature))
    whole = ", also outside the filter" if is_filtered(study, population) else ""
    st.header(f"Correct images under {name}", anchor=False)
    for column, of in zip(st.columns(2, gap="large"), (predicted, true), strict=True):
        rows, values = _correct(study, population, feature, of)
        with column:
            if not rows.size:
                is_label = of in study.class_names
                line = (
                    f"No image of {of} is classified correctly."
                    if is_label
                    else f"No image is labelled {of}."
                )
                st.caption(widgets.plain(line))
                continue
            st.markdown(
                f"**{widgets.plain(of)}**: {values.mean():.2f} on average on "
                f"{counted(len(rows), 'correct image')}{whole} ({here:.2f} on those confused); the strongest:"
            )
            _pictures(study, rows[:CORRECT], feature, None, f"failure_correct_{of}", CORRECT)


def _lines(fact: Mapping[str, Any]) -> tuple[str, ...]:
    """Truth first, then the answer and how sure it is."""
    sure = "" if widgets.undefined(fact.get("confidence")) else widgets.percent(fact["confidence"], digits=0)
    return (f"{fact['label']} → {fact['predicted']}{f', {sure}' if sure else ''}",)


@widgets.stable_container
def features_behind(study: Study, population: Slice, true: str, predicted: str) -> None:
    """The features that push towards the answer, and those that push towards the truth."""
    table = concept_reads.behind_confusion(study, population, true, predicted)
    if table.empty:
        return
    sides = (("predicted", f"Behind the answer, {predicted}"), ("true", f"Behind the truth, {true}"))
    for column, (side, title) in zip(st.columns(2, gap="large"), sides, strict=True):
        with column:
            st.header(widgets.plain(title), help=widgets.help_text("push"), anchor=False)
            part = table.loc[table["side"] == side].reset_index(drop=True)
            _side(study, part, side, (population, true, predicted))
    if has_gradients(study):
        st.caption(LOCAL)


def _side(study: Study, part: pd.DataFrame, side: str, of: tuple[Slice, str, str]) -> None:
    towards = with_class_names(of[1] if side == "true" else of[2])
    chart(
        study,
        f"failure_behind_{side}",
        lambda theme: word_bars.contribution_bars(
            part.rename(columns={"push": "contribution"}),
            colour=theme.correct if side == "true" else theme.misclassified,
            theme=theme,
            kind=study.feature_kind,
        ).update_xaxes(title_text=f"pushes towards {towards}, in logits"),
        *of,
        alt=f"How much of the lead each feature is that pushes towards the {side} class",
        data=part,
    )
    cards(
        [_feature_card(study, row) for row in part.to_dict("records")],
        key=f"failure_features_{side}",
        label=f"Features behind the {'answer' if side == 'predicted' else 'truth'}",
        on_open=lambda chosen: session.go("feature", feature=chosen),
        width=210,
    )


def _feature_card(study: Study, row: Mapping[Any, Any]) -> Card:
    feature = str(row["feature"])
    too_little = ", by too little of it" if row["too_little"] else ""
    return Card(
        feature,
        feature_reads.title(study, int(row["feature"])),
        href=session.href("feature", study, feature=feature),
        note=f"#{row['feature']}",
        subtitle=f"{row['push']:.2f} logits{too_little}",
        pictures=heat_pictures(study, int(row["feature"]), TOP_IMAGES),
    )
