"""The panel of one group (Kalibhat 2023, Fig. 4.4): the joint concept, and below it each feature alone."""

from collections.abc import Collection, Mapping

import numpy as np
import streamlit as st

from core.common.command_line import command_line
from core.common.group_names import is_joint
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.cache import reads
from dashboard.cache.features import concept_reads, group_reads
from dashboard.components import widgets
from dashboard.components.page_link import link

CROPS = 7
MOST = 6  # features shown at first
TILE = 68
Box = tuple[float, float, float, float]


def together(study: Study, group: str, joint: Collection[str], alone: Collection[str]) -> None:
    """The joint concept: its crops and words, those that no feature has alone set apart."""
    with st.container(border=True, key="group_joint"):
        left, right = st.columns([2, 5], gap="medium")
        with left:
            st.markdown(f"**Together: {widgets.plain(_called(study, group))}**")
            if joint:
                st.markdown(_badges(joint, {word: "green" for word in joint if word not in alone}))
                if any(word not in alone for word in joint):
                    st.caption("Green: none of the features has this word alone.")
            else:
                _no_words(study, group)
        with right:
            _images(study, group)


def row(study: Study, feature: str, *, joint: Collection[str]) -> None:
    """One feature alone; of its words those that the joint concept keeps are set apart."""
    with st.container(border=True):
        left, right = st.columns([2, 5], gap="medium")
        with left:
            st.markdown(f"**{widgets.plain(reads.feature_name(study, int(feature)))}**")
            if words := group_reads.kept_words(study, feature):
                st.markdown(_badges(words, {word: "blue" for word in words if word in joint}))
                lost = bool(joint) and any(word not in joint for word in words)
                st.caption("Blue: also said of the group." * (lost and any(word in joint for word in words)))
                link("feature", "Captions and counterfactuals", study, icon="lightbulb", feature=feature)
            else:
                st.caption("No words: too few images activate it highly to explain it by itself.")
        with right:
            _images(study, feature)


def _called(study: Study, group: str) -> str:
    numbers = concept_reads.plain_name(group)
    words = group_reads.best_words(study, group, 3)
    which = f"{study.feature_kind.lower()}s {numbers}"
    return f"{', '.join(words)} ({which})" if words else which


def _badges(words: Collection[str], colours: Mapping[str, str]) -> str:
    return " ".join(f":{colours.get(word, 'gray')}-badge[{widgets.plain(word)}]" for word in words)


def _no_words(study: Study, group: str) -> None:
    n, least = len(group_reads.images_of(study, group)), group_reads.min_images(study)
    n_images = "1 image activates" if n == 1 else f"{n} images activate"
    why = f"No words of its own: {n_images} exactly these features highly"
    if n > least:
        st.caption(f"{why}, but groups were not explained.")
        st.code(command_line("concepts", study.path), "bash", wrap_lines=True)
        return
    st.caption(f"{why}, and more than {least} are needed to explain a group.")
    if n > 1:
        st.code(command_line("concepts", study.path, min_images=n - 1), "bash", wrap_lines=True)


def _images(study: Study, group: str) -> None:
    """Crops of a unit's strongest images; whole images where it was not explained."""
    high = concept_reads.of_group(study, "highly_activating", group)
    boxes: dict[int, Box] = {}
    if len(high):
        rows = concept_reads.rows_of(study, high)
        boxes = concept_reads.boxes_of(high, rows)
    elif is_joint(group):
        rows = group_reads.images_of(study, group)
    else:
        rows = reads.top_rows(study, int(group)) if study.has("top_images") else np.empty(0, np.int64)
    if not len(rows):
        st.caption("No image.")
        return
    widgets.image_gallery(
        study,
        rows[:CROPS],
        key=f"group_images_{group}",
        captions={int(one): () for one in rows[:CROPS]},
        tile=TILE,
        label=f"images of {concept_reads.plain_name(group)}",
        pictures=lambda some: [(_crop(study, row, boxes),) for row in some],
        names=("Crop that was described" if boxes else "Image",),
    )
    st.caption(_how_many(len(rows), "crop" if boxes else "image"))


def _how_many(n: int, what: str) -> str:
    """What the tiles are.

    >>> _how_many(1, "image"), _how_many(5, "image"), _how_many(9, "crop")
    ('The only image.', 'All 5 images.', 'The 7 strongest of 9 crops.')
    """
    if n == 1:
        return f"The only {what}."
    return f"The {CROPS} strongest of {n:,} {what}s." if n > CROPS else f"All {n} {what}s."


def _crop(study: Study, row: int, boxes: Mapping[int, Box]) -> str:
    """The crop, or the whole image where it was not cropped."""
    box = boxes.get(row)
    crop = concept_reads.crop_url(study, row, box) if box else ""
    return crop or served_studies.picture_url(study, row)
