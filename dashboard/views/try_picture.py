"""A picture of the reader's: the answer, the features that fire and where, and what changes the answer.

The address holds which picture (`sample=NAME` or `of=IMAGE`; an uploaded one is in no address), its `crop`,
what is `covered`, which features are `off`, and the class that the answer is compared with (`against`).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from core.common.dataframes import numbers, words
from core.common.formatting import full_sentence
from core.common.records import Record
from core.errors import PeregrineError, SettingsError
from core.pictures.look import SHOWN, Look
from core.pictures.seen import Alteration
from core.store import Study
from core.study.missing import nothing
from dashboard.cache import reads, tried_reads
from dashboard.cache.tried_reads import Picture, Tried
from dashboard.components import widgets
from dashboard.components.choose_one import select_class
from dashboard.components.feature_heat_list import feature_heat_list, heat_views
from dashboard.components.job_follower import follow_model
from dashboard.components.picture_input import Box, Boxes, picture_marks
from dashboard.jobs import resident_models
from dashboard.panels import tried_picture
from dashboard.panels.detail import THE_SAME, UNLIKE_ALL, how_alike, in_the_study, mostly_covered
from dashboard.panels.tried_picture import (
    AGAINST,
    BROUGHT,
    COVERED,
    CROP,
    OF,
    OFF,
    SAMPLE,
    picture_field,
    take_picture,
)
from dashboard.panels.without_features import switch, switch_row, switched_off
from dashboard.state import served_studies, session
from dashboard.state.pages import PAGES, TRY_PICTURE

OFFERED = 18  # images of the study
VIEWS = "try_views"
COMPARE_WITH = "Compare the answer with"
WITHOUT = (
    "There is no study yet, so EfficientNet-Lite0 answers, which tells 1,000 classes of photographs apart."
)


def try_picture_page(study: Study | None) -> None:
    page = PAGES[TRY_PICTURE]
    if study is not None and study.below is not None:
        study = served_studies.in_units(study)
        session.notify("A picture is tried with the encoder's own units, whatever the basis of the study.")
    widgets.page_header(page.title, page.question if study is not None else f"{page.question} {WITHOUT}")
    picture = _picture(study)
    for part in (CROP, COVERED, OFF, AGAINST):  # now, or a link would lose them while the encoder loads
        session.url_text(part)
    state = resident_models.prepare_encoder(study)  # begins to load while the reader looks for a picture
    if state.name in ("refused", "failed"):
        kind = "not_allowed" if state.name == "refused" else "left_out"
        widgets.empty_state("No picture can be tried here", nothing(kind, why=state.why))
        return
    picture_field(small=picture is not None)
    if picture is None:
        if study is not None:
            _images_to_try(study)
        return
    if state.name == "loading":
        _wait(study)
        return
    _tried(study, picture)


def _images_to_try(study: Study) -> None:
    """Offer images of the study, spread over it: each is cropped and covered like a picture from outside."""
    rows = np.flatnonzero(study.is_val) if study.is_val.any() else np.arange(study.n_images)
    names = study.column("images", "image_id")
    st.header("Or take an image of this study", anchor=False)
    widgets.image_gallery(
        study,
        rows[np.linspace(0, len(rows) - 1, min(OFFERED, len(rows))).astype(np.int64)],
        key="try_images",
        label="images of the study to try",
        on_open=lambda row: take_picture(False, **{OF: str(names.iloc[row])}),
    )


def _picture(study: Study | None) -> Picture | None:
    """The picture that is looked at; one that a link names in vain is dropped with a note."""
    brought = session.recall(BROUGHT)
    if brought is not None:
        return brought
    if (name := session.url_text(SAMPLE)) is not None:
        if (picture := tried_reads.sample(name)) is not None:
            return picture
        session.set_url(SAMPLE, None)
        session.notify(f"There is no sample {name[:60]!r}, so that part of the link was dropped.")
    if (name := session.url_text(OF)) is not None and study is not None:
        if rows := session.rows_held(study, [name]):
            return tried_reads.of_study(study, rows[0])
        session.set_url(OF, None)
        session.notify(f"This study holds no image {name[:80]!r}, so that part of the link was dropped.")
    return None


def _wait(study: Study | None) -> None:
    follow_model(
        lambda: resident_models.prepare_encoder(study),
        lambda seconds: f"Loading the encoder: {seconds:.0f} s so far. It stays loaded for ten minutes.",
    )


@st.fragment
def _tried(study: Study | None, picture: Picture) -> None:
    """Everything that changes with the boxes and switches, and nothing else of the page."""
    if session.is_leaving():
        st.rerun()
    alteration, against = _alteration(), session.url_text(AGAINST)
    try:
        whole = tried_reads.tried(study, picture, Alteration(), against)
        one = tried_reads.tried(study, picture, alteration, against)
    except PeregrineError as error:
        st.error(widgets.plain(full_sentence(str(error))), icon=":material/error:")
        return
    off = switched_off(OFF, len(one.seen.raw))
    before = tried_reads.look(study, picture, whole, ())
    answered = words(before.classes, "name")[:1]
    after = tried_reads.look(study, picture, one, off, answered, against=against)
    before = tried_reads.look(study, picture, whole, (), words(after.classes, "name"))  # of the same classes
    alike = "" if study is None else _how_alike(study, one, _row_of(study, whole))
    is_unlike = isinstance(alike, Record) and alike.kind == UNLIKE_ALL
    with st.container(key="stacked_try"):
        left, middle, right = st.columns([4, 4, 5], gap="medium")
    with left:
        boxes = Boxes(alteration.crop, alteration.covered)
        picture_marks(
            whole.preview, boxes, seen=_seen(one), key="try_marks", name=picture.name, on_change=_mark
        )
        if session.recall(BROUGHT) is not None:
            st.caption("No link holds this picture: it stays on this computer.")
    with middle:  # beside the picture, so that both are seen at once
        heat_views(
            key=VIEWS,
            picture="",
            overlay=one.whole or one.preview,
            name=picture.name,
            overlay_text="Heatmap of the features that fire. Point at a feature to see where that one looks.",
        )
    with right:
        if instead := tried_reads.instead_of(study):
            st.caption(widgets.plain(full_sentence(instead)))
        tried_picture.answer_bars(before, after, changed=_changed(alteration, off))
        warnings = [alike if is_unlike else "", _in_the_study(study, whole)]
        for line in filter(None, [*warnings, mostly_covered(alteration.covered_share(_seen(one)))]):
            st.caption(f":material/info: {widgets.plain(line)}")
        if alteration or off:
            st.button("Undo all changes", icon=":material/undo:", key="try_reset", on_click=_undo)
    if after.pushes:
        _compare_with(study, picture, whole, after)
    _features(study, one, after, off)
    if study is not None:
        _similar(study, one, "" if is_unlike else alike)


def _seen(one: Tried) -> Box:
    """The part that the encoder saw, as shares of the sides."""
    left, top, right, bottom = (one.seen.view / np.tile(one.seen.size, 2)).clip(0, 1).tolist()
    return left, top, right, bottom


def _changed(alteration: Alteration, off: tuple[int, ...]) -> str:
    """What was done to the picture, in words; empty for nothing."""
    parts = ["cropped"] if alteration.crop else []
    if n := len(alteration.covered):
        parts.append(f"{n} part{'s' * (n != 1)} covered")
    if n := len(off):
        parts.append(f"{n} feature{'s' * (n != 1)} switched off")
    return ", ".join(parts)


def _undo() -> None:
    for name in (CROP, COVERED, OFF):
        session.set_url(name, None)


def _compare_with(study: Study | None, picture: Picture, whole: Tried, made: Look) -> None:
    """Offer the classes that the answer can be weighed against: first that of the picture, if it is known."""
    predictor = tried_reads.classifier(study)
    if predictor is None or len(predictor.names) < 3:
        return
    answer, rival = made.names
    if session.url_text(AGAINST) == answer:  # it has become the answer since
        session.set_url(AGAINST, None)
    class_of_picture = picture.true or _class_of_same_image(study, whole)
    others = [name for name in predictor.names if name != answer]
    others.sort(key=lambda name: name != class_of_picture)
    select_class(COMPARE_WITH, others, key=AGAINST, default=rival, width=280, shows_label=True)


def _features(study: Study | None, one: Tried, made: Look, off: tuple[int, ...]) -> None:
    """The features that push the answer most, each with a switch."""
    table = made.features
    off_too = table["feature"].isin(list(off)).to_numpy()  # so that it can be switched on again
    table = table.loc[off_too | (np.arange(len(table)) < SHOWN)].reset_index(drop=True)
    most = float(np.abs(numbers(table, "push")).max(initial=0.0))
    rows = [
        switch_row(study, number, push, most, fires=bool(fires), src=one.heats.get(number, ""), off=off)
        for number, push, fires in table[["feature", "push", "fires"]].itertuples(index=False)
    ]
    feature_heat_list(
        rows,
        key="try_features",
        views=VIEWS,
        ends=(made.rival, made.answer) if made.answer and rows and rows[0].push is not None else ("", ""),
        on_open=lambda feature: session.go("feature", study, feature=feature) if study else None,
        on_switch=lambda feature: switch(OFF, feature),
    )
    if note := made.note:
        st.caption(note)


def _mark(sent: Any) -> None:
    """What the browser drew; anything that is no box leaves the picture as it was."""
    try:
        alteration = Alteration.of(sent.get("crop"), sent.get("covered") or ())
    except (PeregrineError, AttributeError, TypeError):
        return
    session.set_url(CROP, _text([alteration.crop]) if alteration.crop else None)
    session.set_url(COVERED, _text(alteration.covered) or None)


def _text(boxes: Sequence[Sequence[float] | None]) -> str:
    return ";".join(",".join(f"{side:.4g}" for side in box) for box in boxes if box)


def _alteration() -> Alteration:
    """What the address says of boxes; what is none is dropped with a note."""
    crop, covered = session.url_text(CROP), session.url_text(COVERED)
    try:
        return Alteration.of(
            crop.split(",") if crop else None, [one.split(",") for one in (covered or "").split(";") if one]
        )
    except SettingsError:
        for name in (CROP, COVERED):
            session.set_url(name, None)
        session.notify("The boxes of this link are none, so that part of it was dropped.")
        return Alteration()


def _in_the_study(study: Study | None, whole: Tried) -> Record | str:
    """That the whole picture is an image of the study, and whether the answer was fitted to it."""
    if study is None:
        return ""
    rows, cosines = tried_reads.similar(study, whole.seen.raw)
    if not len(rows):
        return ""
    asked = tried_reads.classifier(study)
    answers = study.answering(asked.name) if asked is not None and asked.name in study.answers else None
    is_seen = answers is not None and bool(reads.answer_has_seen(answers)[rows[0]])
    return in_the_study(study, int(rows[0]), float(cosines[0]), is_seen=is_seen)


def _row_of(study: Study | None, whole: Tried) -> int | None:
    """The row of the image of the study that the whole picture is; None where it is none."""
    if study is None:
        return None
    rows, cosines = tried_reads.similar(study, whole.seen.raw)
    return int(rows[0]) if len(rows) and cosines[0] > THE_SAME else None


def _class_of_same_image(study: Study | None, whole: Tried) -> str | None:
    """The label of the image of the study that the whole picture is; None where it is none."""
    row = _row_of(study, whole)
    if study is None or row is None:
        return None
    label = study.column("images", "label").iat[row]
    return None if widgets.undefined(label) else str(label)


def _how_alike(study: Study, one: Tried, itself: int | None) -> Record | str:
    """How near the picture is to the train images, without itself where it is one of them."""
    if not study.has("neighbour_similarity"):
        return ""
    cosine = tried_reads.nearest_train(study, one.seen.raw, itself)
    return "" if np.isnan(cosine) else how_alike(study, cosine)


def _similar(study: Study, one: Tried, alike: str) -> None:
    """The images of the study that are most like the picture as it is now."""
    rows, cosines = tried_reads.similar(study, one.seen.raw)
    if not len(rows):
        return
    st.header("Similar images of this study", help=widgets.help_text("alike"))
    if alike:
        st.caption(alike)
    widgets.nearest_gallery(
        study,
        rows,
        cosines,
        key="try_similar",
        label="images most like the picture",
        on_open=lambda row: session.go("image", image=str(study.column("images", "image_id").iat[row])),
    )


try_picture_page(session.recall(session.CURRENT))
