"""One image: its features and where they look, masks, crops in words, images like it, graph, scores."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.answers.class_logits import LOCAL, NOT_SWITCHED_OFF
from core.common.captions import SPLITS, headline, split_images
from core.common.records import Templates
from core.pictures.listed_features import listed_sentence
from core.pictures.look import Look
from core.store import Study
from core.study.label_decisions import label_words
from core.study.overlay_image import OverlayStyle
from core.study.write_access import guest_is_asking
from dashboard.cache import basis_reads, heatmap_reads, image_filter, image_reads, label_reads, reads
from dashboard.components import widgets
from dashboard.components.chart import with_menu
from dashboard.components.choose_one import choose_one
from dashboard.components.feature_heat_list import feature_heat_list, heat_views
from dashboard.components.gallery import Shown, Tile
from dashboard.components.page_link import link
from dashboard.panels import causes, decomposition, detail, heatmaps, label_desk, research, traces
from dashboard.panels.filter_bar import filter_bar
from dashboard.panels.places import PLACES, places_part
from dashboard.panels.without_features import REMOVED, removal, switch, switch_row, switched_off
from dashboard.state import served_studies, session
from dashboard.state.overlay_images import overlay_urls

_say = Templates.beside(__file__)
FEATURES, HEATMAPS, CROPS, ALIKE, SCORES = PARTS = (
    "Features",
    "Heatmaps and masks",
    "Crops in words",
    "Similar images",
    "Scores",
)
SHOWN = 14
SIDE = 560  # pixels of a picture
SUGGESTED = 48
VIEWS = "image_views"
BOLD = "Bold features fire on this image."
NONE_BOLD = "None of them fires on this image: many that are a little active add up."


def image_page(study: Study) -> None:
    opened = session.opened_image(study, *image_filter.lists_of_page(study))
    if opened is None:
        _without_image(study)
        return
    facts = reads.image_facts(study, opened.row)
    _header(study, opened, facts)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        places = [PLACES] if basis_reads.has_places(study) else []
        part = choose_one("Part", [*PARTS, *places, *research.OF_AN_IMAGE], key="image_part")
        traces.of_image(study, facts)
    traces.note_of_image(study, facts)
    label_desk.label_doubt(study, opened.row, facts)
    causes.why_wrong(study, opened.row, facts)
    if part == HEATMAPS:
        heatmaps.heatmap_part(study, opened.row, facts, detail.verdict)
    elif part == CROPS:
        decomposition.crops_of_image(study, opened.row)
    elif part == ALIKE:
        detail.similar_images(study, opened.row)
        detail.neighbours(study, opened.row)
    elif part == SCORES:
        detail.scores(study, opened.row)
    elif part == PLACES:
        places_part(study, opened.row, facts)
    elif part in research.OF_AN_IMAGE:
        research.OF_AN_IMAGE[part](study, opened.row, facts)
    else:
        _features(study, opened.row, facts)


def _header(study: Study, opened: session.OpenedImage, facts: dict[str, Any]) -> None:
    split = split_images(facts["split"]).removesuffix("s") if facts["split"] in SPLITS else ""
    about = [str(facts["image_id"]) if str(facts["image_id"]) != headline(facts) else "", split]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        widgets.page_header(
            widgets.plain(headline(facts)), widgets.plain(" · ".join(part for part in about if part))
        )
        name = str(facts["image_id"])
        link("try_picture", "Crop or cover it", study, icon="crop", of=name)
        detail.walk(study, opened)
    detail.trained_on(study, opened.row, facts)
    detail.caption_line(study, facts)


def _features(study: Study, row: int, facts: dict[str, Any]) -> None:
    """The picture with its heatmap, and the features that push the answer most, each with where it looks."""
    if not widgets.needs(study, "firing_features", "Which features fire"):
        return
    look, asked = image_reads.look(study, row), image_reads.predictor(study)
    table = look.features.head(SHOWN)
    numbers = table["feature"].tolist()
    removed = switched_off(REMOVED, study.array("representations").shape[1])
    off = removed if asked is not None and asked.classifier is not None else None
    if look.pushes:
        label = facts.get("label")
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            _said(study, look, facts, n_listed=0 if off else len(table))
            removal(study, row, off or (), None if widgets.undefined(label) else str(label))
    most = float(np.fmax.reduce(np.abs(table["push"].to_numpy(float)))) if look.pushes else float("nan")
    parts = zip(numbers, table["push"], table["fires"], _sources(study, row, numbers), strict=True)
    rows = [
        switch_row(study, number, push, most, fires=bool(fires), src=source, off=off)
        for number, push, fires, source in parts
    ]
    with_heat = row in image_reads.stored_set(study)
    name = widgets.image_name(facts)
    picture = served_studies.picture_url(study, row, "image")
    overlay = overlay_urls(study, [row], [OverlayStyle()], side=SIDE)[0] if with_heat else ""
    with st.container(key="stacked_image"):
        left, right = st.columns([5, 6], gap="medium")
    with left:
        with with_menu(
            study, "image", alt=f"{name} and its heatmap", file=f"image_{facts['image_id']}"
        ) as shown:
            tile = Tile(row, picture, name, beside=(overlay,) if overlay else ())
            shown.append(Shown(name, (tile,)))
            heat_views(
                key=VIEWS,
                picture=picture,
                overlay=overlay,
                name=name,
                overlay_text="Heatmap of its discriminative features. Point at one to see where that looks."
                + f" {heatmaps.SEEN_PART}" * (with_heat and heatmap_reads.shows_view(study, row)),
            )
        detail.nearest(study, row)
    with right:
        feature_heat_list(
            rows,
            key="image_features",
            views=VIEWS,
            ends=(look.rival, look.answer) if look.pushes else ("", ""),
            on_open=lambda feature: session.go("feature", feature=feature),
            on_switch=lambda feature: switch(REMOVED, feature),
        )
        st.caption(_note(study, look, table, switches=off is not None))


def _note(study: Study, look: Look, table: pd.DataFrame, *, switches: bool) -> str:
    """How to read the list; table: feature, push (NaN where unknown) and fires of its features."""
    if not look.pushes:
        why = (look.note,) if study.has("probe") and look.note else ()
        return " ".join([_say("firing"), *why, _say("click")])
    how = f"{_say('bars')} {LOCAL}" if look.note == LOCAL else _say("bars_by_weights")
    bold = BOLD if table["fires"].to_numpy(bool).any() else NONE_BOLD
    return " ".join([how, bold, *[NOT_SWITCHED_OFF] * (not switches), _say("click")])


def _said(study: Study, look: Look, facts: dict[str, Any], *, n_listed: int) -> None:
    """Who wins, and by how much; and how much of that the list below is, where `n_listed` is not 0."""
    wrong = not widgets.undefined(facts.get("correct")) and not facts["correct"]
    rival = look.rival
    if wrong:
        decision = label_reads.decided(study).get(str(facts["image_id"]), "")
        rival = label_words(str(facts["label"]), decision)
    kind, names = "ahead_of_label" if wrong else "ahead", (widgets.plain(look.answer), widgets.plain(rival))
    line = _say(kind, names=names, value=look.lead)
    st.markdown(line + (f" {listed_sentence(look, n_listed)}" if n_listed else ""), width="content")


def _sources(study: Study, row: int, numbers: list[int]) -> list[str]:
    """Addresses of the picture with the heatmap of each feature; empty where it is not stored."""
    stored = heatmap_reads.features_of(study, row)
    urls = overlay_urls(
        study, [row] * len(numbers), [OverlayStyle(features=(n,)) for n in numbers], side=SIDE
    )
    return [url if number in stored else "" for number, url in zip(numbers, urls, strict=True)]


def _without_image(study: Study) -> None:
    """No image is named: choose one, or bring a picture."""
    widgets.page_header("Image", "What does the encoder see in this image?")
    if not guest_is_asking():
        link("try_picture", "Try a picture of your own", study, icon="add_photo_alternate")
    filter_bar(study, image_filter.population())
    rows, wrong = _suggested(study)
    st.caption(
        "The most confident mistakes of the classifier. Open one." if wrong else "Open one of the images."
    )
    widgets.image_gallery(
        study,
        rows,
        key="image_suggested",
        tile=132,
        label="images to open",
        on_open=lambda row: session.open_image(study, row, rows),
    )


def _suggested(study: Study) -> tuple[np.ndarray, bool]:
    """The most confident mistakes among the images of the filter, and True; where none, any of them."""
    among, images = image_filter.rows_of_page(study), reads.images(study)
    if "correct" in images and "confidence" in images:
        wrong = ~pd.Series(images["correct"]).astype("boolean").fillna(True).to_numpy(bool)
        mistakes = among[wrong[among]]
        if len(mistakes):
            sure = images["confidence"].to_numpy(float)[mistakes]
            return mistakes[np.argsort(-sure, kind="stable")][:SUGGESTED], True
    return among[:SUGGESTED], False


image_page(session.current_study())
